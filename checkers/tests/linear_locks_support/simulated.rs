//! Histories of a correct lock of any length, with any share of unknown outcomes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use leasehold_checkers::history::RunTime;
use leasehold_checkers::linear::locks::{Deed, LockAction, LockCall, LockHistory, Owner};

#[path = "../support/random.rs"]
pub mod random;
use random::Random;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Simulation {
    pub requests: usize,
    pub clients: u64,
    /// Of a thousand outcomes, how many are unknown.
    pub unknown_per_mille: u64,
    pub seed: u64,
}

/// A client's next step: its request takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Effect {
    at: u64,
    client: usize,
    called: u64,
}

const TTL: u64 = 100_000;

impl Simulation {
    /// Try-locks with fencing tokens; a client whose outcome is unknown goes on as a new owner, and its session ends.
    pub fn history(self) -> LockHistory {
        let mut random = Random(self.seed);
        let mut calls: Vec<LockCall> = Vec::with_capacity(self.requests + 1);
        let mut owners: Vec<u32> = (0..).take(usize::try_from(self.clients).expect("few")).collect();
        let mut next_owner = u32::try_from(owners.len()).expect("few");
        let mut holds = vec![false; owners.len()];
        let (mut holder, mut token): (Option<usize>, u64) = (None, 0);
        let mut effects: BinaryHeap<Reverse<Effect>> = BinaryHeap::new();
        for client in 0..owners.len() {
            let called = random.of(0..100);
            effects.push(Reverse(Effect { at: called + 1 + random.of(0..100), client, called }));
        }
        while calls.len() < self.requests {
            let Reverse(Effect { at, client, called }) = effects.pop().expect("each client goes on");
            let returned = at + 1 + random.of(0..100);
            let is_unknown = random.of(0..1000) < self.unknown_per_mille;
            let owner = Owner(owners[client]);
            let call = |called, returned: Option<u64>, deed| LockCall {
                op: 0,
                process: u64::from(owner.0),
                called: RunTime(called),
                returned: returned.map(RunTime),
                action: LockAction { owner, deed },
            };
            let answered = (!is_unknown).then_some(returned);
            let expires = RunTime(called + TTL);
            if holds[client] {
                calls.push(call(called, answered, Deed::Released));
                (holder, holds[client]) = (None, false);
            } else if holder.is_none() {
                token += 1;
                let told = answered.map(|_| token);
                calls.push(call(called, answered, Deed::Acquired { token: told, expires }));
                if is_unknown {
                    // Its session ends at once.
                    calls.push(call(at, None, Deed::Released));
                } else {
                    (holder, holds[client]) = (Some(client), true);
                }
            } else {
                let deed =
                    if is_unknown { Deed::Acquired { token: None, expires } } else { Deed::Refused { holder: None } };
                calls.push(call(called, answered, deed));
            }
            if is_unknown {
                owners[client] = next_owner;
                next_owner += 1;
            }
            let called = returned + 1 + random.of(0..20);
            effects.push(Reverse(Effect { at: called + 1 + random.of(0..100), client, called }));
        }
        calls.sort_by_key(|call| call.called);
        for (op, call) in calls.iter_mut().enumerate() {
            call.op = op;
        }
        let owners = (0..next_owner).map(|owner| format!("process {owner}")).collect();
        LockHistory { key: "jobs/7".to_owned(), calls, owners }
    }
}

/// The history in which a refusal near the middle became a grant, if there is one while another certainly held the lock.
pub fn with_a_double_grant(mut history: LockHistory) -> Option<LockHistory> {
    let middle = history.calls.len() / 2;
    let mut held_since: Option<(Owner, RunTime)> = None;
    let mut victim = None;
    for (place, call) in history.calls.iter().enumerate() {
        let LockCall { called, returned, action, .. } = call;
        match (action.deed, returned) {
            (Deed::Acquired { .. }, Some(returned)) => held_since = Some((action.owner, *returned)),
            (Deed::Released, _) if held_since.is_some_and(|(owner, _)| owner == action.owner) => {
                let (_, since) = held_since.take().expect("it was just there");
                let inside = |other: &LockCall| {
                    matches!(other.action.deed, Deed::Refused { .. })
                        && other.called > since
                        && other.returned.is_some_and(|returned| returned < *called)
                };
                let from = place.saturating_sub(400);
                if place > middle {
                    victim = history.calls[from..place].iter().position(inside).map(|place| from + place);
                }
                if victim.is_some() {
                    break;
                }
            }
            _ => {}
        }
    }
    let victim = &mut history.calls[victim?];
    victim.action.deed = Deed::Acquired { token: None, expires: RunTime(victim.called.0 + TTL) };
    Some(history)
}
