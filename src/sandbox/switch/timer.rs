//! The alarm clock of the switch.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::read;

use super::engine::unless_empty;

/// Wakes the thread when a packet is due: to the nanosecond, where epoll alone knows milliseconds.
pub(super) struct Timer {
    file: TimerFd,
    set_for: Option<Instant>,
}

impl Timer {
    pub(super) fn new() -> nix::Result<Self> {
        let file = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        Ok(Self { file, set_for: None })
    }

    /// What becomes readable when it goes off.
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Has it go off at this time, or not at all.
    pub(super) fn set(&mut self, due: Option<Instant>) -> nix::Result<()> {
        if due == self.set_for {
            return Ok(());
        }
        self.set_for = due;
        match due {
            None => self.file.unset(),
            Some(due) => {
                // A time of zero would switch it off.
                let wait = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
                self.file.set(Expiration::OneShot(TimeSpec::from(wait)), TimerSetTimeFlags::empty())
            }
        }
    }

    /// Takes note that it has gone off.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.set_for = None;
        let mut count = [0; 8];
        read(self.file.as_fd(), &mut count).map(drop).or_else(unless_empty)
    }
}
