//! A packet, of which each byte belongs to a field with a name.

use std::fmt::Write as _;
use std::ops::Range;

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
    /// What is to be said of them: the word for an opcode, what stood there before.
    pub note: Option<String>,
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
    pub fn field(mut self, name: impl Into<String>, kind: FieldKind, bytes: &[u8]) -> Self {
        let start = self.0.bytes.len();
        self.0.bytes.extend_from_slice(bytes);
        self.0.fields.push(Field { at: start..self.0.bytes.len(), name: name.into(), kind, note: None });
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

    /// Puts other bytes into a field, more or fewer of them than there were, and notes what stood there.
    ///
    /// # Panics
    /// If there is no such field.
    pub fn overwrite(&mut self, index: usize, with: &[u8]) {
        let old = meaning(self.fields[index].kind, self.bytes_of(&self.fields[index]));
        self.replace(index, with);
        self.fields[index].note = Some(format!("instead of {old}"));
    }

    /// Puts other bytes into a field and says nothing about it.
    ///
    /// # Panics
    /// If there is no such field.
    pub fn replace(&mut self, index: usize, with: &[u8]) {
        let Range { start, end } = self.fields[index].at;
        self.bytes.splice(start..end, with.iter().copied());
        self.fields[index].at = start..start + with.len();
        for later in &mut self.fields[index + 1..] {
            let moved = |at: usize| at - end + start + with.len();
            later.at = moved(later.at.start)..moved(later.at.end);
        }
    }

    /// Changes bytes where they stand, whatever field they belong to; those past the end of the packet are left out.
    pub fn patch(&mut self, at: usize, with: &[u8]) {
        for (byte, new) in self.bytes.iter_mut().skip(at).zip(with) {
            *byte = *new;
        }
    }

    /// Leaves out all that comes after the first `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
        self.fields.retain_mut(|field| {
            field.at.end = field.at.end.min(length);
            field.at.start < field.at.end || field.at.end < length
        });
    }

    /// All its bytes as hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.bytes)
    }

    /// What a field says, and what is to be said of it.
    #[must_use]
    pub fn says(&self, field: &Field) -> String {
        let meaning = meaning(field.kind, self.bytes_of(field));
        match &field.note {
            None => meaning,
            Some(note) if meaning.is_empty() => note.clone(),
            Some(note) => format!("{meaning} ({note})"),
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

/// What bytes say, in a few words.
fn meaning(kind: FieldKind, bytes: &[u8]) -> String {
    const LONGEST: usize = 40;
    match kind {
        FieldKind::Length | FieldKind::Opcode | FieldKind::Integer => match bytes.len() {
            // What is counted in one byte has no sign anywhere.
            1 => bytes[0].to_string(),
            2..=8 => number(bytes).to_string(),
            _ => String::new(),
        },
        FieldKind::Flag => match bytes {
            [0] => "no".to_owned(),
            [1] => "yes".to_owned(),
            _ => String::new(),
        },
        FieldKind::Varint => varint(bytes).map_or_else(String::new, |number| number.to_string()),
        FieldKind::Text | FieldKind::Digits => {
            let text = String::from_utf8_lossy(bytes);
            let mut short: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
            if text.chars().count() > LONGEST {
                short.push('…');
            }
            format!("\"{short}\"")
        }
        FieldKind::Bytes if bytes.iter().all(|&byte| byte == 0) && !bytes.is_empty() => {
            format!("{} zeros", bytes.len())
        }
        FieldKind::Bytes => format!("{} bytes", bytes.len()),
    }
}

/// A signed number of seven bits in each byte, the least significant ones first; none where the bytes are no such one.
fn varint(bytes: &[u8]) -> Option<i64> {
    let (last, before) = bytes.split_last()?;
    let is_whole = bytes.len() <= 10 && last & 0x80 == 0 && before.iter().all(|byte| byte & 0x80 != 0);
    let number = bytes.iter().rev().fold(0_u64, |number, byte| number << 7 | u64::from(byte & 0x7f));
    is_whole.then_some(number.cast_signed())
}

/// A signed number whose most significant byte comes first.
fn number(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |number, &byte| number << 8 | i64::from(byte))
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
        assert_eq!(packet.fields()[path].note.as_deref(), Some("instead of \"/a\""));
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
    fn numbers_are_signed_but_those_of_one_byte() {
        assert_eq!(meaning(FieldKind::Length, &[0x80]), "128");
        assert_eq!(meaning(FieldKind::Length, &[0x80, 0, 0, 0]), i64::from(i32::MIN).to_string());
        assert_eq!(number(&[0x7f, 0xff, 0xff, 0xff]), 2_147_483_647);
        assert_eq!(number(&[0xff; 4]), -1);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 0]), i64::MIN);
        assert_eq!([&[7][..], &[0x81, 0xe0, 1]].map(varint), [Some(7), Some(0x7001)]);
        let minus_one = [&[0xff; 9][..], &[1]].concat();
        assert_eq!(varint(&minus_one), Some(-1));
        assert_eq!([&[][..], &[0x80], &[1, 1], &[0xff; 11]].map(varint), [None; 4]);
    }
}
