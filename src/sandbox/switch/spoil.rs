//! How packets are spoilt on their way: which bytes, into what, and what is written down of it.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_workloads::script::Dice;

/// The cipher that left garbage in whole blocks, of which Xen's guests could tell, worked on so many bytes at once.
const BLOCK_BYTES: usize = 16;

/// So many changes are written down for each link; all are counted.
const NOTED_MAX: usize = 50;

/// One way in which a link spoils packets with data.
///
/// Two are equal only if one was made from the other: each fault has its own budget and its own notes.
#[derive(Clone, Debug)]
pub struct Spoil {
    /// The share of packets with data that are spoilt, of those in which there is something to spoil.
    pub share: f64,
    /// What happens to them.
    pub damage: Damage,
    /// Whether the checksum stays as it was: then the receiver's kernel drops them. Else the application reads them.
    pub detected: bool,
    /// Where; anywhere if not said.
    pub places: Option<Places>,
    /// How many more packets may be spoilt, on all links together.
    pub budget: Budget,
    /// What was done.
    pub notes: SpoilNotes,
}

impl PartialEq for Spoil {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.notes.0, &other.notes.0)
    }
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit is turned.
    Bit,
    /// Four bytes that read as the length of something that is there say something else: the most that a number can say, less than
    /// nothing, one more than is there.
    Length,
    /// Sixteen bytes, at a multiple of sixteen, are garbage: what is left of a block that a cipher got wrong.
    Block,
}

/// What a stream of bytes carries, by the names of its fields.
#[derive(Clone)]
pub struct Places(pub Arc<FindPlaces>);

/// Where the bytes are that may be spoilt, in the data of one packet between these two ports.
pub type FindPlaces = dyn Fn([u16; 2], &[u8]) -> Vec<Place> + Send + Sync;

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Places")
    }
}

/// Some bytes of a packet's data that may be spoilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where they stand.
    pub at: Range<usize>,
    /// What they are called.
    pub name: String,
}

/// How many more packets a fault may spoil. Clones share one budget.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicU64>);

impl Budget {
    /// At most so many.
    #[must_use]
    pub fn of(packets: u64) -> Self {
        Self(Arc::new(AtomicU64::new(packets)))
    }

    fn take(&self) -> bool {
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

/// What was done to the packets of a link. Clones share the same notes.
#[derive(Clone, Debug, Default)]
pub struct SpoilNotes(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    first: Vec<Change>,
    count: usize,
}

impl SpoilNotes {
    /// The first changes, in their order.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        self.noted().first.clone()
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.noted().count
    }

    fn add(&self, change: &Change) {
        let mut noted = self.noted();
        noted.count += 1;
        if noted.first.len() < NOTED_MAX {
            noted.first.push(change.clone());
        }
    }

    /// The lock is held for a moment only, so what a panic left behind is whole.
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One change to the data of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The first byte of the data that was changed.
    pub at: usize,
    /// How long the data were.
    pub of: usize,
    /// What stood there.
    pub before: Vec<u8>,
    /// What stands there now.
    pub after: Vec<u8>,
    /// What the place is called, where that was looked for.
    pub field: Option<String>,
}

impl Change {
    /// Does it to the data that it was chosen for.
    pub(super) fn apply(&self, data: &mut [u8]) {
        data[self.at..self.at + self.after.len()].copy_from_slice(&self.after);
    }
}

impl Spoil {
    /// Bits are turned, and the receivers' kernels find that.
    #[must_use]
    pub fn detected_bits(share: f64) -> Self {
        let (budget, notes) = (Budget::of(u64::MAX), SpoilNotes::default());
        Self { share, damage: Damage::Bit, detected: true, places: None, budget, notes }
    }

    /// What is to be done to these data, if anything.
    pub(super) fn choose(&self, ports: [u16; 2], data: &[u8], dice: &mut Dice) -> Option<Change> {
        // The dice are thrown for every packet, so that what one was has no part in what becomes of the next.
        if !dice.chance(self.share) || data.is_empty() {
            return None;
        }
        let (at, field) = self.place(ports, data, dice)?;
        let before = data[at.clone()].to_vec();
        let after = self.damage.of(&before, dice);
        if before == after || !self.budget.take() {
            return None;
        }
        let change = Change { at: at.start, of: data.len(), before, after, field };
        self.notes.add(&change);
        Some(change)
    }

    fn place(&self, ports: [u16; 2], data: &[u8], dice: &mut Dice) -> Option<(Range<usize>, Option<String>)> {
        let Some(Places(places)) = &self.places else {
            return Some((self.damage.anywhere(data, dice)?, None));
        };
        let inside = |place: &Place| place.at.start < place.at.end && place.at.end <= data.len();
        let mut found: Vec<Place> = places(ports, data).into_iter().filter(inside).collect();
        if self.damage == Damage::Length {
            found.retain(|place| place.at.len() == 4);
        }
        if found.is_empty() {
            return None;
        }
        let Place { at, name } = found.swap_remove(dice.index(found.len()));
        let at = match self.damage {
            Damage::Bit => at.start + dice.index(at.len()),
            Damage::Length => at.start,
            Damage::Block => at.start / BLOCK_BYTES * BLOCK_BYTES,
        };
        Some((self.damage.from(at, data.len()), Some(name)))
    }
}

impl Damage {
    /// A place for it in any data.
    fn anywhere(self, data: &[u8], dice: &mut Dice) -> Option<Range<usize>> {
        let at = match self {
            Self::Bit => dice.index(data.len()),
            Self::Length => {
                let lengths: Vec<usize> = (0..data.len()).filter(|&at| reads_as_length(&data[at..])).collect();
                if lengths.is_empty() {
                    return None;
                }
                lengths[dice.index(lengths.len())]
            }
            Self::Block => dice.index(data.len().div_ceil(BLOCK_BYTES)) * BLOCK_BYTES,
        };
        Some(self.from(at, data.len()))
    }

