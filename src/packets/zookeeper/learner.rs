//! What a leader and its followers tell each other: packets of the quorum, one after the other without frames.
//!
//! A packet is a type, a transaction's number, a buffer and a list of identities. What is in the buffer depends on the type: a
//! follower's request carries the client's own request behind its session, a proposal a transaction behind its header.

use super::jute::Jute;
use super::reading;
use super::requests::Request;
use crate::packets::reader::Reader;
use crate::packets::{FieldKind, Packet};

/// The kinds of packets that are built here. What else there is goes by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuorumPacket {
    /// A follower hands on what a client asked for.
    Request(Request),
    /// The leader proposes a transaction; here one that makes a node.
    Proposal,
    /// A follower has it on its disk.
    Ack,
    /// A majority has.
    Commit,
    /// A sign of life; a follower's carries the sessions that it heard of.
    Ping,
}

const REQUEST: i32 = 1;
const PROPOSAL: i32 = 2;
const ACK: i32 = 3;
const COMMIT: i32 = 4;
const PING: i32 = 5;

const ZXID: i64 = 0x1_0000_0007;
const SESSION: i64 = 0x0180_0000_0000_0007;
const CREATE: i32 = 1;
const SET_DATA: i32 = 5;
const CLOSE_SESSION: i32 = -11;

/// The most bytes or elements that a packet may announce before it is taken for something else.
const MOST: usize = 1 << 20;

impl QuorumPacket {
    /// The packet as it is sent.
    #[must_use]
    pub fn packet(self) -> Packet {
        match self {
            Self::Request(request) => {
                // Without its frame, its number and its opcode, which stand before it here.
                let (opcode, body) = request.forwarded();
                let head = Packet::builder().long("session", SESSION).int("cxid", 1);
                let data = head.opcode("opcode", opcode, request.name()).packet(body).build();
                quorum_packet(REQUEST, "request", 0, Some(data), true)
            }
            Self::Proposal => {
                let transaction = Packet::builder()
                    .long("session", SESSION)
                    .int("cxid", 1)
                    .long("transaction zxid", ZXID)
                    .long("time", 0)
                    .opcode("transaction type", CREATE, "create")
                    .packet(created())
                    .build();
                quorum_packet(PROPOSAL, "proposal", ZXID, Some(transaction), false)
            }
            Self::Ack => quorum_packet(ACK, "ack", ZXID, None, false),
            Self::Commit => quorum_packet(COMMIT, "commit", ZXID, None, false),
            Self::Ping => {
                let heard = Packet::builder().long("session", SESSION).int("timeout", 4_000).build();
                quorum_packet(PING, "ping", ZXID, Some(heard), false)
            }
        }
    }
}

/// The transaction that makes a node.
fn created() -> Packet {
    Packet::builder()
        .text("path", "/poison")
        .buffer("data", b"v")
        .count("acl count", 1)
        .int("acl permissions", 31)
        .text("acl scheme", "world")
        .text("acl id", "anyone")
        .boolean("ephemeral", true)
        .int("parent version", 1)
        .build()
}

fn quorum_packet(kind: i32, word: &str, zxid: i64, data: Option<Packet>, has_identity: bool) -> Packet {
    let head = Packet::builder().opcode("type", kind, word).long("zxid", zxid);
    let with_data = match data {
        Some(data) => head.count("data length", data.bytes().len()).packet(data),
        None => head.field("data length", FieldKind::Length, &(-1_i32).to_be_bytes()).note("none"),
    };
    match has_identity {
        true => with_data.count("identity count", 1).text("identity scheme", "ip").text("identity", "10.77.16.1"),
        false => with_data.field("identity count", FieldKind::Length, &(-1_i32).to_be_bytes()).note("none"),
    }
    .build()
}

/// All packets that stand in these bytes, one after the other. `None` where they are something else, or not whole.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Packet> {
    let mut reader = Reader::of(bytes);
    while !reader.is_at_end() {
        read_one(&mut reader)?;
    }
    Some(reader.done())
}

