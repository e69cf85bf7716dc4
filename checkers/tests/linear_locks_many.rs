//! The decisions about locks, fast and general, against a search through all orders: many tiny histories of a correct lock with
//! a few wrong answers, from seeds. `linear_locks.rs` looks at fewer, and at their witnesses as well.

mod linear_locks_support;
#[path = "support/random.rs"]
#[allow(unreachable_pub, reason = "other tests share it in a module")]
mod random;

use leasehold_checkers::history::RunTime;
use leasehold_checkers::linear::Decision;
use leasehold_checkers::linear::locks::{
    Deed, LeaseTerms, LockAction, LockCall, LockHistory, LockModel, Owner, decide, decide_by_search,
};
use linear_locks_support::oracle::{self, Optional};
use linear_locks_support::unbounded;
use random::Random;
use std::time::Duration;

const OWNERS: u32 = 3;

fn cases() -> u64 {
    std::env::var("LEASEHOLD_ORACLE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100_000)
}

/// Calls around the instants at which they take effect, most of them told the truth of a lock that so many may hold.
fn tiny(random: &mut Random, most_holders: usize) -> LockHistory {
    let mut calls = Vec::new();
    let mut holders: Vec<(u32, u64)> = Vec::new();
    let (mut now, mut token) = (0, 1);
    for op in 0..random.of(1..8) as usize {
        now += random.of(0..4);
        holders.retain(|(_, expires)| *expires > now || random.percent(50));
        let called = now.saturating_sub(random.of(0..4));
        let returned = now + random.of(0..4);
        let owner = random.of(0..u64::from(OWNERS)) as u32;
        let mine = holders.iter().position(|(holder, _)| *holder == owner);
        let free = holders.is_empty() || holders.len() < most_holders && (mine.is_some() || random.percent(50));
        let expires = RunTime(called + random.of(0..8));
        let unanswered = random.percent(12);
        let truth = random.percent(85);
        let deed = match random.of(0..10) {
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
                token += random.of(0..3);
                Deed::Acquired { token: random.percent(80).then_some(token), expires }
            }
            _ => {
                let tells = random.percent(40);
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
        let history = tiny(&mut Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d)), most_holders);
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
    agree(&LockModel::Lease(LeaseTerms::default()), 1);
}

#[test]
fn lease_lock_with_certifying_releases() {
    agree(&LockModel::Lease(LeaseTerms { release_certifies: true, ..LeaseTerms::default() }), 1);
}

#[test]
fn lease_lock_with_lock_delay() {
    agree(&LockModel::Lease(LeaseTerms { lock_delay: Duration::from_nanos(3), ..LeaseTerms::default() }), 1);
}
