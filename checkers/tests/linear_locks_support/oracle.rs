//! All orders of a tiny history: a walk through half steps of time on which each request may take effect, or not.

use std::collections::HashSet;

use leasehold_checkers::linear::locks::{Deed, LockCall, LockModel};

/// Which answers are forgotten: such a request took effect while it was under way, or not.
#[derive(Clone, Copy, Debug)]
pub enum Optional<'a> {
    None,
    AllBut(&'a [usize]),
}

/// A lock, written down as a child would.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lock {
    /// Who took it, once for each time.
    pub takers: Vec<u32>,
    greatest_token: u64,
    /// In half steps.
    lease_ends: u64,
    pub delayed_until: Option<u64>,
    /// The operation that was given it last, while it is held.
    pub granted_by: Option<usize>,
}

struct Walk<'a> {
    model: &'a LockModel,
    calls: &'a [LockCall],
    optional: Optional<'a>,
    may_expire: &'a dyn Fn(usize) -> bool,
    end: u64,
    been: HashSet<(u64, u32, Lock)>,
}

pub fn has_order(model: &LockModel, calls: &[LockCall], optional: Optional<'_>) -> bool {
    has_order_if(model, calls, optional, &|_| true)
}

/// The same where only some grants may run out, by operation.
pub fn has_order_if(
    model: &LockModel,
    calls: &[LockCall],
    optional: Optional<'_>,
    may_expire: &dyn Fn(usize) -> bool,
) -> bool {
    let last = calls.iter().flat_map(|call| [Some(call.called), call.returned]).flatten().max();
    let end = 2 * last.map_or(0, |last| last.0) + 1;
    let mut walk = Walk { model, calls, optional, may_expire, end, been: HashSet::new() };
    walk.from(0, (1 << calls.len()) - 1, Lock::default())
}

impl Walk<'_> {
    /// Whether the requests of `left` can be explained from half step `now` on.
    fn from(&mut self, now: u64, left: u32, lock: Lock) -> bool {
        if now > self.end {
            return true;
        }
        if !self.been.insert((now, left, lock.clone())) {
            return false;
        }
        for (place, call) in self.calls.iter().enumerate() {
            let under_way = 2 * call.called.0 <= now && call.returned.is_none_or(|returned| now <= 2 * returned.0);
            let after = answer(self.model, &lock, call, now).filter(|_| left >> place & 1 == 1 && under_way);
            if after.is_some_and(|after| self.from(now, left & !(1 << place), after)) {
                return true;
            }
        }
        let may_expire = lock.granted_by.is_some_and(self.may_expire);
        if expired(self.model, &lock, now).filter(|_| may_expire).is_some_and(|after| self.from(now, left, after)) {
            return true;
        }
        let overdue = |(place, call): (usize, &LockCall)| {
            let kept = match self.optional {
                Optional::None => true,
                Optional::AllBut(kept) => kept.contains(&call.op),
            };
            kept && left >> place & 1 == 1 && call.returned.is_some_and(|returned| 2 * returned.0 == now)
        };
        !self.calls.iter().enumerate().any(overdue) && self.from(now + 1, left, lock)
    }
}

pub fn expired(model: &LockModel, lock: &Lock, now: u64) -> Option<Lock> {
    let LockModel::Lease(terms) = model else { return None };
    if lock.takers.is_empty() || now < lock.lease_ends {
        return None;
    }
    let delay = 2 * u64::try_from(terms.lock_delay.as_nanos()).expect("short");
    Some(Lock { delayed_until: (delay > 0).then_some(now + delay), ..Lock::default() })
}

pub fn answer(model: &LockModel, lock: &Lock, call: &LockCall, now: u64) -> Option<Lock> {
    let me = call.action.owner.0;
    let mut after = lock.clone();
    let held = !lock.takers.is_empty();
    let mine = lock.takers.contains(&me);
    let limit = match model {
        LockModel::Semaphore(limit) | LockModel::Reentrant(limit) => *limit as usize,
        _ => 1,
    };
    let full = lock.takers.len() == limit;
    let anonymous = matches!(model, LockModel::Mutex | LockModel::Semaphore(_));
    let lease = match model {
        LockModel::Lease(terms) => Some(terms),
        _ => None,
    };
    let granted = match model {
        _ if lock.delayed_until.is_some_and(|until| now < until) => false,
        LockModel::Mutex | LockModel::Semaphore(_) => !full,
        LockModel::Reentrant(_) => !held || mine && !full,
        LockModel::OwnerMutex | LockModel::Fenced | LockModel::Lease(_) => !held,
    };
    let is_possible = match call.action.deed {
        Deed::Acquired { token, expires } => {
            after.takers.push(me);
            after.lease_ends = if lease.is_some() { 2 * expires.0 } else { 0 };
            after.delayed_until = None;
            after.granted_by = lease.map(|_| call.op);
            let grows = !matches!(model, LockModel::Fenced) || token.is_none_or(|token| token > lock.greatest_token);
            if let (LockModel::Fenced, Some(token)) = (model, token) {
                after.greatest_token = token;
            }
            granted && grows
        }
        Deed::Released if anonymous => after.takers.pop().is_some(),
        Deed::Released if mine => {
            after.takers.pop();
            if after.takers.is_empty() {
                after.lease_ends = 0;
                after.granted_by = None;
            }
            true
        }
        Deed::Released => lease.is_some_and(|terms| !terms.release_certifies),
        Deed::Refused { .. } if anonymous => full,
        Deed::Refused { holder: None } if lock.delayed_until.is_some() => true,
        Deed::Refused { holder } => {
            held && (full || !mine) && holder.is_none_or(|holder| lock.takers.contains(&holder.0))
        }
        Deed::Renewed { .. } | Deed::NotHeld if anonymous => true,
        Deed::Renewed { expires } => {
            if lease.is_some() {
                after.lease_ends = lock.lease_ends.max(2 * expires.0);
            }
            mine
        }
        Deed::NotHeld => !mine,
        Deed::Seen { .. } if matches!(model, LockModel::Semaphore(_)) => true,
        Deed::Seen { holder } if anonymous => holder.is_some() == held,
        Deed::Seen { holder } => match holder {
            Some(holder) => lock.takers.contains(&holder.0),
            None => !held,
        },
    };
    is_possible.then_some(after)
}
