//! One server of the cluster, across its restarts.
//!
//! Everything that faults do to it is kept in layers, and the process that runs is held to their sum. A new process is
//! brought up under all that is in force.

mod clock;
mod limits;
mod process;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use nix::sys::signal::Signal;

pub use clock::ClockMove;
pub(super) use limits::Limits;
pub use process::Standing;

use super::clock_layers::ClockLayers;
use super::{Clocks, ClusterError, DataFolder, Layer};
use crate::NodeId;
use crate::clock::ClockHook;
use crate::disk::{self, Gate};
use crate::sandbox::{AtExec, ServerCommand, ServerProcess, Spawner};
use crate::servers::Launch;

const NS_PER_MS: i64 = 1_000_000;

/// One server. Its process may come and go; what is done to it stays.
#[derive(Debug)]
pub(super) struct Member {
    node: NodeId,
    log: PathBuf,
    disk: Disk,
    clocks: Clocks,
    /// By how much its clock is off when no fault moves it.
    resting_offset_ms: i64,
    limits: Arc<Limits>,
    state: Mutex<State>,
}

/// A server's disk.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) data: DataFolder,
    /// What stands between the server and its disk; `None` where this run leaves the disks alone.
    pub(super) gate: Option<Gate>,
}

#[derive(Debug)]
struct State {
    command: Launch,
    clock: ClockLayers,
    paused_by: BTreeSet<Layer>,
    down_by: BTreeSet<Layer>,
    running: Option<Running>,
}

#[derive(Clone, Debug)]
struct Running {
    since: Instant,
    process: Arc<ServerProcess>,
    hook: Option<Arc<ClockHook>>,
}

impl Running {
    fn is_alive(&self) -> bool {
        self.process.try_exited().is_ok_and(|end| end.is_none())
    }
}

impl Member {
    pub(super) fn new(
        node: NodeId,
        command: Launch,
        log: PathBuf,
        disk: Disk,
        clocks: Clocks,
        resting_offset_ms: i64,
        limits: Limits,
    ) -> Self {
        let clock = ClockLayers::resting_at(resting_offset_ms.saturating_mul(NS_PER_MS));
        let state = State { command, clock, paused_by: BTreeSet::new(), down_by: BTreeSet::new(), running: None };
        Self { node, log, disk, clocks, resting_offset_ms, limits: Arc::new(limits), state: Mutex::new(state) }
    }

    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    pub(super) fn data(&self) -> &DataFolder {
        &self.disk.data
    }

    pub(super) fn gate(&self) -> Result<&Gate, ClusterError> {
        self.disk.gate.as_ref().ok_or(ClusterError::DiskUntouched(self.node))
    }

    /// How it is to be started from now on.
    pub(super) fn set_command(&self, command: Launch) {
        self.state().command = command;
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Starts its process under all that is in force.
    pub(super) fn start(&self, spawner: &Spawner) -> Result<(), ClusterError> {
        self.start_in(&mut self.state(), spawner)
    }

    fn start_in(&self, state: &mut State, spawner: &Spawner) -> Result<(), ClusterError> {
        if state.running.as_ref().is_some_and(Running::is_alive) {
            return Err(ClusterError::Running(self.node));
        }
        state.command.write_files().map_err(|source| ClusterError::Files { node: self.node, source })?;
        let injected = Arc::new(OnceLock::new());
        let refused = |source| ClusterError::Disk { node: self.node, source };
        let filter = self.disk.gate.as_ref().map(|_| disk::filtered()).transpose().map_err(refused)?;
        let (in_child, arrival) = filter.unzip();
        let process = spawner.spawn(ServerCommand {
            node: self.node,
            program: state.command.program.clone(),
            args: state.command.arguments.clone(),
            env: state.command.environment.clone(),
            log: self.log.clone(),
            in_child,
            at_exec: self.preparation(state.clock.clone(), Arc::clone(&injected)),
        })?;
        if let (Some(gate), Some(arrival)) = (&self.disk.gate, arrival) {
            gate.guard(arrival).map_err(|source| {
                // Unguarded it would hang at its first call. If it cannot be killed, it is gone already.
                let _ = process.signal(Signal::SIGKILL);
                refused(source)
            })?;
        }
        let hook = Arc::into_inner(injected).and_then(OnceLock::into_inner).map(Arc::new);
        if !state.paused_by.is_empty() {
            process.signal(Signal::SIGSTOP).map_err(|source| ClusterError::Process { node: self.node, source })?;
        }
        state.running = Some(Running { since: Instant::now(), process: Arc::new(process), hook });
        Ok(())
    }

    /// What the spawner does to the process before its first instruction: it takes it into its groups, and puts the hook
    /// of its clock where `injected` is.
    fn preparation(&self, clock: ClockLayers, injected: Arc<OnceLock<ClockHook>>) -> Option<AtExec> {
        let (clocks, limits) = (self.clocks, Arc::clone(&self.limits));
        if clocks == Clocks::Untouched && limits.are_none() {
            return None;
        }
        Some(Box::new(move |pid| {
            limits.take_in(pid)?;
            if clocks == Clocks::Hooked {
                let hook = clock::hook(pid, &clock).map_err(std::io::Error::other)?;
                // The spawner runs this once, so the place is empty.
                let _ = injected.set(hook);
            }
            Ok(())
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the state is a single assignment, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
