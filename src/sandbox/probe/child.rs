//! A process of its own for a probe: whatever the probe does to itself is gone with it, and one that hangs
//! is ended.

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, pipe2};

use super::answer::{self, Answer, Trouble};

/// A hundred times what any probe takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Has a child answer. There must be no other thread, which the caller has made sure of.
pub(super) fn answer_of(probe: impl FnOnce() -> Answer) -> Answer {
    let (receiver, sender) = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from)?;
    // SAFETY: there is one thread, so no lock can be left held in the child.
    match unsafe { fork() }.map_err(io::Error::from)? {
        ForkResult::Child => {
            let answer =
                catch_unwind(AssertUnwindSafe(probe)).unwrap_or_else(|_| Err(Trouble::new("the probe panicked")));
            // If it cannot be sent, the silence says so.
            let _ = answer::send(&answer, sender);
            // SAFETY: `_exit` has no preconditions. What is registered for the exit belongs to the parent.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop(sender);
            let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
            let mut waiting = [PollFd::new(receiver.as_fd(), PollFlags::POLLIN)];
            let answered = poll(&mut waiting, patience).is_ok_and(|ready| ready > 0);
            if !answered {
                // It is ours and unreaped, so its pid is its own.
                let _ = kill(child, Signal::SIGKILL);
            }
            let _ = waitpid(child, None);
            if answered {
                answer::receive(receiver)
            } else {
                Err(Trouble::new(format!("no answer within {PATIENCE:?}")))
            }
        }
    }
}
