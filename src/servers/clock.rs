//! How far a server's wall clock is from the harness's.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use leasehold_checkers::history::vocabulary::ClockValue;
use reqwest::header::{DATE, HeaderMap};

use super::ProbeError;
use crate::NodeId;

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

    /// The same by the `Date` of an answer over HTTP, which is in seconds and was received just now.
    pub(super) fn answered_by_head(&self, node: NodeId, headers: &HeaderMap) -> Result<ClockValue, ProbeError> {
        const STEP: Duration = Duration::from_secs(1);
        let round_trip = self.round_trip();
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.ok_or_else(|| ProbeError::Nonsense { node, why: "it has no date".to_owned() })?;
        let reading = seconds(date).map_err(|error| ProbeError::nonsense(node, &error))?;
        Ok(self.answered(reading, STEP, round_trip))
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

/// The time of an HTTP `Date`.
fn seconds(date: &str) -> Result<Timestamp, jiff::Error> {
    // RFC 9110 writes GMT where RFC 2822 writes an offset; the parser takes both.
    rfc2822::DateTimeParser::new().parse_timestamp(date)
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
    fn a_date_is_read_and_what_is_none_is_refused() {
        let read = seconds("Sat, 21 Nov 2026 22:23:55 GMT").expect("a date");
        assert_eq!(read, "2026-11-21T22:23:55Z".parse().expect("a time"));
        for hostile in ["", "yesterday", "Sat, 99 Nov 2026 22:23:55 GMT"] {
            assert!(seconds(hostile).is_err(), "{hostile}");
        }
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
