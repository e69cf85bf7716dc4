//! The orders that are spelled out, taken step by step by a lock that shares nothing with the procedures.

mod linear_locks_support;

use std::time::Duration;

use leasehold_checkers::linear::generate::{Load, LockWorkload};
use leasehold_checkers::linear::locks::{
    LeaseTerms, LockHistory, LockModel, Procedure, decide, expired, linearize, procedure,
};
use leasehold_checkers::linear::{Decision, Happening};
use linear_locks_support::drawn::{drawn, history};
use linear_locks_support::oracle::{self, Optional};
use linear_locks_support::replay::wrong_with;
use linear_locks_support::unbounded;
use proptest::prelude::*;

const LENIENT: LeaseTerms = LeaseTerms {
    ttl: None,
    rate_error_ppm: 0,
    slack: Duration::ZERO,
    lock_delay: Duration::ZERO,
    release_certifies: false,
};
const CERTIFYING: LeaseTerms = LeaseTerms { release_certifies: true, ..LENIENT };
const DELAYED: LeaseTerms = LeaseTerms { lock_delay: Duration::from_nanos(3), ..LENIENT };

const MODELS: [LockModel; 8] = [
    LockModel::Mutex,
    LockModel::OwnerMutex,
    LockModel::Reentrant(2),
    LockModel::Fenced,
    LockModel::Semaphore(2),
    LockModel::Lease(LENIENT),
    LockModel::Lease(CERTIFYING),
    LockModel::Lease(DELAYED),
];

/// Spelled out if and only if there is an order, and then it is one, with no expiry too many.
fn spelled_out(model: &LockModel, history: &LockHistory) -> Result<(), TestCaseError> {
    let is_valid = decide(model, history, &unbounded()) == Decision::Linearizable;
    let order = linearize(model, history, &unbounded());
    prop_assert_eq!(order.is_some(), is_valid, "{:?} {:#?}", model, history);
    let Some(order) = order else { return Ok(()) };
    let which = procedure(model, history);
    let wrong = wrong_with(&order, model, history);
    prop_assert_eq!(wrong, None, "{:?} {:?}\n{}{:#?}", model, which, order, history);
    let expiries: Vec<usize> = (0..order.steps.len())
        .filter(|step| matches!(order.steps[*step].happening, Happening::Expiry { .. }))
        .collect();
    let told = expired(model, history, &unbounded());
    prop_assert_eq!(told.len(), expiries.len());
    for (expiry, told) in expiries.iter().zip(&told) {
        prop_assert_eq!(order.steps[*expiry].happening, Happening::Expiry { grant: told.grant });
        prop_assert!(told.from <= told.gone_by, "{}", told);
        let mut without = order.clone();
        without.steps.remove(*expiry);
        prop_assert!(wrong_with(&without, model, history).is_some(), "{} is not needed in\n{}", told, order);
    }
    if which == Procedure::Leases {
        needs_each_expiry(model, history, &told.iter().map(|told| told.grant).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// No smaller part of these expiries explains the history.
fn needs_each_expiry(model: &LockModel, history: &LockHistory, grants: &[usize]) -> Result<(), TestCaseError> {
    for spared in grants {
        let may_expire = |op: usize| op != *spared && grants.contains(&op);
        let explained = oracle::has_order_if(model, &history.calls, Optional::None, &may_expire);
        prop_assert!(!explained, "no need for the expiry of {} among {:?} in {:#?}", spared, grants, history);
    }
    Ok(())
}

fn cases() -> u32 {
    std::env::var("LEASEHOLD_ORACLE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(10_000)
}

#[test]
fn orders_of_tiny_histories() {
    let config = ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    let strategy = (prop::collection::vec(drawn(), 1..=8), prop::bool::weighted(0.8), prop::bool::weighted(0.4));
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&strategy, |(drawn, in_turn, looks)| {
        let history = history(&drawn, in_turn, looks);
        MODELS.iter().try_for_each(|model| spelled_out(model, &history))
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn orders_of_long_histories() {
    for (clients, unanswered_per_mille, seed) in [(5, 0, 1), (5, 20, 2), (20, 300, 3), (100, 20, 4)] {
        for blocking in [false, true] {
            let load = Load { seed, ops: 2_000, clients, unanswered_per_mille, broken: false };
            let history = LockWorkload { load, blocking }.history();
            for model in MODELS {
                if procedure(&model, &history) == Procedure::Search {
                    continue;
                }
                let order = linearize(&model, &history, &unbounded()).expect("it is valid");
                assert_eq!(wrong_with(&order, &model, &history), None, "{model:?} {load:?}");
            }
        }
    }
}
