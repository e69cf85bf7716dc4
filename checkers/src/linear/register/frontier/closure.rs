//! Placing effects at one return, until the operation that returns is settled (rules R2 to R7 of the parent module).

use super::antichain::{Antichain, Config};
use super::mask::Mask;
use super::pending::Pending;
use super::uses::{Available, Pool, Uses};
use super::{Kind, Unanswered};
use crate::linear::Budget;

/// The operation that returns.
#[derive(Clone, Copy)]
pub(super) struct Returning {
    pub(super) slot: usize,
    /// Whether it is an unconditional write.
    pub(super) is_write: bool,
    pub(super) unanswered: Unanswered,
}

impl Returning {
    /// Whether nothing is to be placed before the return: the operation is settled, and no use would be lost.
    fn is_over_in<M: Mask>(self, config: &Config<M>) -> bool {
        config.settled.has(self.slot) && (!self.is_write || config.used.has(self.slot))
    }
}

/// What the closure looks at.
pub(super) struct World<'a, M> {
    pub(super) pending: &'a Pending<M>,
    pub(super) pool: &'a Pool,
    pub(super) uses: &'a mut Uses,
}

/// What an effect is an effect of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::linear) enum Use {
    /// The operation of this slot.
    Slot(usize),
    /// An operation that is never answered, by the number of its effect.
    Unanswered(u32),
}

/// How a configuration came about: from one before the return, by these effects.
#[derive(Clone, Debug)]
pub(in crate::linear) struct Path {
    /// The configuration before the return, by its place.
    pub(in crate::linear) from: usize,
    /// The effects, first to last.
    pub(in crate::linear) uses: Vec<Use>,
}

/// A configuration that was reached.
#[derive(Clone, Copy)]
struct Reached<M> {
    config: Config<M>,
    /// Rule R7: it will be reached later.
    is_covered: bool,
    /// Rule R6: no unconditional write may follow directly.
    is_idle: bool,
    /// Another one dominates it.
    is_evicted: bool,
    /// From which one it was reached, and how; `None` for those before the return.
    last: Option<(u32, Use)>,
    /// Which of those before the return it is, if it is one.
    place: u32,
}

/// How many configurations are compared with others between two looks at the clock: well below a millisecond's work.
pub(in crate::linear::register) const COMPARED_BETWEEN_LOOKS: usize = 1 << 16;

pub(in crate::linear::register) const OUT_OF_TIME: &str = "the time was used up";
pub(in crate::linear::register) const OUT_OF_MEMORY: &str = "the memory was used up";

/// Working memory, kept between returns.
#[derive(Clone)]
pub(super) struct Closure<M> {
    reached: Vec<Reached<M>>,
    seen: Antichain<M>,
    next: Antichain<M>,
    /// For each configuration that was left, where it was reached.
    labels: Vec<u32>,
    next_look: usize,
}

impl<M: Mask> Closure<M> {
    pub(super) fn new(values: u32) -> Self {
        Self {
            reached: Vec::new(),
            seen: Antichain::new(values),
            next: Antichain::new(values),
            labels: Vec::new(),
            next_look: COMPARED_BETWEEN_LOOKS,
        }
    }

    pub(super) fn make_room(&mut self, values: usize) {
        self.seen.make_room(values);
        self.next.make_room(values);
    }

