//! What is to be started, and the child's part of starting it.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::{env, fmt, io};

use nix::sys::ptrace;
use nix::sys::signal::SigSet;
use nix::unistd::{Pid, setsid};

use crate::NodeId;
use crate::sandbox::SandboxError;
use crate::sandbox::network::Hosts;

/// What is done to a server that stands before its first instruction. See [`ServerCommand::at_exec`].
pub type AtExec = Box<dyn FnOnce(Pid) -> io::Result<()> + Send>;

/// What a server's process does between fork and exec, after it has entered its node. It must make system calls and nothing
/// else: other threads of the harness may hold locks of the allocator at that moment, for ever as the child sees it.
pub type InChild = Box<dyn FnMut() -> io::Result<()> + Send + Sync>;

/// What a server inherits of the harness's environment. Anything more would let the user's shell decide how
/// servers behave.
const INHERITED: [&str; 3] = ["PATH", "HOME", "TMPDIR"];

/// A server to be started on a node.
pub struct ServerCommand {
    /// Where.
    pub node: NodeId,
    /// The program: a path, or a name to be found on `PATH`.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub args: Vec<OsString>,
    /// Its environment, besides `PATH`, `HOME` and `TMPDIR`, which it has from the harness.
    pub env: Vec<(OsString, OsString)>,
    /// The file to which its output and errors are appended.
    pub log: PathBuf,
    /// What its process does for itself between fork and exec. An error keeps it from starting.
    pub in_child: Option<InChild>,
    /// What to do to it before its first instruction, on the thread that traces it, while it stands still.
    ///
    /// The pid is stopped under `ptrace`, and is released when this returns. An error kills it. No other
    /// server starts meanwhile, and one that this itself tried to start never would.
    pub at_exec: Option<AtExec>,
}

impl fmt::Debug for ServerCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCommand")
            .field("node", &self.node)
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &self.env)
            .field("log", &self.log)
            .field("in_child", &self.in_child.is_some())
            .field("at_exec", &self.at_exec.is_some())
            .finish()
    }
}

impl ServerCommand {
    /// The command for the standard library. A child that is to be `traced` stops at its exec.
    pub(super) fn prepare(&mut self, hosts: &Arc<Hosts>, traced: bool) -> Result<Command, SandboxError> {
        if !hosts.contains_key(&self.node) {
            return Err(SandboxError::NoSuchNode(self.node));
        }
        let (output, errors) = self.open_log().map_err(|source| {
            let (node, path) = (self.node, self.log.clone());
            SandboxError::Log { node, path, source }
        })?;
        let inherited = INHERITED.into_iter().filter_map(|name| Some((name, env::var_os(name)?)));
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().envs(inherited).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let (node, hosts) = (self.node, Arc::clone(hosts));
        let mut in_child = self.in_child.take();
        let prepare = move || {
            become_server(&hosts, node, traced)?;
            in_child.as_mut().map_or(Ok(()), |own| own())
        };
        // SAFETY: the closure makes system calls and nothing else: it takes no lock and allocates nothing.
        unsafe { command.pre_exec(prepare) };
        Ok(command)
    }

    fn open_log(&self) -> io::Result<(File, File)> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        Ok((log.try_clone()?, log))
    }
}

/// The child's part, between fork and exec.
fn become_server(hosts: &Hosts, node: NodeId, traced: bool) -> io::Result<()> {
    hosts[&node].enter()?;
    // Apart from the harness's session, nobody's Ctrl-C and no group kill reaches it but by its own pid.
    setsid()?;
    reset_signals()?;
    close_all_on_exec();
    if traced {
        ptrace::traceme()?;
    }
    Ok(())
}

/// Undoes what the harness's shell and runtime have done to signals: a shell starts background jobs with
/// SIGINT ignored, and exec keeps that.
fn reset_signals() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: installing the default disposition runs no code of ours in a signal handler. The few
        // signals for which it is refused cannot have any other.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    Ok(SigSet::empty().thread_set_mask()?)
}

/// Keeps what the harness, or the shell that it comes from, has left open away from the server. Where the
/// kernel does not know the call (before 5.11), a file that somebody opened carelessly gets through.
fn close_all_on_exec() {
    let (after_stderr, all, on_exec) = (3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: it closes nothing now, so no file that somebody owns is closed under them.
    unsafe { libc::syscall(libc::SYS_close_range, after_stderr, all, on_exec) };
}
