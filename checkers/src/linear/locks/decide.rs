//! Chooses the procedure and says what it found.

use super::action::{LockCall, LockModel};
use super::calls::LockHistory;
use super::order::{Contradiction, Shape};
use super::search::{Found, Task, search};
use super::state::Moment;
use super::{leases, permits, sections, witness};
use crate::history::RunTime;
use crate::linear::{Budget, Decision};

/// What decides a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Procedure {
    /// Permits that anybody may take and give back.
    Permits,
    /// Holds of owners that act one after another.
    Sections,
    /// Leases of owners that act one after another.
    Leases,
    /// The general search.
    Search,
}

/// Decides whether some order explains all answers about one lock.
///
/// Only the general search and the search for a small witness look at the budget.
#[must_use]
pub fn decide(model: &LockModel, history: &LockHistory, budget: &Budget<'_>) -> Decision {
    let heard = Heard::of(model, history);
    let history = heard.history();
    match fast(model, history) {
        (_, Some(None)) => Decision::Linearizable,
        (Procedure::Permits, Some(Some(answers))) => {
            Decision::Broken(witness::of_permits(model, history, &answers, budget))
        }
        (_, Some(Some(answers))) => Decision::Broken(witness::of_contradiction(model, history, &answers, budget)),
        (_, None) => searched(model, history, budget),
    }
}

/// Decides by the general search alone. Tests compare the fast procedures with it.
#[must_use]
pub fn decide_by_search(model: &LockModel, history: &LockHistory, budget: &Budget<'_>) -> Decision {
    let heard = Heard::of(model, history);
    searched(model, heard.history(), budget)
}

/// Which procedure decides a history.
#[must_use]
pub fn procedure(model: &LockModel, history: &LockHistory) -> Procedure {
    let heard = Heard::of(model, history);
    match fast(model, heard.history()) {
        (procedure, Some(_)) => procedure,
        (_, None) => Procedure::Search,
    }
}

/// A history in the order of its calls, without what its model does not hear.
pub(super) enum Heard<'a> {
    All(&'a LockHistory),
    Part(LockHistory),
}

impl<'a> Heard<'a> {
    pub(super) fn of(model: &LockModel, history: &'a LockHistory) -> Self {
        let tells = |call: &LockCall| {
            model.hears(call.action.deed) && !(call.returned.is_none() && call.action.deed.only_looks())
        };
        let mut latest = RunTime::default();
        let mut is_in_order = |call: &LockCall| std::mem::replace(&mut latest, call.called) <= call.called;
        // One pass for both: so many calls do not fit into the processor's memory.
        if history.calls.iter().all(|call| is_in_order(call) && tells(call)) {
            return Self::All(history);
        }
        let mut calls: Vec<LockCall> = history.calls.iter().filter(|call| tells(call)).cloned().collect();
        calls.sort_by_key(|call| call.called);
        Self::Part(LockHistory { calls, ..history.clone() })
    }

    pub(super) fn history(&self) -> &LockHistory {
        match self {
            Self::All(history) => history,
            Self::Part(history) => history,
        }
    }
}

/// What the model's fast procedure finds; `None` where the shape is not for it.
fn fast(model: &LockModel, history: &LockHistory) -> (Procedure, Option<Option<Contradiction>>) {
    let calls = &history.calls;
    let by_permits = |all| {
        let applies = permits::applies(all, calls);
        (Procedure::Permits, applies.then(|| permits::first_unexplained(all, calls, &mut ())))
    };
    match model {
        LockModel::Mutex => by_permits(1),
        LockModel::Semaphore(all) => by_permits(*all),
        LockModel::OwnerMutex | LockModel::Reentrant(_) | LockModel::Fenced => {
            (Procedure::Sections, by_shape(model, history, shape(model, history)))
        }
        LockModel::Lease(_) => (Procedure::Leases, by_shape(model, history, shape(model, history))),
    }
}

/// What the requests to a lock come down to where each owner acts on one thing after another.
pub(super) fn shape(model: &LockModel, history: &LockHistory) -> Option<Result<Shape, Contradiction>> {
    match model {
        LockModel::Lease(terms) => leases::shape(terms, history.owners.len(), &history.calls),
        _ => sections::shape(model, history.owners.len(), &history.calls),
    }
}

fn by_shape(
    model: &LockModel,
    history: &LockHistory,
    shape: Option<Result<Shape, Contradiction>>,
) -> Option<Option<Contradiction>> {
    match shape? {
        Ok(shape) => sections::first_unexplained(model, &shape, &history.calls),
        Err(answers) => Some(Some(answers)),
    }
}

fn searched(model: &LockModel, history: &LockHistory, budget: &Budget<'_>) -> Decision {
    let task = Task { model, calls: &history.calls, optional: &[], starts: &[Moment::default()] };
    match search(&task, budget) {
        Found::Order { .. } => Decision::Linearizable,
        Found::Stuck { call, before } => Decision::Broken(witness::of_stuck(model, history, call, &before, budget)),
        Found::Exhausted { explained, reason } => Decision::Undecided {
            explained,
            reason: format!("the general search was given up after {explained} answers: {reason}"),
        },
    }
}
