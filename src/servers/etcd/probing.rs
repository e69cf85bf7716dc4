//! Reading a member's wall clock.
//!
//! Members measure the skew of each other's clocks by asking for `/raft/probing` on the peer port. The answer carries what
//! the process's own clock says, so it shows a skew that was given to that process alone.

use jiff::Timestamp;
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

#[cfg(test)]
mod tests {
    use super::*;

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
