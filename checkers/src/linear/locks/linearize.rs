//! Spells out an order that explains all answers, with the leases that have to have run out in it.
//!
//! # Which expiries
//!
//! An order has no expiry that could be left out of it: each is followed by an answer that could not have been given
//! without it. More is true where [`super::leases`] decides: holds are first kept from expiring one by one, the first gained first,
//! as long as there is still an order ([`super::expiries`]), and acquisitions of unknown outcome that have to have happened are
//! chosen such that as few of them as can be expire ([`super::schedule`]). So no smaller part of these expiries explains the history, though
//! another choice might need fewer.

use super::action::{Deed, LockModel};
use super::calls::LockHistory;
use super::decide::{Heard, shape};
use super::expiries::{self, Expired};
use super::permits::{self, Order};
use super::schedule::{self, Placed};
use super::search::{Found, Task, search_for_order};
use super::sections;
use super::state::Moment;
use super::words;
use crate::history::RunTime;
use crate::linear::{Budget, Happening, Linearization};

/// An order that explains all answers about one lock; `None` if there is none, or none was found within the budget.
///
/// Only the general search looks at the budget.
#[must_use]
pub fn linearize(model: &LockModel, history: &LockHistory, budget: &Budget<'_>) -> Option<Linearization> {
    let heard = Heard::of(model, history);
    let history = heard.history();
    let order = order(model, history, budget)?;
    spell_out(model, history, &order)
}

/// The leases that have to have run out for a lease-lock's answers to be explained, in the order in which they did: see
/// [`linearize`]. Empty for other models, and where no order was found.
#[must_use]
pub fn expired(model: &LockModel, history: &LockHistory, budget: &Budget<'_>) -> Vec<Expired> {
    let LockModel::Lease(_) = model else { return Vec::new() };
    let heard = Heard::of(model, history);
    let history = heard.history();
    let order = order(model, history, budget);
    order.map_or_else(Vec::new, |order| expiries::needed(model, history, &order).1)
}

/// An order without expiries that it could do without.
fn order(model: &LockModel, history: &LockHistory, budget: &Budget<'_>) -> Option<Vec<Placed>> {
    let order = match fast(model, history) {
        Some(order) => order?,
        None => {
            let task = Task { model, calls: &history.calls, optional: &[], starts: &[Moment::default()] };
            match search_for_order(&task, budget) {
                Found::Order { order, .. } => order,
                Found::Stuck { .. } | Found::Exhausted { .. } => return None,
            }
        }
    };
    Some(match model {
        LockModel::Lease(_) => expiries::needed(model, history, &order).0,
        _ => order,
    })
}

/// The order by the model's fast procedure, if there is one; the outer `None` where the shape is not for it.
fn fast(model: &LockModel, history: &LockHistory) -> Option<Option<Vec<Placed>>> {
    let calls = &history.calls;
    let permits = match model {
        LockModel::Mutex => Some(1),
        LockModel::Semaphore(all) => Some(*all),
        _ => None,
    };
    if let Some(permits) = permits {
        let mut order = Order::default();
        let is_broken = permits::applies(permits, calls)
            .then(|| permits::first_unexplained(permits, calls, &mut order).is_some())?;
        return Some((!is_broken).then(|| order.positions.into_iter().map(Placed::Call).collect()));
    }
    let Ok(mut shape) = shape(model, history)? else { return Some(None) };
    if sections::first_unexplained(model, &shape, calls)?.is_some() {
        return Some(None);
    }
    if let LockModel::Lease(_) = model {
        expiries::spare(&mut shape, calls);
    }
    Some(Some(schedule::order(model, &shape, calls)))
}

/// The order in words, each step as early as it may be; `None` if the model does not take these steps.
fn spell_out(model: &LockModel, history: &LockHistory, order: &[Placed]) -> Option<Linearization> {
    let mut moment = Moment::default();
    let mut linearization = Linearization::default();
    let mut now = RunTime(0);
    let mut grant = None;
    for placed in order {
        match *placed {
            Placed::Expiry => {
                let ran_out = words::expiry(&moment.state, history);
                now = now.max(moment.state.until);
                moment = model.expire(moment, now)?;
                let state = words::state(model, &moment.state, history);
                linearization.step(Happening::Expiry { grant: grant.take()? }, now, ran_out, state);
            }
            Placed::Call(position) => {
                let call = &history.calls[position as usize];
                now = now.max(call.called);
                let is_grant = matches!(call.action.deed, Deed::Acquired { .. }) && moment.state.holder.is_none();
                if is_grant {
                    // A lock-delay may have to pass first.
                    now = now.max(moment.state.until);
                    grant = Some(call.op);
                }
                if call.returned.is_some_and(|returned| returned < now) {
                    return None;
                }
                moment = model.step(moment, &call.action, call.called, now)?;
                let (told, state) = (words::deed(call, history), words::state(model, &moment.state, history));
                if is_grant {
                    linearization.step(Happening::Op(call.op), now, told, state);
                } else {
                    linearization.take_effect(call, told, state);
                }
            }
        }
    }
    Some(linearization)
}
