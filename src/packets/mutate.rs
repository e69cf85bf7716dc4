//! What is done to a well-formed packet to make a malformed one.
//!
//! A [`Deed`] is one change, written down so that it can be done again, or left out. Which ones are chosen depends on the dice
//! alone.

use std::fmt;

use leasehold_workloads::script::Dice;
use serde::{Deserialize, Serialize};

use super::{Field, FieldKind, Packet};

/// How long a block is that a cipher works on at once.
const BLOCK_BYTES: usize = 16;

/// One change to the packets of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Other bytes stand in a field, more or fewer than there were.
    Overwrite {
        /// Which of the packets.
        packet: usize,
        /// The field, by its number.
        field: usize,
        /// What stands there now.
        with: Vec<u8>,
    },
    /// Bytes are changed where they stand, whatever field they belong to.
    Patch {
        /// Which of the packets.
        packet: usize,
        /// The first of them.
        at: usize,
        /// What stands there now.
        with: Vec<u8>,
    },
    /// Nothing comes after so many bytes.
    Truncate {
        /// Which of the packets.
        packet: usize,
        /// How many are left.
        length: usize,
    },
    /// A packet is sent twice.
    Duplicate {
        /// Which.
        packet: usize,
    },
    /// Two packets change places.
    Swap {
        /// The first.
        packet: usize,
        /// The other.
        with: usize,
    },
}

/// A deed, by which mutator, and to which field.
pub type Done = (Mutator, String, Deed);

impl Deed {
    /// The name of the field that it is done to, in packets that stand like this.
    #[must_use]
    pub fn field(&self, packets: &[Packet]) -> String {
        let field = match self {
            Self::Overwrite { packet, field, .. } => {
                packets.get(*packet).and_then(|packet| packet.fields().get(*field))
            }
            Self::Patch { packet, at, .. } => packets.get(*packet).and_then(|packet| field_at(packet, *at)),
            Self::Truncate { packet, length } => packets.get(*packet).and_then(|packet| field_at(packet, *length)),
            Self::Duplicate { .. } | Self::Swap { .. } => return "the order".to_owned(),
        };
        field.map_or_else(|| "the end".to_owned(), |field| field.name.clone())
    }
}

/// A way to make a packet malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mutator {
    /// A length says the most that it can, or nearly; less than nothing, nothing; one more or less than is there.
    Length,
    /// A type or an opcode is another.
    Opcode,
    /// The end is missing.
    Truncation,
    /// One bit is turned.
    Bit,
    /// Sixteen bytes at a multiple of sixteen are garbage.
    Block,
    /// A packet is sent twice, or before the one that comes before it.
    Order,
}

impl Mutator {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Length, Self::Opcode, Self::Truncation, Self::Bit, Self::Block, Self::Order];

    /// What it does to a message; `None` where there is nothing of the kind in it.
    #[must_use]
    pub fn choose(self, packets: &[Packet], dice: &mut Dice) -> Option<Deed> {
        let packet = dice.index(packets.len().max(1));
        let bytes = packets.get(packet)?.bytes();
        match self {
            Self::Length => of_field(packets, dice, is_length, edge),
            Self::Opcode => of_field(packets, dice, |kind| kind == FieldKind::Opcode, other_opcode),
            Self::Truncation => {
                let length = 1 + dice.index(bytes.len().checked_sub(1).filter(|bytes| *bytes > 0)?);
                Some(Deed::Truncate { packet, length })
            }
            Self::Bit => {
                let at = dice.index(Some(bytes.len()).filter(|bytes| *bytes > 0)?);
                Some(Deed::Patch { packet, at, with: vec![bytes[at] ^ 1 << dice.index(8)] })
            }
            Self::Block => {
                let blocks = Some(bytes.len().div_ceil(BLOCK_BYTES)).filter(|blocks| *blocks > 0)?;
                let at = dice.index(blocks) * BLOCK_BYTES;
                let length = BLOCK_BYTES.min(bytes.len() - at);
                Some(Deed::Patch { packet, at, with: (0..length).map(|_| dice.index(256) as u8).collect() })
            }
            Self::Order => {
                if packets.len() > 1 && dice.chance(0.5) {
                    let with = (packet + 1 + dice.index(packets.len() - 1)) % packets.len();
                    return Some(Deed::Swap { packet, with });
                }
                Some(Deed::Duplicate { packet })
            }
        }
    }
}

