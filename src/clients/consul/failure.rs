//! What a failure says about the operation: whether it certainly did not happen, or nobody knows.

use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::service::{Certainty, OpError};
use reqwest::StatusCode;

use crate::clients::{MALFORMED, REJECTED};

/// Why there is no answer to a request.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server's no.
    Refused(Refusal),
    /// Anything else, judged already.
    Other(OpError),
}

/// The server's no, in its own words.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: String,
    /// How far the server's data had come, where it says so.
    pub(super) index: Option<u64>,
}

/// How the server words that a session is no more. It says so when the write's turn in the log has come, so the write is over.
const SESSION_IS_GONE: &str = "invalid session";

impl Refusal {
    /// Whether it says that there is no such thing.
    pub(super) fn is_absence(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// The refusal under a code that tells what the operation observed.
    pub(super) fn observed(&self, code: &'static str) -> OpError {
        OpError::failed(code, self.words())
    }

    /// The status alone does not tell: 500 stands both for a session that is gone and for a leader that was lost with the
    /// request.
    fn judged(&self) -> OpError {
        match self.status {
            StatusCode::INTERNAL_SERVER_ERROR if self.text.contains(SESSION_IS_GONE) => self.observed(code::EXPIRED),
            // The server looked at the request and would not have it.
            status if status.is_client_error() => self.observed(REJECTED),
            // Raft's troubles, a time-out among them: what was asked for may yet be carried out.
            status if status.is_server_error() => OpError::unknown("server", self.words()),
            _ => OpError::unknown(MALFORMED, self.words()),
        }
    }

    fn words(&self) -> String {
        format!("{}: {}", self.status, self.text)
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

/// The same failure of a step after which the operation itself was still to be asked for: it certainly did not happen.
pub(super) fn before_the_op(error: OpError) -> OpError {
    OpError { certainty: Certainty::DidNotHappen, ..error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Certainty::{DidNotHappen, Unknown};

    fn judged(status: u16, text: &str) -> (Certainty, &'static str) {
        let status = StatusCode::from_u16(status).expect("a status");
        let error: OpError = Failure::Refused(Refusal { status, text: text.to_owned(), index: None }).into();
        (error.certainty, error.code)
    }

    #[test]
    fn only_reasons_are_certain() {
        // Recorded from Consul 1.8.7.
        assert_eq!(
            judged(500, r#"invalid session "8d1a4c0f-5b1e-0b2e-6a5c-0f0a3b3c1d2e""#),
            (DidNotHappen, code::EXPIRED)
        );
        assert_eq!(judged(500, r#"rpc error making call: invalid session "8d1a""#), (DidNotHappen, code::EXPIRED));
        assert_eq!(judged(500, "No cluster leader"), (Unknown, "server"));
        assert_eq!(judged(500, "leadership lost while committing log"), (Unknown, "server"));
        assert_eq!(judged(500, ""), (Unknown, "server"));
        assert_eq!(judged(503, r#"invalid session "8d1a""#), (Unknown, "server"));
        assert_eq!(judged(400, "Conflicting flags: acquire and cas"), (DidNotHappen, REJECTED));
        assert_eq!(judged(403, "Permission denied"), (DidNotHappen, REJECTED));
        assert_eq!(judged(429, "Your IP is issuing too many concurrent connections"), (DidNotHappen, REJECTED));
        assert_eq!(judged(301, ""), (Unknown, MALFORMED));
        assert_eq!(judged(101, ""), (Unknown, MALFORMED));
    }
}
