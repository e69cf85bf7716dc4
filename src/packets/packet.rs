//! A packet, of which each byte belongs to a field with a name.

use std::fmt::Write as _;
use std::ops::Range;

use super::meaning::{Notation, meaning, meaning_or_digits};

/// Bytes to be sent, and what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    bytes: Vec<u8>,
    fields: Vec<Field>,
}

/// Some bytes of a packet that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where they stand.
    pub at: Range<usize>,
    /// What the protocol calls them.
    pub name: String,
    /// What they are.
    pub kind: FieldKind,
    /// How they are written.
    pub notation: Notation,
    /// What is to be said of what stood there when the packet was put together: the word for an opcode.
    pub note: Option<String>,
    /// What that was, if it is something else by now.
    pub was: Option<Vec<u8>>,
}

/// What the bytes of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldKind {
    /// How many bytes, or elements, come after it.
    Length,
    /// The same, or another number, in as many bytes as it needs, seven bits in each.
    Varint,
    /// The same in decimal digits.
    Digits,
    /// Which kind of message it is, or of which type a part of it.
    Opcode,
    /// A number.
    Integer,
    /// A fraction, in eight bytes.
    Fraction,
    /// Yes or no.
    Flag,
    /// Letters.
    Text,
    /// Anything else.
    Bytes,
}

/// The packet has no field of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet has no field `{name}`; it has: {known}")]
pub struct NoSuchField {
    name: String,
    known: String,
}

/// Puts a packet together, field after field.
#[derive(Clone, Debug, Default)]
pub struct Builder(Packet);

impl Builder {
    /// Appends a field with these bytes.
    #[must_use]
    pub fn field(self, name: impl Into<String>, kind: FieldKind, bytes: &[u8]) -> Self {
        self.written(name.into(), kind, Notation::Plain, bytes)
    }

    /// Appends a byte by which msgpack tells what begins. The kind says what may be done to it.
    #[must_use]
    pub fn marker(self, name: impl Into<String>, kind: FieldKind, byte: u8) -> Self {
        self.written(name.into(), kind, Notation::Msgpack, &[byte])
    }

    fn written(mut self, name: String, kind: FieldKind, notation: Notation, bytes: &[u8]) -> Self {
        let start = self.0.bytes.len();
        self.0.bytes.extend_from_slice(bytes);
        let at = start..self.0.bytes.len();
        self.0.fields.push(Field { at, name, kind, notation, note: None, was: None });
        self
    }

    /// Says something of the field that was appended last.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        if let Some(last) = self.0.fields.last_mut() {
            last.note = Some(note.into());
        }
        self
    }

    /// Appends all that stands in another packet.
    #[must_use]
    pub fn packet(mut self, other: Packet) -> Self {
        let start = self.0.bytes.len();
        self.0.bytes.extend(other.bytes);
        let moved = |field: Field| Field { at: field.at.start + start..field.at.end + start, ..field };
        self.0.fields.extend(other.fields.into_iter().map(moved));
        self
    }

    /// The packet.
    #[must_use]
    pub fn build(self) -> Packet {
        self.0
    }
}

impl Field {
    /// Notes that these bytes stand there now, where others did.
    fn holds(&mut self, now: &[u8], before: &[u8]) {
        if now != before {
            let was = self.was.take().unwrap_or_else(|| before.to_vec());
            self.was = (was != now).then_some(was);
        }
    }
}

impl Packet {
    /// A packet without fields, to begin with.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// All that is sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its fields, in order. They do not overlap.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The bytes of a field.
    #[must_use]
    pub fn bytes_of(&self, field: &Field) -> &[u8] {
        &self.bytes[field.at.clone()]
    }

    /// The first field of this name, by its index among the fields.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(&self, name: &str) -> Result<usize, NoSuchField> {
        self.fields.iter().position(|field| field.name == name).ok_or_else(|| NoSuchField {
            name: name.to_owned(),
            known: self.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// Puts other bytes into a field, more or fewer of them than there were.
    ///
    /// # Panics
    /// If there is no such field.
    pub fn overwrite(&mut self, index: usize, with: &[u8]) {
        let Range { start, end } = self.fields[index].at;
        let old: Vec<u8> = self.bytes.splice(start..end, with.iter().copied()).collect();
        self.fields[index].at = start..start + with.len();
        self.fields[index].holds(with, &old);
        for later in &mut self.fields[index + 1..] {
            let moved = |at: usize| at - end + start + with.len();
            later.at = moved(later.at.start)..moved(later.at.end);
        }
    }

    /// Changes bytes where they stand, whatever field they belong to; those past the end of the packet are left out.
    pub fn patch(&mut self, at: usize, with: &[u8]) {
        let before = self.bytes.clone();
        for (byte, new) in self.bytes.iter_mut().skip(at).zip(with) {
            *byte = *new;
        }
        for field in &mut self.fields {
            field.holds(&self.bytes[field.at.clone()], &before[field.at.clone()]);
        }
    }

    /// Leaves out all that comes after the first `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        let before = self.bytes.clone();
        self.bytes.truncate(length);
        self.fields.retain_mut(|field| {
            let whole = field.at.clone();
            field.at.end = whole.end.min(length);
            let is_left = field.at.start < field.at.end || field.at.end < length;
            if is_left {
                field.holds(&before[field.at.clone()], &before[whole]);
            }
            is_left
        });
    }

    /// All its bytes as hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.bytes)
    }

