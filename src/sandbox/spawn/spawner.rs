//! The one thread that starts servers.
//!
//! A process is traced by the thread that forked it, and by no other. So all servers come from one thread,
//! which lives long, and whatever needs `ptrace` is done there.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::{fmt, io, thread};

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::command::{AtExec, ServerCommand};
use super::process::ServerProcess;
use crate::sandbox::SandboxError;
use crate::sandbox::network::Hosts;

type Job = Box<dyn FnOnce() + Send>;

/// A handle on the thread that starts and traces servers. Clones are handles on the same thread.
#[derive(Clone)]
pub struct Spawner {
    hosts: Arc<Hosts>,
    jobs: Sender<Job>,
}

impl Spawner {
    pub(in crate::sandbox) fn start(hosts: Arc<Hosts>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new().name("spawner".to_owned()).spawn(move || queue.into_iter().for_each(|job| job()))?;
        Ok(Self { hosts, jobs })
    }

    /// Starts a server and waits until it has been exec'ed and, where asked for, prepared. That takes a few
    /// milliseconds.
    ///
    /// The server has a session of its own, its node's network, default signal dispositions, no signal
    /// blocked, no input, and no file of the harness but its log.
    ///
    /// # Errors
    /// [`SandboxError::NoSuchNode`], [`SandboxError::Log`], [`SandboxError::Spawn`], or
    /// [`SandboxError::AtExec`]. No process is left in any of these cases.
    pub fn spawn(&self, command: ServerCommand) -> Result<ServerProcess, SandboxError> {
        let hosts = Arc::clone(&self.hosts);
        self.on_tracer_thread(move || spawn(command, &hosts))
    }

    /// Runs a function on the thread that traces the servers, and returns what it returns.
    ///
    /// # Panics
    /// If the function panics, with the same payload.
    pub fn on_tracer_thread<R: Send + 'static>(&self, function: impl FnOnce() -> R + Send + 'static) -> R {
        let (done, result) = mpsc::sync_channel::<Result<R, Box<dyn Any + Send>>>(1);
        let job: Job = Box::new(move || {
            // The caller waits for it, so it is there to receive it.
            let _ = done.send(catch_unwind(AssertUnwindSafe(function)));
        });
        self.jobs.send(job).expect("the thread lives as long as a handle does");
        let result = result.recv().expect("the thread catches every panic and answers every job");
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner").field("hosts", &self.hosts.keys()).finish_non_exhaustive()
    }
}

fn spawn(mut command: ServerCommand, hosts: &Arc<Hosts>) -> Result<ServerProcess, SandboxError> {
    let at_exec = command.at_exec.take();
    let (node, program) = (command.node, command.program.clone());
    let child = command.prepare(hosts, at_exec.is_some())?.spawn();
    let failed = |source| SandboxError::Spawn { node, program: program.clone(), source };
    let pid = Pid::from_raw(child.map_err(failed)?.id().cast_signed());
    if let Some(prepare) = at_exec {
        prepare_at_exec(pid, prepare).map_err(|source| SandboxError::AtExec {
            node,
            program: program.clone(),
            source,
        })?;
    }
    ServerProcess::adopt(node, pid).map_err(|source| {
        kill_and_reap(pid);
        failed(source)
    })
}

/// Waits for the child to stop at its exec, prepares it, and lets it go.
fn prepare_at_exec(pid: Pid, prepare: AtExec) -> io::Result<()> {
    match waitpid(pid, Some(WaitPidFlag::__WALL))? {
        WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
        WaitStatus::Exited(..) | WaitStatus::Signaled(..) => {
            return Err(io::Error::other("it died at its exec"));
        }
        other => {
            kill_and_reap(pid);
            return Err(io::Error::other(format!("it did not stop at its exec: {other:?}")));
        }
    }
    let prepared = prepare(pid).and_then(|()| Ok(ptrace::detach(pid, None)?));
    if prepared.is_err() {
        kill_and_reap(pid);
    }
    prepared
}

/// For a child that nobody will ever see. It is ours and unreaped, so its pid cannot have been given away.
fn kill_and_reap(pid: Pid) {
    let _ = kill(pid, Signal::SIGKILL);
    while let Ok(WaitStatus::Stopped(..) | WaitStatus::PtraceEvent(..)) = waitpid(pid, Some(WaitPidFlag::__WALL)) {}
}
