//! A lease that ended before the time that was promised for it.
//!
//! Proven where an observation that the lease is gone (see [`crate::observations`]) was complete before `E`, the earliest
//! legal expiry (see [`crate::holds`]), and no release had been invoked by then, other than the one that makes the
//! observation. The margin is `E - end(observation)`, for the earliest such observation: by so much at least the lease ended too
//! early. One anomaly a grant.
//!
//! A service that gives a lock to another while the lease stands breaks the same promise, so such a grant counts as an
//! observation too: what matters to the holder is that its lock was not its own any more.

use super::{Finding, Run, word};
use crate::explain::{Count, human, lock, when};
use crate::history::{Action, Loss};
use crate::holds::Grant;
use crate::observations::{Evidence, Observation};
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade};

/// The name of this checker.
pub const NAME: &str = "premature-expiry";

/// Looks for leases that ended too early.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let anomalies: Vec<Anomaly> = run.all_grants().filter_map(|grant| premature(run, grant)).collect();
    (word(&anomalies, Count(run.all_grants().count(), "grant")), anomalies)
}

fn premature(run: &Run<'_>, grant: &Grant) -> Option<Anomaly> {
    let too_early = |loss: &&Observation| {
        let released = grant.release_other_than(loss.evidence.op(), run.ops);
        loss.at < grant.earliest_expiry && released.is_none_or(|released| loss.at < released)
    };
    let loss = grant.losses.iter().find(too_early)?;
    let margin = grant.earliest_expiry.since(loss.at);
    let explanation = format!(
        "process {}'s lease on {} had another {} to run when {}, {}",
        grant.process,
        lock(&grant.key),
        human(margin),
        told(run, grant, &loss.evidence),
        when(&run.context, loss.at),
    );
    Some(run.anomaly(Finding {
        kind: AnomalyKind::PrematureExpiry,
        grade: Grade::Proven,
        key: &grant.key,
        ops: ops_of(run, grant, loss),
        at: loss.at,
        margin_ns: grant.earliest_expiry.as_nanos() - loss.at.as_nanos(),
        explanation,
    }))
}

/// The acquisition, the last renewal that the service had confirmed, and the op that saw the loss.
fn ops_of(run: &Run<'_>, grant: &Grant, loss: &Observation) -> Vec<usize> {
    let confirmed = |renewal: &&usize| {
        let renewal = &run.ops[**renewal];
        matches!(renewal.action, Action::Renew { granted_ttl_ms: Some(_), .. }) && renewal.invoked < loss.at
    };
    let last_renewal = grant.renewals.iter().rev().find(confirmed).copied();
    let mut ops: Vec<usize> = [Some(grant.acquire), last_renewal, loss.evidence.op()].into_iter().flatten().collect();
    ops.sort_unstable();
    ops.dedup();
    ops
}

fn told(run: &Run<'_>, grant: &Grant, evidence: &Evidence) -> String {
    match evidence {
        Evidence::OwnAnswer(op) => {
            let op = &run.ops[*op];
            format!("its {} was answered `{}`", noun(&op.action), op.error_code().unwrap_or_default())
        }
        Evidence::Read(op) => {
            let op = &run.ops[*op];
            match &op.action {
                Action::Read { seen: Some(Some(other)), .. } => {
                    let holder = holder_in_words(run, grant, other);
                    format!("a read by process {} showed {holder} as the holder", op.process)
                }
                _ => format!("a read by process {} showed that nobody held it", op.process),
            }
        }
        Evidence::OthersGrant(op) => format!("process {} was given it", run.ops[*op].process),
        Evidence::Watch(Loss::Expired) => "a watch was told that it had expired".to_owned(),
        Evidence::Watch(Loss::Released) => "a watch was told that it had been released".to_owned(),
        Evidence::Watch(Loss::Deleted) => "a watch was told that its key was gone".to_owned(),
    }
}

fn noun(action: &Action) -> &'static str {
    if matches!(action, Action::Release { .. }) { "release" } else { "renewal" }
}

/// The process behind an owner, or the owner's name where no process acquired under it.
fn holder_in_words(run: &Run<'_>, grant: &Grant, owner: &str) -> String {
    let acquired = |other: &&Grant| other.owner == owner;
    let others = run.grants.get(&grant.key).into_iter().flatten();
    others.into_iter().find(acquired).map_or_else(|| format!("`{owner}`"), |other| format!("process {}", other.process))
}
