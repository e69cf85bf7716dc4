//! The fewest answers that no order explains.
//!
//! To *forget* an answer is to say no more than that the request may have taken effect while it was under way, or not. A
//! witness is a set of answers that no order explains even when all others are forgotten, and of which none can be forgotten as
//! well. Unlike dropping requests this never makes a history worse (a release without its acquisition would be a
//! contradiction of its own), so a witness never accuses a history that has an order.
//!
//! Only a window of the history is searched: from some instant on, at which the lock may be in any state, to the first answer that
//! cannot be explained. Requests that were under way at its begin may have taken effect before. A window that
//! has no order from any state makes a history that has none either. It is doubled until it has none.

use std::cell::Cell;

use super::action::{Deed, LockCall, LockModel, Owner};
use super::calls::LockHistory;
use super::order::{Contradiction, NEVER};
use super::search::{Found, Task, search};
use super::state::{Moment, State};
use super::words;
use crate::history::RunTime;
use crate::linear::{Budget, Witness};

const FIRST_WINDOW: usize = 16;
const LONGEST_WINDOW: usize = 128;

/// Each step of a search looks at all requests of unknown outcome: with more of them a window is not searched.
const MOST_UNKNOWNS: usize = 256;

/// How often one search for a witness may look at its budget: a bound that is the same on each machine.
const LOOKS: usize = 40;

/// Explains answers that contradict each other, by position.
pub(super) fn of_contradiction(
    model: &LockModel,
    history: &LockHistory,
    answers: &Contradiction,
    budget: &Budget<'_>,
) -> Witness {
    let calls = &history.calls;
    let answers: Vec<usize> = answers.iter().map(|answer| *answer as usize).collect();
    let last = answers.iter().copied().max_by_key(|answer| calls[*answer].returned).unwrap_or_default();
    let small = smallest(model, history, last, budget);
    let (found, states) = small.unwrap_or_else(|| (answers, Vec::new()));
    told(model, history, &found, last, &states)
}

/// Explains answers of which nothing smaller can be said, by position.
pub(super) fn as_found(model: &LockModel, history: &LockHistory, answers: &Contradiction) -> Witness {
    let answers: Vec<usize> = answers.iter().map(|answer| *answer as usize).collect();
    let returned = |answer: &usize| history.calls[*answer].returned;
    let last = answers.iter().copied().max_by_key(returned).unwrap_or_default();
    let taken = match history.calls[last].action.deed {
        Deed::Acquired { .. } | Deed::Seen { holder: None } => answers.len() - 1,
        _ => 0,
    };
    let state = State { taken: u32::try_from(taken).unwrap_or(u32::MAX), ..State::default() };
    told(model, history, &answers, last, &[state])
}

/// Explains why the return of this call, by position, cannot be explained from these states.
pub(super) fn of_stuck(
    model: &LockModel,
    history: &LockHistory,
    stuck: usize,
    before: &[State],
    budget: &Budget<'_>,
) -> Witness {
    let everything = || {
        let until = history.calls[stuck].returned.unwrap_or(NEVER);
        let so_far = |call: &LockCall| call.returned.is_some_and(|returned| returned <= until);
        (0..history.calls.len()).filter(|call| so_far(&history.calls[*call])).collect()
    };
    let found = smallest(model, history, stuck, budget).map_or_else(everything, |(found, _)| found);
    told(model, history, &found, stuck, before)
}

fn told(model: &LockModel, history: &LockHistory, found: &[usize], stuck: usize, states: &[State]) -> Witness {
    let mut states_before: Vec<String> = states.iter().map(|state| words::state(model, state, history)).collect();
    states_before.sort_unstable();
    states_before.dedup();
    const MOST_IN_A_SENTENCE: usize = 6;
    let mut answers: Vec<String> =
        found.iter().take(MOST_IN_A_SENTENCE).map(|call| words::call(&history.calls[*call], history)).collect();
    if found.len() > MOST_IN_A_SENTENCE {
        answers.push(format!("{} answers more", found.len() - MOST_IN_A_SENTENCE));
    }
    let explanation = match answers.split_last() {
        Some((only, [])) => format!("no state of the lock explains that {only}"),
        Some((last, others)) => format!("no order explains both that {} and that {last}", others.join(", that ")),
        None => "no order explains the answers".to_owned(),
    };
    let mut ops: Vec<usize> = found.iter().map(|call| history.calls[*call].op).collect();
    ops.sort_unstable();
    Witness { ops, stuck_at: history.calls[stuck].op, states_before, explanation }
}

