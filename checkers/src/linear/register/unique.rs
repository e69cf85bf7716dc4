//! Registers to which each value is written at most once, in O(n log n) at any concurrency, both ways exact.
//!
//! Where a value is written by one operation only, and the initial one by none, each read tells which write it saw. The
//! operations then fall into *chains*, which any order must keep together:
//!
//! * A value's *cluster* is the operation that writes it and those that observe it.
//! * A swap from `a` to `b` belongs to `b`'s cluster, which must follow directly on `a`'s. So clusters form chains. Two
//!   swaps from one value, or a swap whose chain has no beginning, are a contradiction.
//! * The initial value's chain begins before all time.
//!
//! **Within a chain** the clusters' order is given: writer, observers, next writer, and so on. An order along the chain
//! exists if and only if no operation returns before one that must precede it is called: place each, in the chain's
//! order, at the latest call of it and those before.
//!
//! **Between chains.** Let `f` be the first return in a chain and `s` the last call. The chain's stretch has an
//! operation at or before `f` and one at or after `s`.
//!
//! * If `f < s` the chain is *forward*: its stretch covers `[f, s]`. Conversely all its operations can be placed within:
//!   each interval meets `[f, s]`, and placing them at the latest call of it and those before, but not before `f`, stays
//!   there.
//! * Otherwise it is *backward*: each of its intervals covers `[s, f]`, so all can be placed at any one instant of it.
//!
//! *The history is linearizable if and only if each chain has an order, forward zones are disjoint and no backward zone
//! lies within a forward one.* If two forward zones overlap, so do the stretches. If a backward zone `[s, f]` lies in a
//! forward zone `[F, S]`, its chain's stretch, disjoint from `[F, S]`, would be before `F < s` or after `S > f`, but it
//! has an operation at or after `s` and one at or before `f`. Conversely put forward chains on their zones, which are
//! disjoint, and each backward one at an instant of its zone outside of them: there is one, as no single forward zone
//! contains it and there are gaps between them. (This is the theorem of Gibbons and Korach, *Testing shared memories*,
//! SIAM J. Comput. 26(4), 1997, with chains for clusters.)
//!
//! **Operations without an answer.** If nothing that is answered observes the value, directly or by swaps that are
//! observed in their turn, the operation can be left out of any order: nobody sees the difference until the next write.
//! Otherwise it has taken effect, at the latest when the first of those returned; so it counts as answered, and as its
//! return only matters through theirs, it needs none.
//!
//! **If the initial value is not known**, an order is looked for with the value that was seen without being written, or
//! with one that nobody names. If there is none, that proves nothing: the register may begin with a value that is also
//! written.
//!
//! **Failed swaps** are not decided here. Without them a history has more orders, so a contradiction stands; if there is
//! none, another procedure must look.

use super::problem::{Effect, Kind, Op, Problem, Starts};

/// What is known from unique values alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unique {
    Linearizable,
    Broken,
    /// Some value may be written twice, or there are failed swaps that may matter.
    NotApplicable,
}

/// Decides where each value is written at most once.
pub(super) fn decide(problem: &Problem) -> Unique {
    decide_until(problem, u32::MAX)
}

/// The return that cannot be explained, of a history that is broken: all before it can.
pub(super) fn first_inexplicable(problem: &Problem) -> usize {
    let (mut explained, mut broken) = (0, problem.steps.len());
    // Often it is the one that completes the first contradiction between two chains.
    let guess = first_conflict(problem).filter(|&step| step < broken);
    if let Some(guess) = guess.filter(|&guess| decide_until(problem, guess as u32 + 1) == Unique::Broken) {
        broken = guess + 1;
        if decide_until(problem, guess as u32) != Unique::Broken {
            return guess;
        }
    }
    while broken - explained > 1 {
        let until = explained.midpoint(broken);
        match decide_until(problem, until as u32) {
            Unique::Broken => broken = until,
            Unique::Linearizable | Unique::NotApplicable => explained = until,
        }
    }
    explained
}

