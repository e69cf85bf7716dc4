//! A lock that clients take and give back.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::{Load, Random};
use crate::history::RunTime;
use crate::linear::locks::{Deed, LockAction, LockCall, LockHistory, Owner};

/// A lock with fencing tokens that clients try to take, or wait for, and give back.
///
/// A client whose request was never answered goes on as a new owner. Its old session ends at once if it held the lock, which
/// stands on record as a release without an answer.
#[derive(Clone, Copy, Debug)]
pub struct LockWorkload {
    /// How many do how much.
    pub load: Load,
    /// Whether clients wait for the lock. Otherwise they are refused while another holds it.
    pub blocking: bool,
}

/// How long each lease is kept from its request on: no client holds the lock for so long.
const TTL: u64 = 100_000;

impl LockWorkload {
    /// Its history. A broken one has one grant more, in the last fifth and while another client certainly held the lock.
    #[must_use]
    pub fn history(&self) -> LockHistory {
        let mut lock = Lock::new(&self.load, self.blocking);
        while lock.calls.len() < self.load.ops {
            lock.next();
        }
        let Lock { mut calls, next_owner, .. } = lock;
        calls.sort_by_key(|call| call.called);
        let owners = (0..=next_owner).map(|owner| format!("process {owner}")).collect();
        if self.load.broken
            && let Some((place, second)) = second_grant(&calls, Owner(next_owner))
        {
            calls.insert(place, second);
        }
        for (op, call) in calls.iter_mut().enumerate() {
            call.op = op;
        }
        LockHistory { key: "lock".to_owned(), calls, owners }
    }
}

/// A grant to another owner within a hold of the last fifth, and its place.
fn second_grant(calls: &[LockCall], owner: Owner) -> Option<(usize, LockCall)> {
    let mut held: Option<(Owner, RunTime)> = None;
    for (place, call) in calls.iter().enumerate().skip(calls.len() - calls.len() / 5) {
        match (call.action.deed, call.returned, held) {
            (Deed::Acquired { .. }, Some(returned), _) => held = Some((call.action.owner, returned)),
            (Deed::Released, _, Some((holder, gained))) if holder == call.action.owner => {
                let called = RunTime(gained.0 + 1);
                if call.called.0 > called.0 + 2 {
                    let before = calls[..place].partition_point(|other| other.called <= called);
                    let deed = Deed::Acquired { token: None, expires: RunTime(called.0 + TTL) };
                    return Some((before, answered(owner, called.0, called.0 + 1, deed)));
                }
                held = None;
            }
            _ => {}
        }
    }
    None
}

/// A client's next step: its request takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Effect {
    at: u64,
    client: usize,
    called: u64,
}

struct Lock {
    random: Random,
    blocking: bool,
    unanswered_per_mille: u64,
    /// Each client's current name.
    owners: Vec<u32>,
    next_owner: u32,
    holder: Option<usize>,
    token: u64,
    effects: BinaryHeap<Reverse<Effect>>,
    waiting: VecDeque<Effect>,
    calls: Vec<LockCall>,
}

impl Lock {
    fn new(load: &Load, blocking: bool) -> Self {
        let clients = u32::try_from(load.clients).expect("few clients");
        let mut lock = Self {
            random: Random::new(load.seed),
            blocking,
            unanswered_per_mille: load.unanswered_per_mille,
            owners: (0..clients).collect(),
            next_owner: clients,
            holder: None,
            token: 0,
            effects: BinaryHeap::new(),
            waiting: VecDeque::new(),
            calls: Vec::with_capacity(load.ops + 2),
        };
        (0..load.clients).for_each(|client| lock.asks(client, 0));
        lock
    }

    fn asks(&mut self, client: usize, from: u64) {
        let called = from + 1 + self.random.below(20);
        self.effects.push(Reverse(Effect { at: called + 1 + self.random.below(100), client, called }));
    }

    fn next(&mut self) {
        let Reverse(effect) = self.effects.pop().expect("each client goes on, or waits for one that does");
        let Effect { at, client, called } = effect;
        let is_held = self.holder.is_some();
        if is_held && self.holder != Some(client) && self.blocking {
            self.waiting.push_back(effect);
            return;
        }
        let returned = at + 1 + self.random.below(100);
        let is_lost = self.random.below(1_000) < self.unanswered_per_mille;
        let owner = Owner(self.owners[client]);
        let expires = RunTime(called + TTL);
        let deed = if self.holder == Some(client) {
            self.holder = None;
            Deed::Released
        } else if is_held {
            Deed::Refused { holder: None }
        } else {
            self.token += 1;
            self.holder = Some(client).filter(|_| !is_lost);
            Deed::Acquired { token: Some(self.token), expires }
        };
        if is_lost {
            let asked = match deed {
                Deed::Released => deed,
                _ => Deed::Acquired { token: None, expires },
            };
            self.calls.push(LockCall { returned: None, ..answered(owner, called, returned, asked) });
            if matches!(deed, Deed::Acquired { .. }) {
                self.calls.push(LockCall { returned: None, ..answered(owner, at, at, Deed::Released) });
            }
            self.owners[client] = self.next_owner;
            self.next_owner += 1;
        } else {
            self.calls.push(answered(owner, called, returned, deed));
        }
        self.asks(client, returned);
        if self.holder.is_none() {
            let next = self.waiting.pop_front();
            self.effects.extend(next.map(|waiter| Reverse(Effect { at: at + 1, ..waiter })));
        }
    }
}

fn answered(owner: Owner, called: u64, returned: u64, deed: Deed) -> LockCall {
    LockCall {
        op: 0,
        process: u64::from(owner.0),
        called: RunTime(called),
        returned: Some(RunTime(returned)),
        action: LockAction { owner, deed },
    }
}
