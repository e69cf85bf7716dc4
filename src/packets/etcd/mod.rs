//! What is sent to etcd: gRPC over HTTP/2 and the first interface's forms to the client port, Raft's messages to the peers' port.

mod http2;
mod peers;
mod requests;

use super::http;
use super::{FieldKind, Packet};

pub use http2::{call, in_words};
pub use peers::{addressed, messages as peer_messages};
pub use requests::Request;

/// A form of the first interface.
#[must_use]
pub fn form() -> Packet {
    let body = Packet::builder()
        .field("value name", FieldKind::Text, b"value=")
        .field("value", FieldKind::Text, b"v")
        .field("ttl name", FieldKind::Text, b"&ttl=")
        .field("ttl", FieldKind::Digits, b"5")
        .build();
    http::request("PUT", "/v2/keys/poison?prevExist=false", "application/x-www-form-urlencoded", body)
}