/// The answers of a witness by position, and the states before the last of them; `None` where the search was too long.
fn smallest(
    model: &LockModel,
    history: &LockHistory,
    stuck: usize,
    budget: &Budget<'_>,
) -> Option<(Vec<usize>, Vec<State>)> {
    let end = history.calls[stuck].returned?;
    let mut returns: Vec<RunTime> =
        history.calls.iter().filter_map(|call| call.returned).filter(|returned| *returned <= end).collect();
    returns.sort_unstable();
    let mut length = FIRST_WINDOW;
    loop {
        let begin = returns.len().checked_sub(length).map_or(RunTime(0), |first| returns[first]);
        let is_all = length >= returns.len();
        let mut window = Window::cut(model, history, if is_all { RunTime(0) } else { begin }, end, budget);
        if window.unknowns() > MOST_UNKNOWNS {
            return None;
        }
        if let Some(states) = window.broken_from() {
            window.forget_what_can_be_forgotten();
            let kept = (0..window.calls.len()).filter(|call| window.is_kept(*call)).map(|call| window.positions[call]);
            return Some((kept.collect(), states));
        }
        if is_all || length >= LONGEST_WINDOW {
            return None;
        }
        length *= 2;
    }
}

/// A part of a history that may have no order from any state.
struct Window<'a> {
    model: &'a LockModel,
    starts: Vec<Moment>,
    calls: Vec<LockCall>,
    positions: Vec<usize>,
    optional: Vec<bool>,
    looks_left: Cell<usize>,
    memory_bytes: usize,
}

impl<'a> Window<'a> {
    fn cut(model: &'a LockModel, history: &LockHistory, begin: RunTime, end: RunTime, budget: &Budget<'_>) -> Self {
        let is_whole = begin == RunTime(0);
        let inside = |call: &LockCall| call.called <= end && call.returned.is_none_or(|returned| returned >= begin);
        let (mut positions, mut calls): (Vec<usize>, Vec<LockCall>) =
            history.calls.iter().cloned().enumerate().filter(|(_, call)| inside(call)).unzip();
        for call in &mut calls {
            call.returned = call.returned.filter(|returned| *returned <= end);
        }
        let useful = useful_unknowns(model, &calls);
        let mut keep = useful.iter();
        positions.retain(|_| *keep.next().unwrap_or(&true));
        let mut keep = useful.iter();
        calls.retain(|_| *keep.next().unwrap_or(&true));
        let optional = calls.iter().map(|call| !is_whole && call.called < begin && call.returned.is_some()).collect();
        let mut owners: Vec<Owner> = calls.iter().map(|call| call.action.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        // Whoever has nothing to do with the window is like any other such owner: one stands for all.
        owners.push(Owner(u32::MAX));
        let starts = if is_whole { vec![Moment::default()] } else { model.any_state(owners.into_iter()) };
        let looks_left = Cell::new(LOOKS);
        Self { model, starts, calls, positions, optional, looks_left, memory_bytes: budget.memory_bytes }
    }

    /// The states before the answer that cannot be explained, where the window certainly has no order.
    fn broken_from(&self) -> Option<Vec<State>> {
        self.looks_left.set(LOOKS);
        let out_of_time = || match self.looks_left.get().checked_sub(1) {
            Some(left) => {
                self.looks_left.set(left);
                false
            }
            None => true,
        };
        let budget = Budget { out_of_time: &out_of_time, memory_bytes: self.memory_bytes };
        let task = Task { model: self.model, calls: &self.calls, optional: &self.optional, starts: &self.starts };
        match search(&task, &budget) {
            Found::Stuck { before, .. } => Some(before),
            Found::Order(_) | Found::Exhausted { .. } => None,
        }
    }

    fn unknowns(&self) -> usize {
        self.calls.iter().filter(|call| call.returned.is_none()).count()
    }

    fn is_kept(&self, call: usize) -> bool {
        !self.optional[call] && self.calls[call].returned.is_some()
    }

    /// Forgets answers in pieces that get smaller, as long as there is still no order.
    fn forget_what_can_be_forgotten(&mut self) {
        let mut piece = self.calls.len().next_power_of_two();
        while piece > 0 {
            for from in (0..self.calls.len()).step_by(piece) {
                self.forget(from..self.calls.len().min(from + piece));
            }
            piece /= 2;
        }
    }

    fn forget(&mut self, piece: std::ops::Range<usize>) {
        let kept: Vec<usize> = piece.filter(|call| self.is_kept(*call)).collect();
        if kept.is_empty() {
            return;
        }
        kept.iter().for_each(|call| self.optional[*call] = true);
        if self.broken_from().is_none() {
            kept.iter().for_each(|call| self.optional[*call] = false);
        }
    }
}

/// Which calls may matter: an acquisition of unknown outcome by an owner that does nothing else can only explain a look.
fn useful_unknowns(model: &LockModel, calls: &[LockCall]) -> Vec<bool> {
    let anybody_releases = matches!(model, LockModel::Mutex | LockModel::Semaphore(_));
    let somebody_looks = anybody_releases
        || calls.iter().any(|call| matches!(call.action.deed, Deed::Refused { .. } | Deed::Seen { .. }));
    let mut owners: Vec<Owner> = calls.iter().map(|call| call.action.owner).collect();
    owners.sort_unstable();
    let is_alone = |owner: Owner| {
        let first = owners.partition_point(|other| *other < owner);
        owners.get(first + 1) != Some(&owner)
    };
    calls
        .iter()
        .map(|call| {
            let asks = matches!(call.action.deed, Deed::Acquired { .. });
            somebody_looks || call.returned.is_some() || !asks || !is_alone(call.action.owner)
        })
        .collect()
}
