//! Msgpack, as far as it is needed: maps, lists, texts, bytes and numbers, the type and the length of short ones in one byte.

use crate::packets::{Builder, FieldKind};

pub(super) trait Msgpack {
    /// A map of so many entries comes next.
    fn map(self, name: &str, entries: u8) -> Self;
    /// An entry that is a map of so many.
    fn within(self, name: &str, entries: u8) -> Self;
    /// An entry that is a list of so many.
    fn list(self, name: &str, entries: u8) -> Self;
    /// An entry that is a list of fractions.
    fn fractions(self, name: &str, values: &[f64]) -> Self;
    /// An entry that is a fraction.
    fn fraction(self, name: &str, value: f64) -> Self;
    /// An entry that is a text.
    fn text(self, name: &str, value: &str) -> Self;
    /// An entry that is bytes.
    fn bytes(self, name: &str, value: &[u8]) -> Self;
    /// An entry that is a number.
    fn entry(self, name: &str, value: u64) -> Self;
}

impl Msgpack for Builder {
    fn map(self, name: &str, entries: u8) -> Self {
        self.marker(format!("{name} entries"), FieldKind::Length, 0x80 | entries)
    }

    fn within(self, name: &str, entries: u8) -> Self {
        named(self, name).map(name, entries)
    }

    fn list(self, name: &str, entries: u8) -> Self {
        named(self, name).marker(format!("{name} entries"), FieldKind::Length, 0x90 | entries)
    }

    fn fractions(self, name: &str, values: &[f64]) -> Self {
        let list = self.list(name, short(values.len()));
        values.iter().fold(list, |packet, value| float(packet, name, *value))
    }

    fn fraction(self, name: &str, value: f64) -> Self {
        float(named(self, name), name, value)
    }

    fn text(self, name: &str, value: &str) -> Self {
        string(named(self, name), name, value)
    }

    fn bytes(self, name: &str, value: &[u8]) -> Self {
        named(self, name)
            .marker(format!("{name} type"), FieldKind::Opcode, 0xc4)
            .field(format!("{name} length"), FieldKind::Length, &[short(value.len())])
            .field(name, FieldKind::Bytes, value)
    }

    fn entry(self, name: &str, value: u64) -> Self {
        let packet = named(self, name);
        match u8::try_from(value) {
            Ok(small @ 0..0x80) => packet.marker(name, FieldKind::Integer, small),
            _ => packet.marker(format!("{name} type"), FieldKind::Opcode, 0xcf).field(
                name,
                FieldKind::Integer,
                &value.to_be_bytes(),
            ),
        }
    }
}

fn float(packet: Builder, name: &str, value: f64) -> Builder {
    packet.marker(format!("{name} type"), FieldKind::Opcode, 0xcb).field(
        name,
        FieldKind::Fraction,
        &value.to_be_bytes(),
    )
}

fn named(packet: Builder, name: &str) -> Builder {
    string(packet, &format!("{name} name"), name)
}

/// A short text: its length stands in the byte of its type.
fn string(packet: Builder, name: &str, value: &str) -> Builder {
    packet.marker(format!("{name} length"), FieldKind::Length, 0xa0 | short(value.len())).field(
        name,
        FieldKind::Text,
        value.as_bytes(),
    )
}

fn short(length: usize) -> u8 {
    u8::try_from(length).ok().filter(|length| *length < 32).expect("our own texts are short")
}
