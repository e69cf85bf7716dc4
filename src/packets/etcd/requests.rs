//! Requests of etcd's present interface, in protobuf. The numbers of the fields are those of `rpc.proto`, `lock.proto` and
//! `election.proto` in etcd's sources.

use super::http2::call;
use crate::packets::mutate::varint;
use crate::packets::{Builder, FieldKind, Packet};

const KEY: &[u8] = b"poison";
const LEASE: u64 = 0x7001;

/// A request, each with values that a server takes if nothing is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    /// Reads a key.
    Range,
    /// Writes a key.
    Put,
    /// Deletes a key.
    DeleteRange,
    /// Writes a key if it is not there.
    Txn,
    /// Grants a lease.
    LeaseGrant,
    /// Ends a lease.
    LeaseRevoke,
    /// Renews a lease.
    LeaseKeepAlive,
    /// How long a lease lasts, and its keys.
    LeaseTimeToLive,
    /// All leases.
    LeaseLeases,
    /// Watches a key.
    Watch,
    /// Takes a lock.
    Lock,
    /// Stands for an election.
    Campaign,
}

impl Request {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Range,
        Self::Put,
        Self::DeleteRange,
        Self::Txn,
        Self::LeaseGrant,
        Self::LeaseRevoke,
        Self::LeaseKeepAlive,
        Self::LeaseTimeToLive,
        Self::LeaseLeases,
        Self::Watch,
        Self::Lock,
        Self::Campaign,
    ];

    /// The method that it calls.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Range => "/etcdserverpb.KV/Range",
            Self::Put => "/etcdserverpb.KV/Put",
            Self::DeleteRange => "/etcdserverpb.KV/DeleteRange",
            Self::Txn => "/etcdserverpb.KV/Txn",
            Self::LeaseGrant => "/etcdserverpb.Lease/LeaseGrant",
            Self::LeaseRevoke => "/etcdserverpb.Lease/LeaseRevoke",
            Self::LeaseKeepAlive => "/etcdserverpb.Lease/LeaseKeepAlive",
            Self::LeaseTimeToLive => "/etcdserverpb.Lease/LeaseTimeToLive",
            Self::LeaseLeases => "/etcdserverpb.Lease/LeaseLeases",
            Self::Watch => "/etcdserverpb.Watch/Watch",
            Self::Lock => "/v3lockpb.Lock/Lock",
            Self::Campaign => "/v3electionpb.Election/Campaign",
        }
    }

    /// As it is sent over a connection of its own.
    #[must_use]
    pub fn packets(self) -> Vec<Packet> {
        call(self.path(), self.message())
    }

    /// The message alone.
    #[must_use]
    pub fn message(self) -> Packet {
        let message = Packet::builder();
        match self {
            Self::Range | Self::DeleteRange => message.bytes(1, "key", KEY),
            Self::Put => message.bytes(1, "key", KEY).bytes(2, "value", b"v"),
            Self::Txn => {
                let compare = Packet::builder()
                    .number(1, "compare result", 0)
                    .number(2, "compare target", 1)
                    .bytes(3, "compare key", KEY)
                    .number(5, "create revision", 0);
                let put = Packet::builder().nested(2, "put", Self::Put.message());
                message.nested(1, "compare", compare.build()).nested(2, "success", put.build())
            }
            Self::LeaseGrant => message.number(1, "ttl", 5).number(2, "lease", LEASE),
            Self::LeaseRevoke | Self::LeaseKeepAlive => message.number(1, "lease", LEASE),
            Self::LeaseTimeToLive => message.number(1, "lease", LEASE).number(2, "keys", 1),
            Self::LeaseLeases => message,
            Self::Watch => message.nested(1, "create", Packet::builder().bytes(1, "key", KEY).build()),
            Self::Lock => message.bytes(1, "name", KEY).number(2, "lease", LEASE),
            Self::Campaign => message.bytes(1, "name", KEY).number(2, "lease", LEASE).bytes(3, "value", b"v"),
        }
        .build()
    }
}

/// Appends the fields of protobuf.
pub(super) trait Protobuf {
    /// A number: its tag, and as many bytes as it needs.
    fn number(self, tag: u64, name: &str, value: u64) -> Self;
    /// Bytes: their tag, their length, and they.
    fn bytes(self, tag: u64, name: &str, value: &[u8]) -> Self;
    /// A message in a message.
    fn nested(self, tag: u64, name: &str, message: Packet) -> Self;
}

impl Protobuf for Builder {
    fn number(self, tag: u64, name: &str, value: u64) -> Self {
        self.field(format!("{name} tag"), FieldKind::Opcode, &varint(tag << 3)).field(
            name,
            FieldKind::Varint,
            &varint(value),
        )
    }

    fn bytes(self, tag: u64, name: &str, value: &[u8]) -> Self {
        self.field(format!("{name} tag"), FieldKind::Opcode, &varint(tag << 3 | 2))
            .field(format!("{name} length"), FieldKind::Varint, &varint(value.len() as u64))
            .field(name, FieldKind::Bytes, value)
    }

    fn nested(self, tag: u64, name: &str, message: Packet) -> Self {
        self.field(format!("{name} tag"), FieldKind::Opcode, &varint(tag << 3 | 2))
            .field(format!("{name} length"), FieldKind::Varint, &varint(message.bytes().len() as u64))
            .packet(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_protocol() {
        // In the words of etcd's own clients: `put poison v`, a lease of 5 s.
        assert_eq!(Request::Put.message().bytes(), b"\x0a\x06poison\x12\x01v");
        assert_eq!(Request::LeaseGrant.message().bytes(), [0x08, 5, 0x10, 0x81, 0xe0, 0x01]);
        assert_eq!(Request::Watch.message().bytes(), b"\x0a\x08\x0a\x06poison");
        let txn = b"\x0a\x0e\x08\x00\x10\x01\x1a\x06poison\x28\x00\x12\x0d\x12\x0b\x0a\x06poison\x12\x01v";
        assert_eq!(Request::Txn.message().bytes(), txn);
    }
}
