//! What one server may use of the machine.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::unistd::Pid;

use crate::NodeId;
use crate::cluster::{ClusterError, Layer};
use crate::sandbox::{ControlGroups, CpuGroup, MemoryGroup, Throttled};

/// The limits of one server, which outlive its processes. Of several faults' limits the tightest is in force.
#[derive(Debug)]
pub(in crate::cluster) struct Limits {
    node: NodeId,
    cpu: Option<CpuGroup>,
    memory: Option<MemoryGroup>,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    cpu_percent: BTreeMap<Layer, u32>,
    memory_bytes: BTreeMap<Layer, u64>,
}

impl Limits {
    pub(in crate::cluster) fn new(node: NodeId, groups: &ControlGroups) -> Result<Self, ClusterError> {
        let refused = |source| ClusterError::Group { node, source };
        let cpu = groups.cpu_of(node).map_err(refused)?;
        let memory = groups.memory_of(node).map_err(refused)?;
        Ok(Self { node, cpu, memory, asked: Mutex::default() })
    }

    pub(super) fn are_none(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none()
    }

    /// Takes a new process of the server in.
    pub(super) fn take_in(&self, pid: Pid) -> io::Result<()> {
        self.cpu.as_ref().map_or(Ok(()), |group| group.take_in(pid))?;
        self.memory.as_ref().map_or(Ok(()), |group| group.take_in(pid))
    }

    /// Whether there is a group by which the processor can be limited.
    pub(in crate::cluster) fn has_cpu(&self) -> bool {
        self.cpu.is_some()
    }

    /// A fault lets it run for at most this share of one processor; `None` takes that back.
    pub(in crate::cluster) fn limit_cpu(&self, layer: Layer, percent: Option<u32>) -> Result<(), ClusterError> {
        let group = self.cpu.as_ref().ok_or(ClusterError::NoGroup(self.node))?;
        let mut asked = self.asked();
        put(&mut asked.cpu_percent, layer, percent);
        let tightest = asked.cpu_percent.values().min().copied();
        group.limit(tightest).map_err(|source| self.refused(source))
    }

    pub(in crate::cluster) fn throttled(&self) -> Result<Throttled, ClusterError> {
        let group = self.cpu.as_ref().ok_or(ClusterError::NoGroup(self.node))?;
        group.throttled().map_err(|source| self.refused(source))
    }

    /// A fault lets it have at most this much memory besides the files that it keeps in memory, in bytes; `None` takes that
    /// back. Returns the limit that is in force, again without those files.
    pub(in crate::cluster) fn limit_memory(
        &self,
        layer: Layer,
        bytes: Option<u64>,
    ) -> Result<Option<u64>, ClusterError> {
        let group = self.memory.as_ref().ok_or(ClusterError::NoGroup(self.node))?;
        let mut asked = self.asked();
        put(&mut asked.memory_bytes, layer, bytes);
        let tightest = asked.memory_bytes.values().min().copied();
        let limited = || {
            let files = group.files()?;
            let limit = group.limit(tightest.map(|bytes| bytes.saturating_add(files)))?;
            Ok(limit.map(|limit| limit.saturating_sub(files)))
        };
        limited().map_err(|source| self.refused(source))
    }

    /// How many of its processes the kernel has killed because they had too much memory.
    pub(in crate::cluster) fn killed(&self) -> Result<u64, ClusterError> {
        let group = self.memory.as_ref().ok_or(ClusterError::NoGroup(self.node))?;
        group.killed().map_err(|source| self.refused(source))
    }

    fn refused(&self, source: io::Error) -> ClusterError {
        ClusterError::Group { node: self.node, source }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        // Each change is one insertion or removal, so a panic elsewhere leaves it whole.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put<T>(asked: &mut BTreeMap<Layer, T>, layer: Layer, value: Option<T>) {
    match value {
        Some(value) => asked.insert(layer, value),
        None => asked.remove(&layer),
    };
}
