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
