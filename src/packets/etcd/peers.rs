//! What members send to each other's peer port: messages of Raft as bodies of HTTP, a snapshot behind its message, and the word by which
//! a stream is opened.
//!
//! A member takes none of it from whoever does not name the cluster and him. Both numbers are hashes of the members' addresses, so
//! in our sandbox they are always the same.

use super::requests::Protobuf as _;
use crate::packets::http::request_with;
use crate::packets::{Builder, FieldKind, Packet};

/// The cluster of n1, n2 and n3, as its members write it.
const CLUSTER: &str = "cb1dc2268f200fc";

/// n1, n2 and n3.
const MEMBERS: [(&str, u64); 3] =
    [("n1", 0xa329_3eed_f3b9_9e39), ("n2", 0xec50_ad03_c970_15ed), ("n3", 0x9d89_8e1a_6244_bb2d)];

const APPEND: u64 = 3;
const VOTE_RESPONSE: u64 = 6;
const SNAPSHOT: u64 = 7;
const HEARTBEAT: u64 = 8;

/// The term of the first leader.
const TERM: u64 = 2;

/// A message to each of the members in turn, by its name: a member refuses what is for another.
#[must_use]
pub fn messages() -> Vec<(String, Packet)> {
    let all = MEMBERS.into_iter().zip(MEMBERS.into_iter().cycle().skip(1));
    all.flat_map(|((to, to_id), (_, from))| {
        let raft = |kind| body(Packet::builder(), kind, to_id, from);
        let posted = |body: Builder| posted("/raft", from, body.build());
        // As it stands on a stream, too: behind its length in eight bytes.
        let message = raft(SNAPSHOT).nested(9, "snapshot", snapshot()).build();
        let snapshot = Packet::builder()
            .field("message length", FieldKind::Length, &(message.bytes().len() as u64).to_be_bytes())
            .packet(message)
            .field("database", FieldKind::Bytes, &[0; 32]);
        [
            (format!("raft heartbeat to {to}"), posted(raft(HEARTBEAT))),
            (format!("raft append to {to}"), posted(raft(APPEND).nested(7, "entry", entry()))),
            (format!("raft vote response to {to}"), posted(raft(VOTE_RESPONSE).number(10, "reject", 1))),
            (format!("raft snapshot to {to}"), self::posted("/raft/snapshot", from, snapshot.build())),
            (format!("stream of {to}"), opened(to_id, from)),
        ]
    })
    .collect()
}

/// The fields that all messages of Raft have. It is of the first leader's term, and what it tells has long been agreed on.
fn body(message: Builder, kind: u64, to: u64, from: u64) -> Builder {
    message
        .number(1, "message type", kind)
        .number(2, "to", to)
        .number(3, "from", from)
        .number(4, "term", TERM)
        .number(5, "log term", 1)
        .number(6, "index", 1)
        .number(8, "commit", 1)
}

fn entry() -> Packet {
    Packet::builder()
        .number(1, "entry type", 0)
        .number(2, "entry term", TERM)
        .number(3, "entry index", 2)
        .bytes(4, "entry data", b"")
        .build()
}

fn snapshot() -> Packet {
    let voters = MEMBERS.iter().fold(Packet::builder(), |state, (_, id)| state.number(1, "voter", *id));
    let metadata = Packet::builder().nested(1, "configuration", voters.build()).number(2, "snapshot index", 1).number(
        3,
        "snapshot term",
        1,
    );
    Packet::builder().bytes(1, "snapshot data", b"").nested(2, "metadata", metadata.build()).build()
}

fn posted(target: &str, from: u64, body: Packet) -> Packet {
    request_with(&headers(&format!("{from:x}"), ""), "POST", target, body)
}

/// Asks to be sent all messages for `from`.
fn opened(to: u64, from: u64) -> Packet {
    let (to, from) = (format!("{to:x}"), format!("{from:x}"));
    let target = format!("/raft/stream/message/{from}");
    request_with(&headers(&from, &to), "GET", &target, Packet::default())
}

fn headers<'a>(from: &'a str, to: &'a str) -> Vec<(&'static str, &'a str)> {
    let mut headers = vec![
        ("Content-Type", "application/protobuf"),
        ("X-Server-From", from),
        ("X-Server-Version", "3.5.0"),
        ("X-Min-Cluster-Version", "3.0.0"),
        ("X-Etcd-Cluster-Id", CLUSTER),
    ];
    if !to.is_empty() {
        headers.push(("X-Raft-To", to));
    }
    headers
}
