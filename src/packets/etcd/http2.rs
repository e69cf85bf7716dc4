//! HTTP/2 as a client speaks it: frames, and headers in their plainest form.

use crate::packets::{Builder, FieldKind, Packet, Reply};

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
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

/// What the reply to a call says, in a few words. A call that is answered is answered by a message; one that is refused, by headers alone.
#[must_use]
pub fn in_words(reply: &Reply) -> &'static str {
    const HEAD: usize = 9;
    let mut kinds = Vec::new();
    let mut left = reply.answer.as_slice();
    while let [a, b, c, kind, ..] = *left {
        kinds.push(kind);
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        left = left.get(HEAD + length..).unwrap_or_default();
    }
    let has = |kind| kinds.contains(&kind);
    match () {
        () if has(DATA) => "answered it",
        () if has(RESET) || has(GO_AWAY) => "broke the call off",
        () if has(HEADERS) => "refused it",
        () if reply.closed => "took the call and closed the connection",
        () => "took the call and did not answer",
    }
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
    fn a_reply_is_told_by_its_frames() {
        let settings = [0, 0, 6, SETTINGS, 0, 0, 0, 0, 0, 0, 4, 0, 0, 255, 255];
        let of = |kind: u8| [0, 0, 1, kind, 0, 0, 0, 0, 1, 7];
        let said = |frames: &[u8], closed| {
            in_words(&Reply { answer: [&settings[..], frames].concat(), closed, ..Reply::default() })
        };
        assert_eq!(said(&[of(HEADERS), of(DATA), of(HEADERS)].concat(), false), "answered it");
        assert_eq!(said(&of(HEADERS), false), "refused it");
        assert_eq!(said(&of(RESET), false), "broke the call off");
        assert_eq!(said(&[], true), "took the call and closed the connection");
        // Cut off, or longer than it says: hostile, and no more than that.
        assert_eq!(said(&[255, 255, 255, HEADERS], false), "refused it");
        assert_eq!(said(&[0, 0], false), "took the call and did not answer");
    }

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
