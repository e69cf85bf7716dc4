//! Keys of which nothing better is known: a search over all orders.

use super::{KvAction, explained};
use crate::linear::search::{Order, Sequential, order};
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
    let mut all: Vec<&Call<KvAction>> = calls.iter().collect();
    all.sort_by_key(|call| (call.called, call.op));
    match order(&Key, &all, budget) {
        Order::Exists => Decision::Linearizable,
        Order::DoesNotExist => Decision::Broken(witness(calls, &all, budget)),
        Order::Unknown(reason) => Decision::Undecided { explained: 0, reason: reason.to_owned() },
    }
}

/// The shortest prefix that is broken, without the gets that are not needed for that. Puts and appends stay: without
/// them, gets that are explained would not be.
fn witness(calls: &[Call<KvAction>], all: &[&Call<KvAction>], budget: &Budget<'_>) -> Witness {
    let mut returns: Vec<_> = all.iter().filter_map(|call| Some((call.returned?, call.op))).collect();
    returns.sort_unstable();
    let explained_until = returns.partition_point(|&until| is_order(&prefix(all, until), budget));
    let stuck = returns[explained_until.min(returns.len() - 1)];

    let mut kept = prefix(all, stuck);
    let mut place = 0;
    while place < kept.len() {
        let mut rest = kept.clone();
        let call = rest.remove(place);
        let is_get = matches!(call.action, KvAction::Get(_));
        if is_get && call.op != stuck.1 && (call.returned.is_none() || !is_order(&rest, budget)) {
            kept = rest;
        } else {
            place += 1;
        }
    }
    let mut ops: Vec<usize> = kept.iter().map(|call| call.op).collect();
    ops.sort_unstable();
    let explanation = explained(calls, stuck.1, &ops, &[]);
    Witness { ops, stuck_at: stuck.1, states_before: Vec::new(), explanation }
}

/// Whether there may be an order.
fn is_order(calls: &[Call<KvAction>], budget: &Budget<'_>) -> bool {
    order(&Key, &calls.iter().collect::<Vec<_>>(), budget) != Order::DoesNotExist
}

/// What was known when this operation had returned.
fn prefix(all: &[&Call<KvAction>], until: (crate::history::RunTime, usize)) -> Vec<Call<KvAction>> {
    let called = all.iter().filter(|call| call.called <= until.0);
    let at_that_time = called.map(|&call| {
        let returned = call.returned.filter(|&returned| (returned, call.op) <= until);
        Call { returned, ..call.clone() }
    });
    at_that_time.collect()
}
