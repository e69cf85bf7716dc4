//! The process of one server: paused, killed, started again.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Member, Running, State};
use crate::cluster::{ClusterError, Layer};
use crate::sandbox::{ServerProcess, Spawner, ThreadNames, Threads};

/// What a server's process is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It runs.
    Up,
    /// A fault stops it.
    Paused,
    /// There is none.
    Down,
}

impl Member {
    /// What keeps it from answering, or nothing.
    pub(in crate::cluster) fn standing(&self) -> Standing {
        let state = self.state();
        match (self.alive(&state), state.paused_by.is_empty()) {
            (None, _) => Standing::Down,
            (Some(_), false) => Standing::Paused,
            (Some(_), true) => Standing::Up,
        }
    }

    /// Whether a fault keeps it down.
    pub(in crate::cluster) fn is_kept_down(&self) -> bool {
        !self.state().down_by.is_empty()
    }

    /// Stops its process, and any that takes its place, until every layer that paused it has resumed it.
    pub(in crate::cluster) fn pause(&self, layer: Layer) -> Result<(), ClusterError> {
        let mut state = self.state();
        state.paused_by.insert(layer);
        let process = self.alive(&state).ok_or(ClusterError::NotRunning(self.node))?;
        process.signal(Signal::SIGSTOP).map_err(|source| ClusterError::Process { node: self.node, source })
    }

    /// Lets its process go on, unless another layer pauses it.
    pub(in crate::cluster) fn resume(&self, layer: Layer) -> Result<(), ClusterError> {
        let mut state = self.state();
        if !state.paused_by.remove(&layer) || !state.paused_by.is_empty() {
            return Ok(());
        }
        let Some(process) = self.alive(&state) else { return Ok(()) };
        process.signal(Signal::SIGCONT).map_err(|source| ClusterError::Process { node: self.node, source })
    }

    /// Kills its process, and has none take its place until every layer that took it down has brought it up. Returns without
    /// waiting for its end, of which [`Member::ended`] tells.
    pub(in crate::cluster) fn take_down(&self, layer: Layer) -> Result<(), ClusterError> {
        let mut state = self.state();
        state.down_by.insert(layer);
        let Some(process) = self.alive(&state) else { return Ok(()) };
        process.signal(Signal::SIGKILL).map_err(|source| ClusterError::Process { node: self.node, source })
    }

    /// Starts its process, unless another layer keeps it down or it runs already.
    pub(in crate::cluster) fn bring_up(&self, layer: Layer, spawner: &Spawner) -> Result<(), ClusterError> {
        let mut state = self.state();
        state.down_by.remove(&layer);
        if !state.down_by.is_empty() || self.alive(&state).is_some() {
            return Ok(());
        }
        self.start_in(&mut state, spawner)
    }

    /// For how long its process has run.
    pub(in crate::cluster) fn up_for(&self) -> Result<Duration, ClusterError> {
        let state = self.state();
        let running = state.running.as_ref().ok_or(ClusterError::NotRunning(self.node))?;
        Ok(running.since.elapsed())
    }

    pub(in crate::cluster) fn threads(&self) -> Result<Threads, ClusterError> {
        let process = self.process()?;
        process.threads().map_err(|source| ClusterError::Process { node: self.node, source })
    }

    pub(in crate::cluster) fn thread_names(&self) -> Result<ThreadNames, ClusterError> {
        let process = self.process()?;
        process.thread_names().map_err(|source| ClusterError::Process { node: self.node, source })
    }

    /// How much time on a processor its process has had.
    pub(in crate::cluster) fn cpu_time(&self) -> Result<Duration, ClusterError> {
        let process = self.process()?;
        process.cpu_time().map_err(|source| ClusterError::Process { node: self.node, source })
    }

    /// Waits for the end of its process and tells how it ended.
    pub(in crate::cluster) async fn ended(&self) -> Result<String, ClusterError> {
        let status = self.process()?.exited().await;
        status.map(ending).map_err(|source| ClusterError::Process { node: self.node, source })
    }

    /// How its process ended; `None` if it runs or has never run.
    pub(in crate::cluster) fn has_ended(&self) -> Result<Option<String>, ClusterError> {
        let state = self.state();
        let Some(running) = &state.running else { return Ok(None) };
        let status = running.process.try_exited();
        status.map(|status| status.map(ending)).map_err(|source| ClusterError::Process { node: self.node, source })
    }

    fn process(&self) -> Result<Arc<ServerProcess>, ClusterError> {
        let state = self.state();
        let running = state.running.as_ref().ok_or(ClusterError::NotRunning(self.node))?;
        Ok(Arc::clone(&running.process))
    }

    fn alive<'a>(&self, state: &'a State) -> Option<&'a Arc<ServerProcess>> {
        state.running.as_ref().filter(|running| running.is_alive()).map(|Running { process, .. }| process)
    }
}

fn ending(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("killed by signal {signal}"),
        (None, Some(code)) => format!("exited with status {code}"),
        (None, None) => "ended".to_owned(),
    }
}
