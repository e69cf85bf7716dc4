//! The fewest answers that no order explains.
//!
//! To *forget* an answer is to say no more than that the request may have taken effect while it was under way, or not. A
//! witness is a set of answers that no order explains even when all others are forgotten, and of which none can be forgotten as
//! well. Unlike dropping requests this never makes a history worse (a release without its acquisition would be a
//! contradiction of its own), so a witness never accuses a history that has an order.
//!
//! Only a window of the history is searched: from some instant on, at which the lock may be in any state that what was asked before
//! could lead to, to an answer that cannot be explained. Requests that were under way at its begin may have taken effect
//! before. A window that has no order from any of these states makes a history that has none either. It is doubled until it has none.
//!
//! A short history is one window: then no witness is smaller, and the answer that is stuck is the first. In a long one none of the
//! witness can be forgotten within its window, and the answer that is stuck is the first of the window. What a fast procedure
//! found to contradict itself is no longer looked at in a window where each of its answers is needed, which is seen by
//! leaving out one after the other.

use std::cell::Cell;

use super::action::{Deed, LockAction, LockCall, LockModel, Owner};
use super::calls::LockHistory;
use super::order::{Contradiction, NEVER};
use super::search::{Found, Task, search};
use super::state::{Moment, State};
use super::words;
use crate::history::RunTime;
use crate::linear::{Budget, Witness};

/// The windows that are tried, by how many requests return in them.
const WINDOWS: [usize; 6] = [4, 8, 16, 32, 64, 128];

/// A history with no more returns than this is one window.
const SHORT: usize = 16;

/// Each step of a search looks at all requests of unknown outcome: with more of them a window is not searched.
const MOST_UNKNOWNS: usize = 256;

/// With so few of them it is kept apart who asked.
const FEW_UNKNOWNS: usize = 16;

/// How often one search for a witness may look at its budget: a bound that is the same on each machine.
const LOOKS: usize = 40;

/// Explains answers that contradict each other, by position.
pub(super) fn of_contradiction(
    model: &LockModel,
    history: &LockHistory,
    answers: &Contradiction,
    budget: &Budget<'_>,
) -> Witness {
    let answers: Vec<usize> = answers.iter().map(|answer| *answer as usize).collect();
    let last = last_to_return(&history.calls, &answers);
    let is_long = history.calls.len() > WINDOWS[WINDOWS.len() - 1];
    if let Some(states) =
        Some(&answers).filter(|_| is_long).and_then(|answers| needs_each(model, history, answers, budget))
    {
        return told(model, history, &answers, last, &states);
    }
    let Smallest { answers, stuck, states } =
        smallest(model, history, last, budget).unwrap_or(Smallest { answers, stuck: last, states: Vec::new() });
    told(model, history, &answers, stuck, &states)
}

/// Explains answers about permits. Where no small window shows the contradiction, all earlier answers take part in it,
/// and the nearest of them are named.
pub(super) fn of_permits(
    model: &LockModel,
    history: &LockHistory,
    answers: &Contradiction,
    budget: &Budget<'_>,
) -> Witness {
    let answers: Vec<usize> = answers.iter().map(|answer| *answer as usize).collect();
    let last = last_to_return(&history.calls, &answers);
    if let Some(Smallest { answers, stuck, states }) = smallest(model, history, last, budget) {
        return told(model, history, &answers, stuck, &states);
    }
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
    let found = smallest(model, history, stuck, budget).map_or_else(everything, |smallest| smallest.answers);
    told(model, history, &found, stuck, before)
}

/// Whether each of these answers, which contradict each other whatever else happened, is needed for that: with any one
/// left out the others have an order, even if nothing else happened. Then these are the states before the last of them.
fn needs_each(model: &LockModel, history: &LockHistory, answers: &[usize], budget: &Budget<'_>) -> Option<Vec<State>> {
    let mut states = Vec::new();
    let last = last_to_return(&history.calls, answers);
    let mut calls: Vec<usize> = answers.to_vec();
    calls.sort_unstable();
    for left_out in &calls {
        let rest = calls.iter().filter(|call| *call != left_out);
        let calls: Vec<LockCall> = rest.map(|call| history.calls[*call].clone()).collect();
        match search(&Task { model, calls: &calls, optional: &[], starts: &[Moment::default()] }, budget) {
            Found::Order { ends, .. } if *left_out == last => states = ends,
            Found::Order { .. } => {}
            Found::Stuck { .. } | Found::Exhausted { .. } => return None,
        }
    }
    Some(states)
}

