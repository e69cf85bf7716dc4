//! Keys of which nothing better is known: a search over all orders.

use std::cell::Cell;

use super::{KvAction, explained, quoted};
use crate::history::RunTime;
use crate::linear::search::{Order, Sequential, final_states, order};
use crate::linear::{Budget, Call, Decision, Witness};

struct Key;

impl Sequential for Key {
    type Action = KvAction;
    type State = String;

    fn start(&self) -> String {
        String::new()
    }

    fn after(&self, state: &String, action: &KvAction) -> Option<String> {
        match action {
            KvAction::Get(value) => (value == state).then(|| state.clone()),
            KvAction::Put(value) => Some(value.clone()),
            KvAction::Append(value) => Some(format!("{state}{value}")),
        }
    }

    fn bytes(state: &String) -> usize {
        state.len()
    }
}

pub(super) fn decide(calls: &[Call<KvAction>], budget: &Budget<'_>) -> Decision {
    let all = by_call(calls);
    match order(&Key, &all, budget) {
        Order::Exists(_) => Decision::Linearizable,
        Order::DoesNotExist => Decision::Broken(Broken { calls, all, budget, looks: Cell::new(0) }.witness()),
        Order::Unknown { reason, explained_before } => {
            let is_explained = |call: &&Call<KvAction>| call.returned.is_some_and(|at| at < explained_before);
            Decision::Undecided { explained: calls.iter().filter(is_explained).count(), reason: reason.to_owned() }
        }
    }
}

/// An order, as the places of the calls.
pub(super) fn find_order(calls: &[Call<KvAction>], budget: &Budget<'_>) -> Option<Vec<usize>> {
    let mut places: Vec<usize> = (0..calls.len()).collect();
    places.sort_by_key(|&place| (calls[place].called, calls[place].op));
    match order(&Key, &by_call(calls), budget) {
        Order::Exists(order) => Some(order.into_iter().map(|place| places[place]).collect()),
        Order::DoesNotExist | Order::Unknown { .. } => None,
    }
}

fn by_call(calls: &[Call<KvAction>]) -> Vec<&Call<KvAction>> {
    let mut all: Vec<&Call<KvAction>> = calls.iter().collect();
    all.sort_by_key(|call| (call.called, call.op));
    all
}

/// When an operation returned; of several at once, the order of their numbers.
type Return = (RunTime, usize);

/// How often all searches for a witness together may look at the clock, and how often one of them. The same history has the
/// same witness each time; what is not searched by then is taken for explainable.
const MOST_LOOKS: usize = 3_000;
const MOST_LOOKS_AT_ONE: usize = 300;

/// How many states before the stuck operation are named.
const MOST_STATES: usize = 8;

/// A history without an order.
///
/// To drop an operation from the witness is to forget its answer: it may then have happened at any time after its call,
/// or not at all, and got anything.
struct Broken<'a> {
    calls: &'a [Call<KvAction>],
    all: Vec<&'a Call<KvAction>>,
    budget: &'a Budget<'a>,
    looks: Cell<usize>,
}

impl Broken<'_> {
    fn witness(&self) -> Witness {
        let mut returns: Vec<Return> = self.all.iter().filter_map(|call| Some((call.returned?, call.op))).collect();
        returns.sort_unstable();
        let explained_until = returns.partition_point(|&until| self.is_order(&self.prefix(until)));
        let place = explained_until.min(returns.len() - 1);
        let stuck = returns[place];

        let mut kept = self.prefix(stuck);
        self.shrink(&mut kept, stuck);
        let answered = kept.iter().filter(|call| call.returned.is_some());
        let mut ops: Vec<usize> = answered.map(|call| call.op).collect();
        ops.sort_unstable();
        let states_before = self.states_before(place.checked_sub(1).map(|last| returns[last]), stuck);
        let explanation = explained(self.calls, stuck.1, &ops, &states_before);
        Witness { ops, stuck_at: stuck.1, states_before, explanation }
    }

    /// Forgets the answers that can be forgotten: first many at once, the oldest first, then one by one.
    fn shrink(&self, kept: &mut Vec<Call<KvAction>>, stuck: Return) {
        let mut chunk = kept.len().next_power_of_two() / 2;
        while chunk > 0 {
            let mut has_shrunk = false;
            let mut from = 0;
            while from < kept.len() {
                let to = (from + chunk).min(kept.len());
                let can_forget = |call: &Call<KvAction>| call.returned.is_some() && call.op != stuck.1;
                if kept[from..to].iter().any(can_forget) {
                    let mut rest = kept.clone();
                    for call in rest[from..to].iter_mut().filter(|call| can_forget(call)) {
                        call.returned = None;
                    }
                    rest.retain(|call| call.returned.is_some() || !matches!(call.action, KvAction::Get(_)));
                    if !self.is_order(&rest) {
                        *kept = rest;
                        has_shrunk = true;
                        continue;
                    }
                }
                from = to;
            }
            chunk = if chunk == 1 && has_shrunk { 1 } else { chunk / 2 };
        }
    }

    /// Whether there may be an order.
    fn is_order(&self, calls: &[Call<KvAction>]) -> bool {
        if self.looks.get() >= MOST_LOOKS {
            return true;
        }
        let calls: Vec<_> = calls.iter().collect();
        self.bounded(|budget| order(&Key, &calls, budget) != Order::DoesNotExist)
    }

    /// Lets a search take its part of the work.
    fn bounded<T>(&self, search: impl FnOnce(&Budget<'_>) -> T) -> T {
        let until = self.looks.get() + MOST_LOOKS_AT_ONE;
        let out_of_time = || {
            self.looks.set(self.looks.get() + 1);
            self.looks.get() > until || (self.budget.out_of_time)()
        };
        search(&Budget { out_of_time: &out_of_time, memory_bytes: self.budget.memory_bytes })
    }

    /// What was known when this operation had returned.
    fn prefix(&self, until: Return) -> Vec<Call<KvAction>> {
        let called = self.all.iter().filter(|call| call.called <= until.0);
        let at_that_time = called.map(|&call| {
            let returned = call.returned.filter(|&returned| (returned, call.op) <= until);
            Call { returned, ..call.clone() }
        });
        at_that_time.collect()
    }

    /// The strings that the key may have had when the stuck operation was about to return; none if they are not known.
    fn states_before(&self, explained: Option<Return>, stuck: Return) -> Vec<String> {
        let mut calls = self.prefix(stuck);
        for call in &mut calls {
            call.returned = call.returned.filter(|&at| explained.is_some_and(|explained| (at, call.op) <= explained));
        }
        calls.retain(|call| call.returned.is_some() || !matches!(call.action, KvAction::Get(_)));
        let calls: Vec<_> = calls.iter().collect();
        let states = self.bounded(|budget| final_states(&Key, &calls, MOST_STATES, budget)).unwrap_or_default();
        let mut names: Vec<String> = states.iter().take(MOST_STATES).map(|state| quoted(state)).collect();
        names.sort_unstable();
        if states.len() > MOST_STATES {
            names.push("one of others".to_owned());
        }
        names
    }
}
