//! What every adapter and probe that speaks HTTP shares.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::redirect;

use super::Credentials;

/// A client that does what it is told, once: it follows no redirect, obeys no proxy and repeats nothing on its own. (A request
/// that finds its connection closed before its first byte is written goes over a new one: it is still sent once.)
/// Its connections come from the address `source`, where there is one, and each request carries the credentials.
///
/// # Panics
/// Never: without TLS, proxy and resolver nothing is loaded that could be missing.
pub(crate) fn client(connect_within: Duration, source: Option<IpAddr>, credentials: &Credentials) -> reqwest::Client {
    reqwest::Client::builder()
        .local_address(source)
        .default_headers(credentials.headers())
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

/// The beginning of what somebody said, fit for a line.
pub(crate) fn excerpt(body: &[u8]) -> String {
    const CHARS: usize = 200;
    let body = &body[..body.len().min(4 * CHARS)];
    let text = String::from_utf8_lossy(body);
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_said_is_cut_and_made_fit_for_a_line() {
        assert_eq!(excerpt(b" No cluster leader\n"), "No cluster leader");
        assert_eq!(excerpt(b"a\r\nb\x1b[31m\xff"), "a  b [31m\u{fffd}");
        assert_eq!(excerpt(&vec![b'x'; 1 << 20]).len(), 200);
        assert!(excerpt("\u{1f512}".repeat(1_000).as_bytes()).chars().count() <= 200);
    }
}
