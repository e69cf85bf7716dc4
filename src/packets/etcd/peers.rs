//! What members send to each other's peer port: messages of Raft as bodies of HTTP, a snapshot behind its message, and the word by which
//! a stream is opened.
//!
//! A member takes none of it from whoever does not name the cluster and him, and little of it that is of another term. The members'
//! numbers are hashes of their addresses, so in our sandbox they are always the same.

use super::requests::Protobuf as _;
use crate::NodeId;
use crate::packets::http::request_with;
use crate::packets::mutate::varint;
use crate::packets::{Builder, FieldKind, Packet};

/// The cluster of n1, n2 and n3, as its members write it.
const CLUSTER: &str = "cb1dc2268f200fc";

/// n1, n2 and n3.
const MEMBERS: [u64; 3] = [0xa329_3eed_f3b9_9e39, 0xec50_ad03_c970_15ed, 0x9d89_8e1a_6244_bb2d];

/// What is built here is for the first of them, and says that it comes from the second.
const TO: u64 = MEMBERS[0];
const FROM: u64 = MEMBERS[1];

const APPEND: u64 = 3;
const VOTE_RESPONSE: u64 = 6;
const SNAPSHOT: u64 = 7;
const HEARTBEAT: u64 = 8;

/// The term of the first leader.
const TERM: u64 = 2;

/// All messages, by their names.
#[must_use]
pub fn messages() -> Vec<(&'static str, Packet)> {
    let raft = |kind| body(Packet::builder(), kind);
    let posted = |body: Builder| posted("/raft", body.build());
    // As it stands on a stream, too: behind its length in eight bytes.
    let message = raft(SNAPSHOT).nested(9, "snapshot", snapshot()).build();
    let snapshot = Packet::builder()
        .field("message length", FieldKind::Length, &(message.bytes().len() as u64).to_be_bytes())
        .packet(message)
        .field("database", FieldKind::Bytes, &[0; 32]);
    vec![
        ("raft heartbeat", posted(raft(HEARTBEAT))),
        ("raft append", posted(raft(APPEND).nested(7, "entry", entry()))),
        ("raft vote response", posted(raft(VOTE_RESPONSE).number(10, "reject", 1))),
        ("raft snapshot", self::posted("/raft/snapshot", snapshot.build())),
        ("raft stream", opened()),
    ]
}

/// The same for a member, as its neighbour would send it in this term. What was changed of it is left as it is, and every byte has
/// its place.
#[must_use]
pub fn addressed(mut packet: Packet, to: NodeId, term: u64) -> Packet {
    let member = |number: usize| MEMBERS[number % MEMBERS.len()];
    let (new_to, new_from) = (member(to.index()), member(to.index() + 1));
    let written: [(&[&str], Vec<u8>, Vec<u8>); 6] = [
        (&["to"], varint(TO), varint(new_to)),
        (&["from"], varint(FROM), varint(new_from)),
        (&["X-Raft-To"], hex(TO), hex(new_to)),
        (&["X-Server-From"], hex(FROM), hex(new_from)),
        (&["target"], stream_of(FROM), stream_of(new_from)),
        (&["term", "entry term"], varint(TERM), varint(term)),
    ];
    let is_meant = |(names, old, new): &&(&[&str], Vec<u8>, Vec<u8>), name: &str, bytes: &[u8]| {
        names.contains(&name) && bytes == old && old.len() == new.len()
    };
    let fields = packet.fields().iter();
    let changes: Vec<(usize, &[u8])> = fields
        .filter_map(|field| {
            let change = written.iter().find(|change| is_meant(change, &field.name, packet.bytes_of(field)))?;
            Some((field.at.start, change.2.as_slice()))
        })
        .collect();
    for (at, new) in changes {
        packet.patch(at, new);
    }
    packet
}

fn hex(member: u64) -> Vec<u8> {
    format!("{member:x}").into_bytes()
}

fn stream_of(member: u64) -> Vec<u8> {
    format!("/raft/stream/message/{member:x}").into_bytes()
}

/// The fields that all messages of Raft have. It is of the first leader's term, and what it tells has long been agreed on.
fn body(message: Builder, kind: u64) -> Builder {
    message
        .number(1, "message type", kind)
        .number(2, "to", TO)
        .number(3, "from", FROM)
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
    let voters = MEMBERS.iter().fold(Packet::builder(), |state, id| state.number(1, "voter", *id));
    let metadata = Packet::builder().nested(1, "configuration", voters.build()).number(2, "snapshot index", 1).number(
        3,
        "snapshot term",
        1,
    );
    Packet::builder().bytes(1, "snapshot data", b"").nested(2, "metadata", metadata.build()).build()
}

fn posted(target: &str, body: Packet) -> Packet {
    request_with(&headers(&format!("{FROM:x}"), ""), "POST", target, body)
}

/// Asks to be sent all messages for `FROM`.
fn opened() -> Packet {
    let target = format!("/raft/stream/message/{FROM:x}");
    request_with(&headers(&format!("{FROM:x}"), &format!("{TO:x}")), "GET", &target, Packet::default())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_is_sent_what_names_it_and_its_neighbour() {
        for (name, packet) in messages() {
            assert_eq!(addressed(packet.clone(), NodeId::new(1), TERM), packet, "{name}");
            for to in NodeId::first(3) {
                let sent = addressed(packet.clone(), to, 9);
                let has = |bytes: &[u8]| sent.bytes().windows(bytes.len()).any(|part| part == bytes);
                let (own, next) = (MEMBERS[to.index()], MEMBERS[(to.index() + 1) % 3]);
                assert!(has(&hex(next)), "{name}");
                assert!(has(&varint(own)) || has(&hex(own)), "{name}");
                assert_eq!(sent.bytes().len(), packet.bytes().len());
                // A field of Raft's message; a stream has none.
                let term = sent.find("term").map(|index| sent.bytes_of(&sent.fields()[index]).to_vec());
                assert_eq!(term.ok(), (name != "raft stream").then(|| vec![9]), "{name}");
            }
        }
    }

    #[test]
    fn what_was_changed_is_left_as_it_is() {
        let (_, mut packet) = messages().into_iter().find(|(name, _)| *name == "raft append").expect("there is one");
        for (field, with) in [("from", &[0xff; 10][..]), ("term", &[3]), ("X-Server-From", b"nobody")] {
            let index = packet.find(field).expect("it has one");
            packet.overwrite(index, with);
        }
        let sent = addressed(packet.clone(), NodeId::new(2), 9);
        let bytes = |packet: &Packet, field: &str| {
            packet.bytes_of(&packet.fields()[packet.find(field).expect("a field")]).to_vec()
        };
        for field in ["from", "term", "X-Server-From"] {
            assert_eq!(bytes(&sent, field), bytes(&packet, field));
        }
        assert_eq!(bytes(&sent, "to"), varint(MEMBERS[1]));
    }
}
