//! What etcd answers over its old API, and what that says about the operation.

use leasehold_workloads::service::OpError;
use reqwest::StatusCode;
use serde::Deserialize;

use crate::clients::http::excerpt;
use crate::clients::{MALFORMED, REJECTED};

/// The answer to a request that was carried out, and what a watch tells.
#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    pub(super) action: String,
    pub(super) node: Node,
    #[serde(rename = "prevNode")]
    pub(super) previous: Option<Node>,
}

/// A key.
#[derive(Debug, Deserialize)]
pub(super) struct Node {
    #[serde(default)]
    pub(super) key: String,
    pub(super) value: Option<String>,
    /// What is left, in whole seconds, by the clock of the server that answers; none for a key that stays. It is negative for a
    /// key that ought to be gone and is not yet.
    pub(super) ttl: Option<i64>,
    #[serde(rename = "modifiedIndex")]
    pub(super) modified_index: u64,
}

/// The server's reasoned no.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    #[serde(rename = "errorCode")]
    pub(super) code: u32,
    #[serde(default)]
    message: String,
    #[serde(default)]
    pub(super) cause: String,
}

/// The codes that tell what the request found.
pub(super) const KEY_NOT_FOUND: u32 = 100;
pub(super) const COMPARE_FAILED: u32 = 101;
pub(super) const KEY_EXISTS: u32 = 105;

/// Why there is no [`Reply`].
#[derive(Debug)]
pub(super) enum Failure {
    /// The server's reasoned no.
    Refused(Refusal),
    /// Anything else, judged already.
    Other(OpError),
}

impl Refusal {
    /// The refusal under a code that tells what the operation observed.
    pub(super) fn observed(&self, code: &'static str) -> OpError {
        OpError::failed(code, self.words())
    }

    /// The refusal where it is no observation.
    pub(super) fn judged(&self) -> OpError {
        match self.code {
            // Conditions on the key and faults of the request: found out before anything is written.
            100..=299 => OpError::failed(REJECTED, self.words()),
            // Raft's troubles, a time-out among them: the proposal may yet be carried out.
            300..=399 => OpError::unknown("raft", self.words()),
            // A watch asked for changes that the server has forgotten.
            400..=499 => OpError::failed("forgotten", self.words()),
            _ => OpError::unknown(MALFORMED, self.words()),
        }
    }

    /// The value that a comparison found, from a cause such as `[stopped != started p1.2]`: first what was asked for, then
    /// what is there.
    pub(super) fn found(&self) -> Option<&str> {
        let inner = self.cause.strip_prefix('[')?.strip_suffix(']')?;
        inner.split_once(" != ").map(|(_, found)| found)
    }

    fn words(&self) -> String {
        match self.cause.as_str() {
            "" => format!("{} {}", self.code, self.message),
            cause => format!("{} {}: {cause}", self.code, self.message),
        }
    }
}

impl From<Failure> for OpError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.judged(),
            Failure::Other(error) => error,
        }
    }
}

