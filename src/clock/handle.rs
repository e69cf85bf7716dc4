//! The handle by which a nemesis moves the clock of a running process.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::unistd::Pid;

use super::clocks::{Clocks, MONOTONIC, Now};
use super::line::check;
use super::page::DataPage;
use super::{ClockError, Skew, machine};

/// The clock of one hooked process.
///
/// It lives as long as the program that was hooked. When that has ended, or has executed another, every change answers
/// [`ClockError::Gone`]; a process that later gets the same id is not touched.
pub struct ClockHook {
    state: Mutex<State>,
}

/// What a program has seen of its monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonotonicReading {
    /// By how much it was ahead of the machine's, in nanoseconds.
    pub offset_ns: i64,
    /// How long ago that was.
    pub age_ns: u64,
}

struct State {
    page: DataPage,
    clocks: Clocks,
}

impl ClockHook {
    /// Hooks the clock of `pid`, whose wall clock then shows `skew` from its first reading on.
    ///
    /// To be called on the thread that traces `pid`, while that stands in the SIGTRAP stop after its exec (not in a
    /// `PTRACE_EVENT_EXEC` stop, in which it is still inside the system call). The process stays there; detach it
    /// afterwards. Where this fails the program is still sound, and its clock is the machine's.
    pub fn inject(pid: Pid, skew: Skew) -> Result<ClockHook, ClockError> {
        let clocks = Clocks::default().with_wall(check(skew)?, &Now::read());
        let page = machine::inject(pid, &clocks)?;
        Ok(ClockHook { state: Mutex::new(State { page, clocks }) })
    }

    /// Steps the wall clock of the process to this distance from the machine's, and has it run at this rate from now
    /// on. It takes effect at the next reading of the clock, also in a process that is stopped now.
    pub fn set_wall(&self, skew: Skew) -> Result<(), ClockError> {
        check(skew)?;
        self.change(|clocks, now| Ok(clocks.with_wall(skew, now)))
    }

    /// Changes the rate of the wall clock without a step: what it has drifted so far stays.
    pub fn set_wall_rate(&self, rate_ppm: i64) -> Result<(), ClockError> {
        self.change(|clocks, now| {
            let skew = check(Skew { rate_ppm, ..clocks.wall_at(now) })?;
            Ok(clocks.with_wall(skew, now))
        })
    }

    /// How far the wall clock of the process is from the machine's at this moment: what was last set, and what it has
    /// drifted since.
    pub fn wall(&self) -> Skew {
        self.state().clocks.wall_at(&Now::read())
    }

    /// Changes the rate of the monotonic clocks (`MONOTONIC`, `RAW`, `COARSE` and `BOOTTIME`), which never step
    /// backwards.
    ///
    /// For **Go programs only**. They work out how long to sleep from differences of this clock, so a fast one makes
    /// timers and leases end early, a slow one late. The JVM, and every user of glibc's `pthread_cond_clockwait`, hands
    /// the kernel *absolute* times of this clock, which the kernel compares with the true one: sleeps of half a second
    /// last twenty, or none at all and the process spins. That is no fault a real machine has.
    pub fn set_monotonic_rate(&self, rate_ppm: i64) -> Result<(), ClockError> {
        self.change(|clocks, now| {
            check(Skew { rate_ppm, ..clocks.monotonic_at(now) })?;
            Ok(clocks.with_monotonic_rate(rate_ppm, now))
        })
    }

    /// How far the monotonic clock of the process is from the machine's at this moment.
    pub fn monotonic(&self) -> Skew {
        self.state().clocks.monotonic_at(&Now::read())
    }

    /// How far the monotonic clock was off when the program last read it, as it was shown to the program itself; `None` if
    /// it has not read it since it was first moved.
    pub fn last_monotonic_reading(&self) -> Result<Option<MonotonicReading>, ClockError> {
        let state = self.state();
        let note = state.page.note_on(MONOTONIC)?;
        let now_ns = Now::read().monotonic_ns();
        Ok(note.map(|(reading_ns, offset_ns)| MonotonicReading {
            offset_ns,
            age_ns: u64::try_from(now_ns.saturating_sub(reading_ns)).unwrap_or(0),
        }))
    }

    /// The process whose clock this is.
    pub fn pid(&self) -> Pid {
        self.state().page.memory().pid()
    }

    /// Hooks a clock in the way that is meant for vDSOs whose code cannot be moved.
    #[cfg(all(test, target_arch = "x86_64"))]
    pub(super) fn inject_by_syscall(pid: Pid, skew: Skew) -> Result<ClockHook, ClockError> {
        let clocks = Clocks::default().with_wall(skew, &Now::read());
        let page = machine::inject_by_syscall(pid, &clocks)?;
        Ok(ClockHook { state: Mutex::new(State { page, clocks }) })
    }

    /// Puts any lines in force, for tests that need odd ones.
    #[cfg(all(test, target_arch = "x86_64"))]
    pub(super) fn publish(&self, clocks: Clocks) -> Result<(), ClockError> {
        self.change(|_, _| Ok(clocks))
    }

    fn change(&self, next: impl FnOnce(Clocks, &Now) -> Result<Clocks, ClockError>) -> Result<(), ClockError> {
        let mut state = self.state();
        let clocks = next(state.clocks, &Now::read())?;
        state.page.publish(&clocks)?;
        state.clocks = clocks;
        Ok(())
    }

    /// A panic while this was locked left no half-done change behind: the state is written last.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ClockHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClockHook")
            .field("pid", &self.pid().as_raw())
            .field("wall", &self.wall())
            .field("monotonic", &self.monotonic())
            .finish()
    }
}
