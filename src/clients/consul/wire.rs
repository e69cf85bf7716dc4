//! Requests as consulrs words them, over a connection of our own.
//!
//! consulrs's own transport sets no limit to an answer, panics at headers that are no text, and loses the headers of a refusal, which
//! carry the index that a watch goes on from. So a request is worded by consulrs, sent by the HTTP client that all our
//! adapters share, and its answer read into consulrs's types.

use std::net::{IpAddr, SocketAddr};

use consulrs::api::EndpointMiddleware;
use consulrs::api::features::FeaturedEndpoint;
use leasehold_workloads::service::OpError;
use reqwest::{Client, Method, Response};
use rustify::endpoint::Endpoint;

use super::failure::{Failure, Refusal};
use crate::causes;
use crate::clients::http::excerpt;
use crate::clients::{CONNECT, Credentials, MALFORMED, REFUSED, REJECTED, http};

/// Far more than the answer about the locks of a run takes.
const ANSWER_BYTES: usize = 1024 * 1024;
/// The version of the API.
const VERSION: &str = "v1";

/// One client's connection to one server.
///
/// The HTTP client has at most one request under way. A future that is dropped while it waits for a connection takes the request
/// with it; one that is dropped while it waits for the answer closes the connection. Dropping the value closes what is open.
pub(super) struct Wire {
    http: Client,
    base: String,
}

/// What the server answered.
#[derive(Debug)]
pub(super) struct Reply<T> {
    pub(super) answer: T,
    /// How far the server's data had come, where it says so.
    pub(super) index: Option<u64>,
}

impl Wire {
    /// A connection to this address, from `source` where that is told.
    pub(super) fn new(address: SocketAddr, source: Option<IpAddr>, credentials: &Credentials) -> Self {
        Self { http: http::client(CONNECT, source, credentials), base: format!("http://{address}") }
    }

    /// Sends a request, once.
    pub(super) async fn ask<E>(&self, request: E) -> Result<Reply<E::Response>, Failure>
    where
        E: Endpoint + FeaturedEndpoint,
    {
        let response = self.send(request).await?;
        let (status, index) = (response.status(), index(&response));
        let body = http::body(response, ANSWER_BYTES).await;
        let body = body.map_err(|error| Failure::Other(OpError::unknown(MALFORMED, causes::in_one_line(&error))))?;
        if !status.is_success() {
            return Err(Failure::Refused(Refusal { status, text: excerpt(&body), index }));
        }
        // It was carried out, but what came of it cannot be told.
        let nonsense = |error| OpError::unknown(MALFORMED, format!("{status}, {error}: {}", excerpt(&body)));
        let answer = serde_json::from_slice(&body).map_err(|error| Failure::Other(nonsense(error)))?;
        Ok(Reply { answer, index })
    }

    async fn send<E: Endpoint + FeaturedEndpoint>(&self, request: E) -> Result<Response, Failure> {
        let middleware = EndpointMiddleware { features: request.features(), token: None, version: VERSION.to_owned() };
        let worded = request.with_middleware(&middleware).request(&self.base);
        let worded = worded.map_err(|error| OpError::failed(REJECTED, causes::in_one_line(&error)));
        let (head, body) = worded.map_err(Failure::Other)?.into_parts();
        let method = Method::from_bytes(head.method.as_str().as_bytes()).expect("consulrs uses methods of HTTP");
        let sent = self.http.request(method, head.uri.to_string()).body(body).send().await;
        sent.map_err(|error| Failure::Other(transport(&error)))
    }
}

/// What a failure to get an answer says about the request.
fn transport(error: &reqwest::Error) -> OpError {
    let text = causes::in_one_line(error);
    if error.is_connect() {
        return OpError::failed(REFUSED, text);
    }
    OpError::unknown("broken", text)
}

fn index(response: &Response) -> Option<u64> {
    response.headers().get("X-Consul-Index")?.to_str().ok()?.parse().ok()
}