    /// Replaces the configurations by those after the return. `false`, with the configurations as they were, if there
    /// are none.
    pub(super) fn settle(
        &mut self,
        configs: &mut Vec<Config<M>>,
        returning: Returning,
        mut world: World<'_, M>,
        budget: &Budget<'_>,
    ) -> Result<bool, &'static str> {
        self.reached.clear();
        self.seen.clear();
        for (place, &config) in (0..).zip(&*configs) {
            let (is_covered, is_idle, is_evicted) = (false, false, false);
            self.reach(Reached { config, is_covered, is_idle, is_evicted, last: None, place }, returning, world.uses);
        }
        let mut place = 0;
        while place < self.reached.len() {
            let from = Reached { place: place as u32, ..self.reached[place] };
            place += 1;
            if self.is_out_of_time(budget.out_of_time) {
                return Err(OUT_OF_TIME);
            }
            if from.is_evicted || returning.is_over_in(&from.config) {
                continue;
            }
            if self.bytes() + world.uses.bytes() > budget.memory_bytes {
                return Err(OUT_OF_MEMORY);
            }
            self.expand(&from, returning, &mut world);
        }
        if self.keep_what_returned(returning, world.uses, budget)? {
            self.next.drain_into(configs, &mut self.labels);
            return Ok(true);
        }
        Ok(false)
    }

    /// How each of the configurations came about that the last settling left.
    pub(super) fn paths(&self) -> Vec<Path> {
        self.labels.iter().map(|&label| self.path(label)).collect()
    }

    fn path(&self, mut label: u32) -> Path {
        let mut uses = Vec::new();
        while let Some((before, used)) = self.reached[label as usize].last {
            uses.push(used);
            label = before;
        }
        uses.reverse();
        Path { from: self.reached[label as usize].place as usize, uses }
    }

    /// Counts work that is done elsewhere.
    pub(super) fn has_looked_at(&mut self, configs: usize) {
        self.seen.compared += 1 + configs;
    }

    /// Looks at the clock now and then.
    pub(super) fn is_out_of_time(&mut self, out_of_time: &dyn Fn() -> bool) -> bool {
        if self.seen.compared + self.next.compared < self.next_look {
            return false;
        }
        self.next_look = self.seen.compared + self.next.compared + COMPARED_BETWEEN_LOOKS;
        out_of_time()
    }

    /// An upper bound on the memory taken, if each list is as long as all lists may be and has just been moved to twice
    /// its room.
    fn bytes(&self) -> usize {
        3 * self.reached.len() * (size_of::<Reached<M>>() + 3 * size_of::<(Config<M>, u32)>())
    }

    /// Collects what is left after the return; whether there is anything.
    fn keep_what_returned(
        &mut self,
        returning: Returning,
        uses: &Uses,
        budget: &Budget<'_>,
    ) -> Result<bool, &'static str> {
        let bit = M::bit(returning.slot);
        let mut any = false;
        self.next.clear();
        for place in 0..self.reached.len() {
            let reached = &self.reached[place];
            if reached.is_evicted || reached.is_covered || !reached.config.settled.has(returning.slot) {
                continue;
            }
            any = true;
            let mut config = reached.config;
            config.used = config.used.without(bit);
            config.settled = config.settled.without(bit);
            self.next.insert(config, place as u32, returning.unanswered, uses, |_| {});
            if self.is_out_of_time(budget.out_of_time) {
                return Err(OUT_OF_TIME);
            }
        }
        Ok(any)
    }

    fn reach(&mut self, mut reached: Reached<M>, returning: Returning, uses: &Uses) {
        let label = self.reached.len() as u32;
        let (all, is_covered) = (&mut self.reached, &mut reached.is_covered);
        let evict = |evicted: u32| {
            let evicted = &mut all[evicted as usize];
            evicted.is_evicted = true;
            // R7: what takes the place of a member is one.
            *is_covered &= evicted.is_covered || !evicted.config.settled.has(returning.slot);
        };
        if self.seen.insert(reached.config, label, returning.unanswered, uses, evict) {
            self.reached.push(reached);
        }
    }

    /// Makes each use that the rules leave.
    fn expand(&mut self, from: &Reached<M>, returning: Returning, world: &mut World<'_, M>) {
        let config = &from.config;
        let pending = world.pending;
        let mut usable = pending.swaps_from(config.value).without(config.used);
        if !from.is_idle {
            usable |= pending.writes.without(config.used);
        }
        for slot in usable.slots() {
            // R3: those that do the same and return earlier come first.
            if pending.slot(slot).earlier.is_within(config.used) {
                self.use_answered(from, slot, returning, world);
            }
        }
        if world.pool.is_empty() {
            return;
        }
        let pool = world.pool;
        // R3: an answered operation of the same effect comes first.
        let has_answered = |kind: Kind| usable.slots().any(|slot| pending.slot(slot).kind == kind);
        for &available in pool.swaps_from(config.value) {
            if !has_answered(Kind::Swap(config.value, available.to)) {
                self.use_unanswered(from, available, false, returning, world);
            }
        }
        if !from.is_idle {
            for &available in pool.writes() {
                if !has_answered(Kind::Write(available.to)) {
                    self.use_unanswered(from, available, true, returning, world);
                }
            }
        }
    }

    fn use_answered(&mut self, from: &Reached<M>, slot: usize, returning: Returning, world: &World<'_, M>) {
        let pending = world.pending;
        let bit = M::bit(slot);
        let (to, hidden, is_write) = match pending.slot(slot).kind {
            Kind::Write(to) => (to, pending.writes, true),
            Kind::Swap(_, to) => (to, M::default(), false),
            Kind::Observe(_) | Kind::Refused(_) => return,
        };
        let settled = from.config.settled | bit | hidden | pending.settled_by(to);
        let settled_observers = (settled & pending.observers).without(from.config.settled);
        let reached = Reached {
            config: Config { value: to, uses: from.config.uses, used: from.config.used | bit, settled },
            is_covered: from.config.settled.has(returning.slot) && slot != returning.slot,
            is_idle: is_write && settled_observers.is_empty(),
            is_evicted: false,
            last: Some((from.place, Use::Slot(slot))),
            place: 0,
        };
        self.reach(reached, returning, world.uses);
    }

    fn use_unanswered(
        &mut self,
        from: &Reached<M>,
        available: Available,
        is_write: bool,
        returning: Returning,
        world: &mut World<'_, M>,
    ) {
        let uses = match available.times {
            u32::MAX => from.config.uses,
            times if world.uses.of(from.config.uses, available.effect) < times => {
                world.uses.with(from.config.uses, available.effect)
            }
            _ => return,
        };
        let pending = world.pending;
        let hidden = if is_write { pending.writes } else { M::default() };
        let settled = from.config.settled | hidden | pending.settled_by(available.to);
        let settled_observers = (settled & pending.observers).without(from.config.settled);
        let reached = Reached {
            config: Config { value: available.to, uses, used: from.config.used, settled },
            is_covered: from.config.settled.has(returning.slot),
            is_idle: settled_observers.is_empty(),
            is_evicted: false,
            last: Some((from.place, Use::Unanswered(available.effect))),
            place: 0,
        };
        self.reach(reached, returning, world.uses);
    }
}