/// The values that the register may have had before a step, if what was known then can be explained.
///
/// A chain can come last if its first return, which a further observation now would make the begin of its zone, is after
/// the last calls of all others. What was not observed, nor answered, may have happened just now.
pub(super) fn values_before(problem: &Problem, step: usize) -> Vec<u32> {
    let Some(clusters) = Clusters::of(problem, step as u32) else { return Vec::new() };
    let Some(chains) = clusters.initial().and_then(|initial| clusters.chains(initial)) else { return Vec::new() };
    let mut last_calls: Vec<i64> = chains.iter().map(|chain| chain.zone.last_call).collect();
    last_calls.sort_unstable_by_key(|&call| std::cmp::Reverse(call));
    let may_be_last = |zone: &Zone| {
        let of_others = if last_calls[0] == zone.last_call { last_calls.get(1) } else { last_calls.first() };
        of_others.is_none_or(|&call| zone.first_return > call)
    };
    let mut values: Vec<u32> =
        chains.iter().filter(|chain| may_be_last(&chain.zone)).map(|chain| chain.last_value).collect();
    let optional = |op: &&Op| op.called < step as u32 && op.deadline >= step as u32;
    for op in problem.ops.iter().filter(optional) {
        let Some(Effect { from, to }) = op.kind.effect() else { continue };
        let is_possible = from.is_none_or(|from| values.contains(&from));
        if is_possible && !clusters.by_value[to as usize].is_needed {
            values.push(to);
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

/// The first step at which two chains of the whole history contradict each other.
fn first_conflict(problem: &Problem) -> Option<usize> {
    let clusters = Clusters::of(problem, u32::MAX)?;
    let chains = clusters.chains(clusters.initial()?)?;
    Zones::of(&chains).conflicts().min().map(|step| step as usize)
}

/// The order of what happened, where values that are written once tell it, with the value before.
///
/// Chains are put on their zones as the proof above has it. Within its zone each operation of a forward chain is at the
/// latest call of it and those before; a backward chain is at the begin of its zone, or right after the forward zone
/// that covers that.
pub(super) fn order(problem: &Problem) -> Option<(u32, Vec<u32>)> {
    let clusters = Clusters::of(problem, u32::MAX)?;
    let initial = clusters.initial()?;
    let chains = clusters.chains(initial)?;
    let mut zones = Zones::of(&chains);
    zones.forward.sort_unstable_by_key(|zone| zone.first_return);

    let mut members: Vec<Vec<u32>> = vec![Vec::new(); problem.values as usize];
    for (place, op) in (0..).zip(&problem.ops) {
        if let Kind::Observe(value) = op.kind {
            members[value as usize].push(place);
        }
    }
    for observers in &mut members {
        observers.sort_unstable_by_key(|&op| problem.op(op).called);
    }
    let mut placed: Vec<((i64, u8, usize, usize), u32)> = Vec::new();
    for (number, chain) in chains.iter().enumerate() {
        let zone = chain.zone;
        let is_forward = zone.first_return < zone.last_call;
        let before = zones.forward.partition_point(|forward| forward.first_return < zone.last_call);
        let covered_by = before.checked_sub(1).map(|before| zones.forward[before]);
        let at = match covered_by.filter(|forward| forward.last_call > zone.last_call) {
            _ if is_forward => (zone.first_return, 0),
            Some(forward) => (forward.last_call, 1),
            None => (zone.last_call, 0),
        };
        let (mut latest, mut value) = (at.0, chain.first_value);
        let mut count = 0;
        loop {
            let cluster = &clusters.by_value[value as usize];
            let writer = (cluster.writer != NONE).then_some(cluster.writer);
            for &op in writer.iter().chain(&members[value as usize]) {
                if is_forward {
                    latest = latest.max(i64::from(problem.op(op).called));
                }
                placed.push(((latest, at.1, number, count), op));
                count += 1;
            }
            if cluster.swap == NONE {
                break;
            }
            value = problem.op(cluster.swap).kind.effect()?.to;
        }
    }
    placed.sort_unstable_by_key(|&(at, _)| at);
    Some((initial, placed.into_iter().map(|(_, op)| op).collect()))
}

/// Decides what was known before a step.
fn decide_until(problem: &Problem, until: u32) -> Unique {
    let Some(clusters) = Clusters::of(problem, until) else { return Unique::NotApplicable };
    let is_explained = clusters
        .initial()
        .and_then(|initial| clusters.chains(initial))
        .is_some_and(|chains| Zones::of(&chains).are_compatible());
    match (is_explained, problem.starts) {
        (true, _) if clusters.has_failed_swaps => Unique::NotApplicable,
        (true, _) => Unique::Linearizable,
        (false, Starts::At(_)) => Unique::Broken,
        // It may begin with a value that is also written, so that no value is sure to be unique.
        (false, Starts::Anywhere) => Unique::NotApplicable,
    }
}

const NONE: u32 = u32::MAX;

/// The operations of one value.
#[derive(Clone, Copy)]
struct Cluster {
    /// The operation that writes it.
    writer: u32,
    /// The swap from it.
    swap: u32,
    /// The last call and the first return of those that observe it.
    last_call: u32,
    first_return: u32,
    /// When the last one that was called returned.
    last_answer: u32,
    is_observed: bool,
    is_needed: bool,
}

struct Clusters<'a> {
    problem: &'a Problem,
    /// What is called, or returns, at this step or later did not happen yet.
    until: u32,
    by_value: Vec<Cluster>,
    has_failed_swaps: bool,
    /// The values that were there without being written.
    orphans: Vec<u32>,
    /// How many swaps have happened.
    swaps: usize,
    /// Whether two of them found the same value.
    is_forked: bool,
}

impl<'a> Clusters<'a> {
    /// `None` where some value may be written twice.
    fn of(problem: &'a Problem, until: u32) -> Option<Self> {
        let nothing = Cluster {
            writer: NONE,
            swap: NONE,
            last_call: 0,
            first_return: u32::MAX,
            last_answer: 0,
            is_observed: false,
            is_needed: false,
        };
        let mut by_value = vec![nothing; problem.values as usize];
        let mut has_failed_swaps = false;
        for (place, op) in (0..).zip(&problem.ops) {
            // Operations that are called after all returns have no step, and matter as little as those after this one.
            if op.called >= until {
                continue;
            }
            match op.kind {
                Kind::Observe(_) | Kind::Refused(_) if op.deadline >= until => {}
                Kind::Observe(value) => {
                    let cluster = &mut by_value[value as usize];
                    cluster.is_observed = true;
                    (cluster.last_call, cluster.last_answer) =
                        (cluster.last_call, cluster.last_answer).max((op.called, op.deadline));
                    cluster.first_return = cluster.first_return.min(op.deadline);
                }
                Kind::Refused(_) => has_failed_swaps = true,
                Kind::Write(value) | Kind::Swap(_, value) => {
                    let cluster = &mut by_value[value as usize];
                    if cluster.writer != NONE || problem.starts == Starts::At(value) {
                        return None;
                    }
                    cluster.writer = place;
                }
            }
        }
        let mut clusters =
            Self { problem, until, by_value, has_failed_swaps, orphans: Vec::new(), swaps: 0, is_forked: false };
        clusters.link();
        Some(clusters)
    }

    fn writer(&self, value: u32) -> Option<&'a Op> {
        let writer = self.by_value[value as usize].writer;
        (writer != NONE).then(|| self.problem.op(writer))
    }

    /// Finds what must have happened, and links swaps to the values that they found.
    fn link(&mut self) {
        for value in 0..self.problem.values {
            let is_answered = self.writer(value).is_some_and(|op| op.deadline < self.until);
            if self.by_value[value as usize].is_observed || is_answered {
                self.need(value);
            }
        }
    }

    /// The value was there, so what wrote it has happened, and what that found.
    fn need(&mut self, mut value: u32) {
        while !std::mem::replace(&mut self.by_value[value as usize].is_needed, true) {
            match self.writer(value).and_then(|op| op.kind.effect()) {
                None => self.orphans.push(value),
                Some(Effect { from: None, .. }) => {}
                Some(Effect { from: Some(from), .. }) => {
                    self.swaps += 1;
                    let writer = self.by_value[value as usize].writer;
                    let found = std::mem::replace(&mut self.by_value[from as usize].swap, writer);
                    self.is_forked |= found != NONE;
                    value = from;
                }
            }
        }
    }

    /// The value with which the register began; `None` where that, or what follows a value, contradicts itself.
    fn initial(&self) -> Option<u32> {
        match (self.problem.starts, self.orphans.as_slice()) {
            _ if self.is_forked => None,
            (Starts::At(initial), []) => Some(initial),
            (Starts::At(initial), [orphan]) => (*orphan == initial).then_some(initial),
            (Starts::Anywhere, [orphan]) => Some(*orphan),
            (Starts::Anywhere, []) => Some(self.problem.values - 1),
            _ => None,
        }
    }

    /// All chains; `None` where one contradicts itself.
    fn chains(&self, initial: u32) -> Option<Vec<Chain>> {
        let mut chains = Vec::new();
        let mut swaps = 0;
        for value in 0..self.problem.values {
            let is_head = match self.writer(value).map(|op| op.kind) {
                Some(Kind::Write(_)) => self.by_value[value as usize].is_needed,
                _ => value == initial,
            };
            if is_head {
                chains.push(self.chain(value, &mut swaps)?);
            }
        }
        // A swap that no chain reaches is part of a ring.
        (swaps == self.swaps).then_some(chains)
    }

    /// A chain from its head; `None` where it contradicts itself.
    fn chain(&self, head: u32, swaps: &mut usize) -> Option<Chain> {
        let mut zone = Zone { first_return: i64::MAX, last_call: -1, known: 0 };
        if self.by_value[head as usize].writer == NONE {
            zone.first_return = -1;
        }
        let mut value = head;
        loop {
            let cluster = &self.by_value[value as usize];
            if let Some(writer) = self.writer(value) {
                let deadline = if writer.deadline < self.until { writer.deadline } else { u32::MAX };
                zone.append(writer.called, deadline, deadline)?;
            }
            if cluster.is_observed {
                zone.append(cluster.last_call, cluster.first_return, cluster.last_answer)?;
            }
            if cluster.swap == NONE {
                return Some(Chain { zone, first_value: head, last_value: value });
            }
            *swaps += 1;
            value = self.problem.op(cluster.swap).kind.effect()?.to;
        }
    }
}

/// Operations that any order must keep together.
struct Chain {
    zone: Zone,
    /// The value that its first operation wrote or saw, and the one that its last one left.
    first_value: u32,
    last_value: u32,
}

/// The first return and the last call of a chain. Places of calls and returns all differ.
#[derive(Clone, Copy, Debug)]
struct Zone {
    first_return: i64,
    last_call: i64,
    /// The return by which the last call is known to be one of the chain.
    known: u32,
}

impl Zone {
    /// Adds operations that come after those so far, in any order among themselves; `None` if one of them returned
    /// before one of those was called.
    fn append(&mut self, last_call: u32, first_return: u32, last_answer: u32) -> Option<()> {
        if i64::from(first_return) < self.last_call {
            return None;
        }
        self.first_return = self.first_return.min(i64::from(first_return));
        if i64::from(last_call) > self.last_call {
            self.last_call = i64::from(last_call);
            // A write without an answer is known to have happened by the answers of those that observed it.
            self.known = if last_answer == u32::MAX { 0 } else { last_answer };
        }
        Some(())
    }

    /// The return by which a contradiction with another chain is known.
    fn known_with(&self, other: &Self) -> u32 {
        let first_returns = self.first_return.max(other.first_return);
        self.known.max(other.known).max(u32::try_from(first_returns).unwrap_or(0))
    }
}

#[derive(Default)]
struct Zones {
    forward: Vec<Zone>,
    backward: Vec<Zone>,
}

impl Zones {
    fn of(chains: &[Chain]) -> Self {
        let mut zones = Self::default();
        for chain in chains {
            zones.add(chain.zone);
        }
        zones
    }

    fn add(&mut self, zone: Zone) {
        if zone.first_return < zone.last_call {
            self.forward.push(zone);
        } else if zone.last_call >= 0 {
            self.backward.push(zone);
        }
    }

    fn are_compatible(mut self) -> bool {
        self.forward.sort_unstable_by_key(|zone| zone.first_return);
        let are_disjoint = self.forward.windows(2).all(|pair| pair[0].last_call < pair[1].first_return);
        are_disjoint && self.backward.iter().all(|zone| self.covering(zone).is_none())
    }

    /// For each two zones that contradict each other, as far as neighbours tell, the return by which that is known.
    fn conflicts(mut self) -> impl Iterator<Item = u32> {
        self.forward.sort_unstable_by_key(|zone| zone.first_return);
        let overlaps = |pair: &[Zone]| pair[0].last_call >= pair[1].first_return;
        let mut conflicts: Vec<u32> =
            self.forward.windows(2).filter(|pair| overlaps(pair)).map(|pair| pair[0].known_with(&pair[1])).collect();
        let covered = |zone: &Zone| self.covering(zone).map(|forward| forward.known_with(zone));
        conflicts.extend(self.backward.iter().filter_map(covered));
        conflicts.into_iter()
    }

    /// The forward zone within which a backward one lies; forward zones are disjoint.
    fn covering(&self, backward: &Zone) -> Option<&Zone> {
        let after = self.forward.partition_point(|forward| forward.first_return < backward.last_call);
        let before = &self.forward[after.checked_sub(1)?];
        (backward.first_return < before.last_call).then_some(before)
    }
}
