//! Jute's types, as fields of a packet.

use crate::packets::{Builder, FieldKind, Packet};

/// Appends what jute knows.
pub(super) trait Jute {
    fn int(self, name: &str, value: i32) -> Self;
    fn long(self, name: &str, value: i64) -> Self;
    fn boolean(self, name: &str, value: bool) -> Self;
    fn opcode(self, name: &str, value: i32, word: &str) -> Self;
    /// How many elements of a vector come next.
    fn count(self, name: &str, value: usize) -> Self;
    /// A text: `NAME length` and `NAME`.
    fn text(self, name: &str, value: &str) -> Self;
    /// A buffer: `NAME length` and `NAME`.
    fn buffer(self, name: &str, value: &[u8]) -> Self;
}

impl Jute for Builder {
    fn int(self, name: &str, value: i32) -> Self {
        self.field(name, FieldKind::Integer, &value.to_be_bytes())
    }

    fn long(self, name: &str, value: i64) -> Self {
        self.field(name, FieldKind::Integer, &value.to_be_bytes())
    }

    fn boolean(self, name: &str, value: bool) -> Self {
        self.field(name, FieldKind::Flag, &[u8::from(value)])
    }

    fn opcode(self, name: &str, value: i32, word: &str) -> Self {
        self.field(name, FieldKind::Opcode, &value.to_be_bytes()).note(word)
    }

    fn count(self, name: &str, value: usize) -> Self {
        self.field(name, FieldKind::Length, &length(value))
    }

    fn text(self, name: &str, value: &str) -> Self {
        self.count(&format!("{name} length"), value.len()).field(name, FieldKind::Text, value.as_bytes())
    }

    fn buffer(self, name: &str, value: &[u8]) -> Self {
        self.count(&format!("{name} length"), value.len()).field(name, FieldKind::Bytes, value)
    }
}

const FRAME_LENGTH: &str = "frame length";

/// A packet behind its length.
pub(super) fn framed(body: Packet) -> Packet {
    Packet::builder().count(FRAME_LENGTH, body.bytes().len()).packet(body).build()
}

/// The packet with the length that it has; one without a frame is left as it is.
#[must_use]
pub fn reframed(mut packet: Packet) -> Packet {
    if let Ok(index) = packet.find(FRAME_LENGTH) {
        let behind = packet.bytes().len() - packet.fields()[index].at.end;
        packet.overwrite(index, &length(behind));
    }
    packet
}

fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).expect("our own packets are short").to_be_bytes()
}
