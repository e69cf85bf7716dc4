//! Reading a member's wall clock.
//!
//! Members measure the skew of each other's clocks by asking for `/raft/probing` on the peer port. The answer carries what
//! the process's own clock says, so it shows a skew that was given to that process alone.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use leasehold_checkers::history::vocabulary::ClockValue;
use serde::Deserialize;

#[derive(Deserialize)]
struct Probing {
    #[serde(rename = "Now")]
    now: String,
}

/// The answer carries no time.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTime {
    #[error("it is not the answer to a probe")]
    NoProbing(#[from] serde_json::Error),
    #[error("its time is none")]
    NoTimestamp(#[from] jiff::Error),
}

/// The member's wall clock as its answer gives it.
pub(super) fn parse(answer: &[u8]) -> Result<Timestamp, NoTime> {
    let probing: Probing = serde_json::from_slice(answer)?;
    Ok(probing.now.parse()?)
}

/// A question under way.
pub(super) struct Asked {
    wall: SystemTime,
    monotonic: Instant,
}

impl Asked {
    pub(super) fn now() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }

    /// How far the member's clock is from the harness's, given that the answer arrives now.
    ///
    /// The member read its clock at some instant of the round trip. Taking the middle is wrong by half of it at most.
    pub(super) fn answered(&self, member: Timestamp) -> ClockValue {
        self.compare(member, self.monotonic.elapsed())
    }

    fn compare(&self, member: Timestamp, round_trip: Duration) -> ClockValue {
        let half = round_trip / 2;
        let middle = self.wall + half;
        let harness_ns = match middle.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => signed(since),
            Err(before) => -signed(before.duration()),
        };
        let offset_ns = member.as_nanosecond() - harness_ns;
        ClockValue {
            offset_ns: i64::try_from(offset_ns).unwrap_or(if offset_ns < 0 { i64::MIN } else { i64::MAX }),
            uncertainty_ns: u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).saturating_add(1),
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
        let value = asked.compare(member, Duration::from_millis(4));
        assert_eq!((value.offset_ns, value.uncertainty_ns), (9_000_000_000, 2_000_001));
        let member = Timestamp::new(990, 2_000_000).expect("a time");
        assert_eq!(asked.compare(member, Duration::from_millis(4)).offset_ns, -10_000_000_000);
    }

    #[test]
    fn answers_are_read_in_any_time_zone_and_refused_without_a_time() {
        let utc = parse(br#"{"OK":true,"Now":"2026-11-21T22:23:55.123456789Z"}"#).expect("a time");
        let east = parse(br#"{"OK":true,"Now":"2026-11-21T23:23:55.123456789+01:00"}"#).expect("a time");
        assert_eq!(utc, east);
        for hostile in [&b"{}"[..], b"", b"{\"Now\":7}", b"{\"Now\":\"yesterday\"}", b"[[[[", b"\xff\xfe"] {
            assert!(parse(hostile).is_err());
        }
    }
}
