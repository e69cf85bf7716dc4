//! Holds: each grant from its answer to its end, as a reader wants to see it.

use std::collections::BTreeMap;

use leasehold_checkers::history::{Action, Op, Outcome, RunTime, Word};
use leasehold_checkers::holds::{Grant, Grants};
use leasehold_checkers::observations::{Evidence, Observation};

/// What showed that a lease was gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum SeenBy {
    /// The holder's own renewal or release was told so.
    Itself,
    /// Another process was given the lock.
    Grant {
        /// The process.
        process: u64,
    },
    /// A read that must be current found another holder, or none.
    Read,
    /// A watch told.
    Watch,
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum End {
    /// Its holder gave it back; from this invocation on nothing is promised any more.
    Released(RunTime),
    /// It was first seen to be gone.
    Gone(RunTime, SeenBy),
    /// Nothing in the history shows its end.
    Unseen,
}

/// A time over which a process held a lock.
#[derive(Clone, Debug)]
pub(in crate::report) struct Hold {
    /// The lock.
    pub key: Word,
    /// The client.
    pub process: u64,
    /// The server that granted it.
    pub node: Option<Word>,
    /// The acquisition, by its index among all operations.
    pub acquire: usize,
    /// When the grant was answered.
    pub from: RunTime,
    /// The TTL that it came with.
    pub ttl_ms: u64,
    /// When each successful renewal was answered.
    pub renewals: Vec<RunTime>,
    /// Until when the service has promised it: no earlier may it expire.
    pub promised: RunTime,
    /// Until when its client was entitled to believe that it holds; `None` where it never was.
    pub believed: Option<RunTime>,
    /// How it ended.
    pub end: End,
    /// All its operations, by index.
    pub ops: Vec<usize>,
    /// When a piece of work was done under it, and whether it was accepted.
    pub work: Vec<(RunTime, bool)>,
}

impl Hold {
    /// Until when its holder had it, by what the service promised and what was seen.
    pub(in crate::report) fn until(&self) -> RunTime {
        match self.end {
            End::Released(at) | End::Gone(at, _) => at.min(self.promised).max(self.from),
            End::Unseen => self.promised.max(self.from),
        }
    }

    /// When it was seen to be gone before the time that was promised.
    pub(in crate::report) fn broken_at(&self) -> Option<RunTime> {
        match self.end {
            End::Gone(at, _) if at < self.promised => Some(at),
            _ => None,
        }
    }
}

/// All holds, in the order in which they were granted.
pub(super) fn of(grants: &Grants, ops: &[Op]) -> Vec<Hold> {
    let mut work: BTreeMap<(&str, &str), Vec<&Op>> = BTreeMap::new();
    for op in ops {
        if let Action::Work(piece) = &op.action {
            work.entry((&op.key, &piece.owner)).or_default().push(op);
        }
    }
    let done = |grant: &Grant| work.get(&(grant.key.as_str(), grant.owner.as_str())).cloned().unwrap_or_default();
    let mut holds: Vec<Hold> = grants.values().flatten().map(|grant| hold(grant, ops, &done(grant))).collect();
    holds.sort_by_key(|hold| (hold.from, hold.acquire));
    holds
}

fn hold(grant: &Grant, ops: &[Op], work: &[&Op]) -> Hold {
    let acquire = &ops[grant.acquire];
    let ttl_ms = match acquire.action {
        Action::Acquire { granted: Some(granted), .. } => granted.ttl_ms,
        _ => 0,
    };
    let renewed = |op: &usize| match ops[*op].action {
        Action::Renew { granted_ttl_ms: Some(_), .. } => ops[*op].ended,
        _ => None,
    };
    Hold {
        key: grant.key.clone(),
        process: grant.process,
        node: acquire.node.clone(),
        acquire: grant.acquire,
        from: grant.ended,
        ttl_ms,
        renewals: grant.renewals.iter().filter_map(renewed).collect(),
        promised: grant.earliest_expiry,
        believed: grant.beliefs.last().map(|belief| belief.until),
        end: end(grant, ops),
        ops: [&[grant.acquire], grant.renewals.as_slice(), grant.releases.as_slice()]
            .concat()
            .into_iter()
            .chain(work.iter().map(|op| op.index))
            .collect(),
        work: work.iter().filter_map(|op| Some((op.ended?, op.outcome == Outcome::Ok))).collect(),
    }
}

/// Of a release and a sighting of the loss, whichever came first.
fn end(grant: &Grant, ops: &[Op]) -> End {
    match (grant.release_invoked, grant.losses.first()) {
        (None, None) => End::Unseen,
        (Some(released), None) => End::Released(released),
        (Some(released), Some(loss)) if released < loss.at && !told_by_own_release(loss, grant) => {
            End::Released(released)
        }
        (_, Some(loss)) => End::Gone(loss.at, seen_by(loss, ops)),
    }
}

/// A release that was told that there is nothing to release did not end the hold.
fn told_by_own_release(loss: &Observation, grant: &Grant) -> bool {
    matches!(loss.evidence, Evidence::OwnAnswer(op) if grant.releases.first() == Some(&op))
}

fn seen_by(loss: &Observation, ops: &[Op]) -> SeenBy {
    match loss.evidence {
        Evidence::OwnAnswer(_) => SeenBy::Itself,
        Evidence::OthersGrant(op) => SeenBy::Grant { process: ops[op].process },
        Evidence::Read(_) => SeenBy::Read,
        Evidence::Watch(_) => SeenBy::Watch,
    }
}
