//! Which bytes of what servers tell each other are which field, where that can be told from one packet of the network.

use std::ops::Range;

use super::Packet;
use super::zookeeper::learner;
use crate::servers::zookeeper::QUORUM_PORT;

/// The fields that can be asked for by name. Others have names, too, but nothing in them is worth spoiling.
pub const FIELDS: [&str; 18] = [
    "type",
    "zxid",
    "data length",
    "session",
    "cxid",
    "opcode",
    "path length",
    "path",
    "data",
    "acl count",
    "acl scheme length",
    "acl id length",
    "flags",
    "version",
    "transaction zxid",
    "transaction type",
    "identity count",
    "identity scheme length",
];

/// The names of all fields, for messages.
#[must_use]
pub fn listed() -> String {
    FIELDS.map(|name| format!("`{name}`")).join(", ")
}

/// The fields in the data of one packet between these two ports; none where it is nothing that can be read, or not whole.
#[must_use]
pub fn fields(ports: [u16; 2], data: &[u8]) -> Vec<(Range<usize>, String)> {
    if !ports.contains(&QUORUM_PORT) {
        return Vec::new();
    }
    let packet = learner::read(data);
    packet.iter().flat_map(Packet::fields).map(|field| (field.at.clone(), field.name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::zookeeper::Request;
    use crate::packets::zookeeper::learner::QuorumPacket;

    #[test]
    fn fields_are_those_of_the_stream_between_these_ports() {
        let packet = QuorumPacket::Request(Request::Create).packet();
        let names = |ports| fields(ports, packet.bytes()).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        let known = ["type", "zxid", "data length", "session", "cxid", "opcode", "path length", "path"];
        assert_eq!(names([45_000, QUORUM_PORT])[..8], known);
        assert_eq!(names([QUORUM_PORT, 45_000]), names([45_000, QUORUM_PORT]));
        assert!(names([45_000, 2181]).is_empty());
    }

    #[test]
    fn every_name_is_one_of_the_grammar() {
        let requests = [Request::Create, Request::Delete].map(QuorumPacket::Request);
        let packets = requests.into_iter().chain([QuorumPacket::Proposal, QuorumPacket::Ack]);
        let known: Vec<String> = packets
            .flat_map(|packet| packet.packet().fields().iter().map(|field| field.name.clone()).collect::<Vec<_>>())
            .collect();
        for name in FIELDS {
            assert!(known.iter().any(|known| known == name), "{name}");
        }
    }
}
