//! How the harness in the sandbox ended.

use std::process;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};

/// How the harness in the sandbox ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returned or exited with this code.
    Exited(u8),
    /// It was ended by this signal.
    Signaled(i32),
}

impl Outcome {
    /// The exit code by which a shell would report it: 128 + the signal for a death by signal.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }

    /// Ends this process the way the harness ended, so that nobody who started it can tell the two apart.
    pub fn end_like_it(self) -> ! {
        if let Self::Signaled(number) = self
            && let Ok(signal) = Signal::try_from(number)
        {
            die_by(signal);
        }
        process::exit(i32::from(self.exit_code()))
    }

    /// Reads the status word of `waitpid`.
    pub(super) fn from_wait_status(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signaled(libc::WTERMSIG(status))
        } else {
            Self::Exited(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))
        }
    }
}

/// Returns only if the signal does not end a process. What fails here fails into the exit code that
/// follows.
fn die_by(signal: Signal) {
    // The harness has left its core already, if cores are wanted: a second one, of this process, would hide
    // it.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: installing the default disposition runs no code of ours in a signal handler.
    let _ = unsafe { signal::sigaction(signal, &default) };
    let _ = SigSet::from(signal).thread_unblock();
    let _ = signal::raise(signal);
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn wait_statuses_are_read() {
        assert_eq!(Outcome::from_wait_status(7 << 8), Outcome::Exited(7));
        assert_eq!(Outcome::from_wait_status(libc::SIGKILL), Outcome::Signaled(9));
        assert_eq!(Outcome::from_wait_status(libc::SIGABRT | 0x80), Outcome::Signaled(6));
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(Outcome::Exited(70).exit_code(), 70);
        assert_eq!(Outcome::Signaled(2).exit_code(), 130);
    }
}