/// Reads an answer.
pub(super) fn parse(status: StatusCode, body: &[u8]) -> Result<Reply, Failure> {
    if status.is_success() {
        // It was carried out, but what came of it cannot be told.
        let nonsense = |error| OpError::unknown(MALFORMED, format!("{status}, {error}: {}", excerpt(body)));
        return serde_json::from_slice(body).map_err(|error| Failure::Other(nonsense(error)));
    }
    if let Ok(refusal) = serde_json::from_slice(body) {
        return Err(Failure::Refused(refusal));
    }
    let text = format!("{status}: {}", excerpt(body));
    Err(Failure::Other(match status {
        StatusCode::NOT_FOUND => {
            OpError::failed(REJECTED, format!("{text}; etcd serves the v2 API only with --enable-v2"))
        }
        _ if status.is_client_error() => OpError::failed(REJECTED, text),
        _ => OpError::unknown("http", text),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_workloads::service::Certainty;

    // Recorded from etcd 3.4.23.
    const SWAPPED: &str = r#"{"action":"compareAndSwap","node":{"key":"/leasehold/jobs","value":"started p1.2","expiration":"2026-11-21T23:41:02.13751Z","ttl":10,"modifiedIndex":9,"createdIndex":8},"prevNode":{"key":"/leasehold/jobs","value":"stopped","modifiedIndex":8,"createdIndex":8}}"#;
    const FAILED: &str =
        r#"{"errorCode":101,"message":"Compare failed","cause":"[stopped != started p1.2]","index":9}"#;
    const TIMED_OUT: &str =
        r#"{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: request timed out","index":0}"#;

    fn refusal(text: &str) -> Refusal {
        match parse(StatusCode::PRECONDITION_FAILED, text.as_bytes()) {
            Err(Failure::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    fn error(status: u16, body: &[u8]) -> OpError {
        let status = StatusCode::from_u16(status).expect("a status");
        parse(status, body).expect_err("a failure").into()
    }

    #[test]
    fn a_swap_tells_its_ttl_and_its_index() {
        let reply = parse(StatusCode::OK, SWAPPED.as_bytes()).expect("a reply");
        assert_eq!((reply.action.as_str(), reply.node.ttl, reply.node.modified_index), ("compareAndSwap", Some(10), 9));
        assert_eq!(reply.previous.and_then(|node| node.value).as_deref(), Some("stopped"));
    }

    #[test]
    fn a_key_may_outlive_its_ttl() {
        // Recorded from etcd 3.4.23 after it had stood still for three seconds.
        let expired = r#"{"action":"expire","node":{"key":"/a","modifiedIndex":5,"createdIndex":4},"prevNode":{"key":"/a","value":"x","expiration":"2026-11-22T00:10:51.115996588Z","ttl":-2,"modifiedIndex":4,"createdIndex":4}}"#;
        let reply = parse(StatusCode::OK, expired.as_bytes()).expect("a reply");
        assert_eq!(reply.previous.and_then(|node| node.ttl), Some(-2));
    }

    #[test]
    fn a_failed_comparison_tells_what_it_found() {
        assert_eq!(refusal(FAILED).found(), Some("started p1.2"));
        for cause in ["", "[", "]", "[]", "[a]", "stopped != started", "[a != "] {
            let text = format!(r#"{{"errorCode":101,"cause":"{cause}"}}"#);
            assert_eq!(refusal(&text).found(), None, "{cause}");
        }
    }

    #[test]
    fn only_reasons_that_come_before_the_write_are_certain() {
        assert_eq!(refusal(FAILED).judged().certainty, Certainty::DidNotHappen);
        assert_eq!(refusal(TIMED_OUT).judged().certainty, Certainty::Unknown);
        assert_eq!(refusal(r#"{"errorCode":301}"#).judged().certainty, Certainty::Unknown);
        assert_eq!(refusal(r#"{"errorCode":203}"#).judged().certainty, Certainty::DidNotHappen);
        assert_eq!(refusal(r#"{"errorCode":4294967295}"#).judged().certainty, Certainty::Unknown);
    }

    #[test]
    fn what_is_no_answer_of_etcd_is_judged_by_its_status() {
        assert_eq!(error(404, b"404 page not found\n").certainty, Certainty::DidNotHappen);
        assert_eq!(error(500, b"").certainty, Certainty::Unknown);
        assert_eq!(error(503, b"<html>").certainty, Certainty::Unknown);
        // A request that went through and told nonsense about it may well have taken effect.
        for hostile in [&b""[..], b"{}", b"[]", b"{\"action\":7}", b"\xff\x00", &SWAPPED.as_bytes()[..90]] {
            assert_eq!((error(200, hostile).certainty, error(200, hostile).code), (Certainty::Unknown, MALFORMED));
        }
        assert!(error(500, &vec![b'x'; 1 << 20]).text.len() < 300);
    }
}
