//! Requests of HTTP/1.1, as fields of a packet.

use super::{Builder, FieldKind, Packet};

/// A request with a body, the length of which it tells.
pub(super) fn request(method: &str, target: &str, kind: &str, body: Packet) -> Packet {
    request_with(&[("Content-Type", kind)], method, target, body)
}

/// The same with these headers.
pub(super) fn request_with(headers: &[(&str, &str)], method: &str, target: &str, body: Packet) -> Packet {
    let head = Packet::builder()
        .field("method", FieldKind::Opcode, method.as_bytes())
        .field("space", FieldKind::Text, b" ")
        .field("target", FieldKind::Text, target.as_bytes())
        .field("version", FieldKind::Text, b" HTTP/1.1\r\n")
        .field("host", FieldKind::Text, b"Host: leasehold\r\n");
    let head = headers.iter().fold(head, |head, (name, value)| {
        head.field(format!("{name} name"), FieldKind::Text, format!("{name}: ").as_bytes())
            .field(*name, FieldKind::Text, value.as_bytes())
            .field(format!("{name} end"), FieldKind::Text, b"\r\n")
    });
    with_length(head, body.bytes().len()).packet(body).build()
}

fn with_length(head: Builder, bytes: usize) -> Builder {
    head.field("content length name", FieldKind::Text, b"Content-Length: ")
        .field("content length", FieldKind::Digits, bytes.to_string().as_bytes())
        .field("end of headers", FieldKind::Text, b"\r\n\r\n")
}

/// The packet with the length that its body has; what is no such request is left as it is.
pub(super) fn relengthed(mut packet: Packet) -> Packet {
    let (Ok(length), Ok(end)) = (packet.find("content length"), packet.find("end of headers")) else { return packet };
    let body = packet.bytes().len() - packet.fields()[end].at.end;
    packet.overwrite(length, body.to_string().as_bytes());
    packet
}

/// A text in JSON, piece by piece: names as they are, values as fields of their own.
pub(super) fn json(members: &[(&str, &str)]) -> Packet {
    let mut packet = Packet::builder().field("object begins", FieldKind::Opcode, b"{");
    for (number, (name, value)) in members.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        packet = packet.field(format!("{name} name"), FieldKind::Text, format!("{comma}\"{name}\":").as_bytes()).field(
            *name,
            FieldKind::Text,
            value.as_bytes(),
        );
    }
    packet.field("object ends", FieldKind::Opcode, b"}").build()
}
