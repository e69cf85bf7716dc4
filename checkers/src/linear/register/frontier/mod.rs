//! The general search for registers: all ways of ordering the operations at once, event by event.
//!
//! The *frontier* is the set of configurations that the answers so far allow, each once and none that another makes
//! needless. It is exact, and its cost grows with the length of the history times the size of the frontier, which
//! depends on how many operations are under way at once: it is exponential in that alone.
//!
//! A configuration is the register's value and two sets of the operations under way: `used`, the writes and swaps whose
//! effect was seen, and `settled`, those whose demand is met, so that they may return. Both are sets of *slots*
//! ([`pending`]). Effects of operations that are never answered hold no slot; a configuration counts how often it used
//! each ([`uses`]).
//!
//! # The rules, and why each loses nothing
//!
//! Let an order be given that explains all answers. The rules turn it, step by step, into one that the search finds.
//!
//! * **R1, observers at once.** A read, or a swap that failed, changes nothing: it can be moved to the first instant
//!   after its call at which its demand is met. It is settled in the configuration in which it is called, or as soon as
//!   a value is entered that meets its demand.
//! * **R2, hidden writes.** A write of `u` need not be seen. (a) If the register has the value `u` at some instant
//!   while the write is under way, it can be put there and changes nothing. (b) If another unconditional write takes
//!   effect while it is under way, it can be put right before that and nobody sees it. So these events settle it, and
//!   it stays unused: its effect may still serve later, until it returns. (Used then, it is used once: the order needs
//!   it only there, and its hidden place is given up.) The use of a write thus settles all writes under way, and all
//!   that its value settles.
//! * **R3, alike operations.** Of writes of the same value, or swaps of the same values, the one that returns first is
//!   used first: if another is used at `t` and this one at `t' > t` or never seen, both are under way at `t`, so they
//!   can change places, as the other is still under way at `t'`. If this one had been settled unseen before `t`, it is
//!   now seen at `t` instead, and the other, if a write, is hidden right before it. An answered operation is used
//!   rather than an unanswered one of the same effect, which is still there after the former has returned.
//! * **R4, just in time.** Effects are placed only at the return of some operation `o`. An effect placed between two
//!   returns can be put off, with all that follow it, to just before the next return: no operation ends in between,
//!   and what was called in between can only be settled by more. At the return of `o`, where `o` is settled, effects
//!   are put off further, to the next return, unless `o` is a write not yet used: this is its last chance, so effects
//!   are placed now where the last of them is `o`'s. Where `o` is not settled, effects are placed until it is.
//! * **R5, dominance.** If X and Y have the same value, X has used no more and settled no less than Y, each
//!   continuation of Y is one of X: uses that Y can make X can make, and what they settle is settled in X as well.
//! * **R6, idle writes.** If an unconditional write settles nothing but writes, it is not followed directly by another
//!   one: without it, the second settles the same writes, and less is used. The same holds for a swap by an operation
//!   that is never answered, as nothing demands that it takes effect.
//! * **R7, coverage.** At the return of `o`, what is reached from a configuration in which `o` is settled, without
//!   using `o`, is *covered*: no member of the next frontier, as it is reached again from that configuration later
//!   (R4). That configuration is a member, or covered in its turn, or one that dominates it is there instead; and what
//!   takes the place of a member becomes one. So each covered configuration is reached from a member.
//!
//! Conversely each configuration stands for an order that is possible: effects are placed while their operations are
//! under way, and each settled operation was so at an instant while it was under way.
//!
//! The rules R3 to R5 and the placement of writes just in time are in the manner of Lowe, *Testing for
//! linearizability*, CCPE 29(4), 2017.
//!
//! # Operations without an answer
//!
//! [`Unanswered`] says how they may take effect. Each way but the last is exact in one direction only; the
//! [portfolio](super::portfolio) asks them in turn.

mod antichain;
mod closure;
pub(super) mod mask;
mod pending;
mod search;
mod uses;

pub(super) use closure::{OUT_OF_MEMORY, OUT_OF_TIME, Path, Use};
pub(super) use search::{Reach, Search, search};

use std::collections::BTreeSet;

use antichain::Config;
use closure::{Closure, Returning};
use mask::Mask;
use pending::Pending;
use uses::{NOTHING, Pool, Uses};

use super::problem::{Effect, Kind};
use crate::linear::Budget;

