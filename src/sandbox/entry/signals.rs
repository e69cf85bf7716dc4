//! The signals that travel from the outer process through the first one inside to the harness.

use std::time::{Duration, Instant};

use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal};

/// What a user or a supervisor sends to a program. SIGTSTP is not among them: Ctrl-Z stops the outer
/// process alone.
const FORWARDED: [Signal; 7] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// So many interrupts within [`PATIENCE`] end a harness that does not react.
const INSISTENCE: usize = 3;
const PATIENCE: Duration = Duration::from_secs(1);

/// The forwarded signals, and SIGCHLD.
pub(super) fn watched() -> SigSet {
    FORWARDED.into_iter().chain([Signal::SIGCHLD]).collect()
}

/// Blocks the watched signals while it lives, so that they queue up for whoever asks for them.
///
/// Blocked is more than unhandled: the first process of a pid namespace loses signals that it has not
/// blocked, since no default action applies to it.
#[derive(Debug)]
pub(super) struct Blocked {
    before: SigSet,
}

impl Blocked {
    pub(super) fn new() -> nix::Result<Self> {
        // A parent that ignores SIGCHLD passes that on, and the kernel then reaps our children before we
        // can ask how they ended.
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: installing the default disposition runs no code of ours in a signal handler.
        unsafe { signal::sigaction(Signal::SIGCHLD, &default) }?;
        let before = watched().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self { before })
    }

    /// Restores the mask of before, in this process or in a child that is a copy of it.
    pub(super) fn restore(&self) {
        // It was the mask of this thread, so the kernel knows it.
        let _ = self.before.thread_set_mask();
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Counts interrupts, to tell a user who insists from one who asks.
#[derive(Debug, Default)]
pub(super) struct Insistence {
    interrupts: Vec<Instant>,
}

impl Insistence {
    /// Whether this signal, at this time, says that the harness must end without being asked.
    pub(super) fn is_enough(&mut self, signal: Signal, now: Instant) -> bool {
        if signal != Signal::SIGINT {
            return false;
        }
        self.interrupts.retain(|&earlier| now.duration_since(earlier) <= PATIENCE);
        self.interrupts.push(now);
        self.interrupts.len() >= INSISTENCE
    }
}

#[cfg(test)]
mod tests {
    use super::{Insistence, PATIENCE};
    use nix::sys::signal::Signal::{SIGINT, SIGTERM};
    use std::time::{Duration, Instant};

    #[test]
    fn three_interrupts_in_a_second_are_enough() {
        let (mut insistence, start) = (Insistence::default(), Instant::now());
        assert!(!insistence.is_enough(SIGINT, start));
        assert!(!insistence.is_enough(SIGTERM, start));
        assert!(!insistence.is_enough(SIGINT, start + PATIENCE / 2));
        assert!(insistence.is_enough(SIGINT, start + PATIENCE));
    }

    #[test]
    fn patient_interrupts_are_never_enough() {
        let (mut insistence, start) = (Insistence::default(), Instant::now());
        let pause = PATIENCE / 2 + Duration::from_millis(1);
        assert!((0..10).all(|count| !insistence.is_enough(SIGINT, start + pause * count)));
    }
}
