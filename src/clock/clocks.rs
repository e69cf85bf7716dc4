//! The clocks of the kernel, by number, and which of them move together.

use nix::time::{ClockId, clock_gettime};

use super::Skew;
use super::line::Line;

/// The clocks have the numbers 0 to 11. Dynamic clocks and those of the processor have others; they are never moved.
pub(super) const CLOCKS: usize = 12;

const REALTIME: usize = libc::CLOCK_REALTIME as usize;
pub(super) const MONOTONIC: usize = libc::CLOCK_MONOTONIC as usize;

/// Coarse and alarm clocks are other views of the same time: they share the line of the fine clock, and so agree with it.
const WALL: [usize; 4] =
    [REALTIME, libc::CLOCK_REALTIME_COARSE as usize, libc::CLOCK_REALTIME_ALARM as usize, libc::CLOCK_TAI as usize];
const STEADY: [usize; 5] = [
    MONOTONIC,
    libc::CLOCK_MONOTONIC_RAW as usize,
    libc::CLOCK_MONOTONIC_COARSE as usize,
    libc::CLOCK_BOOTTIME as usize,
    libc::CLOCK_BOOTTIME_ALARM as usize,
];

/// A decrease of a rate is dated this far ahead, so that it is in force in the process before its date comes, and the
/// clock steps forward by a trifle (1 ms at a rate of 10 %) instead of backwards.
const AHEAD_NS: i64 = 10_000_000;

/// What the kernel's clocks show now, by number. A coarse clock counts as the fine clock that it is a view of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now([i64; CLOCKS]);

impl Now {
    pub(super) fn wall_ns(&self) -> i64 {
        self.0[REALTIME]
    }

    pub(super) fn monotonic_ns(&self) -> i64 {
        self.0[MONOTONIC]
    }

    pub(super) fn read() -> Now {
        let steady = read(ClockId::CLOCK_MONOTONIC);
        let boot = read(ClockId::CLOCK_BOOTTIME);
        let mut now = [read(ClockId::CLOCK_REALTIME); CLOCKS];
        now[libc::CLOCK_TAI as usize] = read(ClockId::CLOCK_TAI);
        now[libc::CLOCK_MONOTONIC_RAW as usize] = read(ClockId::CLOCK_MONOTONIC_RAW);
        now[MONOTONIC] = steady;
        now[libc::CLOCK_MONOTONIC_COARSE as usize] = steady;
        now[libc::CLOCK_BOOTTIME as usize] = boot;
        now[libc::CLOCK_BOOTTIME_ALARM as usize] = boot;
        Now(now)
    }
}

fn read(clock: ClockId) -> i64 {
    let time = clock_gettime(clock).expect("every kernel that can run this program has this clock");
    time.tv_sec() * 1_000_000_000 + time.tv_nsec()
}

/// The lines of all clocks of one process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Clocks(pub(super) [Line; CLOCKS]);

impl Clocks {
    pub(super) fn wall_at(&self, now: &Now) -> Skew {
        self.0[REALTIME].skew_at(now.0[REALTIME])
    }

    pub(super) fn monotonic_at(&self, now: &Now) -> Skew {
        self.0[MONOTONIC].skew_at(now.0[MONOTONIC])
    }

    /// The wall clock, stepped to this skew.
    pub(super) fn with_wall(mut self, skew: Skew, now: &Now) -> Clocks {
        for clock in WALL {
            self.0[clock] = Line::through(now.0[clock], skew);
        }
        self
    }

    /// The monotonic clocks with another rate, and no step backwards.
    pub(super) fn with_monotonic_rate(mut self, rate_ppm: i64, now: &Now) -> Clocks {
        let slower = rate_ppm < self.monotonic_at(now).rate_ppm;
        for clock in STEADY {
            let from_ns = now.0[clock] + if slower { AHEAD_NS } else { 0 };
            let offset_ns = self.0[clock].skew_at(from_ns).offset_ns;
            self.0[clock] = Line::through(from_ns, Skew { offset_ns, rate_ppm });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn now(seconds: i64) -> Now {
        Now([seconds * SECOND; CLOCKS])
    }

    #[test]
    fn the_wall_clock_moves_alone_and_as_a_whole() {
        let skew = Skew { offset_ns: -5 * SECOND, rate_ppm: 100_000 };
        let clocks = Clocks::default().with_wall(skew, &now(100));
        for clock in WALL {
            let shown = clocks.0[clock].skew_at(110 * SECOND);
            assert_eq!(shown.offset_ns, -4 * SECOND, "clock {clock}");
        }
        for clock in STEADY {
            assert_eq!(clocks.0[clock], Line::default(), "clock {clock}");
        }
    }

    #[test]
    fn monotonic_clocks_never_step_backwards() {
        let mut clocks = Clocks::default();
        for (second, rate_ppm) in [(10, 500_000), (20, -500_000), (30, 1_000_000), (40, -1_000_000), (50, 0)] {
            let before = clocks.monotonic_at(&now(second)).offset_ns;
            clocks = clocks.with_monotonic_rate(rate_ppm, &now(second));
            let step = clocks.monotonic_at(&now(second)).offset_ns - before;
            assert!((0..=2 * AHEAD_NS).contains(&step), "a step of {step} ns at {second} s");
        }
    }
}