impl fmt::Display for Mutator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "length",
            Self::Opcode => "opcode",
            Self::Truncation => "truncation",
            Self::Bit => "bit",
            Self::Block => "block",
            Self::Order => "order",
        })
    }
}

/// The packets with all of that done to them, one deed after the other. What does not fit any more is left out.
#[must_use]
pub fn done(packets: &[Packet], deeds: &[Deed]) -> Vec<Packet> {
    let mut packets = packets.to_vec();
    for deed in deeds {
        match deed {
            Deed::Overwrite { packet, field, with } => {
                if let Some(packet) = packets.get_mut(*packet).filter(|packet| *field < packet.fields().len()) {
                    packet.overwrite(*field, with);
                }
            }
            Deed::Patch { packet, at, with } => {
                if let Some(packet) = packets.get_mut(*packet) {
                    packet.patch(*at, with);
                }
            }
            Deed::Truncate { packet, length } => {
                if let Some(packet) = packets.get_mut(*packet) {
                    packet.truncate(*length);
                }
            }
            Deed::Duplicate { packet } => {
                if let Some(copy) = packets.get(*packet).cloned() {
                    packets.insert(packet + 1, copy);
                }
            }
            Deed::Swap { packet, with } => {
                if packet.max(with) < &packets.len() {
                    packets.swap(*packet, *with);
                }
            }
        }
    }
    packets
}

fn is_length(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Length | FieldKind::Varint | FieldKind::Digits)
}

fn of_field(
    packets: &[Packet],
    dice: &mut Dice,
    is_meant: impl Fn(FieldKind) -> bool,
    change: impl Fn(FieldKind, &[u8], &mut Dice) -> Vec<u8>,
) -> Option<Deed> {
    let fields: Vec<(usize, usize)> = packets
        .iter()
        .enumerate()
        .flat_map(|(packet, bytes)| (0..bytes.fields().len()).map(move |field| (packet, field)))
        .filter(|&(packet, field)| is_meant(packets[packet].fields()[field].kind))
        .collect();
    if fields.is_empty() {
        return None;
    }
    let (packet, field) = fields[dice.index(fields.len())];
    let (bytes, chosen) = (&packets[packet], &packets[packet].fields()[field]);
    let with = change(chosen.kind, bytes.bytes_of(chosen), dice);
    Some(Deed::Overwrite { packet, field, with })
}

/// Another length, at an edge.
fn edge(kind: FieldKind, bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let said = match kind {
        FieldKind::Digits => std::str::from_utf8(bytes).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0),
        FieldKind::Varint => from_varint(bytes),
        _ => bytes.iter().fold(0_i64, |number, &byte| number << 8 | i64::from(byte)),
    };
    let edges = [
        i64::from(i32::MAX),
        i64::from(i32::MAX) - 1,
        said.wrapping_add(1),
        said.saturating_sub(1).max(0),
        0,
        -1,
        i64::from(i32::MIN),
        said | 1 << 30,
        i64::MAX,
    ];
    let length = edges[dice.index(edges.len())];
    match kind {
        FieldKind::Digits => length.to_string().into_bytes(),
        FieldKind::Varint => varint(length as u64),
        // The most and the least that so few bytes can say are those of 32 bits, cut off.
        _ => match bytes.len() {
            width @ 0..=3 if length == i64::from(i32::MAX) => [&[0x7f][..], &[0xff; 3]].concat()[..width].to_vec(),
            width => {
                let wide = length.to_be_bytes();
                wide[wide.len().saturating_sub(width)..].to_vec()
            }
        },
    }
}

/// Another type: one near by, or any.
fn other_opcode(_: FieldKind, bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut other = bytes.to_vec();
    let Some(last) = other.last_mut() else { return other };
    match dice.index(4) {
        0 => *last = last.wrapping_add(1),
        1 => *last = last.wrapping_sub(1),
        2 => *last = dice.index(256) as u8,
        _ => other.iter_mut().for_each(|byte| *byte = dice.index(256) as u8),
    }
    other
}

