//! The general search: decides any history of any lock model, within a budget.
//!
//! It walks through the calls and returns in the order of their times and keeps the *frontier*: all configurations that the
//! lock may be in. A configuration is a state, the requests under way that took effect already, the looks under way that
//! saw what they told, and how many requests of unknown outcome were used. Its size depends on how many requests are under
//! way at once, never on the length of the history.
//!
//! Each rule leaves the verdict as it is:
//!
//! * **Just in time** (Lowe, *Testing for linearizability*, CCPE 29(4), 2017). Requests take effect only at the return of one
//!   that has to: then all sequences of requests under way are tried which end with that one. Whatever an order puts after
//!   it may wait for the next return, for it is still under way.
//! * **Looks at once.** A request that changes nothing is satisfied as soon as the lock is in a state that it told of. It
//!   stands in nobody's way, so being satisfied earlier never hurts. (Where instants matter, as under a lock-delay, a look
//!   holds up what follows it, and is placed like any other request.)
//! * **Classes.** Requests of unknown outcome by the same owner for the same thing never expire and are interchangeable:
//!   those called so far are only counted.
//! * **Dominance.** Of two configurations of the same state in which the same requests took effect, one that satisfied at
//!   least the same looks with at most the same unknown and optional requests, not later, can do all that the other can.
//! * **Expiry** is a step that may be taken from the end of the lease on. No answer depends on when it was taken other than by its
//!   place in the order, but for a lock-delay, which counts from the earliest instant that the place allows.
//!
//! *Optional* requests serve witnesses: they took effect while they were under way, or not at all.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::action::{LockAction, LockCall, LockModel};
use super::schedule::Placed;
use super::state::{Moment, State};
use crate::history::RunTime;
use crate::linear::Budget;

/// How a search ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is an order; it is spelled out only by [`search_for_order`]. The lock may end in any of these states.
    Order { order: Vec<Placed>, ends: Vec<State> },
    /// There is none: the return of this call, by position, cannot be explained from any of these states.
    Stuck { call: usize, before: Vec<State> },
    /// The budget ended after so many returns.
    Exhausted { explained: usize, reason: &'static str },
}

/// One way in which the lock may have got where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Config {
    moment: Moment,
    /// The requests under way that took effect, by slot.
    used: Bits,
    /// The looks under way that saw what they told, by slot.
    seen: Bits,
    /// How often each class of requests of unknown outcome was used; sorted, without zeros.
    unknowns: Vec<(u32, u32)>,
    /// The last step that led here, by its place among all steps; `NO_STEP` where steps are not kept.
    last_step: u32,
}

const NO_STEP: u32 = u32::MAX;

/// A step on the way to a configuration.
struct Taken {
    placed: Placed,
    before: u32,
}

impl Config {
    fn bytes(&self) -> usize {
        size_of::<Self>() + 8 * (self.used.0.len() + self.seen.0.len() + self.unknowns.len())
    }
}

/// A set of slots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bits(Vec<u64>);

impl Bits {
    fn of_width(slots: usize) -> Self {
        Self(vec![0; slots.div_ceil(64)])
    }

    fn has(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 == 1
    }

    fn set(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    fn clear(&mut self, slot: usize) {
        self.0[slot / 64] &= !(1 << (slot % 64));
    }

    fn is_subset(&self, of: &Self) -> bool {
        self.0.iter().zip(&of.0).all(|(a, b)| a & !b == 0)
    }

    /// Whether both have the same slots, but for those of a mask.
    fn equals_outside(&self, other: &Self, mask: &Self) -> bool {
        self.0.iter().zip(&other.0).zip(&mask.0).all(|((a, b), mask)| (a ^ b) & !mask == 0)
    }
}

/// A history to search, with what of it need not have happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task<'a> {
    pub(super) model: &'a LockModel,
    /// In the order of their calls.
    pub(super) calls: &'a [LockCall],
    /// Which calls took effect while they were under way or not at all; empty for none.
    pub(super) optional: &'a [bool],
    /// The states that the lock may begin in.
    pub(super) starts: &'a [Moment],
}

/// Searches for an order of all calls.
pub(super) fn search(task: &Task<'_>, budget: &Budget<'_>) -> Found {
    walk(&mut Search::new(task, budget))
}

/// Searches for an order of all calls, and spells it out.
pub(super) fn search_for_order(task: &Task<'_>, budget: &Budget<'_>) -> Found {
    let mut search = Search::new(task, budget);
    search.keeps_steps = true;
    walk(&mut search)
}