fn last_to_return(calls: &[LockCall], answers: &[usize]) -> usize {
    answers.iter().copied().max_by_key(|answer| calls[*answer].returned).unwrap_or_default()
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

/// The answers of a witness by position.
struct Smallest {
    answers: Vec<usize>,
    /// The first of all answers of the window whose return cannot be explained.
    stuck: usize,
    /// The states before it.
    states: Vec<State>,
}

/// A witness from the smallest window that has no order; `None` where the search was too long.
fn smallest(model: &LockModel, history: &LockHistory, stuck: usize, budget: &Budget<'_>) -> Option<Smallest> {
    let end = history.calls[stuck].returned?;
    let near = Near::of(model, history, end);
    let is_short = near.returns.len() <= SHORT;
    for length in WINDOWS.into_iter().filter(|length| !is_short || *length >= near.returns.len()) {
        let mut window = Window::cut(model, history, &near, length, budget)?;
        if let Some((stuck, states)) = window.broken_from() {
            window.forget_what_returned_after(stuck);
            let stuck = window.positions[stuck];
            window.forget_what_can_be_forgotten();
            let kept = (0..window.calls.len()).filter(|call| window.is_kept(*call)).map(|call| window.positions[call]);
            return Some(Smallest { answers: kept.collect(), stuck, states });
        }
        if length >= near.returns.len() {
            break;
        }
    }
    None
}

/// What may matter to the longest window that ends with a certain return.
struct Near {
    end: RunTime,
    /// The last returns until then, latest first: one more than the longest window has, if there are so many.
    returns: Vec<RunTime>,
    /// The calls that returned then, or between these, by position.
    answered: Vec<usize>,
    /// All calls until then that have not returned by then and may have changed something, by position.
    unknown: Vec<usize>,
    /// When each owner first asked for the lock, and until when its lease has to be kept at least.
    asked: Vec<Option<(RunTime, RunTime)>>,
    /// When the lock was first asked for, and again, as far as permits care.
    first_asked: Vec<RunTime>,
}

impl Near {
    /// One pass from the end on: only the first of it finds returns that are late enough.
    fn of(model: &LockModel, history: &LockHistory, end: RunTime) -> Self {
        let calls = &history.calls;
        let mut asked: Vec<Option<(RunTime, RunTime)>> = vec![None; history.owners.len()];
        let most = WINDOWS[WINDOWS.len() - 1] + 1;
        let mut returns: Vec<RunTime> = Vec::with_capacity(2 * most);
        let mut begin = RunTime(0);
        let (mut answered, mut unknown) = (Vec::new(), Vec::new());
        let until = calls.partition_point(|call| call.called <= end);
        for (position, call) in calls[..until].iter().enumerate().rev() {
            if let (Deed::Acquired { expires, .. }, false) = (call.action.deed, model.is_anonymous()) {
                let asked = &mut asked[call.action.owner.0 as usize];
                *asked = Some((call.called, asked.map_or(expires, |(_, other)| other.min(expires))));
            }
            match call.returned {
                Some(returned) if returned < begin => {}
                Some(returned) if returned <= end => {
                    answered.push(position);
                    returns.push(returned);
                    if returns.len() == 2 * most {
                        returns.select_nth_unstable_by(most - 1, |a, b| b.cmp(a));
                        returns.truncate(most);
                        begin = returns[most - 1];
                    }
                }
                _ if call.action.deed.only_looks() => {}
                _ => unknown.push(position),
            }
        }
        returns.sort_unstable_by(|a, b| b.cmp(a));
        returns.truncate(most);
        answered.reverse();
        unknown.reverse();
        let permits = match model {
            LockModel::Mutex => 1,
            LockModel::Semaphore(all) => *all as usize,
            _ => 0,
        };
        let acquisitions = calls.iter().filter(|call| matches!(call.action.deed, Deed::Acquired { .. }));
        let first_asked = acquisitions.take(permits).map(|call| call.called).collect();
        Self { end, returns, answered, unknown, asked, first_asked }
    }

    /// The states that the lock may be in at some instant, whatever was answered before: whoever asked for it may hold it.
    /// Owners that have nothing to do with the window are like one another: one stands for all.
    fn starts(&self, model: &LockModel, owners: &[Owner], begin: RunTime) -> Vec<Moment> {
        if model.is_anonymous() {
            return model.taken_up_to(self.first_asked.partition_point(|asked| *asked < begin));
        }
        let asked =
            |owner: &Owner| self.asked.get(owner.0 as usize).copied().flatten().filter(|(asked, _)| *asked < begin);
        let known = owners.iter().filter_map(|owner| Some((*owner, asked(owner)?.1)));
        let strangers = (0..).map(Owner).zip(&self.asked).filter(|(owner, asked)| {
            asked.is_some_and(|(asked, _)| asked < begin) && owners.binary_search(owner).is_err()
        });
        let stranger = strangers.filter_map(|(_, asked)| Some((*asked)?.1)).min();
        model.held_by_any(known.chain(stranger.map(|expires| (STRANGER, expires))))
    }
}

/// A part of a history that may have no order from any state.
struct Window<'a> {
    model: &'a LockModel,
    starts: Vec<Moment>,
    calls: Vec<LockCall>,
    /// Where each call stands in the history.
    positions: Vec<usize>,
    optional: Vec<bool>,
    looks_left: Cell<usize>,
    memory_bytes: usize,
}

