//! The one clock that stamps everything.

use std::time::{Duration, Instant};

use leasehold_checkers::history::RunTime;

/// The harness's monotonic clock, counted from the start of the run. No fault touches it: faults move the clocks of
/// single server processes only.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    start: Instant,
}

impl RunClock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The present instant.
    #[must_use]
    pub fn now(self) -> RunTime {
        RunTime::default().after(self.start.elapsed())
    }

    /// The same instant for timers.
    #[must_use]
    pub fn at(self, time: RunTime) -> tokio::time::Instant {
        (self.start + Duration::from_nanos(time.as_nanos())).into()
    }
}