fn walk(search: &mut Search<'_>) -> Found {
    for event in events(search.task.calls) {
        let taken = match event {
            Event::Call(call) => search.call(call),
            Event::Return(call) => search.ret(call),
        };
        if let Err(found) = taken {
            return found;
        }
    }
    let ends = search.frontier.iter().map(|config| config.moment.state).collect();
    Found::Order { order: search.order(), ends }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Call(usize),
    Return(usize),
}

/// All calls and returns in the order of their times; a call comes before a return at the same time.
fn events(calls: &[LockCall]) -> Vec<Event> {
    let called = calls.iter().enumerate().map(|(call, made)| (made.called, Event::Call(call)));
    let returned = calls.iter().enumerate().filter_map(|(call, made)| Some((made.returned?, Event::Return(call))));
    let mut events: Vec<_> = called.chain(returned).collect();
    events.sort_unstable();
    events.into_iter().map(|(_, event)| event).collect()
}

struct Search<'a> {
    task: &'a Task<'a>,
    budget: &'a Budget<'a>,
    /// The call in each slot that is not free.
    under_way: Vec<Option<usize>>,
    slot_of: Vec<usize>,
    /// The slots of the looks that are satisfied at once.
    looks: Vec<usize>,
    /// The slots of what takes effect.
    deeds: Vec<usize>,
    /// The slots of optional calls.
    optional: Bits,
    classes: Vec<Class>,
    class_of: HashMap<LockAction, u32>,
    frontier: Vec<Config>,
    explained: usize,
    steps: usize,
    keeps_steps: bool,
    taken: Vec<Taken>,
}

/// Requests of unknown outcome by one owner for one thing.
struct Class {
    action: LockAction,
    /// The earliest call, which is as good as any.
    called: RunTime,
    /// Those called so far, in the order of their calls.
    calls: Vec<u32>,
}

impl<'a> Search<'a> {
    fn new(task: &'a Task<'a>, budget: &'a Budget<'a>) -> Self {
        let slots = most_under_way(task.calls).max(1);
        let config = |moment: &Moment| Config {
            moment: *moment,
            used: Bits::of_width(slots),
            seen: Bits::of_width(slots),
            unknowns: Vec::new(),
            last_step: NO_STEP,
        };
        Self {
            task,
            budget,
            under_way: vec![None; slots],
            slot_of: vec![usize::MAX; task.calls.len()],
            looks: Vec::new(),
            deeds: Vec::new(),
            optional: Bits::of_width(slots),
            classes: Vec::new(),
            class_of: HashMap::new(),
            frontier: task.starts.iter().map(config).collect(),
            explained: 0,
            steps: 0,
            keeps_steps: false,
            taken: Vec::new(),
        }
    }

    fn call(&mut self, call: usize) -> Result<(), Found> {
        let made = &self.task.calls[call];
        let may_be_missing = self.task.optional.get(call).copied().unwrap_or(false);
        if made.returned.is_none() {
            if !made.action.deed.only_looks() {
                self.count_unknown(call);
            }
            return Ok(());
        }
        if self.looks_at_once(&made.action) {
            if !may_be_missing {
                let slot = self.take_slot(call);
                self.looks.push(slot);
                let mut frontier = std::mem::take(&mut self.frontier);
                for config in &mut frontier {
                    let told = self.task.model.step(config.moment, &made.action, made.called, made.called);
                    if told.is_some() {
                        config.seen.set(slot);
                        self.note(config, Placed::Call(number(call)));
                    }
                }
                self.frontier = frontier;
            }
            return Ok(());
        }
        let slot = self.take_slot(call);
        self.deeds.push(slot);
        if may_be_missing {
            self.optional.set(slot);
        }
        Ok(())
    }

    fn count_unknown(&mut self, call: usize) {
        let made = &self.task.calls[call];
        let class = *self.class_of.entry(made.action).or_insert_with(|| {
            self.classes.push(Class { action: made.action, called: made.called, calls: Vec::new() });
            number(self.classes.len() - 1)
        });
        self.classes[class as usize].calls.push(number(call));
    }

    /// Whether a request changes nothing and holds up nothing.
    fn looks_at_once(&self, action: &LockAction) -> bool {
        let renews_for_nothing =
            matches!(action.deed, super::Deed::Renewed { .. }) && !matches!(self.task.model, LockModel::Lease(_));
        !self.task.model.is_timed() && (action.deed.only_looks() || renews_for_nothing)
    }

