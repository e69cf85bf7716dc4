//! A search over orders for any object: the last resort, where nothing better is known of it.
//!
//! Operations are placed one after the other, each only if none that is left returned before it was called (Wing and
//! Gong 1993). What was reached before, the same operations placed and the same state, is not looked at again (Lowe
//! 2017). The set of placed operations is kept as those before a certain one in the order of calls, and the others by
//! bits, so it is as long as operations are concurrent.

use std::collections::HashSet;
use std::hash::Hash;

use super::{Budget, Call};
use crate::history::RunTime;

/// An object that answers one operation after the other.
pub(super) trait Sequential {
    type Action;
    type State: Clone + Eq + Hash;

    fn start(&self) -> Self::State;

    /// The state after the operation, if it would be answered as recorded.
    fn after(&self, state: &Self::State, action: &Self::Action) -> Option<Self::State>;

    /// The memory that a state takes beyond its own size.
    fn bytes(state: &Self::State) -> usize;
}

/// Whether there is an order that explains all answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Exists,
    DoesNotExist,
    /// The budget ended first.
    Unknown(&'static str),
}

/// Which operations are placed: all before `from`, and those of the bits from there on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Placed {
    from: u32,
    bits: Vec<u64>,
}

impl Placed {
    fn has(&self, call: usize) -> bool {
        call.checked_sub(self.from as usize)
            .is_none_or(|bit| self.bits.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1))
    }

    fn with(&self, call: usize) -> Self {
        let mut placed = self.clone();
        let bit = call - self.from as usize;
        if placed.bits.len() <= bit / 64 {
            placed.bits.resize(bit / 64 + 1, 0);
        }
        placed.bits[bit / 64] |= 1 << (bit % 64);
        while placed.bits.first() == Some(&u64::MAX) {
            placed.bits.remove(0);
            placed.from += 64;
        }
        placed
    }
}

/// Looks for an order of calls, which are sorted by the times of their calls.
pub(super) fn order<S: Sequential>(object: &S, calls: &[&Call<S::Action>], budget: &Budget<'_>) -> Order {
    let start = (Placed { from: 0, bits: Vec::new() }, object.start());
    let mut reached = HashSet::from([start.clone()]);
    let mut open = vec![start];
    let mut bytes = 0;
    let mut work = 0u64;
    while let Some((placed, state)) = open.pop() {
        work += 1;
        if work.is_multiple_of(256) && (budget.out_of_time)() {
            return Order::Unknown("the time was used up");
        }
        let Some(next) = next_calls(calls, &placed) else { return Order::Exists };
        for call in next {
            let Some(state) = object.after(&state, &calls[call].action) else { continue };
            let config = (placed.with(call), state);
            if !reached.contains(&config) {
                // It is kept twice, in a set and a list that may both be half empty.
                bytes += 4 * (size_of_val(&config) + 8 * config.0.bits.len() + S::bytes(&config.1) + 16);
                if bytes > budget.memory_bytes {
                    return Order::Unknown("the memory was used up");
                }
                reached.insert(config.clone());
                open.push(config);
            }
        }
    }
    Order::DoesNotExist
}

/// The calls that may be placed next, the last one to be tried first; `None` if all that returned are placed.
fn next_calls<A>(calls: &[&Call<A>], placed: &Placed) -> Option<Vec<usize>> {
    let mut next = Vec::new();
    let mut first_return: Option<RunTime> = None;
    for (call, &&Call { called, returned, .. }) in calls.iter().enumerate().skip(placed.from as usize) {
        if first_return.is_some_and(|first| first < called) {
            break;
        }
        if placed.has(call) {
            continue;
        }
        next.push(call);
        first_return = match (first_return, returned) {
            (Some(first), Some(returned)) => Some(first.min(returned.max(called))),
            (first, returned) => first.or(returned.map(|returned| returned.max(called))),
        };
    }
    let first = first_return?;
    next.retain(|&call| calls[call].called <= first);
    // Answered operations are tried before those that may never have happened, the earliest return first.
    next.sort_by_key(|&call| std::cmp::Reverse((calls[call].returned.is_none(), calls[call].returned)));
    Some(next)
}
