//! The first process inside: process 1 of the pid namespace, whose end is the end of every other.
//!
//! It furnishes the namespaces, starts the harness, and from then on reaps orphans and passes signals on.
//! The harness cannot be process 1 itself: the kernel drops signals there that have no handler, and the
//! orphans of servers would be its to reap.

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{ForkResult, Pid, fork, sethostname, setsid};

use super::harness;
use super::identity::{Ids, MapWriter};
use super::lifeline::InnerEnds;
use super::report::Report;
use super::signals::{self, Blocked};
use super::step::{During, Step, StepError};
use crate::sandbox::network::interface;
use crate::sandbox::{Mode, Sandbox};

/// What the first process needs to know.
#[derive(Debug)]
pub(super) struct First {
    pub(super) mode: Mode,
    pub(super) ids: Ids,
    pub(super) map_writer: MapWriter,
    pub(super) ends: InnerEnds,
}

impl First {
    /// Lives the whole life of process 1. No error and no panic may pass it: its caller's code belongs to
    /// another process.
    pub(super) fn live<F: FnOnce(Sandbox) -> u8>(self, blocked: &Blocked, program: F) -> ! {
        let never = catch_unwind(AssertUnwindSafe(|| self.serve(blocked, program)));
        exit_now(i32::from(never.is_err()) * 70)
    }

    fn serve<F: FnOnce(Sandbox) -> u8>(mut self, blocked: &Blocked, program: F) -> Infallible {
        let report = match self.furnish().and_then(|()| self.start(blocked, program)) {
            Ok(harness) => look_after(harness, &self.ends).map(Report::Ended).unwrap_or_else(Report::Failed),
            Err(failure) => Report::Failed(failure),
        };
        // If nobody listens any more, then nobody needs to know.
        let _ = report.send(self.ends.into_report());
        exit_now(0)
    }

    fn furnish(&mut self) -> Result<(), StepError> {
        prctl::set_pdeathsig(Signal::SIGKILL).during(Step::DieWithParent)?;
        // The "go" comes second: an outer process that died before the line above cannot say it any more.
        if self.ends.await_go().is_err() {
            exit_now(1);
        }
        if self.mode == Mode::User && self.map_writer == MapWriter::Inside {
            self.ids.map_to_themselves().during(Step::MapOwnIds)?;
        }
        // A privileged sandbox shares its mounts with the host until this.
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
            .during(Step::PrivateMounts)?;
        let inert = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("proc"), "/proc", Some("proc"), inert, None::<&str>).during(Step::MountProc)?;
        sethostname("leasehold").during(Step::HostName)?;
        setsid().during(Step::Session)?;
        interface::up("lo").during(Step::Loopback)?;
        // Only for the reader of `ps`.
        let _ = prctl::set_name(c"leasehold-init");
        Ok(())
    }

    fn start<F: FnOnce(Sandbox) -> u8>(&self, blocked: &Blocked, program: F) -> Result<Pid, StepError> {
        // SAFETY: there is one thread, so no lock can be left held in the child.
        match unsafe { fork() }.during(Step::ForkHarness)? {
            ForkResult::Parent { child } => Ok(child),
            ForkResult::Child => harness::live(self.mode, blocked, program),
        }
    }
}

/// Reaps and passes signals on until the harness ends, and returns its status word. If the outer process
/// dies, so does this one.
fn look_after(harness: Pid, ends: &InnerEnds) -> Result<i32, StepError> {
    let signals = SignalFd::with_flags(&signals::watched(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .during(Step::Await)?;
    loop {
        // What happened before the signals were watched is pending in them, so nothing is missed.
        let mut waiting =
            [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(ends.alive(), PollFlags::empty())];
        match poll(&mut waiting, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            answer => answer.during(Step::Await)?,
        };
        if waiting[1].any() == Some(true) {
            exit_now(1);
        }
        while let Some(signal) = signals.read_signal().during(Step::Await)? {
            if signal.ssi_signo == libc::SIGCHLD as u32 {
                if let Some(status) = reap_until(harness) {
                    return Ok(status);
                }
            } else {
                let signal = Signal::try_from(signal.ssi_signo as i32).during(Step::Await)?;
                // The harness is not reaped yet, so this is its pid and nobody else's.
                kill(harness, signal).during(Step::Await)?;
            }
        }
    }
}

/// Reaps whoever has died, and returns the status word of the harness if it is among them.
fn reap_until(harness: Pid) -> Option<i32> {
    loop {
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) } {
            dead if dead == harness.as_raw() => return Some(status),
            dead if dead > 0 => {}
            _ => return None,
        }
    }
}

/// Exits at once: what is buffered and registered for the exit belongs to the outer process, of which this
/// one is a copy.
fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}
