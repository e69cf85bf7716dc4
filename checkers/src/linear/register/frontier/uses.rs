//! How often a configuration has used each effect of an operation that was never answered.

use std::collections::HashMap;

use crate::linear::register::problem::Effect;

/// Counts of uses, each known by a number. Most configurations of a history have used nothing: number 0.
#[derive(Clone)]
pub(super) struct Uses {
    counts: Vec<Box<[(u32, u32)]>>,
    totals: Vec<u32>,
    numbers: HashMap<Box<[(u32, u32)]>, u32>,
    after: HashMap<(u32, u32), u32>,
    bytes: usize,
}

/// Nothing was used.
pub(super) const NOTHING: u32 = 0;

impl Uses {
    pub(super) fn new() -> Self {
        let nothing: Box<[(u32, u32)]> = Box::default();
        Self {
            counts: vec![nothing.clone()],
            totals: vec![0],
            numbers: HashMap::from([(nothing, NOTHING)]),
            after: HashMap::new(),
            bytes: 0,
        }
    }

    /// How often these counts use an effect.
    pub(super) fn of(&self, uses: u32, effect: u32) -> u32 {
        let counts = &self.counts[uses as usize];
        counts.binary_search_by_key(&effect, |&(effect, _)| effect).map_or(0, |place| counts[place].1)
    }

    /// The counts after one more use of an effect.
    pub(super) fn with(&mut self, uses: u32, effect: u32) -> u32 {
        if let Some(&known) = self.after.get(&(uses, effect)) {
            return known;
        }
        let mut counts = self.counts[uses as usize].to_vec();
        match counts.binary_search_by_key(&effect, |&(effect, _)| effect) {
            Ok(place) => counts[place].1 += 1,
            Err(place) => counts.insert(place, (effect, 1)),
        }
        let counts = counts.into_boxed_slice();
        let number = match self.numbers.get(&counts) {
            Some(&number) => number,
            None => self.add(counts),
        };
        self.after.insert((uses, effect), number);
        self.bytes += 64;
        number
    }

    fn add(&mut self, counts: Box<[(u32, u32)]>) -> u32 {
        let number = self.counts.len() as u32;
        self.bytes += 2 * (counts.len() * size_of::<(u32, u32)>() + 96);
        self.totals.push(counts.iter().map(|&(_, times)| times).sum());
        self.numbers.insert(counts.clone(), number);
        self.counts.push(counts);
        number
    }

    pub(super) fn total(&self, uses: u32) -> u32 {
        self.totals[uses as usize]
    }

    /// Whether the first uses no effect more often than the second.
    pub(super) fn is_within(&self, first: u32, second: u32) -> bool {
        first == second
            || (self.total(first) <= self.total(second)
                && self.counts[first as usize].iter().all(|&(effect, times)| times <= self.of(second, effect)))
    }

    /// About how much memory this takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// An effect that operations without an answer may have.
#[derive(Clone, Copy)]
pub(super) struct Available {
    pub(super) to: u32,
    /// Its number.
    pub(super) effect: u32,
    /// How many operations may have it; `u32::MAX` for any number of times.
    pub(super) times: u32,
}

/// The effects that operations called until now may have without ever being answered.
#[derive(Clone, Default)]
pub(super) struct Pool {
    writes: Vec<Available>,
    swaps: HashMap<u32, Vec<Available>>,
    numbers: HashMap<Effect, u32>,
}

impl Pool {
    /// One more operation may have this effect.
    pub(super) fn add(&mut self, effect: Effect, times: u32) {
        let fresh = self.numbers.len() as u32;
        let number = *self.numbers.entry(effect).or_insert(fresh);
        let list = match effect.from {
            None => &mut self.writes,
            Some(from) => self.swaps.entry(from).or_default(),
        };
        match list.iter_mut().find(|available| available.effect == number) {
            Some(available) => available.times = available.times.saturating_add(times),
            None => list.push(Available { to: effect.to, effect: number, times }),
        }
    }

    /// The effect of this number.
    pub(super) fn effect(&self, number: u32) -> Option<Effect> {
        self.numbers.iter().find(|&(_, &known)| known == number).map(|(&effect, _)| effect)
    }

    /// The values of all effects.
    pub(super) fn mark(&self, used: &mut impl FnMut(u32)) {
        for effect in self.numbers.keys() {
            used(effect.to);
            if let Some(from) = effect.from {
                used(from);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    pub(super) fn writes(&self) -> &[Available] {
        &self.writes
    }

    pub(super) fn swaps_from(&self, value: u32) -> &[Available] {
        self.swaps.get(&value).map_or(&[], Vec::as_slice)
    }
}
