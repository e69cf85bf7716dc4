//! The operations under way, each in a slot that is used again after its return.
//!
//! A configuration then is a few sets of slots, of a size that depends on how many operations are under way at once and
//! not on the length of the history.

use super::mask::Mask;
use crate::linear::register::problem::Kind;

/// What one slot holds.
#[derive(Clone, Copy)]
pub(super) struct Slot<M> {
    pub(super) kind: Kind,
    /// When it returns: its place among the steps.
    deadline: u32,
    /// The slots under way that do the same and return earlier (rule R3: they are used first).
    pub(super) earlier: M,
}

/// What the operations under way have to do with one value.
#[derive(Clone, Copy, Default)]
struct AtValue<M> {
    /// Those that are settled by the register having this value: observers of it, and writes of it.
    settled: M,
    /// Failed swaps that expected it: the only ones that this value does not settle.
    refused: M,
    /// Swaps from it.
    swaps: M,
}

/// The operations under way.
#[derive(Clone)]
pub(super) struct Pending<M> {
    free: M,
    /// Unconditional writes.
    pub(super) writes: M,
    /// Operations that change nothing.
    pub(super) observers: M,
    refused: M,
    slots: Vec<Slot<M>>,
    values: Vec<AtValue<M>>,
}

impl<M: Mask> Pending<M> {
    pub(super) fn new(values: usize) -> Self {
        Self {
            free: !M::default(),
            writes: M::default(),
            observers: M::default(),
            refused: M::default(),
            slots: vec![Slot { kind: Kind::Observe(0), deadline: 0, earlier: M::default() }; M::SLOTS],
            values: vec![AtValue::default(); values],
        }
    }

    pub(super) fn make_room(&mut self, values: usize) {
        self.values.resize_with(values.max(self.values.len()), AtValue::default);
    }

    /// The values of the operations under way.
    pub(super) fn mark(&self, used: &mut impl FnMut(u32)) {
        for slot in (!self.free).slots() {
            self.slots[slot].kind.renumbered(|value| {
                used(value);
                value
            });
        }
    }

    /// The slots that are settled while the register has this value.
    pub(super) fn settled_by(&self, value: u32) -> M {
        let at = &self.values[value as usize];
        at.settled | self.refused.without(at.refused)
    }

    /// The swaps that could be done at this value.
    pub(super) fn swaps_from(&self, value: u32) -> M {
        self.values[value as usize].swaps
    }

    pub(super) fn slot(&self, slot: usize) -> &Slot<M> {
        &self.slots[slot]
    }

    /// Gives an operation a slot; `None` where all are taken.
    pub(super) fn enter(&mut self, kind: Kind, deadline: u32) -> Option<usize> {
        if self.free.is_empty() {
            return None;
        }
        let slot = self.free.lowest();
        let bit = M::bit(slot);
        self.free = self.free.without(bit);
        self.slots[slot] = Slot { kind, deadline, earlier: M::default() };
        self.file(kind, |set| *set |= bit);
        for other in self.same_kind(kind).without(bit).slots() {
            if self.slots[other].kind == kind {
                if self.slots[other].deadline < deadline {
                    self.slots[slot].earlier |= M::bit(other);
                } else {
                    self.slots[other].earlier |= bit;
                }
            }
        }
        Some(slot)
    }

    /// Empties a slot.
    pub(super) fn leave(&mut self, slot: usize) {
        let bit = M::bit(slot);
        let kind = self.slots[slot].kind;
        self.free |= bit;
        self.file(kind, |set| *set = set.without(bit));
        for other in self.same_kind(kind).slots() {
            self.slots[other].earlier = self.slots[other].earlier.without(bit);
        }
    }

    /// Where operations that could do the same as this one are found; nothing for observers, which are not used.
    fn same_kind(&self, kind: Kind) -> M {
        match kind {
            Kind::Write(_) => self.writes,
            Kind::Swap(from, _) => self.values[from as usize].swaps,
            Kind::Observe(_) | Kind::Refused(_) => M::default(),
        }
    }

    fn file(&mut self, kind: Kind, change: impl Fn(&mut M)) {
        match kind {
            Kind::Observe(value) => {
                change(&mut self.observers);
                change(&mut self.values[value as usize].settled);
            }
            Kind::Refused(value) => {
                change(&mut self.observers);
                change(&mut self.refused);
                change(&mut self.values[value as usize].refused);
            }
            Kind::Write(value) => {
                change(&mut self.writes);
                change(&mut self.values[value as usize].settled);
            }
            Kind::Swap(from, _) => change(&mut self.values[from as usize].swaps),
        }
    }
}
