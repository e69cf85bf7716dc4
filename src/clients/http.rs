//! What every adapter and probe that speaks HTTP shares.

use std::error::Error;
use std::time::Duration;

use reqwest::redirect;

/// A client that does what it is told, once: it follows no redirect, obeys no proxy and repeats nothing on its own. (A request
/// that finds its connection closed before its first byte is written goes over a new one: it is still sent once.)
///
/// # Panics
/// Never: without TLS, proxy and resolver nothing is loaded that could be missing.
pub(crate) fn client(connect_within: Duration) -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(connect_within)
        .pool_max_idle_per_host(1)
        .build()
        .expect("a client without TLS needs nothing of the machine")
}

/// Why an answer could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It goes on and on.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The connection broke.
    #[error("the answer broke off")]
    Broken(#[from] reqwest::Error),
}

/// The answer's body, if it is no longer than this.
pub(crate) async fn body(mut response: reqwest::Response, longest: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > longest {
            return Err(BodyError::TooLong(longest));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The error and its causes in one line. What a cause repeats of the words before it is left out.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_are_named_in_order_and_once() {
        let error = Outer(std::io::Error::other("inner"));
        assert_eq!(with_causes(&error), "outer: inner");
    }
}
