//! The orders that are spelled out, taken step by step by a lock that shares nothing with the procedures.

mod linear_locks_support;

use leasehold_checkers::history::RunTime;
use leasehold_checkers::linear::generate::{Load, LockWorkload};
use leasehold_checkers::linear::locks::{
    Deed, LockCall, LockHistory, LockModel, Owner, Procedure, decide, expired, linearize, procedure,
};
use leasehold_checkers::linear::{Decision, Happening};
use linear_locks_support::drawn::{drawn, history};
use linear_locks_support::oracle::{self, Optional};
use linear_locks_support::replay::wrong_with;
use linear_locks_support::{MODELS, call, cases, unbounded};
use proptest::prelude::*;

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

#[test]
fn orders_of_tiny_histories() {
    let config = ProptestConfig { cases: cases(10_000), failure_persistence: None, ..ProptestConfig::default() };
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

/// Requests, each with its owner, when it was called and when it returned.
fn history_of<const N: usize>(calls: [(u32, u64, Option<u64>, Deed); N]) -> LockHistory {
    let owners = (0..4).map(|owner| format!("process {owner}")).collect();
    let numbered = |(op, (owner, called, returned, deed))| LockCall { op, ..call(owner, called, returned, deed) };
    LockHistory { key: String::new(), calls: calls.into_iter().enumerate().map(numbered).collect(), owners }
}

fn acquired(expires: u64) -> Deed {
    Deed::Acquired { token: None, expires: RunTime(expires) }
}

const REFUSED: Deed = Deed::Refused { holder: None };

/// Found by the oracle in CI: who was refused met one whose acquisition never got an answer. Its release, which never got one
/// either, was called in time for the next one, so its lease need not run out.
#[test]
fn regression_a_phantom_that_gives_the_lock_back_in_time() -> Result<(), TestCaseError> {
    let history = history_of([
        (2, 0, None, acquired(0)),
        (1, 0, Some(0), REFUSED),
        (0, 1, Some(1), Deed::Released),
        (0, 4, Some(5), acquired(6)),
        (2, 5, None, Deed::Released),
    ]);
    assert_eq!(expired(&MODELS[5], &history, &unbounded()), []);
    spelled_out(&MODELS[5], &history)
}

/// Found by the oracle: the first owner was seen to hold the lock, so its acquisition happened although it never got an answer.
/// Whether its release did is not known either; it was called in time for the other owner.
#[test]
fn regression_a_release_before_the_begin_of_what_is_held_for_ever() -> Result<(), TestCaseError> {
    let history = history_of([
        (2, 0, Some(5), Deed::Seen { holder: Some(Owner(1)) }),
        (1, 0, None, acquired(0)),
        (0, 0, Some(1), acquired(0)),
        (1, 1, None, Deed::Released),
    ]);
    assert_eq!(expired(&MODELS[5], &history, &unbounded()), []);
    spelled_out(&MODELS[5], &history)
}

/// Of two phantoms either can explain the first refusal, and one of them gives the lock back too late for that, but not for the
/// second.
#[test]
fn phantoms_are_used_where_they_need_not_run_out() -> Result<(), TestCaseError> {
    let history = history_of([
        (1, 0, None, acquired(0)),
        (2, 0, None, acquired(0)),
        (3, 1, Some(1), REFUSED),
        (0, 3, Some(4), acquired(9)),
        (0, 5, Some(5), Deed::Released),
        (1, 6, None, Deed::Released),
        (3, 7, Some(7), REFUSED),
        (0, 9, Some(9), acquired(12)),
    ]);
    let told = expired(&MODELS[5], &history, &unbounded());
    assert_eq!(told.iter().map(|told| told.grant).collect::<Vec<_>>(), [1]);
    spelled_out(&MODELS[5], &history)
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