    fn take_slot(&mut self, call: usize) -> usize {
        let slot = self.under_way.iter().position(Option::is_none).expect("there are slots for all that is under way");
        self.under_way[slot] = Some(call);
        self.slot_of[call] = slot;
        slot
    }

    fn ret(&mut self, call: usize) -> Result<(), Found> {
        let slot = self.slot_of[call];
        if slot == usize::MAX {
            return Ok(());
        }
        let is_look = self.looks.contains(&slot);
        let may_be_missing = self.optional.has(slot);
        let is_done = |config: &Config| if is_look { config.seen.has(slot) } else { config.used.has(slot) };
        let (mut next, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.frontier).into_iter().partition(is_done);
        if !open.is_empty() {
            let states = || open.iter().map(|config| config.moment.state).collect::<Vec<_>>();
            let reached = self.reach(&open, slot, is_look, call)?;
            if next.is_empty() && reached.is_empty() && !may_be_missing {
                let mut before = states();
                before.sort_unstable();
                before.dedup();
                return Err(Found::Stuck { call, before });
            }
            next.extend(reached);
            if may_be_missing {
                next.extend(open);
            }
        }
        self.free_slot(slot, &mut next);
        self.frontier = self.best_of(&next)?;
        self.explained += 1;
        Ok(())
    }

    fn free_slot(&mut self, slot: usize, configs: &mut [Config]) {
        self.under_way[slot] = None;
        self.looks.retain(|look| *look != slot);
        self.deeds.retain(|deed| *deed != slot);
        self.optional.clear(slot);
        for config in configs {
            config.used.clear(slot);
            config.seen.clear(slot);
        }
    }

    /// All configurations that sequences of steps lead to in which the request of this slot comes last.
    fn reach(&mut self, open: &[Config], slot: usize, is_look: bool, call: usize) -> Result<Vec<Config>, Found> {
        let now = self.task.calls[call].returned.expect("only what returns is waited for");
        let mut visited = Antichain::default();
        let mut reached = Antichain::default();
        let mut queue: Vec<Config> = Vec::new();
        for config in open {
            if visited.insert(config, &self.optional) {
                queue.push(config.clone());
            }
        }
        let mut successors = Vec::new();
        while let Some(config) = queue.pop() {
            self.successors(&config, now, &mut successors);
            for next in successors.drain(..) {
                self.spend(&visited, &reached)?;
                let is_done = if is_look { next.seen.has(slot) } else { next.used.has(slot) };
                if is_done {
                    reached.insert(&next, &self.optional);
                } else if visited.insert(&next, &self.optional) {
                    queue.push(next);
                }
            }
        }
        Ok(reached.configs)
    }

    /// What one step makes of a configuration.
    fn successors(&mut self, config: &Config, now: RunTime, successors: &mut Vec<Config>) {
        let model = self.task.model;
        if let Some(moment) = model.expire(config.moment, now) {
            let mut next = Config { moment, ..config.clone() };
            self.note(&mut next, Placed::Expiry);
            successors.push(self.looked(next, now));
        }
        for slot in self.deeds.clone().into_iter().filter(|slot| !config.used.has(*slot)) {
            let call = self.under_way[slot].expect("a deed's slot is taken");
            let made = &self.task.calls[call];
            if let Some(moment) = model.step(config.moment, &made.action, made.called, now) {
                let mut next = Config { moment, ..config.clone() };
                next.used.set(slot);
                self.note(&mut next, Placed::Call(number(call)));
                successors.push(self.looked(next, now));
            }
        }
        for class_number in 0..number(self.classes.len()) {
            let class = &self.classes[class_number as usize];
            let place = config.unknowns.binary_search_by_key(&class_number, |(class, _)| *class);
            let used = place.map_or(0, |place| config.unknowns[place].1);
            let Some(call) = class.calls.get(used as usize).copied() else { continue };
            let Some(moment) = model.step(config.moment, &class.action, class.called, now) else { continue };
            if moment == config.moment {
                continue;
            }
            let mut next = Config { moment, ..config.clone() };
            match place {
                Ok(place) => next.unknowns[place].1 += 1,
                Err(place) => next.unknowns.insert(place, (class_number, 1)),
            }
            self.note(&mut next, Placed::Call(call));
            successors.push(self.looked(next, now));
        }
    }

