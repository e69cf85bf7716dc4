//! HTTP/2 as a client speaks it: frames, and headers in their plainest form.

use crate::packets::{Builder, FieldKind, Packet};

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const DATA: u8 = 0;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

/// The stream that our only request goes over.
const STREAM: u32 = 1;

/// A call over a connection of its own: the client's first word, the headers, and the message.
#[must_use]
pub fn call(path: &str, message: Packet) -> Vec<Packet> {
    let preface = Packet::builder()
        .field("preface", FieldKind::Text, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .packet(frame("settings", SETTINGS, 0, 0, initial_window()))
        .build();
    let prefixed = Packet::builder()
        .field("compressed", FieldKind::Flag, &[0])
        .field("message length", FieldKind::Length, &(message.bytes().len() as u32).to_be_bytes())
        .packet(message)
        .build();
    vec![
        preface,
        frame("headers", HEADERS, END_HEADERS, STREAM, headers(path)),
        frame("data", DATA, END_STREAM, STREAM, prefixed),
    ]
}

fn frame(name: &str, kind: u8, flags: u8, stream: u32, payload: Packet) -> Packet {
    let length = (payload.bytes().len() as u32).to_be_bytes();
    Packet::builder()
        .field(format!("{name} frame length"), FieldKind::Length, &length[1..])
        .field(format!("{name} frame type"), FieldKind::Opcode, &[kind])
        .note(name)
        .field(format!("{name} flags"), FieldKind::Integer, &[flags])
        .field(format!("{name} stream"), FieldKind::Integer, &stream.to_be_bytes())
        .packet(payload)
        .build()
}

fn initial_window() -> Packet {
    Packet::builder()
        .field("setting", FieldKind::Opcode, &[0, 4])
        .note("initial window size")
        .field("setting value", FieldKind::Integer, &65_535_u32.to_be_bytes())
        .build()
}

/// Literals that are put into no table (RFC 7541, 6.2.2), each name and value behind its length.
fn headers(path: &str) -> Packet {
    let all = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "leasehold"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    all.into_iter().fold(Packet::builder(), |block, (name, value)| literal(block, name, value)).build()
}

fn literal(block: Builder, name: &str, value: &str) -> Builder {
    let length =
        |text: &str| [u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("our headers are short")];
    block
        .field(format!("{name} form"), FieldKind::Opcode, &[0])
        .field(format!("{name} name length"), FieldKind::Length, &length(name))
        .field(format!("{name} name"), FieldKind::Text, name.as_bytes())
        .field(format!("{name} length"), FieldKind::Length, &length(value))
        .field(name, FieldKind::Text, value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_long_as_they_say() {
        let message = Packet::builder().field("x", FieldKind::Bytes, &[1, 2, 3]).build();
        let packets = call("/a/B", message);
        for (packet, preface) in packets.iter().zip([24, 0, 0]) {
            let bytes = &packet.bytes()[preface..];
            let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
            assert_eq!(bytes.len(), 9 + length);
        }
        let data = packets[2].bytes();
        assert_eq!(data, [0, 0, 8, DATA, END_STREAM, 0, 0, 0, 1, 0, 0, 0, 0, 3, 1, 2, 3]);
    }
}
