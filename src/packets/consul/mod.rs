//! What is sent to Consul: HTTP and JSON to the client port, calls in msgpack to the servers' port, and gossip.

mod msgpack;

use super::http::{json, request};
use super::{Builder, FieldKind, Packet};
use msgpack::Msgpack as _;

const SESSION: &str = "00000000-0000-0000-0000-000000007001";

/// The first byte of a connection to the servers' port: what will be spoken over it.
const RPC: u8 = 0;
const MULTIPLEXED: u8 = 4;

/// Durations are counted in nanoseconds.
const SECOND_NS: u64 = 1_000_000_000;

/// The requests of the HTTP interface, by their names.
#[must_use]
pub fn requests() -> Vec<(&'static str, Packet)> {
    let of_json = |method, target: &str, body| request(method, target, "application/json", body);
    let text = |text: &str| Packet::builder().field("value", FieldKind::Bytes, text.as_bytes()).build();
    let kv = json(&[("Verb", "\"set\""), ("Key", "\"poison\""), ("Value", "\"dg==\""), ("Flags", "0")]);
    let txn = Packet::builder()
        .field("list begins", FieldKind::Opcode, b"[{\"KV\":")
        .packet(kv)
        .field("list ends", FieldKind::Opcode, b"}]")
        .build();
    let session = json(&[("TTL", "\"10s\""), ("LockDelay", "\"1s\""), ("Behavior", "\"release\""), ("Checks", "[]")]);
    let query = json(&[("Name", "\"poison\""), ("Service", "{\"Service\":\"consul\"}"), ("Token", "\"\"")]);
    let service =
        json(&[("Node", "\"poison\""), ("Address", "\"127.0.0.1\""), ("Service", "{\"Service\":\"poison\"}")]);
    vec![
        ("session create", of_json("PUT", "/v1/session/create", session)),
        ("session renew", of_json("PUT", &format!("/v1/session/renew/{SESSION}"), text(""))),
        ("session info", of_json("GET", &format!("/v1/session/info/{SESSION}"), text(""))),
        ("kv put", of_json("PUT", "/v1/kv/poison", text("v"))),
        ("kv acquire", of_json("PUT", &format!("/v1/kv/poison?acquire={SESSION}&flags=7"), text("v"))),
        ("kv get", of_json("GET", "/v1/kv/poison?consistent", text(""))),
        ("kv delete", of_json("DELETE", "/v1/kv/poison?cas=1", text(""))),
        ("txn", of_json("PUT", "/v1/txn", txn)),
        ("query create", of_json("POST", "/v1/query", query)),
        ("catalog register", of_json("PUT", "/v1/catalog/register", service)),
        ("event fire", of_json("PUT", "/v1/event/fire/poison", text("v"))),
    ]
}

/// Calls of the servers' own interface, each with its arguments.
#[must_use]
pub fn calls() -> Vec<(&'static str, Packet)> {
    let arguments = |entries| Packet::builder().map("body", entries).text("Datacenter", "dc1");
    let key = |packet: Builder| packet.within("DirEnt", 3).text("Key", "poison").bytes("Value", b"v").entry("Flags", 7);
    let get = arguments(2).text("Key", "poison");
    let apply = key(arguments(3).text("Op", "set"));
    let session = arguments(3).text("Op", "create").within("Session", 4).text("Node", "n1").text("TTL", "10s");
    let session = session.text("Behavior", "release").entry("LockDelay", SECOND_NS);
    let operation = arguments(2).list("Ops", 1).map("operation", 1).within("KV", 2).text("Verb", "set");
    let service = arguments(4).text("Node", "poison").text("Address", "127.0.0.1").within("Service", 2);
    let coordinate = arguments(3).text("Node", "n1").within("Coord", 4).fractions("Vec", &[0.0; 8]);
    let coordinate = coordinate.fraction("Error", 1.5).fraction("Adjustment", 0.0).fraction("Height", 1e-5);
    let event = arguments(3).text("Name", "poison").bytes("Payload", b"v");
    vec![
        ("Status.Leader", Packet::builder().map("body", 0).build()),
        ("KVS.Get", get.build()),
        ("KVS.Apply", apply.build()),
        ("Session.Apply", session.build()),
        ("Txn.Apply", key(operation).build()),
        ("Catalog.Register", service.text("ID", "poison").text("Service", "poison").build()),
        ("Coordinate.Update", coordinate.build()),
        ("Internal.EventFire", event.build()),
    ]
}

/// A call, by itself: a header and a body.
#[must_use]
pub fn rpc(method: &str, body: Packet) -> Vec<Packet> {
    let first = Packet::builder().field("protocol", FieldKind::Opcode, &[RPC]).note("calls").build();
    vec![first, header(method), body]
}

fn header(method: &str) -> Packet {
    Packet::builder().map("header", 2).text("ServiceMethod", method).entry("Seq", 1).build()
}