impl<'a> Window<'a> {
    /// The last calls of which so many return; `None` if too many of unknown outcome matter to them.
    fn cut(
        model: &'a LockModel,
        history: &LockHistory,
        near: &Near,
        length: usize,
        budget: &Budget<'_>,
    ) -> Option<Self> {
        let is_whole = length >= near.returns.len();
        let begin = if is_whole { RunTime(0) } else { near.returns[length - 1] };
        let call = |position: &usize| &history.calls[*position];
        let answered = near.answered.iter().filter(|position| call(position).returned >= Some(begin));
        let mut positions: Vec<usize> = answered.copied().collect();
        let named = |position: &usize| {
            let LockAction { owner, deed } = call(position).action;
            let holder = match deed {
                Deed::Refused { holder } | Deed::Seen { holder } => holder,
                _ => None,
            };
            std::iter::once(owner).chain(holder)
        };
        let mut owners: Vec<Owner> = positions.iter().flat_map(named).collect();
        if near.unknown.len() <= FEW_UNKNOWNS {
            owners.extend(near.unknown.iter().map(|position| call(position).action.owner));
        }
        owners.sort_unstable();
        owners.dedup();
        let is_known = |position: &&usize| owners.binary_search(&call(position).action.owner).is_ok();
        let (known, strangers): (Vec<usize>, Vec<usize>) =
            near.unknown.iter().partition(|position| !model.is_anonymous() && is_known(position));
        positions.extend(&known);
        let strangers = strangers_that_matter(model, &history.calls, &strangers, begin, positions.len());
        if known.len() + strangers.len() > MOST_UNKNOWNS {
            return None;
        }
        let mut all: Vec<(usize, LockCall)> =
            positions.into_iter().map(|position| (position, call(&position).clone())).chain(strangers).collect();
        all.sort_by_key(|(position, call)| (call.called, *position));
        let (positions, mut calls): (Vec<usize>, Vec<LockCall>) = all.into_iter().unzip();
        for call in &mut calls {
            call.returned = call.returned.filter(|returned| *returned <= near.end);
        }
        let optional = calls.iter().map(|call| !is_whole && call.called < begin && call.returned.is_some()).collect();
        let starts = if is_whole { vec![Moment::default()] } else { near.starts(model, &owners, begin) };
        let looks_left = Cell::new(LOOKS);
        Some(Self { model, starts, calls, positions, optional, looks_left, memory_bytes: budget.memory_bytes })
    }

    /// The states before the answer that cannot be explained, where the window certainly has no order.
    fn broken_from(&self) -> Option<(usize, Vec<State>)> {
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
            Found::Stuck { call, before } => Some((call, before)),
            Found::Order { .. } | Found::Exhausted { .. } => None,
        }
    }

    fn is_kept(&self, call: usize) -> bool {
        !self.optional[call] && self.calls[call].returned.is_some()
    }

    /// Forgets answers that had no part in a search that got stuck at the return of this call.
    fn forget_what_returned_after(&mut self, stuck: usize) {
        let last = (self.calls[stuck].returned, stuck);
        for (number, call) in self.calls.iter().enumerate() {
            self.optional[number] |= call.returned.is_some() && (call.returned, number) > last;
        }
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

/// An owner that did nothing in a window that was answered.
const STRANGER: Owner = Owner(u32::MAX);

/// What strangers asked for without an answer, as far as it may matter to a window with so many other calls.
///
/// One stranger stands for all. Between two calls that are not theirs, strangers need not take the lock and give it back more than
/// once (or take all permits), and which of them did makes no difference. So of those that asked before the window no more are
/// needed than it has calls, and gaps between them. That one stranger can do what two did only allows for more.
fn strangers_that_matter(
    model: &LockModel,
    calls: &[LockCall],
    strangers: &[usize],
    begin: RunTime,
    others: usize,
) -> Vec<(usize, LockCall)> {
    let per_gap = if let LockModel::Semaphore(all) = model { *all as usize } else { 1 };
    let most = (others + 1).saturating_mul(per_gap);
    let (mut acquisitions, mut releases) = (0, 0);
    let terms = strangers.iter().filter_map(|stranger| match calls[*stranger].action.deed {
        Deed::Acquired { expires, .. } => Some(expires),
        _ => None,
    });
    let expires = terms.min().unwrap_or_default();
    let stranger = |position: usize| {
        let call = &calls[position];
        let count = if call.action.deed == Deed::Released { &mut releases } else { &mut acquisitions };
        *count += usize::from(call.called < begin);
        let is_one_more_than_needed = *count > most && call.called < begin;
        let deed = match call.action.deed {
            Deed::Acquired { token, .. } => {
                Deed::Acquired { token: token.filter(|_| *model == LockModel::Fenced), expires }
            }
            deed => deed,
        };
        (!is_one_more_than_needed)
            .then(|| (position, LockCall { action: LockAction { owner: STRANGER, deed }, ..call.clone() }))
    };
    strangers.iter().copied().filter_map(stranger).collect()
}
