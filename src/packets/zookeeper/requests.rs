//! What clients send to the client port: a handshake, then requests, each in a frame with a number and an opcode.

use super::jute::{Jute, framed};
use crate::packets::{Builder, FieldKind, Packet};

pub use super::jute::reframed;

/// The number of our requests; any would do.
const XID: i32 = 0x1234;
const PATH: &str = "/poison";
const ANY_VERSION: i32 = -1;
const ALL_PERMISSIONS: i32 = 31;

/// A request of a client, each with values that a server takes if nothing is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    /// Makes a node, here one that lasts.
    Create,
    /// Deletes a node.
    Delete,
    /// Whether there is a node.
    Exists,
    /// What is in a node.
    GetData,
    /// Puts something into a node.
    SetData,
    /// Who may do what with a node.
    GetAcl,
    /// Changes that.
    SetAcl,
    /// The children of a node.
    GetChildren,
    /// Has the server catch up with its leader.
    Sync,
    /// Keeps the session.
    Ping,
    /// The children of a node, and what is known of it.
    GetChildren2,
    /// Whether a node has a version; by itself no request that clients send.
    Check,
    /// Several requests at once; here one, that makes a node.
    Multi,
    /// Shows who the client is.
    Auth,
    /// Sets watches again after a new connection.
    SetWatches,
    /// Makes a session; a request among servers.
    CreateSession,
    /// Ends the session.
    CloseSession,
}

impl Request {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Create,
        Self::Delete,
        Self::Exists,
        Self::GetData,
        Self::SetData,
        Self::GetAcl,
        Self::SetAcl,
        Self::GetChildren,
        Self::Sync,
        Self::Ping,
        Self::GetChildren2,
        Self::Check,
        Self::Multi,
        Self::Auth,
        Self::SetWatches,
        Self::CreateSession,
        Self::CloseSession,
    ];

    /// The request of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|request| request.name() == name)
    }

    /// What ZooKeeper calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.known_as().1
    }

    /// Its number.
    pub(super) fn opcode(self) -> i32 {
        self.known_as().0
    }

    /// Its number and its name.
    fn known_as(self) -> (i32, &'static str) {
        match self {
            Self::Create => (1, "create"),
            Self::Delete => (2, "delete"),
            Self::Exists => (3, "exists"),
            Self::GetData => (4, "getData"),
            Self::SetData => (5, "setData"),
            Self::GetAcl => (6, "getACL"),
            Self::SetAcl => (7, "setACL"),
            Self::GetChildren => (8, "getChildren"),
            Self::Sync => (9, "sync"),
            Self::Ping => (11, "ping"),
            Self::GetChildren2 => (12, "getChildren2"),
            Self::Check => (13, "check"),
            Self::Multi => (14, "multi"),
            Self::Auth => (100, "auth"),
            Self::SetWatches => (101, "setWatches"),
            Self::CreateSession => (-10, "createSession"),
            Self::CloseSession => (-11, "closeSession"),
        }
    }

    /// The request as it is sent, in its frame.
    #[must_use]
    pub fn packet(self) -> Packet {
        let (opcode, name) = self.known_as();
        let head = Packet::builder().int("xid", XID).opcode("opcode", opcode, name);
        framed(self.body(head).build())
    }

    /// The opcode and what comes after it, as a follower hands them on.
    pub(super) fn forwarded(self) -> (i32, Packet) {
        (self.opcode(), self.body(Packet::builder()).build())
    }

    fn body(self, head: Builder) -> Builder {
        match self {
            Self::Create => create(head),
            Self::Delete | Self::Check => head.text("path", PATH).int("version", ANY_VERSION),
            Self::Exists | Self::GetData | Self::GetChildren | Self::GetChildren2 => {
                head.text("path", PATH).boolean("watch", false)
            }
            Self::SetData => head.text("path", PATH).buffer("data", b"v").int("version", ANY_VERSION),
            Self::GetAcl | Self::Sync => head.text("path", PATH),
            Self::SetAcl => acl(head.text("path", PATH)).int("version", ANY_VERSION),
            Self::Ping | Self::CloseSession => head,
            Self::Multi => {
                let (opcode, name) = Self::Create.known_as();
                let part = head.opcode("part opcode", opcode, name).boolean("part done", false).int("part error", -1);
                create(part).opcode("end opcode", -1, "end").boolean("end done", true).int("end error", -1)
            }
            Self::Auth => head.int("auth type", 0).text("scheme", "digest").buffer("credentials", b"a:b"),
            Self::SetWatches => head
                .long("relative zxid", 0)
                .count("data watch count", 1)
                .text("data watch", PATH)
                .count("exist watch count", 0)
                .count("child watch count", 0),
            Self::CreateSession => head.int("timeout", 4_000),
        }
    }
}

fn create(head: Builder) -> Builder {
    acl(head.text("path", PATH).buffer("data", b"v")).field("flags", FieldKind::Integer, &[0; 4]).note("it lasts")
}

/// Everybody may do everything.
fn acl(head: Builder) -> Builder {
    head.count("acl count", 1)
        .int("acl permissions", ALL_PERMISSIONS)
        .text("acl scheme", "world")
        .text("acl id", "anyone")
}

/// The first packet of a connection: it asks for a new session with this time-out.
#[must_use]
pub fn handshake(timeout_ms: i32) -> Packet {
    framed(
        Packet::builder()
            .int("protocol version", 0)
            .long("last zxid seen", 0)
            .int("timeout", timeout_ms)
            .long("session", 0)
            .note("a new one")
            .buffer("password", &[0; 16])
            .boolean("read only", false)
            .build(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_the_one_that_servers_answer() {
        let expected = format!(
            "0000002d000000000000000000000000{}{}{}00",
            "00000fa0",
            "000000000000000000000010",
            "00".repeat(16)
        );
        assert_eq!(handshake(4_000).hex(), expected);
    }

    #[test]
    fn requests_are_laid_out_as_servers_read_them() {
        let acl = "000000010000001f00000005776f726c6400000006616e796f6e65";
        let path = "000000072f706f69736f6e";
        let hex = |request: Request| request.packet().hex();
        assert_eq!(hex(Request::Create), format!("000000370000123400000001{path}0000000176{acl}00000000"));
        assert_eq!(hex(Request::SetAcl), format!("000000320000123400000007{path}{acl}ffffffff"));
        assert_eq!(hex(Request::GetData), format!("000000140000123400000004{path}00"));
        assert_eq!(
            hex(Request::Auth),
            "0000001d00001234000000640000000000000006646967657374000000036 13a62".replace(' ', "")
        );
        let multi =
            format!("00000049000012340000000e0000000100ffffffff{path}0000000176{acl}00000000ffffffff01ffffffff");
        assert_eq!(hex(Request::Multi), multi);
    }

    #[test]
    fn every_frame_is_as_long_as_it_says() {
        for request in Request::ALL {
            let packet = request.packet();
            assert_eq!(reframed(packet.clone()), packet, "{}", request.name());
            assert_eq!(Request::named(request.name()), Some(request));
            let covered: usize = packet.fields().iter().map(|field| field.at.len()).sum();
            assert_eq!(covered, packet.bytes().len(), "{}", request.name());
        }
    }
}
