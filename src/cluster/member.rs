//! One server of the cluster, across its restarts.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use nix::sys::signal::Signal;

use super::{Clocks, ClusterError};
use crate::NodeId;
use crate::clock::{ClockHook, Skew};
use crate::sandbox::{AtExec, ServerCommand, ServerProcess, Spawner, Threads};
use crate::servers::Launch;

const NS_PER_MS: i64 = 1_000_000;

/// One server. Its process may come and go; its clock stays as far off as it was put.
#[derive(Debug)]
pub(super) struct Member {
    node: NodeId,
    command: Launch,
    log: PathBuf,
    clocks: Clocks,
    /// By how much its clock is off when no fault moves it.
    resting_offset_ms: i64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// By how much a fault has moved its clock on top of that.
    fault_offset_ms: i64,
    running: Option<Running>,
}

#[derive(Clone, Debug)]
struct Running {
    process: Arc<ServerProcess>,
    hook: Option<Arc<ClockHook>>,
}

impl Member {
    pub(super) fn new(node: NodeId, command: Launch, log: PathBuf, clocks: Clocks, resting_offset_ms: i64) -> Self {
        let state = Mutex::new(State { fault_offset_ms: 0, running: None });
        Self { node, command, log, clocks, resting_offset_ms, state }
    }

    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    pub(super) fn resting_offset_ms(&self) -> i64 {
        self.resting_offset_ms
    }

    /// Starts its process, with its clock hooked before the first instruction.
    pub(super) fn start(&self, spawner: &Spawner) -> Result<(), ClusterError> {
        let mut state = self.state();
        if state.running.is_some() {
            return Err(ClusterError::Running(self.node));
        }
        self.command.write_files().map_err(|source| ClusterError::Files { node: self.node, source })?;
        let injected = Arc::new(OnceLock::new());
        let process = spawner.spawn(ServerCommand {
            node: self.node,
            program: self.command.program.clone(),
            args: self.command.arguments.clone(),
            env: self.command.environment.clone(),
            log: self.log.clone(),
            at_exec: self.hooking(self.skew(&state), Arc::clone(&injected)),
        })?;
        let hook = Arc::into_inner(injected).and_then(OnceLock::into_inner).map(Arc::new);
        state.running = Some(Running { process: Arc::new(process), hook });
        Ok(())
    }

    /// What the spawner does to the process before its first instruction: it puts the hook where `injected` is.
    fn hooking(&self, skew: Skew, injected: Arc<OnceLock<ClockHook>>) -> Option<AtExec> {
        if self.clocks == Clocks::Untouched {
            return None;
        }
        Some(Box::new(move |pid| {
            let hook = ClockHook::inject(pid, skew).map_err(std::io::Error::other)?;
            // The spawner runs this once, so the place is empty.
            let _ = injected.set(hook);
            Ok(())
        }))
    }

    /// Moves its clock to this far from where it rests; returns the whole offset in nanoseconds.
    pub(super) fn move_clock(&self, offset_ms: i64) -> Result<i64, ClusterError> {
        let mut state = self.state();
        if self.clocks == Clocks::Untouched {
            return Err(ClusterError::ClockUntouched(self.node));
        }
        state.fault_offset_ms = offset_ms;
        let skew = self.skew(&state);
        // A process that does not run gets its clock when it starts.
        if let Some(hook) = state.running.as_ref().and_then(|running| running.hook.as_ref()) {
            hook.set_wall(skew).map_err(|source| ClusterError::Clock { node: self.node, source })?;
        }
        Ok(skew.offset_ns)
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), ClusterError> {
        let process = self.process()?;
        process.signal(signal).map_err(|source| ClusterError::Process { node: self.node, source })
    }

    pub(super) fn threads(&self) -> Result<Threads, ClusterError> {
        let process = self.process()?;
        process.threads().map_err(|source| ClusterError::Process { node: self.node, source })
    }

    /// Kills its process and tells how it ended.
    pub(super) async fn kill(&self) -> Result<String, ClusterError> {
        let process = self.process()?;
        process.signal(Signal::SIGKILL).map_err(|source| ClusterError::Process { node: self.node, source })?;
        let how = self.ended().await?;
        self.state().running = None;
        Ok(how)
    }

    /// Waits for the end of its process and tells how it ended.
    pub(super) async fn ended(&self) -> Result<String, ClusterError> {
        let status = self.process()?.exited().await;
        status.map(ending).map_err(|source| ClusterError::Process { node: self.node, source })
    }

    fn skew(&self, state: &State) -> Skew {
        let offset_ms = self.resting_offset_ms.saturating_add(state.fault_offset_ms);
        Skew { offset_ns: offset_ms.saturating_mul(NS_PER_MS), rate_ppm: 0 }
    }

    fn process(&self) -> Result<Arc<ServerProcess>, ClusterError> {
        let state = self.state();
        let running = state.running.as_ref().ok_or(ClusterError::NotRunning(self.node))?;
        Ok(Arc::clone(&running.process))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the state is a single assignment, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ending(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("killed by signal {signal}"),
        (None, Some(code)) => format!("exited with status {code}"),
        (None, None) => "ended".to_owned(),
    }
}