    /// The bytes that it changes if it begins here.
    fn from(self, at: usize, length: usize) -> Range<usize> {
        let bytes = match self {
            Self::Bit => 1,
            Self::Length => 4,
            Self::Block => BLOCK_BYTES,
        };
        at..length.min(at + bytes)
    }

    /// What becomes of these bytes.
    fn of(self, before: &[u8], dice: &mut Dice) -> Vec<u8> {
        match self {
            Self::Bit => vec![before[0] ^ 1 << dice.index(8)],
            Self::Length => {
                let length = before.try_into().map_or(0, i32::from_be_bytes);
                let edges = [i32::MAX, i32::MAX - 1, length | 1 << 30, length | i32::MIN, -1, length.wrapping_add(1)];
                edges[dice.index(edges.len())].to_be_bytes().to_vec()
            }
            Self::Block => (0..before.len()).map(|_| dice.index(256) as u8).collect(),
        }
    }
}

/// Whether a number stands here that could be the length of what comes after it.
fn reads_as_length(data: &[u8]) -> bool {
    let Some((number, rest)) = data.split_first_chunk::<4>() else { return false };
    usize::try_from(i32::from_be_bytes(*number)).is_ok_and(|length| length > 0 && length <= rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\x00\x00\x00\x05/lock and what comes after it: seven words";

    fn spoil(damage: Damage, places: Option<Places>) -> Spoil {
        Spoil { damage, detected: false, places, ..Spoil::detected_bits(1.0) }
    }

    fn changes(spoil: &Spoil, data: &[u8]) -> Vec<Change> {
        let mut dice = Dice::new(7, 7);
        (0..500).filter_map(|_| spoil.choose([1, 2], data, &mut dice)).collect()
    }

    fn named(at: Range<usize>) -> Option<Places> {
        Some(Places(Arc::new(move |_, _| vec![Place { at: at.clone(), name: "path".to_owned() }])))
    }

    #[test]
    fn a_bit_is_turned_anywhere_and_everywhere() {
        let changes = changes(&spoil(Damage::Bit, None), TEXT);
        assert!(changes.iter().all(|change| (change.before[0] ^ change.after[0]).count_ones() == 1));
        let places: std::collections::BTreeSet<usize> = changes.iter().map(|change| change.at).collect();
        assert_eq!(places.len(), TEXT.len());
    }

    #[test]
    fn a_length_is_looked_for_and_set_to_the_edges() {
        let changes = changes(&spoil(Damage::Length, None), TEXT);
        assert!(changes.iter().all(|change| change.at == 0 && change.before == [0, 0, 0, 5]), "the only length there");
        for edge in [i32::MAX, i32::MAX - 1, 0x4000_0005, i32::MIN | 5, -1, 6] {
            assert!(changes.iter().any(|change| change.after == edge.to_be_bytes()), "{edge:x}");
        }
        assert!(self::changes(&spoil(Damage::Length, None), b"nothing that is one").is_empty());
    }

    #[test]
    fn garbage_comes_in_blocks_that_are_aligned() {
        let changes = changes(&spoil(Damage::Block, None), TEXT);
        let bounds: std::collections::BTreeSet<_> =
            changes.iter().map(|change| (change.at, change.after.len())).collect();
        assert_eq!(bounds.into_iter().collect::<Vec<_>>(), [(0, 16), (16, 16), (32, TEXT.len() - 32)]);
    }

    #[test]
    fn a_field_is_spoilt_where_it_stands() {
        let inside = |damage, at: Range<usize>| changes(&spoil(damage, named(at)), TEXT);
        assert!(inside(Damage::Bit, 4..9).iter().all(|change| (4..9).contains(&change.at)));
        assert!(inside(Damage::Block, 20..21).iter().all(|change| change.at == 16 && change.after.len() == 16));
        assert!(inside(Damage::Length, 0..4).iter().all(|change| change.at == 0));
        assert!(inside(Damage::Length, 4..9).is_empty(), "that is no length");
        assert!(inside(Damage::Bit, 40..400).is_empty(), "that is not there");
    }

    #[test]
    fn a_budget_is_kept_on_all_links_together() {
        let (one, budget) = (spoil(Damage::Bit, None), Budget::of(3));
        let one = Spoil { budget: budget.clone(), ..one };
        let other = Spoil { notes: SpoilNotes::default(), ..one.clone() };
        assert_eq!((changes(&one, TEXT).len(), changes(&other, TEXT).len()), (3, 0));
        assert_eq!((one.notes.changes().len(), one.notes.count(), other.notes.count()), (3, 3, 0));
        assert!(one != other && one == one.clone());
    }

    #[test]
    fn a_change_is_what_is_done() {
        let mut dice = Dice::new(1, 1);
        let mut data = TEXT.to_vec();
        let change = spoil(Damage::Block, None).choose([1, 2], &data, &mut dice).expect("a change");
        change.apply(&mut data);
        let end = change.at + change.after.len();
        assert_eq!((&data[change.at..end], &data[end..]), (&change.after[..], &TEXT[end..]));
    }
}
