//! What a failure says about the operation: whether it certainly did not happen, or nobody knows.

use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::service::OpError;
use zookeeper_client::Error;

use crate::clients::{REFUSED, REJECTED};

/// Why a request of ours did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server said why not.
    Answered(Error),
    /// No answer came.
    Lost {
        /// Whether the request left this machine.
        was_sent: bool,
        /// A word for what became of it.
        code: &'static str,
        /// The same in words.
        text: String,
    },
    /// It was not even tried.
    Certain(OpError),
}

impl Failure {
    /// Whether an error is the server's own word, or the library's refusal to ask. All others come from the connection,
    /// or are what the library makes up for itself when it has been without one for long.
    pub(super) fn is_answer(error: &Error) -> bool {
        matches!(
            error,
            Error::NoNode
                | Error::NodeExists
                | Error::BadVersion
                | Error::NotEmpty
                | Error::NoChildrenForEphemerals
                | Error::InvalidAcl
                | Error::NoAuth
                | Error::AuthFailed
                | Error::QuotaExceeded
                | Error::Throttled
                | Error::BadArguments(_)
                | Error::MarshallingError
                | Error::NotReadOnly
                | Error::NoWatcher
                | Error::Unimplemented
                | Error::ReconfigDisabled
                | Error::SessionExpired
        )
    }

    /// What the server said, where it did.
    pub(super) fn answer(&self) -> Option<&Error> {
        match self {
            Self::Answered(error) => Some(error),
            Self::Lost { .. } | Self::Certain(_) => None,
        }
    }

    /// The failure of an operation that consists of this request.
    pub(super) fn judged(self) -> OpError {
        match self {
            Self::Answered(error @ Error::SessionExpired) => OpError::failed(code::EXPIRED, error.to_string()),
            Self::Answered(error) => OpError::failed(REJECTED, error.to_string()),
            Self::Lost { was_sent: true, code, text } => OpError::unknown(code, text),
            Self::Lost { was_sent: false, text, .. } => OpError::failed(REFUSED, text),
            Self::Certain(error) => error,
        }
    }

    /// The failure of an operation to which this request was only a preliminary: it certainly did not happen.
    pub(super) fn of_a_preliminary(self) -> OpError {
        let judged = self.judged();
        OpError::failed(judged.code, judged.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_workloads::service::Certainty::{DidNotHappen, Unknown};

    fn lost(was_sent: bool) -> Failure {
        Failure::Lost { was_sent, code: "broken", text: String::new() }
    }

    #[test]
    fn what_was_sent_and_not_answered_is_unknown() {
        assert_eq!((lost(true).judged().certainty, lost(true).judged().code), (Unknown, "broken"));
        assert_eq!((lost(false).judged().certainty, lost(false).judged().code), (DidNotHappen, REFUSED));
        assert_eq!(lost(true).of_a_preliminary().certainty, DidNotHappen);
    }

    #[test]
    fn the_server_s_own_word_is_certain() {
        let judged = |error| {
            assert!(Failure::is_answer(&error));
            Failure::Answered(error).judged()
        };
        assert_eq!(judged(Error::SessionExpired).code, code::EXPIRED);
        for error in [Error::NoNode, Error::BadVersion, Error::NoAuth, Error::Throttled, Error::Unimplemented] {
            assert_eq!((judged(error.clone()).certainty, judged(error).code), (DidNotHappen, REJECTED));
        }
    }

    #[test]
    fn what_the_library_says_of_the_connection_is_no_answer() {
        for error in [
            Error::ConnectionLoss,
            Error::ClientClosed,
            Error::SessionMoved,
            Error::Timeout,
            Error::NoHosts,
            Error::UnexpectedErrorCode(-7),
            Error::RuntimeInconsistent,
        ] {
            assert!(!Failure::is_answer(&error), "{error}");
        }
    }
}