/// How operations without an answer may take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::linear) enum Unanswered {
    /// Once each, but only at a return that is inexplicable otherwise, and a configuration with fewer uses in total
    /// makes others needless. Exact where there are none; otherwise an order that is found is a proof.
    Sparingly,
    /// Any number of times each. If no order is found, that is a proof.
    AnyNumberOfTimes,
    /// Once each, but a configuration with fewer uses in total makes others needless. An order found is a proof.
    OnceByTotal,
    /// Once each. Exact.
    OnceEach,
}

/// All ways of ordering the operations so far.
///
/// It is told what happens step by step: each operation that is called and will be answered gets a slot until it returns.
#[derive(Clone)]
pub(in crate::linear) struct Frontier<M> {
    unanswered: Unanswered,
    pending: Pending<M>,
    pool: Pool,
    uses: Uses,
    configs: Vec<Config<M>>,
    closure: Closure<M>,
    values: usize,
    memory_bytes: usize,
    /// Whether the last return was not explained by what was placed before.
    has_settled: bool,
}

/// More operations are under way at once than a set has room for.
pub(in crate::linear) const TOO_MANY: &str = "more operations were under way at once than the search can tell apart";

impl<M: Mask> Frontier<M> {
    /// Before the first step: the register has one of these values, and may have any below `values`.
    pub(in crate::linear) fn new(
        values: u32,
        starts: impl Iterator<Item = u32>,
        unanswered: Unanswered,
        memory_bytes: usize,
    ) -> Self {
        let start = |value| Config { value, uses: NOTHING, used: M::default(), settled: M::default() };
        Self {
            unanswered,
            pending: Pending::new(values as usize),
            pool: Pool::default(),
            uses: Uses::new(),
            configs: starts.map(start).collect(),
            closure: Closure::new(values),
            values: values as usize,
            memory_bytes,
            has_settled: false,
        }
    }

    /// From now on the search may take so much memory.
    pub(in crate::linear) fn limit(&mut self, memory_bytes: usize) {
        self.memory_bytes = memory_bytes;
    }

    /// From now on there are so many values.
    pub(in crate::linear) fn make_room(&mut self, values: u32) {
        self.values = self.values.max(values as usize);
        self.pending.make_room(self.values);
        self.closure.make_room(self.values);
    }

    /// Where the register may still have this value, it may as well have another one that nothing mentioned before.
    pub(in crate::linear) fn admit(&mut self, unknown: u32, value: u32) {
        let unknown = |config: &&Config<M>| config.value == unknown;
        let admitted: Vec<_> = self.configs.iter().filter(unknown).map(|&config| Config { value, ..config }).collect();
        self.configs.extend(admitted);
    }

    /// Each value that the register may have, or that something may give it or demands of it.
    pub(in crate::linear) fn mark(&self, mut used: impl FnMut(u32)) {
        self.configs.iter().for_each(|config| used(config.value));
        self.pool.mark(&mut used);
        self.pending.mark(&mut used);
    }

    /// Whether nothing is unanswered, so that no way of placing effects was left out.
    pub(in crate::linear) fn is_exact(&self) -> bool {
        self.pool.is_empty()
    }

    /// From now on this effect may happen, once more or any number of times.
    pub(in crate::linear) fn may_happen(&mut self, effect: Effect, times: u32) {
        let times = if self.unanswered == Unanswered::AnyNumberOfTimes { u32::MAX } else { times };
        self.pool.add(effect, times);
    }

