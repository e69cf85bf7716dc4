//! The decisions about locks against a search through all orders of tiny histories, by instants on half steps.

mod linear_locks_support;

use leasehold_checkers::history::RunTime;
use leasehold_checkers::linear::locks::{Deed, LockCall, LockHistory, LockModel, decide, decide_by_search, procedure};
use leasehold_checkers::linear::{Decision, Witness};
use linear_locks_support::drawn::{drawn, history};
use linear_locks_support::oracle::{self, Optional};
use linear_locks_support::{CERTIFYING, DELAYED, LENIENT, call, cases, unbounded};
use proptest::prelude::*;

/// All ways to decide agree with the oracle, and a witness holds what it says.
fn agree(model: &LockModel, history: &LockHistory) -> Result<(), TestCaseError> {
    let explainable = oracle::has_order(model, &history.calls, Optional::None);
    let decision = decide(model, history, &unbounded());
    let which = procedure(model, history);
    prop_assert_eq!(decision == Decision::Linearizable, explainable, "{:?} {:?} {:#?}", which, decision, history);
    let searched = decide_by_search(model, history, &unbounded());
    prop_assert_eq!(searched == Decision::Linearizable, explainable, "search: {:?} {:#?}", searched, history);
    let Decision::Broken(witness) = searched else { return Ok(()) };
    witness_holds(model, history, &witness.ops)?;
    if let Decision::Broken(witness) = decision {
        prop_assert!(witness.ops.contains(&witness.stuck_at), "{:?} {:#?}", witness, history);
        witness_holds(model, history, &witness.ops)?;
        prefix_holds(model, history, &witness)?;
    }
    Ok(())
}

/// What returned before the answer that is stuck can be explained, and with it no more; and there is a state before it.
fn prefix_holds(model: &LockModel, history: &LockHistory, witness: &Witness) -> Result<(), TestCaseError> {
    let stuck = history.calls.iter().find(|call| call.op == witness.stuck_at).expect("it is an op");
    let end = stuck.returned.expect("it returned");
    let so_far = |with_it: bool| {
        let mut calls: Vec<LockCall> = history.calls.iter().filter(|call| call.called <= end).cloned().collect();
        for call in &mut calls {
            let is_before = |returned: &RunTime| *returned < end || with_it && call.op == stuck.op;
            call.returned = call.returned.filter(is_before);
        }
        oracle::has_order(model, &calls, Optional::None)
    };
    prop_assert!(so_far(false), "{:?} of {:#?}", witness, history);
    let ties = history.calls.iter().filter(|call| call.returned == Some(end)).count();
    prop_assert!(ties > 1 || !so_far(true), "{:?} of {:#?}", witness, history);
    prop_assert!(!witness.states_before.is_empty(), "{:?} of {:#?}", witness, history);
    Ok(())
}

/// Broken with all other answers forgotten, and explainable with any one more.
fn witness_holds(model: &LockModel, history: &LockHistory, ops: &[usize]) -> Result<(), TestCaseError> {
    let forgetting = |kept: &[usize]| oracle::has_order(model, &history.calls, Optional::AllBut(kept));
    prop_assert!(!forgetting(ops), "witness {:?} of {:#?}", ops, history);
    for dropped in ops {
        let rest: Vec<usize> = ops.iter().copied().filter(|op| op != dropped).collect();
        prop_assert!(forgetting(&rest), "witness {:?} needs no {} in {:#?}", ops, dropped, history);
    }
    Ok(())
}

fn agrees_on_tiny_histories(model: LockModel) {
    let config = ProptestConfig { cases: cases(20_000), failure_persistence: None, ..ProptestConfig::default() };
    let strategy = (prop::collection::vec(drawn(), 1..=7), prop::bool::weighted(0.7), prop::bool::weighted(0.3));
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&strategy, |(drawn, in_turn, looks)| agree(&model, &history(&drawn, in_turn, looks)));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn mutex() {
    agrees_on_tiny_histories(LockModel::Mutex);
}

#[test]
fn owner_mutex() {
    agrees_on_tiny_histories(LockModel::OwnerMutex);
}

#[test]
fn reentrant_mutex() {
    agrees_on_tiny_histories(LockModel::Reentrant(2));
}

#[test]
fn fenced_mutex() {
    agrees_on_tiny_histories(LockModel::Fenced);
}

#[test]
fn semaphore() {
    agrees_on_tiny_histories(LockModel::Semaphore(2));
}

#[test]
fn lease_lock_with_lenient_releases() {
    agrees_on_tiny_histories(LockModel::Lease(LENIENT));
}

#[test]
fn lease_lock_with_certifying_releases() {
    agrees_on_tiny_histories(LockModel::Lease(CERTIFYING));
}

#[test]
fn lease_lock_with_lock_delay() {
    agrees_on_tiny_histories(LockModel::Lease(DELAYED));
}

/// Found by the oracle: what seems to contradict itself is explained by a request that was under way beside it.
#[test]
fn regression_a_release_beside_the_acquisition_that_explains_it() {
    let taken = Deed::Acquired { token: None, expires: RunTime(0) };
    let calls = vec![call(0, 0, Some(2), Deed::Released), call(0, 1, Some(1), taken)];
    let history = LockHistory { key: String::new(), calls, owners: vec!["process 0".to_owned()] };
    for model in [LockModel::OwnerMutex, LockModel::Reentrant(2), LockModel::Lease(LENIENT)] {
        assert_eq!(decide(&model, &history, &unbounded()), Decision::Linearizable);
    }
}

/// Found by the oracle: only a fenced mutex cares for tokens.
#[test]
fn regression_tokens_that_fall() {
    let taken = |token| Deed::Acquired { token: Some(token), expires: RunTime(0) };
    let calls = vec![call(0, 0, Some(1), taken(3)), call(0, 2, Some(3), Deed::Released), call(1, 4, Some(5), taken(1))];
    let history = LockHistory { key: String::new(), calls, owners: vec!["a".to_owned(), "b".to_owned()] };
    assert_eq!(decide(&LockModel::OwnerMutex, &history, &unbounded()), Decision::Linearizable);
    assert!(matches!(decide(&LockModel::Fenced, &history, &unbounded()), Decision::Broken(_)));
}
