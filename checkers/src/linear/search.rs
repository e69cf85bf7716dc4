//! A search over orders for any object: the last resort, where nothing better is known of it.
//!
//! Operations are placed one after the other, each only if none that is left returned before it was called (Wing and
//! Gong 1993). What was reached before, the same operations placed and the same state, is not looked at again (Lowe
//! 2017). The set of placed operations is kept as those before a certain one in the order of calls, and the others by
//! bits, so it is as long as operations are concurrent.

use std::collections::HashSet;
use std::hash::Hash;
use std::rc::Rc;

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
    /// These calls one after the other, by their places; those without an answer that are left out did not happen.
    Exists(Vec<usize>),
    DoesNotExist,
    /// The budget ended first.
    Unknown {
        reason: &'static str,
        /// All that returned before this could be explained.
        explained_before: RunTime,
    },
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
    let mut search = Search::new(object, calls, budget);
    loop {
        match search.next() {
            Ok(Some(Found { is_end: true, trail, .. })) => return Order::Exists(search.calls_before(trail)),
            Ok(Some(_)) => {}
            Ok(None) => return Order::DoesNotExist,
            Err(reason) => return Order::Unknown { reason, explained_before: search.explained_before },
        }
    }
}

/// The states in which an order of all calls may end, without a few of those beyond so many; `None` if the budget ends.
pub(super) fn final_states<S: Sequential>(
    object: &S,
    calls: &[&Call<S::Action>],
    most: usize,
    budget: &Budget<'_>,
) -> Option<Vec<S::State>> {
    let mut search = Search::new(object, calls, budget);
    let mut states: Vec<S::State> = Vec::new();
    while let Some(found) = search.next().ok()? {
        if found.is_end && !states.contains(&found.state) && states.len() <= most {
            states.push(found.state);
        }
    }
    Some(states)
}

/// What a search came to.
struct Found<T> {
    state: T,
    /// Whether all that returned are placed.
    is_end: bool,
    trail: u32,
}

/// An order that is being built: which calls are placed, the state, and how it came about.
type Open<T> = (Rc<(Placed, T)>, u32);

struct Search<'a, S: Sequential> {
    object: &'a S,
    calls: &'a [&'a Call<S::Action>],
    budget: &'a Budget<'a>,
    reached: HashSet<Rc<(Placed, S::State)>>,
    open: Vec<Open<S::State>>,
    /// For each order so far the one before its last call, and that call.
    trails: Vec<(u32, u32)>,
    bytes: usize,
    work: u64,
    explained_before: RunTime,
}

impl<'a, S: Sequential> Search<'a, S> {
    fn new(object: &'a S, calls: &'a [&'a Call<S::Action>], budget: &'a Budget<'a>) -> Self {
        let start = Rc::new((Placed { from: 0, bits: Vec::new() }, object.start()));
        Self {
            object,
            calls,
            budget,
            reached: HashSet::from([start.clone()]),
            open: vec![(start, 0)],
            trails: vec![(0, 0)],
            bytes: 0,
            work: 0,
            explained_before: RunTime(0),
        }
    }

    /// Looks at one more order, and keeps those with one more call.
    fn next(&mut self) -> Result<Option<Found<S::State>>, &'static str> {
        let Some((config, trail)) = self.open.pop() else { return Ok(None) };
        let (placed, state) = &*config;
        self.work += 1;
        if self.work.is_multiple_of(64) && (self.budget.out_of_time)() {
            return Err("the time was used up");
        }
        let (next, first_return) = next_calls(self.calls, placed);
        if let Some(first) = first_return {
            self.explained_before = self.explained_before.max(first);
        }
        for call in next {
            let Some(state) = self.object.after(state, &self.calls[call].action) else { continue };
            let config = (placed.with(call), state);
            if !self.reached.contains(&config) {
                // The set and the lists that know it may be half empty, and the system rounds up what it gives.
                self.bytes += 2 * (size_of_val(&config) + 8 * config.0.bits.len() + S::bytes(&config.1) + 64);
                if self.bytes > self.budget.memory_bytes {
                    return Err("the memory was used up");
                }
                let config = Rc::new(config);
                self.reached.insert(Rc::clone(&config));
                self.open.push((config, self.trails.len() as u32));
                self.trails.push((trail, call as u32));
            }
        }
        Ok(Some(Found { state: state.clone(), is_end: first_return.is_none(), trail }))
    }

    fn calls_before(&self, mut trail: u32) -> Vec<usize> {
        let mut calls = Vec::new();
        while trail != 0 {
            let (before, call) = self.trails[trail as usize];
            calls.push(call as usize);
            trail = before;
        }
        calls.reverse();
        calls
    }
}

/// The calls that may be placed next, the last one to be tried first, and the first return of those left.
fn next_calls<A>(calls: &[&Call<A>], placed: &Placed) -> (Vec<usize>, Option<RunTime>) {
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
    if let Some(first) = first_return {
        next.retain(|&call| calls[call].called <= first);
    }
    // Answered operations are tried before those that may never have happened, the earliest return first.
    next.sort_by_key(|&call| std::cmp::Reverse((calls[call].returned.is_none(), calls[call].returned)));
    (next, first_return)
}