/// A call in a new stream of a multiplexed connection.
#[must_use]
pub fn multiplexed() -> Vec<Packet> {
    const WINDOW_UPDATE: u8 = 1;
    const SYN: u16 = 1;
    let first = Packet::builder().field("protocol", FieldKind::Opcode, &[MULTIPLEXED]).note("many calls").build();
    let opened = Packet::builder()
        .field("yamux version", FieldKind::Integer, &[0])
        .field("yamux type", FieldKind::Opcode, &[WINDOW_UPDATE])
        .field("yamux flags", FieldKind::Integer, &SYN.to_be_bytes())
        .field("yamux stream", FieldKind::Integer, &1_u32.to_be_bytes())
        .field("yamux length", FieldKind::Length, &0_u32.to_be_bytes())
        .build();
    let status = Packet::builder().map("body", 0).build();
    let called = [header("Status.Leader"), status];
    let bytes: usize = called.iter().map(|packet| packet.bytes().len()).sum();
    let data = Packet::builder()
        .field("data version", FieldKind::Integer, &[0])
        .field("data type", FieldKind::Opcode, &[0])
        .field("data flags", FieldKind::Integer, &[0, 0])
        .field("data stream", FieldKind::Integer, &1_u32.to_be_bytes())
        .field("data length", FieldKind::Length, &(bytes as u32).to_be_bytes())
        .build();
    let called = called.into_iter().fold(Packet::builder().packet(data), Builder::packet);
    vec![first, opened, called.build()]
}

/// What members tell each other when they meet: who is there.
#[must_use]
pub fn push_pull() -> Packet {
    const PUSH_PULL: u8 = 6;
    const ALIVE: u64 = 0;
    let header = Packet::builder()
        .field("message type", FieldKind::Opcode, &[PUSH_PULL])
        .note("push and pull")
        .map("header", 3)
        .entry("Nodes", 1)
        .entry("UserStateLen", 0)
        .entry("Join", 0);
    header
        .map("node", 6)
        .text("Name", "poison.dc1")
        .bytes("Addr", &[10, 77, 0, 99])
        .entry("Port", 8_301)
        .bytes("Meta", &[])
        .entry("Incarnation", 1)
        .entry("State", ALIVE)
        .build()
}

/// A question whether a member is there.
#[must_use]
pub fn ping() -> Packet {
    Packet::builder()
        .field("message type", FieldKind::Opcode, &[0])
        .note("ping")
        .map("ping", 2)
        .entry("SeqNo", 7)
        .text("Node", "n1.dc1")
        .build()
}

/// Several messages in one datagram: how many, how long each is, then they.
#[must_use]
pub fn compound() -> Packet {
    const COMPOUND: u8 = 7;
    let ping = ping();
    Packet::builder()
        .field("message type", FieldKind::Opcode, &[COMPOUND])
        .note("several messages")
        .field("count", FieldKind::Length, &[1])
        .field("part length", FieldKind::Length, &(ping.bytes().len() as u16).to_be_bytes())
        .packet(ping)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::http::relengthed;

    #[test]
    fn bodies_are_as_long_as_they_say_and_json() {
        for (name, packet) in requests() {
            assert_eq!(relengthed(packet.clone()), packet, "{name}");
            let end = packet.fields()[packet.find("end of headers").expect("headers")].at.end;
            let body = &packet.bytes()[end..];
            if body.len() > 1 {
                serde_json::from_slice::<serde_json::Value>(body).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }

    #[test]
    fn calls_are_in_msgpack() {
        let (method, body) = calls().swap_remove(1);
        let [first, header, body] = &rpc(method, body)[..] else { panic!("three") };
        assert_eq!(first.bytes(), [RPC]);
        assert_eq!(header.bytes(), b"\x82\xadServiceMethod\xa7KVS.Get\xa3Seq\x01");
        assert_eq!(body.bytes(), b"\x82\xaaDatacenter\xa3dc1\xa3Key\xa6poison");
        let ping = b"\x00\x82\xa5SeqNo\x07\xa4Node\xa6n1.dc1";
        assert_eq!(super::ping().bytes(), ping);
        assert_eq!(compound().bytes(), [&[7, 1, 0, 21][..], ping].concat());
    }

    #[test]
    fn a_dump_says_what_msgpack_says_and_what_it_said() {
        let expected = "\
0000  00                       message type       0 (ping)
0001  82                       ping entries       a map of 2
0002  a5                       SeqNo name length  a string of 5
0003  53 65 71 4e 6f           SeqNo name         \"SeqNo\"
0008  07                       SeqNo              7
0009  a4                       Node name length   a string of 4
000a  4e 6f 64 65              Node name          \"Node\"
000e  a6                       Node length        a string of 6
000f  6e 31 2e 64 63 31        Node               \"n1.dc1\"
";
        assert_eq!(ping().annotated(), expected);
        let mut changed = ping();
        changed.overwrite(1, &[0xff]);
        changed.patch(2, &[0xe5, b'S', b'e', b'q', b'N', b'o', 0x87, 0xc6]);
        let said = changed.annotated();
        let said: Vec<&str> = said.lines().map(|line| line[50..].trim()).collect();
        assert_eq!(said[1], "-1 (instead of a map of 2)");
        assert_eq!(said[2], "-27 (instead of a string of 5)");
        assert_eq!(said[4], "a map of 7 (instead of 7)");
        assert_eq!(said[5], "bytes, as long as the next 4 bytes say (instead of a string of 4)");
    }

    #[test]
    fn streams_are_as_long_as_they_say() {
        let packets = multiplexed();
        let data = packets[2].bytes();
        let length = u32::from_be_bytes([data[8], data[9], data[10], data[11]]) as usize;
        assert_eq!(data.len(), 12 + length);
    }
}
