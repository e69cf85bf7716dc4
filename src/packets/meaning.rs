//! What the bytes of a field say, in a few words.

use super::FieldKind;
use super::packet::hex;

/// So much of a text is shown.
const LONGEST: usize = 40;

/// How the bytes of a field are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notation {
    /// As the kind of the field says.
    #[default]
    Plain,
    /// As msgpack writes what begins: a byte that tells what it is, and where it is short how long as well.
    Msgpack,
}

/// What these bytes say; nothing where they are no such thing.
pub(super) fn meaning(kind: FieldKind, notation: Notation, bytes: &[u8]) -> String {
    match (notation, bytes) {
        (Notation::Msgpack, &[marker]) => msgpack(marker),
        _ => plain(kind, bytes),
    }
}

/// The same, and the bytes themselves where there are no words for them.
pub(super) fn meaning_or_digits(kind: FieldKind, notation: Notation, bytes: &[u8]) -> String {
    let meaning = meaning(kind, notation, bytes);
    if meaning.is_empty() { hex(bytes) } else { meaning }
}

fn plain(kind: FieldKind, bytes: &[u8]) -> String {
    match kind {
        FieldKind::Length | FieldKind::Opcode | FieldKind::Integer => match bytes.len() {
            // What is counted in one byte has no sign anywhere.
            1 => bytes[0].to_string(),
            2..=8 => number(bytes).to_string(),
            _ => String::new(),
        },
        FieldKind::Varint => from_varint(bytes).map_or_else(String::new, |number| number.to_string()),
        FieldKind::Fraction => {
            bytes.try_into().map_or_else(|_| String::new(), |bytes| f64::from_be_bytes(bytes).to_string())
        }
        FieldKind::Flag => match bytes {
            [0] => "no".to_owned(),
            [1] => "yes".to_owned(),
            _ => String::new(),
        },
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

/// What begins with this byte, by the table in msgpack's specification (`spec.md`, "Formats").
fn msgpack(marker: u8) -> String {
    let behind = |what: &str, width: u8| match width {
        1 => format!("{what}, as long as the next byte says"),
        _ => format!("{what}, as long as the next {width} bytes say"),
    };
    match marker {
        0x00..=0x7f => marker.to_string(),
        0x80..=0x8f => format!("a map of {}", marker & 0x0f),
        0x90..=0x9f => format!("a list of {}", marker & 0x0f),
        0xa0..=0xbf => format!("a string of {}", marker & 0x1f),
        0xc0 => "nil".to_owned(),
        0xc1 => "nothing that msgpack knows".to_owned(),
        0xc2 => "false".to_owned(),
        0xc3 => "true".to_owned(),
        0xc4..=0xc6 => behind("bytes", 1 << (marker - 0xc4)),
        0xc7..=0xc9 => behind("an extension", 1 << (marker - 0xc7)),
        0xca..=0xcb => format!("a fraction of {} bits", 32_u8 << (marker - 0xca)),
        0xcc..=0xcf => format!("a number of {} bits", 8_u8 << (marker - 0xcc)),
        0xd0..=0xd3 => format!("a signed number of {} bits", 8_u8 << (marker - 0xd0)),
        0xd4..=0xd8 => format!("an extension of {}", 1_u8 << (marker - 0xd4)),
        0xd9..=0xdb => behind("a string", 1 << (marker - 0xd9)),
        0xdc..=0xdd => behind("a list", 2 << (marker - 0xdc)),
        0xde..=0xdf => behind("a map", 2 << (marker - 0xde)),
        0xe0..=0xff => (marker as i8).to_string(),
    }
}

/// A signed number whose most significant byte comes first.
fn number(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |number, &byte| number << 8 | i64::from(byte))
}

/// The signed number that stands there in as many bytes as it needs; `None` if it does not end with them, or has more than 64 bits.
fn from_varint(bytes: &[u8]) -> Option<i64> {
    const LONGEST_BYTES: usize = 10;
    let (last, before) = bytes.split_last()?;
    let ends_there = last & 0x80 == 0 && before.iter().all(|byte| byte & 0x80 != 0);
    let number = || bytes.iter().rev().fold(0_u64, |number, byte| number << 7 | u64::from(byte & 0x7f));
    (ends_there && bytes.len() <= LONGEST_BYTES && (bytes.len() < LONGEST_BYTES || *last <= 1)).then(|| number() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_signed_but_those_of_one_byte() {
        let says = |bytes: &[u8]| meaning(FieldKind::Length, Notation::Plain, bytes);
        assert_eq!((says(&[0x80]), says(&[0x80, 0, 0, 0])), ("128".to_owned(), i64::from(i32::MIN).to_string()));
        assert_eq!(number(&[0x7f, 0xff, 0xff, 0xff]), 2_147_483_647);
        assert_eq!(number(&[0xff; 4]), -1);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 0]), i64::MIN);
    }

    #[test]
    fn every_marker_of_msgpack_has_its_words() {
        let says = |marker| meaning(FieldKind::Length, Notation::Msgpack, &[marker]);
        for (marker, words) in [
            (0x07, "7"),
            (0x83, "a map of 3"),
            (0x90, "a list of 0"),
            (0xa5, "a string of 5"),
            (0xbf, "a string of 31"),
            (0xc0, "nil"),
            (0xc4, "bytes, as long as the next byte says"),
            (0xc6, "bytes, as long as the next 4 bytes say"),
            (0xc8, "an extension, as long as the next 2 bytes say"),
            (0xcb, "a fraction of 64 bits"),
            (0xcf, "a number of 64 bits"),
            (0xd0, "a signed number of 8 bits"),
            (0xd8, "an extension of 16"),
            (0xdb, "a string, as long as the next 4 bytes say"),
            (0xdc, "a list, as long as the next 2 bytes say"),
            (0xdf, "a map, as long as the next 4 bytes say"),
            (0xe0, "-32"),
            (0xff, "-1"),
        ] {
            assert_eq!(says(marker), words, "{marker:02x}");
        }
        assert!((0..=0xff).all(|marker| !says(marker).is_empty()));
        // What stands in more bytes is no marker.
        assert_eq!(meaning(FieldKind::Integer, Notation::Msgpack, &[0, 0xa5]), "165");
    }

    #[test]
    fn numbers_of_as_many_bytes_as_they_need_are_told_where_they_end() {
        let says = |bytes: &[u8]| meaning(FieldKind::Varint, Notation::Plain, bytes);
        assert_eq!((says(&[0]), says(&[0xac, 0x02])), ("0".to_owned(), "300".to_owned()));
        assert_eq!(says(&[&[0xff; 9][..], &[1]].concat()), "-1");
        for wrong in [&[][..], &[0x80], &[0x01, 0x01], &[0xff; 11], &[&[0xff; 9][..], &[2]].concat()] {
            assert_eq!(says(wrong), "", "{wrong:?}");
        }
        assert_eq!(meaning_or_digits(FieldKind::Varint, Notation::Plain, &[0x80, 0xff]), "80ff");
    }

    #[test]
    fn fractions_are_told() {
        let says = |bytes: &[u8]| meaning(FieldKind::Fraction, Notation::Plain, bytes);
        assert_eq!(says(&1.5_f64.to_be_bytes()), "1.5");
        assert_eq!(says(&[0; 7]), "");
    }
}