    /// The configuration with all looks under way satisfied that its state satisfies.
    fn looked(&mut self, mut config: Config, now: RunTime) -> Config {
        for look in 0..self.looks.len() {
            let slot = self.looks[look];
            let call = self.under_way[slot].expect("a look's slot is taken");
            let made = &self.task.calls[call];
            if !config.seen.has(slot) && self.task.model.step(config.moment, &made.action, made.called, now).is_some() {
                config.seen.set(slot);
                self.note(&mut config, Placed::Call(number(call)));
            }
        }
        config
    }

    /// Puts a step on the way to a configuration.
    fn note(&mut self, config: &mut Config, placed: Placed) {
        if self.keeps_steps {
            self.taken.push(Taken { placed, before: config.last_step });
            config.last_step = number(self.taken.len() - 1);
        }
    }

    /// The steps that led to the first configuration of the frontier.
    fn order(&self) -> Vec<Placed> {
        let mut last = self.frontier.first().map_or(NO_STEP, |config| config.last_step);
        let mut order = Vec::new();
        while let Some(step) = self.taken.get(last as usize) {
            order.push(step.placed);
            last = step.before;
        }
        order.reverse();
        order
    }

    fn best_of(&mut self, configs: &[Config]) -> Result<Vec<Config>, Found> {
        let mut best = Antichain::default();
        for config in configs {
            best.insert(config, &self.optional);
            self.spend(&best, &best)?;
        }
        Ok(best.configs)
    }

    /// Looks at the budget.
    fn spend(&mut self, a: &Antichain, b: &Antichain) -> Result<(), Found> {
        const STEPS_BETWEEN_LOOKS_AT_THE_CLOCK: usize = 64;
        self.steps += 1;
        let exhausted = |reason| Err(Found::Exhausted { explained: self.explained, reason });
        // What is visited is held once in the set and at most once more in the queue; the frontier comes on top.
        if 4 * (a.bytes + b.bytes) + 2 * size_of::<Taken>() * self.taken.len() > self.budget.memory_bytes {
            return exhausted("the memory that it may take was used up");
        }
        if self.steps.is_multiple_of(STEPS_BETWEEN_LOOKS_AT_THE_CLOCK) && (self.budget.out_of_time)() {
            return exhausted("its time was up");
        }
        Ok(())
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).expect("a history has fewer than 2^32 requests")
}

fn most_under_way(calls: &[LockCall]) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for event in events(calls) {
        match event {
            Event::Call(call) if calls[call].returned.is_some() => now += 1,
            Event::Call(_) => {}
            Event::Return(_) => now -= 1,
        }
        most = most.max(now);
    }
    most
}

/// Configurations of which none dominates another.
#[derive(Default)]
struct Antichain {
    configs: Vec<Config>,
    by_state: HashMap<State, Vec<usize>>,
    bytes: usize,
}

impl Antichain {
    /// Takes a configuration in, unless another dominates it. Those that it dominates stay: they are harmless.
    fn insert(&mut self, config: &Config, optional: &Bits) -> bool {
        let rivals = self.by_state.entry(config.moment.state).or_default();
        if rivals.iter().any(|rival| dominates(&self.configs[*rival], config, optional)) {
            return false;
        }
        let weaker = rivals.iter().position(|rival| dominates(config, &self.configs[*rival], optional));
        if let Some(weaker) = weaker {
            self.bytes -= self.configs[rivals[weaker]].bytes();
            self.configs[rivals[weaker]] = config.clone();
        } else {
            rivals.push(self.configs.len());
            self.configs.push(config.clone());
        }
        self.bytes += config.bytes();
        true
    }
}

/// Whether whatever explains the rest of the history from `b` explains it from `a`.
fn dominates(a: &Config, b: &Config, optional: &Bits) -> bool {
    a.moment.at <= b.moment.at
        && b.seen.is_subset(&a.seen)
        && a.used.equals_outside(&b.used, optional)
        && a.used.is_subset(&b.used)
        && fewer_unknowns(&a.unknowns, &b.unknowns)
}

/// Whether no class was used more often in `a` than in `b`.
fn fewer_unknowns(a: &[(u32, u32)], b: &[(u32, u32)]) -> bool {
    let mut b = b.iter();
    a.iter().all(|(class, times)| {
        b.by_ref()
            .find(|(other, _)| other.cmp(class) != Ordering::Less)
            .is_some_and(|(other, most)| other == class && times <= most)
    })
}
