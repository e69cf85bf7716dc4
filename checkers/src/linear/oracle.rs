//! Second opinions, for tests only: all orders of a tiny history, and a plain search in the manner of Wing and Gong.
//!
//! Both follow the definition of linearizability and share nothing with the procedures that they judge.

use std::collections::HashSet;
use std::hash::Hash;

use super::Call;

/// An object that answers one operation after the other.
pub(crate) trait Sequential {
    type Action: Clone + std::fmt::Debug;
    type State: Clone + Eq + Hash;

    fn starts(&self) -> Vec<Self::State>;

    /// The state after the operation, if it would be answered as recorded.
    fn after(&self, state: &Self::State, action: &Self::Action) -> Option<Self::State>;
}

/// Whether some order of the calls explains all answers: tries all.
pub(crate) fn any_order<S: Sequential>(object: &S, calls: &[Call<S::Action>]) -> bool {
    object.starts().iter().any(|start| any_order_from(object, calls, &mut vec![false; calls.len()], start))
}

fn any_order_from<S: Sequential>(
    object: &S,
    calls: &[Call<S::Action>],
    done: &mut Vec<bool>,
    state: &S::State,
) -> bool {
    let left = || (0..calls.len()).filter(|&call| !done[call]);
    let Some(first_return) = left().filter_map(|call| calls[call].returned).min() else {
        return true;
    };
    let next: Vec<usize> = left().filter(|&call| calls[call].called <= first_return).collect();
    for call in next {
        if let Some(state) = object.after(state, &calls[call].action) {
            done[call] = true;
            let found = any_order_from(object, calls, done, &state);
            done[call] = false;
            if found {
                return true;
            }
        }
    }
    false
}

/// The same with a memory of what was tried (Wing and Gong 1993, Lowe 2017): for somewhat longer histories.
pub(crate) fn search<S: Sequential>(object: &S, calls: &[Call<S::Action>]) -> bool {
    let mut tried: HashSet<(Vec<u64>, S::State)> = HashSet::new();
    let mut open: Vec<(Vec<u64>, S::State)> =
        object.starts().into_iter().map(|state| (vec![0; calls.len().div_ceil(64)], state)).collect();
    while let Some((done, state)) = open.pop() {
        let is_done = |call: usize| done[call / 64] >> (call % 64) & 1 == 1;
        let left = || (0..calls.len()).filter(|&call| !is_done(call));
        let Some(first_return) = left().filter_map(|call| calls[call].returned).min() else {
            return true;
        };
        for call in left().filter(|&call| calls[call].called <= first_return) {
            if let Some(state) = object.after(&state, &calls[call].action) {
                let mut done = done.clone();
                done[call / 64] |= 1 << (call % 64);
                if tried.insert((done.clone(), state.clone())) {
                    open.push((done, state));
                }
            }
        }
    }
    false
}

/// How many random histories each property test looks at: `LEASEHOLD_ORACLE_CASES`, or a number that takes seconds.
pub(crate) fn cases() -> u64 {
    std::env::var("LEASEHOLD_ORACLE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100_000)
}
