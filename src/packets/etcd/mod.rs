//! What is sent to etcd: gRPC over HTTP/2 and the first interface's forms to the client port, Raft's messages to the peers' port.

mod http2;
mod requests;

use super::http;
use super::{FieldKind, Packet};

pub use http2::call;
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

/// A heartbeat from one member to another, as a body of HTTP.
#[must_use]
pub fn raft_message() -> Packet {
    use requests::Protobuf as _;
    const HEARTBEAT: u64 = 8;
    let body = Packet::builder()
        .number(1, "message type", HEARTBEAT)
        .number(2, "to", 2)
        .number(3, "from", 1)
        .number(4, "term", 2)
        .number(5, "log term", 2)
        .number(6, "index", 1)
        .bytes(7, "entry", &[0x10, 2, 0x18, 1])
        .number(8, "commit", 1)
        .build();
    http::request("POST", "/raft", "application/protobuf", body)
}