/// The field in which a byte stands.
fn field_at(packet: &Packet, at: usize) -> Option<&Field> {
    packet.fields().iter().find(|field| field.at.contains(&at))
}

/// A number in as many bytes as it needs, seven bits in each.
#[must_use]
pub(super) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn from_varint(bytes: &[u8]) -> i64 {
    bytes.iter().take(9).rev().fold(0, |number, &byte| number << 7 | i64::from(byte & 0x7f))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::packets::zookeeper::Request;
    use proptest::prelude::*;

    fn message() -> Vec<Packet> {
        vec![Request::Create.packet(), Request::Ping.packet()]
    }

    fn deeds(mutator: Mutator) -> Vec<(Deed, String)> {
        let mut dice = Dice::new(3, 3);
        let chosen = (0..400).filter_map(|_| mutator.choose(&message(), &mut dice));
        chosen.map(|deed| (deed.clone(), deed.field(&message()))).collect()
    }

    #[test]
    fn lengths_go_to_the_edges() {
        let of_path: BTreeSet<Vec<u8>> = deeds(Mutator::Length)
            .into_iter()
            .filter_map(|(deed, field)| match deed {
                Deed::Overwrite { with, .. } if field == "path length" => Some(with),
                _ => None,
            })
            .collect();
        for edge in [i32::MAX, i32::MAX - 1, 8, 6, 0, -1, i32::MIN, 0x4000_0007] {
            assert!(of_path.contains(edge.to_be_bytes().as_slice()), "{edge:x}");
        }
    }

    #[test]
    fn lengths_keep_to_their_way_of_writing() {
        let all = |kind, bytes: &[u8]| {
            let mut dice = Dice::new(1, 1);
            (0..200).map(|_| edge(kind, bytes, &mut dice)).collect::<BTreeSet<Vec<u8>>>()
        };
        assert!(all(FieldKind::Digits, b"12").contains(b"2147483647".as_slice()));
        assert!(all(FieldKind::Digits, b"12").contains(b"-1".as_slice()));
        assert!(all(FieldKind::Varint, &[0x0c]).contains(&varint(13)));
        assert!(all(FieldKind::Varint, &[0xac, 0x02]).contains(&varint(301)));
        assert!(all(FieldKind::Length, &[0, 0, 9]).iter().all(|bytes| bytes.len() == 3));
        assert!(all(FieldKind::Length, &[0, 0, 9]).contains([0x7f, 0xff, 0xff].as_slice()));
    }

    #[test]
    fn every_mutator_does_something_to_a_message() {
        for mutator in Mutator::ALL {
            let deeds = deeds(mutator);
            assert!(deeds.len() == 400, "{mutator}");
            let changed = deeds.iter().filter(|(deed, _)| done(&message(), std::slice::from_ref(deed)) != message());
            assert!(changed.count() > 300, "{mutator}");
            let fields: BTreeSet<&String> = deeds.iter().map(|(_, field)| field).collect();
            let is_of_one = matches!(mutator, Mutator::Order | Mutator::Opcode);
            assert!(fields.len() > 2 || is_of_one, "{mutator}: {fields:?}");
        }
    }

    #[test]
    fn the_same_dice_choose_the_same() {
        assert_eq!(deeds(Mutator::Block), deeds(Mutator::Block));
    }

    proptest! {
        #[test]
        fn no_deed_breaks_anything(packet in 0_usize..4, at in 0_usize..200, with in proptest::collection::vec(any::<u8>(), 0..20)) {
            let all = [
                Deed::Overwrite { packet, field: at, with: with.clone() },
                Deed::Patch { packet, at, with },
                Deed::Truncate { packet, length: at },
                Deed::Duplicate { packet },
                Deed::Swap { packet, with: at },
            ];
            let _ = done(&message(), &all);
        }

        #[test]
        fn a_varint_is_read_as_it_was_written(number in 0_i64..i64::MAX) {
            prop_assert_eq!(from_varint(&varint(number as u64)), number);
        }
    }
}
