//! The decisions about locks, fast and general, against a search through all orders: many tiny histories of a correct lock with
//! a few wrong answers, from seeds. `linear_locks.rs` looks at fewer, and at their witnesses as well.

mod linear_locks_support;

use leasehold_checkers::history::RunTime;
use leasehold_checkers::linear::Decision;
use leasehold_checkers::linear::generate::Random;
use leasehold_checkers::linear::locks::{
    Deed, LockAction, LockCall, LockHistory, LockModel, Owner, decide, decide_by_search,
};
use linear_locks_support::oracle::{self, Optional};
use linear_locks_support::{CERTIFYING, DELAYED, LENIENT, unbounded};

const OWNERS: u32 = 3;

fn cases() -> u64 {
    u64::from(linear_locks_support::cases(100_000))
}

/// Calls around the instants at which they take effect, most of them told the truth of a lock that so many may hold.
fn tiny(random: &mut Random, most_holders: usize) -> LockHistory {
    let mut calls = Vec::new();
    let mut holders: Vec<(u32, u64)> = Vec::new();
    let (mut now, mut token) = (0, 1);
    for op in 0..1 + random.below(7) as usize {
        now += random.below(4);
        holders.retain(|(_, expires)| *expires > now || random.below(100) < 50);
        let called = now.saturating_sub(random.below(4));
        let returned = now + random.below(4);
        let owner = random.below(u64::from(OWNERS)) as u32;
        let mine = holders.iter().position(|(holder, _)| *holder == owner);
        let free = holders.is_empty() || holders.len() < most_holders && (mine.is_some() || random.below(100) < 50);
        let expires = RunTime(called + random.below(8));
        let unanswered = random.below(100) < 12;
        let truth = random.below(100) < 85;
        let deed = match random.below(10) {
            0 => Deed::Seen { holder: holders.first().map(|(holder, _)| Owner(*holder)) },
            1 if mine.is_some() == truth => Deed::Renewed { expires },
            1 => Deed::NotHeld,
            2..6 if mine.is_some() == truth => {
                if let Some(mine) = mine {
                    holders.remove(mine);
                }
                Deed::Released
            }
            _ if free == truth => {
                holders.push((owner, expires.0));
                token += random.below(3);
                Deed::Acquired { token: (random.below(100) < 80).then_some(token), expires }
            }
            _ => {
                let tells = random.below(100) < 40;
                Deed::Refused { holder: holders.first().filter(|_| tells).map(|(holder, _)| Owner(*holder)) }
            }
        };
        let action = LockAction { owner: Owner(owner), deed };
        let returned = (!unanswered).then_some(RunTime(returned));
        calls.push(LockCall { op, process: u64::from(owner), called: RunTime(called), returned, action });
    }
    calls.sort_by_key(|call| call.called);
    for (op, call) in calls.iter_mut().enumerate() {
        call.op = op;
    }
    LockHistory { key: String::new(), calls, owners: (0..OWNERS).map(|owner| format!("process {owner}")).collect() }
}

#[track_caller]
fn agree(model: &LockModel, most_holders: usize) {
    let mut explainable = 0;
    for seed in 0..cases() {
        let history = tiny(&mut Random::new(seed.wrapping_mul(0x5851_f42d_4c95_7f2d)), most_holders);
        let truth = oracle::has_order(model, &history.calls, Optional::None);
        explainable += u64::from(truth);
        let agrees = |which: &str, decision: &Decision| {
            let agrees = match decision {
                Decision::Linearizable => truth,
                Decision::Broken(_) => !truth,
                Decision::Undecided { .. } => false,
            };
            assert!(agrees, "seed {seed}: the {which} way: {decision:?}, truth {truth}, in {history:#?}");
        };
        agrees("fast", &decide(model, &history, &unbounded()));
        if seed % 8 == 0 {
            agrees("general", &decide_by_search(model, &history, &unbounded()));
        }
    }
    eprintln!("{model:?}: {explainable} of {} can be explained", cases());
    assert!(explainable * 5 > cases() && explainable * 20 < cases() * 19, "{explainable} of {}", cases());
}

#[test]
fn mutex() {
    agree(&LockModel::Mutex, 1);
}

#[test]
fn owner_mutex() {
    agree(&LockModel::OwnerMutex, 1);
}

#[test]
fn reentrant_mutex() {
    agree(&LockModel::Reentrant(2), 2);
}

#[test]
fn fenced_mutex() {
    agree(&LockModel::Fenced, 1);
}

#[test]
fn semaphore() {
    agree(&LockModel::Semaphore(2), 2);
}

#[test]
fn lease_lock_with_lenient_releases() {
    agree(&LockModel::Lease(LENIENT), 1);
}

#[test]
fn lease_lock_with_certifying_releases() {
    agree(&LockModel::Lease(CERTIFYING), 1);
}

#[test]
fn lease_lock_with_lock_delay() {
    agree(&LockModel::Lease(DELAYED), 1);
}