    /// An operation is called that returns at this step. Gives it a slot.
    pub(in crate::linear) fn call(&mut self, kind: Kind, deadline: u32) -> Result<usize, &'static str> {
        let slot = self.pending.enter(kind, deadline).ok_or(TOO_MANY)?;
        self.closure.has_looked_at(self.configs.len());
        let bit = M::bit(slot);
        let settled_at = |value: u32| match kind {
            Kind::Observe(wanted) | Kind::Write(wanted) => value == wanted,
            Kind::Refused(expected) => value != expected,
            Kind::Swap(..) => false,
        };
        for config in &mut self.configs {
            if settled_at(config.value) {
                config.settled |= bit;
            }
        }
        Ok(slot)
    }

    /// Keeps what lets the operation of a slot return. `false`, with everything as it was, where nothing does.
    pub(in crate::linear) fn ret(&mut self, slot: usize, out_of_time: &dyn Fn() -> bool) -> Result<bool, &'static str> {
        self.closure.has_looked_at(self.configs.len());
        if self.closure.is_out_of_time(out_of_time) {
            return Err(OUT_OF_TIME);
        }
        let kind = self.pending.slot(slot).kind;
        let changes = kind.effect().is_some();
        let bit = M::bit(slot);
        let is_over = |config: &Config<M>| (if changes { config.used } else { config.settled }).has(slot);
        self.has_settled = false;
        if self.configs.iter().all(is_over) {
            for config in &mut self.configs {
                config.used = config.used.without(bit);
                config.settled = config.settled.without(bit);
            }
        } else {
            self.has_settled = true;
            let is_write = matches!(kind, Kind::Write(_));
            let returning = Returning { slot, is_write, unanswered: self.unanswered };
            let sparingly = self.unanswered == Unanswered::Sparingly;
            let nothing = Pool::default();
            let explained = self.settle(returning, sparingly.then_some(&nothing), out_of_time)?
                || (sparingly && !self.pool.is_empty() && self.settle(returning, None, out_of_time)?);
            if !explained {
                return Ok(false);
            }
        }
        self.pending.leave(slot);
        Ok(true)
    }

    /// Places effects, of unanswered operations from this pool instead of all that there are.
    fn settle(
        &mut self,
        returning: Returning,
        pool: Option<&Pool>,
        out_of_time: &dyn Fn() -> bool,
    ) -> Result<bool, &'static str> {
        let Some(memory_bytes) = self.memory_bytes.checked_sub(self.fixed_bytes()) else {
            return Err(closure::OUT_OF_MEMORY);
        };
        let pool = pool.unwrap_or(&self.pool);
        let world = closure::World { pending: &self.pending, pool, uses: &mut self.uses };
        let budget = Budget { out_of_time, memory_bytes };
        self.closure.settle(&mut self.configs, returning, world, &budget)
    }

    /// What the tables by value and the frontier itself take.
    fn fixed_bytes(&self) -> usize {
        Self::bytes_for(self.values) + 2 * size_of_val(&*self.configs)
    }

    /// What the tables for so many values take.
    fn bytes_for(values: usize) -> usize {
        values * (3 * size_of::<M>() + 2 * size_of::<Vec<Config<M>>>())
    }

    /// How each configuration came about at the last return; `None` where each is as it was.
    pub(in crate::linear) fn paths(&self) -> Option<Vec<Path>> {
        self.has_settled.then(|| self.closure.paths())
    }

    /// The value of the register by each configuration.
    pub(in crate::linear) fn value_of_each(&self) -> Vec<u32> {
        self.configs.iter().map(|config| config.value).collect()
    }

    /// The effect of this number.
    pub(in crate::linear) fn unanswered_effect(&self, number: u32) -> Option<Effect> {
        self.pool.effect(number)
    }

    /// The values that the register may have by now: those of the configurations, and those that operations under way, or without an
    /// answer, may have given it since. Rule R4 puts their effects off, so no configuration has them yet.
    pub(in crate::linear) fn possible_values(&self) -> Vec<u32> {
        let mut values: BTreeSet<u32> = BTreeSet::new();
        for config in &self.configs {
            let mut fresh = vec![config.value];
            let mut reached = BTreeSet::from([config.value]);
            while let Some(value) = fresh.pop() {
                let next = self.effects_at(config, value).filter(|to| reached.insert(*to)).collect::<Vec<_>>();
                fresh.extend(next);
            }
            values.extend(reached);
        }
        values.into_iter().collect()
    }

    /// What effects that a configuration has not used yet would make of this value.
    fn effects_at(&self, config: &Config<M>, value: u32) -> impl Iterator<Item = u32> {
        let slots = (self.pending.writes | self.pending.swaps_from(value)).without(config.used).slots();
        let answered = slots.filter_map(|slot| Some(self.pending.slot(slot).kind.effect()?.to));
        let uses = config.uses;
        let unanswered = self.pool.writes().iter().chain(self.pool.swaps_from(value));
        let left = move |effect: &&uses::Available| self.uses.of(uses, effect.effect) < effect.times;
        answered.chain(unanswered.filter(left).map(|effect| effect.to))
    }

    /// The values of the configurations.
    pub(in crate::linear) fn values(&self) -> Vec<u32> {
        let mut values: Vec<u32> = self.configs.iter().map(|config| config.value).collect();
        values.sort_unstable();
        values.dedup();
        values
    }
}
