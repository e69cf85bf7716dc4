//! How far a server's wall clock is from the harness's.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use leasehold_checkers::history::vocabulary::ClockValue;

/// A question under way.
pub(super) struct Asked {
    wall: SystemTime,
    monotonic: Instant,
}

impl Asked {
    pub(super) fn now() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }

    /// How long it has been under way: the round trip, if it is answered now.
    pub(super) fn round_trip(&self) -> Duration {
        self.monotonic.elapsed()
    }

    /// How far the server's clock is from the harness's. The server's reading was rounded down to a multiple of
    /// `resolution`.
    ///
    /// The server read its clock at some instant of the round trip. Taking the middle is wrong by half of it at most.
    pub(super) fn answered(&self, reading: Timestamp, resolution: Duration, round_trip: Duration) -> ClockValue {
        let half = round_trip / 2;
        let half_step = resolution / 2;
        let middle = self.wall + half;
        let harness_ns = match middle.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => signed(since),
            Err(before) => -signed(before.duration()),
        };
        let offset_ns = reading.as_nanosecond() + signed(half_step) - harness_ns;
        ClockValue {
            offset_ns: i64::try_from(offset_ns).unwrap_or(if offset_ns < 0 { i64::MIN } else { i64::MAX }),
            uncertainty_ns: u64::try_from((half + half_step).as_nanos()).unwrap_or(u64::MAX).saturating_add(1),
        }
    }
}

fn signed(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_measured_from_the_middle_of_the_round_trip() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let asked = Asked { wall, monotonic: Instant::now() };
        let member = Timestamp::new(1_009, 2_000_000).expect("a time");
        let value = asked.answered(member, Duration::ZERO, Duration::from_millis(4));
        assert_eq!((value.offset_ns, value.uncertainty_ns), (9_000_000_000, 2_000_001));
        let member = Timestamp::new(990, 2_000_000).expect("a time");
        assert_eq!(asked.answered(member, Duration::ZERO, Duration::from_millis(4)).offset_ns, -10_000_000_000);
    }

    #[test]
    fn a_coarse_reading_stands_for_the_middle_of_its_step() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let asked = Asked { wall, monotonic: Instant::now() };
        let second = Timestamp::new(1_000, 0).expect("a time");
        let value = asked.answered(second, Duration::from_secs(1), Duration::ZERO);
        assert_eq!((value.offset_ns, value.uncertainty_ns), (500_000_000, 500_000_001));
    }
}
