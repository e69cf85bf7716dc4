//! Takes an order that was spelled out step by step, by the oracle's lock.

use std::collections::BTreeSet;

use leasehold_checkers::history::RunTime;
use leasehold_checkers::linear::locks::{LockHistory, LockModel};
use leasehold_checkers::linear::{Happening, Linearization};

use super::oracle::{Lock, answer, expired};

/// What is wrong with an order of all answers about a lock, if anything is.
pub fn wrong_with(order: &Linearization, model: &LockModel, history: &LockHistory) -> Option<String> {
    let mut lock = Lock::default();
    let mut done = BTreeSet::new();
    let mut now = RunTime(0);
    for step in &order.steps {
        if step.at < now {
            return Some(format!("time goes back at {step}"));
        }
        now = step.at;
        let after = match step.happening {
            Happening::Op(op) => {
                let call = history.calls.iter().find(|call| call.op == op)?;
                let is_under_way = call.called <= now && call.returned.is_none_or(|returned| now <= returned);
                if !is_under_way || !done.insert(op) {
                    return Some(format!("it was not under way, or done before: {step}"));
                }
                answer(model, &lock, call, 2 * now.0)
            }
            Happening::Expiry { grant } if lock.granted_by != Some(grant) => None,
            Happening::Expiry { .. } => expired(model, &lock, 2 * now.0),
        };
        let Some(after) = after else { return Some(format!("it cannot happen to {lock:?}: {step}")) };
        lock = after;
        let says_free = step.state.starts_with("free") || step.state.starts_with("0 of");
        if says_free != lock.takers.is_empty() {
            return Some(format!("its state is {lock:?}: {step}"));
        }
    }
    let missing = history.calls.iter().find(|call| {
        let tells = model.hears(call.action.deed);
        call.returned.is_some() && tells && !done.contains(&call.op)
    });
    missing.map(|call| format!("it leaves out {call:?}"))
}