fn read_one(reader: &mut Reader<'_>) -> Option<()> {
    let kind = reader.opcode("type")?;
    reader.long("zxid")?;
    let length = reader.length("data length")?;
    if let Ok(length) = usize::try_from(length) {
        let until = reader.at().checked_add(length).filter(|_| length <= MOST)?;
        if until > reader.bytes().len() {
            return None;
        }
        // What is not understood of a buffer is a field by itself: the buffer ends where it ends.
        let before = reader.mark();
        let understood = match kind {
            REQUEST => read_request(reader),
            PROPOSAL => read_transaction(reader, until),
            PING => read_sessions(reader, until),
            _ => None,
        };
        if understood.is_none() || reader.at() > until {
            reader.back_to(before);
        }
        reader.rest("not understood", until)?;
    } else if length != -1 {
        return None;
    }
    let identities = reader.length("identity count")?;
    for _ in 0..identities.max(0) {
        reader.text("identity scheme")?;
        reader.text("identity")?;
    }
    (usize::try_from(identities).map_or(identities == -1, |count| count <= MOST)).then_some(())
}

fn read_request(reader: &mut Reader<'_>) -> Option<()> {
    reader.long("session")?;
    reader.int("cxid")?;
    let opcode = reader.opcode("opcode")?;
    read_body(reader, opcode)
}

/// The requests that change something; the others are answered where they arrive.
fn read_body(reader: &mut Reader<'_>, opcode: i32) -> Option<()> {
    const DELETE: i32 = 2;
    const SET_ACL: i32 = 7;
    const SYNC: i32 = 9;
    const CREATE_2: i32 = 15;
    match opcode {
        CREATE | CREATE_2 | DELETE | SET_DATA | SET_ACL | SYNC => reading::body(reader, opcode),
        _ => None,
    }
}

fn read_transaction(reader: &mut Reader<'_>, until: usize) -> Option<()> {
    reader.long("session")?;
    reader.int("cxid")?;
    reader.long("transaction zxid")?;
    reader.long("time")?;
    let kind = reader.opcode("transaction type")?;
    if kind == CLOSE_SESSION || reader.at() == until {
        return Some(());
    }
    reader.text("path")?;
    if kind == SET_DATA {
        reader.buffer("data")?;
        reader.int("version")?;
    }
    if kind == CREATE {
        reader.buffer("data")?;
        reading::acl(reader)?;
        reader.boolean("ephemeral")?;
        reader.int("parent version")?;
    }
    Some(())
}

fn read_sessions(reader: &mut Reader<'_>, until: usize) -> Option<()> {
    while reader.at() < until {
        reader.long("session")?;
        reader.int("timeout")?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Vec<QuorumPacket> {
        let forwarded = [Request::Create, Request::Delete, Request::SetData, Request::SetAcl, Request::Sync];
        let mut all: Vec<_> = forwarded.map(QuorumPacket::Request).into();
        all.extend([QuorumPacket::Proposal, QuorumPacket::Ack, QuorumPacket::Commit, QuorumPacket::Ping]);
        all
    }

    #[test]
    fn what_is_built_is_read_with_the_same_fields() {
        for kind in all() {
            let packet = kind.packet();
            let read = read(packet.bytes()).unwrap_or_else(|| panic!("{kind:?}\n{}", packet.annotated()));
            let fields = |packet: &Packet| {
                packet.fields().iter().map(|field| (field.at.clone(), field.name.clone())).collect::<Vec<_>>()
            };
            assert_eq!(fields(&read), fields(&packet), "{kind:?}");
        }
        let together: Vec<u8> = all().into_iter().flat_map(|kind| kind.packet().bytes().to_vec()).collect();
        assert_eq!(read(&together).map(|packet| packet.bytes().to_vec()), Some(together));
    }

    /// As a follower of 3.4.6 handed it on to its leader.
    #[test]
    fn what_servers_send_is_read() {
        let ack = "00000003 0000000100000007 ffffffff ffffffff".replace(' ', "");
        assert_eq!(QuorumPacket::Ack.packet().hex(), ack);
    }

    #[test]
    fn other_bytes_are_refused() {
        let whole = QuorumPacket::Request(Request::Create).packet().bytes().to_vec();
        assert!((1..whole.len()).all(|length| read(&whole[..length]).is_none()), "a part is none");
        assert!(read(b"HTTP/1.1 200 OK\r\n\r\n").is_none());
        let mut long = whole;
        long[12..16].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(read(&long).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..200, with in any::<u8>()) {
            let _ = read(&bytes);
            let mut spoilt = QuorumPacket::Request(Request::Create).packet().bytes().to_vec();
            let length = spoilt.len();
            spoilt[at % length] = with;
            let _ = read(&spoilt);
        }
    }
}
