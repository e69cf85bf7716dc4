//! What a failure says about the operation: whether it certainly did not happen, or nobody knows.

use std::error::Error as _;
use std::io;

use etcd_client::Error;
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::service::OpError;

use crate::clients::{MALFORMED, REFUSED, REJECTED, http};

/// How the server words that a lease is no more. The lock service loses the status code of what it relays, so only the words
/// are to be relied on.
const LEASE_IS_GONE: [&str; 3] = ["requested lease not found", "lease not found", "mutex: session is expired"];

/// Judges a failure.
///
/// The status code alone does not tell: `Unavailable` stands both for a server that nobody could connect to and for one that
/// went away with the request.
pub(super) fn judge(error: &Error) -> OpError {
    let text = in_words(error);
    match error {
        _ if LEASE_IS_GONE.iter().any(|words| text.contains(words)) => OpError::failed(code::EXPIRED, text),
        _ if was_never_sent(error) => OpError::failed(REFUSED, text),
        Error::GRpcStatus(status) => judge_status(status.code().into(), text),
        Error::InvalidArgs(_) | Error::InvalidUri(_) => OpError::failed(REJECTED, text),
        Error::TransportError(_) | Error::IoError(_) => OpError::unknown("broken", text),
        _ => OpError::unknown(MALFORMED, text),
    }
}

/// By the numbers of the gRPC specification.
fn judge_status(status: i32, text: String) -> OpError {
    match status {
        // InvalidArgument, NotFound, AlreadyExists, PermissionDenied, FailedPrecondition, OutOfRange, Unimplemented,
        // Unauthenticated: the server looked at the request and would not have it.
        3 | 5 | 6 | 7 | 9 | 11 | 12 | 16 => OpError::failed(REJECTED, text),
        4 => OpError::unknown("timeout", text),
        14 => OpError::unknown("unavailable", text),
        1 => OpError::unknown("cancelled", text),
        _ => OpError::unknown("server", text),
    }
}

/// Whether no connection came about.
fn was_never_sent(error: &Error) -> bool {
    let mut cause = match error {
        Error::GRpcStatus(status) => status.source(),
        Error::TransportError(error) => Some(error as &(dyn std::error::Error + 'static)),
        _ => None,
    };
    while let Some(error) = cause {
        // The connector's own word for a failure to connect, whatever the kernel's reason.
        if error.to_string() == "tcp connect error" {
            return true;
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return is_of_connecting(io);
        }
        cause = error.source();
    }
    false
}

fn is_of_connecting(error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => true,
        // The connector's own limit has no number of the kernel. The kernel's time-out has, and comes on an open connection too.
        io::ErrorKind::TimedOut => error.raw_os_error().is_none(),
        _ => false,
    }
}

fn in_words(error: &Error) -> String {
    match error {
        // The status is no source of the error that carries it.
        Error::GRpcStatus(status) => {
            let code = status.code();
            let causes = status.source().map(|cause| format!(": {}", http::with_causes(cause))).unwrap_or_default();
            format!("{code:?}: {}{causes}", status.message())
        }
        Error::TransportError(error) => http::with_causes(error),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_workloads::service::Certainty::{DidNotHappen, Unknown};

    #[test]
    fn a_lease_that_is_gone_is_an_observation() {
        // In the words of the client for a keep-alive that was answered with a TTL of 0.
        let error = judge(&Error::LeaseKeepAliveError("lease not found".to_owned()));
        assert_eq!((error.certainty, error.code), (DidNotHappen, code::EXPIRED));
    }

    #[test]
    fn only_reasons_are_certain() {
        for (status, certainty) in [
            (1, Unknown),       // Cancelled
            (2, Unknown),       // Unknown
            (3, DidNotHappen),  // InvalidArgument
            (4, Unknown),       // DeadlineExceeded
            (6, DidNotHappen),  // AlreadyExists
            (8, Unknown),       // ResourceExhausted
            (9, DidNotHappen),  // FailedPrecondition
            (10, Unknown),      // Aborted
            (13, Unknown),      // Internal
            (14, Unknown),      // Unavailable
            (15, Unknown),      // DataLoss
            (16, DidNotHappen), // Unauthenticated
            (99, Unknown),
        ] {
            assert_eq!(judge_status(status, String::new()).certainty, certainty, "{status}");
        }
    }

    #[test]
    fn a_time_out_of_the_kernel_is_not_one_of_connecting() {
        assert!(is_of_connecting(&io::ErrorKind::ConnectionRefused.into()));
        assert!(is_of_connecting(&io::Error::new(io::ErrorKind::TimedOut, "deadline has elapsed")));
        assert!(!is_of_connecting(&io::Error::from_raw_os_error(libc::ETIMEDOUT)));
        assert!(!is_of_connecting(&io::ErrorKind::BrokenPipe.into()));
        assert!(!is_of_connecting(&io::ErrorKind::ConnectionReset.into()));
    }
}
