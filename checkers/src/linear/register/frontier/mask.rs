//! Sets of slots, as wide as the history is concurrent.

use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

/// A set of slots.
pub(in crate::linear) trait Mask:
    Copy + Eq + Default + BitAnd<Output = Self> + BitOr<Output = Self> + BitOrAssign + Not<Output = Self>
{
    /// How many slots there are.
    const SLOTS: usize;

    /// The set of this one slot.
    fn bit(slot: usize) -> Self;

    /// The lowest slot of a set that is not empty.
    fn lowest(self) -> usize;

    fn is_empty(self) -> bool {
        self == Self::default()
    }

    fn has(self, slot: usize) -> bool {
        !(self & Self::bit(slot)).is_empty()
    }

    fn without(self, other: Self) -> Self {
        self & !other
    }

    fn is_within(self, other: Self) -> bool {
        self.without(other).is_empty()
    }

    fn slots(self) -> Slots<Self> {
        Slots(self)
    }
}

/// The slots of a set, lowest first.
pub(in crate::linear) struct Slots<M>(M);

impl<M: Mask> Iterator for Slots<M> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        let slot = self.0.lowest();
        self.0 = self.0.without(M::bit(slot));
        Some(slot)
    }
}

impl Mask for u64 {
    const SLOTS: usize = 64;

    fn bit(slot: usize) -> Self {
        1 << slot
    }

    fn lowest(self) -> usize {
        self.trailing_zeros() as usize
    }
}

impl Mask for u128 {
    const SLOTS: usize = 128;

    fn bit(slot: usize) -> Self {
        1 << slot
    }

    fn lowest(self) -> usize {
        self.trailing_zeros() as usize
    }
}

/// A set of 512 slots, for histories with hundreds of operations under way at once.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::linear) struct Wide([u64; 8]);

impl Wide {
    fn zip(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|word| combine(self.0[word], other.0[word])))
    }
}

impl BitAnd for Wide {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }
}

impl BitOr for Wide {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }
}

impl BitOrAssign for Wide {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl Not for Wide {
    type Output = Self;

    fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

impl Mask for Wide {
    const SLOTS: usize = 512;

    fn bit(slot: usize) -> Self {
        let mut words = [0; 8];
        words[slot / 64] = 1 << (slot % 64);
        Self(words)
    }

    fn lowest(self) -> usize {
        let word = self.0.iter().position(|&word| word != 0).unwrap_or(0);
        word * 64 + self.0[word].trailing_zeros() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots_come_back<M: Mask>() {
        let chosen = [0, 1, 5, M::SLOTS / 2, M::SLOTS - 1];
        let set = chosen.iter().fold(M::default(), |set, &slot| set | M::bit(slot));
        assert_eq!(set.slots().collect::<Vec<_>>(), chosen);
        assert!(set.has(5) && !set.has(6) && M::bit(5).is_within(set) && !M::bit(6).is_within(set));
    }

    #[test]
    fn each_width() {
        slots_come_back::<u64>();
        slots_come_back::<u128>();
        slots_come_back::<Wide>();
    }
}
