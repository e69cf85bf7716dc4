//! The states of a lock, and what each answer says about them.
//!
//! One type of state serves all models, so that one search does: a model leaves alone what it does not use.

use super::action::{Deed, LockAction, LockModel, Owner};
use crate::history::RunTime;

/// What a lock may be like between two requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct State {
    /// Who holds it.
    pub(super) holder: Option<Owner>,
    /// How many permits are taken, or how often its holder took it.
    pub(super) taken: u32,
    /// The greatest fencing token so far.
    pub(super) token: Option<u64>,
    /// While it is held: from when on the lease may run out. While it is free: from when on it is given again.
    pub(super) until: RunTime,
}

/// A state, with the earliest instant at which the steps so far can have led to it.
///
/// The instant matters only where a lock-delay counts from it; elsewhere it stays at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Moment {
    pub(super) state: State,
    pub(super) at: RunTime,
}

impl LockModel {
    /// Whether the instants of the steps matter, and not only their order.
    pub(super) fn is_timed(&self) -> bool {
        matches!(self, Self::Lease(terms) if !terms.lock_delay.is_zero())
    }

    /// The state after a request with this answer, or `None` where the answer is impossible. `called` is when the request
    /// was made, `now` an instant by which it is over.
    pub(super) fn step(&self, moment: Moment, action: &LockAction, called: RunTime, now: RunTime) -> Option<Moment> {
        let state = self.answer(moment.state, action, now)?;
        let waited_for = if matches!(action.deed, Deed::Acquired { .. }) { moment.state.until } else { RunTime(0) };
        let at = if self.is_timed() { moment.at.max(called).max(waited_for) } else { RunTime(0) };
        Some(Moment { state, at })
    }

    fn answer(&self, state: State, action: &LockAction, now: RunTime) -> Option<State> {
        match *self {
            Self::Mutex => permits(1, state, action.deed),
            Self::Semaphore(all) => permits(all, state, action.deed),
            Self::OwnerMutex => owned(1, state, action),
            Self::Reentrant(times) => owned(times, state, action),
            Self::Fenced => fenced(state, action),
            Self::Lease(terms) => leased(terms.release_certifies, state, action, now),
        }
    }

    /// The state after the service took the lock back by itself, where it may have done so by `now`.
    pub(super) fn expire(&self, moment: Moment, now: RunTime) -> Option<Moment> {
        let Self::Lease(terms) = self else { return None };
        let State { holder, until, .. } = moment.state;
        if holder.is_none() || until > now {
            return None;
        }
        if !self.is_timed() {
            return Some(Moment::default());
        }
        let at = moment.at.max(until);
        let free_again = at.after(terms.at_least(terms.lock_delay));
        Some(Moment { state: State { until: free_again, ..State::default() }, at })
    }

    /// The states with so many permits taken, or fewer.
    pub(super) fn taken_up_to(&self, most: usize) -> Vec<Moment> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        (0..=most).map(|taken| in_state(State { taken, ..State::default() })).collect()
    }

    /// The states in which nobody or one of these owners holds the lock, each with the earliest end of its lease.
    pub(super) fn held_by_any(&self, owners: impl Iterator<Item = (Owner, RunTime)>) -> Vec<Moment> {
        let times = if let Self::Reentrant(times) = self { *times } else { 1 };
        let held = owners.flat_map(|(owner, expires)| {
            let until = if let Self::Lease(_) = self { expires } else { RunTime(0) };
            (1..=times).map(move |taken| in_state(State { until, ..held_by(owner, taken) }))
        });
        std::iter::once(Moment::default()).chain(held).collect()
    }
}

fn in_state(state: State) -> Moment {
    Moment { state, ..Moment::default() }
}

fn held_by(owner: Owner, taken: u32) -> State {
    State { holder: Some(owner), taken, ..State::default() }
}

fn permits(all: u32, state: State, deed: Deed) -> Option<State> {
    let taken = match deed {
        Deed::Acquired { .. } => (state.taken < all).then_some(state.taken + 1),
        Deed::Released => state.taken.checked_sub(1),
        Deed::Refused { .. } => (state.taken == all).then_some(state.taken),
        Deed::Seen { holder } => (holder.is_some() == (state.taken > 0)).then_some(state.taken),
        Deed::Renewed { .. } | Deed::NotHeld => Some(state.taken),
    }?;
    Some(State { taken, ..state })
}

fn owned(times: u32, state: State, action: &LockAction) -> Option<State> {
    let LockAction { owner, deed } = *action;
    let own = state.holder == Some(owner);
    match deed {
        Deed::Acquired { .. } if own && state.taken < times => Some(State { taken: state.taken + 1, ..state }),
        Deed::Acquired { .. } => state.holder.is_none().then_some(State { holder: Some(owner), taken: 1, ..state }),
        Deed::Released if own && state.taken > 1 => Some(State { taken: state.taken - 1, ..state }),
        Deed::Released => own.then_some(State { holder: None, taken: 0, ..state }),
        Deed::Refused { .. } if own && state.taken < times => None,
        Deed::Refused { holder } => is_held(state, holder).then_some(state),
        Deed::Renewed { .. } => own.then_some(state),
        Deed::NotHeld => (!own).then_some(state),
        Deed::Seen { holder } => (state.holder == holder).then_some(state),
    }
}

/// Whether it is held, by this owner where one is named.
fn is_held(state: State, by: Option<Owner>) -> bool {
    state.holder.is_some() && (by.is_none() || by == state.holder)
}

/// An acquisition whose token nobody knows is bound by no token.
fn fenced(state: State, action: &LockAction) -> Option<State> {
    let after = owned(1, state, action)?;
    match action.deed {
        Deed::Acquired { token, .. } if token.is_some() => (token > state.token).then_some(State { token, ..after }),
        _ => Some(after),
    }
}

fn leased(release_certifies: bool, state: State, action: &LockAction, now: RunTime) -> Option<State> {
    let own = state.holder == Some(action.owner);
    match action.deed {
        Deed::Acquired { expires, .. } => (state.holder.is_none() && state.until <= now)
            .then_some(State { until: expires, ..held_by(action.owner, 1) }),
        Deed::Renewed { expires } => own.then_some(State { until: state.until.max(expires), ..state }),
        Deed::Released if own => Some(State::default()),
        Deed::Released => (!release_certifies).then_some(state),
        // While a lock-delay lasts nobody is given the lock; how long it lasts at most no service tells.
        Deed::Refused { holder: None } => (state.holder.is_some() || state.until > RunTime(0)).then_some(state),
        Deed::Refused { .. } | Deed::NotHeld | Deed::Seen { .. } => owned(1, state, action),
    }
}