    /// What a field says, what is to be said of it, and what it said before it was changed.
    #[must_use]
    pub fn says(&self, field: &Field) -> String {
        let Field { kind, notation, note, was, .. } = field;
        let now = meaning(*kind, *notation, self.bytes_of(field));
        let more = match was {
            None => note.clone(),
            Some(was) => {
                let was = meaning_or_digits(*kind, *notation, was);
                let note = note.iter().map(|note| format!(", {note}"));
                Some(format!("instead of {was}{}", note.collect::<String>()))
            }
        };
        match more {
            None => now,
            Some(more) if now.is_empty() => more,
            Some(more) => format!("{now} ({more})"),
        }
    }

    /// A dump of its bytes: a line for each field, with its name and what it says; of long ones several.
    #[must_use]
    pub fn annotated(&self) -> String {
        const PER_LINE: usize = 8;
        let longest_name = self.fields.iter().map(|field| field.name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for field in &self.fields {
            let (bytes, said) = (self.bytes_of(field), self.says(field));
            for (index, line) in bytes.chunks(PER_LINE).enumerate().chain(bytes.is_empty().then_some((0, bytes))) {
                let digits = line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
                let (name, said) = if index == 0 { (field.name.as_str(), said.as_str()) } else { ("", "") };
                let at = field.at.start + index * PER_LINE;
                let line = format!("{at:04x}  {digits:<23}  {name:<longest_name$}  {said}");
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{}", line.trim_end());
            }
        }
        text
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Packet {
        Packet::builder()
            .field("path length", FieldKind::Length, &[0, 0, 0, 2])
            .field("path", FieldKind::Text, b"/a")
            .field("opcode", FieldKind::Opcode, &[0xff, 0xf5])
            .note("close")
            .field("password", FieldKind::Bytes, &[0; 9])
            .build()
    }

    #[test]
    fn each_field_is_a_line_of_the_dump() {
        let expected = "\
0000  00 00 00 02              path length  2
0004  2f 61                    path         \"/a\"
0006  ff f5                    opcode       -11 (close)
0008  00 00 00 00 00 00 00 00  password     9 zeros
0010  00
";
        assert_eq!(packet().annotated(), expected);
    }

    #[test]
    fn what_is_overwritten_says_what_it_was_and_moves_what_comes_after() {
        let mut packet = packet();
        let path = packet.find("path").expect("a path");
        packet.overwrite(path, b"/poison");
        assert_eq!(packet.hex(), "000000022f706f69736f6efff5000000000000000000");
        assert_eq!(packet.says(&packet.fields()[path]), "\"/poison\" (instead of \"/a\")");
        assert_eq!((packet.fields()[2].at.clone(), packet.fields()[3].at.clone()), (11..13, 13..22));
        packet.overwrite(path, b"");
        assert_eq!((packet.fields()[2].at.clone(), packet.bytes().len()), (4..6, 15));
        assert!(packet.find("colour").is_err_and(|error| error.to_string().contains("path length, path, opcode")));
    }

    #[test]
    fn what_is_cut_off_takes_its_fields_along() {
        let mut packet = packet();
        packet.truncate(7);
        assert_eq!(packet.bytes(), [0, 0, 0, 2, b'/', b'a', 0xff]);
        let left: Vec<_> = packet.fields().iter().map(|field| (field.name.as_str(), field.at.clone())).collect();
        assert_eq!(left, [("path length", 0..4), ("path", 4..6), ("opcode", 6..7)]);
        packet.patch(6, &[1, 2, 3]);
        assert_eq!(packet.bytes().last(), Some(&1));
    }

    #[test]
    fn a_dump_says_what_stood_where_something_was_changed_and_nothing_where_it_was_put_back() {
        let mut packet = packet();
        packet.patch(3, &[9, b'/', b'b', 0xff, 0xf5]);
        packet.overwrite(2, &[0, 7]);
        packet.overwrite(2, &[0, 8]);
        packet.truncate(12);
        let expected = "\
0000  00 00 00 09              path length  9 (instead of 2)
0004  2f 62                    path         \"/b\" (instead of \"/a\")
0006  00 08                    opcode       8 (instead of -11, close)
0008  00 00 00 00              password     4 zeros (instead of 9 zeros)
";
        assert_eq!(packet.annotated(), expected);
        packet.patch(0, &[0, 0, 0, 2, b'/', b'a', 0xff, 0xf5]);
        assert!(packet.annotated().contains("opcode       -11 (close)"), "{}", packet.annotated());
        assert_eq!(packet.annotated().matches("instead").count(), 1, "only the end is missing");
    }

    #[test]
    fn what_cannot_be_told_any_more_is_told_by_what_it_was() {
        let mut packet =
            Packet::builder().field("ttl", FieldKind::Varint, &[5]).field("end", FieldKind::Bytes, &[0]).build();
        packet.patch(0, &[0x85]);
        assert_eq!(packet.annotated().lines().next(), Some("0000  85                       ttl  instead of 5"));
    }
}
