//! Words for people: what was asked of a lock, and what it may have been like.

use super::action::{Deed, LockCall, LockModel, Owner};
use super::calls::LockHistory;
use super::order::NEVER;
use super::state::State;

/// What a lock in this state is like.
pub(super) fn state(model: &LockModel, state: &State, history: &LockHistory) -> String {
    match (model, state.holder) {
        (LockModel::Semaphore(all), _) => format!("{} of {all} permits taken", state.taken),
        (LockModel::Mutex, _) if state.taken > 0 => "held".to_owned(),
        (LockModel::Reentrant(_), Some(owner)) if state.taken > 1 => {
            format!("held {} times by {}", state.taken, name(history, owner))
        }
        (LockModel::Lease(_), Some(owner)) if state.until.0 > 0 && state.until < NEVER => {
            format!("held by {}, whose lease may not end before {}", name(history, owner), state.until)
        }
        (_, Some(owner)) => format!("held by {}", name(history, owner)),
        (LockModel::Lease(_), None) if state.until.0 > 0 => format!("free, but not given before {}", state.until),
        (_, None) => "free".to_owned(),
    }
}

/// What a request told, and when.
pub(super) fn call(call: &LockCall, history: &LockHistory) -> String {
    let until = call.returned.map_or_else(|| "an unknown end".to_owned(), |returned| returned.to_string());
    format!("{} between {} and {until} (op {})", deed(call, history), call.called, call.op)
}

/// What a request told.
pub(super) fn deed(call: &LockCall, history: &LockHistory) -> String {
    let who = name(history, call.action.owner);
    let holder = |holder| name(history, holder);
    match call.action.deed {
        Deed::Acquired { token: Some(token), .. } => format!("{who} was given the lock with token {token}"),
        Deed::Acquired { .. } => format!("{who} was given the lock"),
        Deed::Refused { holder: Some(by) } => format!("{who} was refused it because {} held it", holder(by)),
        Deed::Refused { holder: None } => format!("{who} was refused it because it was held"),
        Deed::Renewed { .. } => format!("{who} prolonged its lease"),
        Deed::Released => format!("{who} released it"),
        Deed::NotHeld => format!("{who} was told that it does not hold it"),
        Deed::Seen { holder: Some(by) } => format!("a read showed that {} held it", holder(by)),
        Deed::Seen { holder: None } => "a read showed that nobody held it".to_owned(),
    }
}

/// What it means that the lease of this state's holder runs out.
pub(super) fn expiry(state: &State, history: &LockHistory) -> String {
    format!("the lease of {} ran out", state.holder.map_or("nobody", |holder| name(history, holder)))
}

/// The name of an owner.
pub(super) fn name(history: &LockHistory, owner: Owner) -> &str {
    history.owners.get(owner.0 as usize).map_or("somebody", String::as_str)
}
