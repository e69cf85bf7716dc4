//! Requests of etcd's present interface, in protobuf. The numbers of the fields are those of `rpc.proto`, `lock.proto` and
//! `election.proto` in etcd's sources.

use super::http2::call;
use crate::packets::mutate::varint;
use crate::packets::{Builder, FieldKind, Packet};

const KEY: &[u8] = b"poison";
const END: &[u8] = b"poisoo";
const LEASE: u64 = 0x7001;
/// The key under which our lease holds a lock, and by which it stands for an election.
const HELD: &[u8] = b"poison/7001";

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
    /// Who was elected.
    Leader,
    /// Is told who is elected.
    Observe,
    /// Gives up an election.
    Resign,
    /// Gives a lock back.
    Unlock,
    /// Forgets what keys once were.
    Compact,
    /// What the data add up to.
    HashKv,
    /// How a member is.
    Status,
    /// Which alarms there are.
    Alarm,
    /// Who the members are.
    MemberList,
    /// Makes a role for users.
    RoleAdd,
}

impl Request {
    /// All of them.
    pub const ALL: [Self; 22] = [
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
        Self::Leader,
        Self::Observe,
        Self::Resign,
        Self::Unlock,
        Self::Compact,
        Self::HashKv,
        Self::Status,
        Self::Alarm,
        Self::MemberList,
        Self::RoleAdd,
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
            Self::Leader => "/v3electionpb.Election/Leader",
            Self::Observe => "/v3electionpb.Election/Observe",
            Self::Resign => "/v3electionpb.Election/Resign",
            Self::Unlock => "/v3lockpb.Lock/Unlock",
            Self::Compact => "/etcdserverpb.KV/Compact",
            Self::HashKv => "/etcdserverpb.Maintenance/HashKV",
            Self::Status => "/etcdserverpb.Maintenance/Status",
            Self::Alarm => "/etcdserverpb.Maintenance/Alarm",
            Self::MemberList => "/etcdserverpb.Cluster/MemberList",
            Self::RoleAdd => "/etcdserverpb.Auth/RoleAdd",
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
            Self::Range => message
                .bytes(1, "key", KEY)
                .bytes(2, "range end", END)
                .number(3, "limit", 10)
                .number(4, "revision", 0)
                .number(5, "sort order", 1)
                .number(6, "sort target", 3)
                .number(7, "serializable", 1)
                .number(8, "keys only", 0)
                .number(9, "count only", 0)
                .number(10, "least modification", 0)
                .number(13, "greatest creation", 0),
            Self::Put => message
                .bytes(1, "key", KEY)
                .bytes(2, "value", b"v")
                .number(3, "lease", 0)
                .number(4, "previous", 1)
                .number(5, "ignore value", 0)
                .number(6, "ignore lease", 0),
            Self::DeleteRange => message.bytes(1, "key", KEY).bytes(2, "range end", END).number(3, "previous", 1),
            Self::Txn => transaction(message),
            Self::LeaseGrant => message.number(1, "ttl", 5).number(2, "lease", LEASE),
            Self::LeaseRevoke | Self::LeaseKeepAlive => message.number(1, "lease", LEASE),
            Self::LeaseTimeToLive => message.number(1, "lease", LEASE).number(2, "keys", 1),
            Self::LeaseLeases | Self::Status => message,
            Self::Watch => {
                let create = Packet::builder()
                    .bytes(1, "key", KEY)
                    .bytes(2, "range end", END)
                    .number(3, "start revision", 1)
                    .number(4, "progress", 1)
                    .bytes(5, "filters", &[0])
                    .number(6, "previous", 1)
                    .number(7, "watch", 7)
                    .number(8, "fragment", 1);
                message.nested(1, "create", create.build())
            }
            Self::Lock => message.bytes(1, "name", KEY).number(2, "lease", LEASE),
            Self::Campaign => message.bytes(1, "name", KEY).number(2, "lease", LEASE).bytes(3, "value", b"v"),
            Self::Leader | Self::Observe => message.bytes(1, "name", KEY),
            Self::Resign => {
                let leader = Packet::builder()
                    .bytes(1, "name", KEY)
                    .bytes(2, "leader key", HELD)
                    .number(3, "leader revision", 2)
                    .number(4, "leader lease", LEASE);
                message.nested(1, "leader", leader.build())
            }
            Self::Unlock => message.bytes(1, "held key", HELD),
            Self::Compact => message.number(1, "revision", 1).number(2, "physical", 0),
            Self::HashKv => message.number(1, "revision", 0),
            Self::Alarm => message.number(1, "action", 0).number(2, "member", 0).number(3, "alarm", 0),
            Self::MemberList => message.number(1, "linearizable", 1),
            Self::RoleAdd => message.bytes(1, "name", KEY),
        }
        .build()
    }
}

/// Writes a key if it is not there and reads it, and otherwise deletes it and asks again in a transaction within this one.
fn transaction(message: Builder) -> Builder {
    let compare = Packet::builder()
        .number(1, "compare result", 0)
        .number(2, "compare target", 1)
        .bytes(3, "compare key", KEY)
        .number(5, "create revision", 0);
    let operation = |tag, name: &str, request: Packet| Packet::builder().nested(tag, name, request).build();
    let short = || Packet::builder().bytes(1, "key", KEY);
    let inner = Packet::builder().nested(2, "inner success", operation(1, "inner range", short().build()));
    message
        .nested(1, "compare", compare.build())
        .nested(2, "success", operation(2, "put", short().bytes(2, "value", b"v").build()))
        .nested(2, "success", operation(1, "range", short().build()))
        .nested(3, "failure", operation(3, "delete", short().build()))
        .nested(3, "failure", operation(4, "transaction", inner.build()))
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
        // In the words of etcd's own clients: `put poison v --prev-kv`, a lease of 5 s.
        assert_eq!(Request::Put.message().bytes(), b"\x0a\x06poison\x12\x01v\x18\x00\x20\x01\x28\x00\x30\x00");
        assert_eq!(Request::LeaseGrant.message().bytes(), [0x08, 5, 0x10, 0x81, 0xe0, 0x01]);
        let txn = b"\x0a\x0e\x08\x00\x10\x01\x1a\x06poison\x28\x00\x12\x0d\x12\x0b\x0a\x06poison\x12\x01v";
        assert!(Request::Txn.message().bytes().starts_with(txn));
        assert_eq!(Request::Unlock.message().bytes(), b"\x0a\x0bpoison/7001");
    }
}
