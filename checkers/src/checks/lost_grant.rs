//! A lock that was given to a client that was told no.
//!
//! Proven where an acquisition failed (`fail`: it certainly did not happen, and never will), and a request that was invoked
//! after that answer found its owner in possession of the lock: a linearizable read that showed it, or another acquisition that
//! was refused because of it. An owner is used for one acquisition only, so nothing else can have put it there.
//!
//! What is seen *before* the failure is answered proves nothing: a service may try a lock, think better of it, and undo
//! what it did before it says no. An acquisition without an answer is lost to nobody: it may have taken effect.
//!
//! That an acquisition answered `ok` is not there any more is a premature expiry (or, if it never was, a phantom grant): the
//! client cannot tell a lease that ended early from one that was forgotten.
//!
//! The margin is the time from the failure's answer to the invocation of the last request that saw the owner. One
//! anomaly an acquisition.

use super::overdue_expiry::sightings;
use super::{Finding, Run, word};
use crate::explain::{Count, human, lock, when};
use crate::history::{Action, Op, Outcome, RunTime};
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade};

/// The name of this checker.
pub const NAME: &str = "lost-grant";

/// Looks for locks that were given to a client that was told no.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let sightings = sightings(run.ops);
    let mut anomalies = Vec::new();
    for op in run.ops.iter().filter(|op| op.outcome == Outcome::Fail) {
        let (Action::Acquire { owner, .. }, Some(told)) = (&op.action, op.ended) else { continue };
        let seen = sightings.get(&(op.key.as_str(), owner.as_str())).into_iter().flatten().copied();
        let after = |seen: &&Op| seen.index != op.index && seen.invoked > told && seen.ended.is_some();
        if let Some(last) = seen.filter(after).max_by_key(|seen| (seen.invoked, seen.index)) {
            anomalies.push(lost(run, op, told, last));
        }
    }
    (word(&anomalies, Count(run.totals.refused, "failed acquisition")), anomalies)
}

fn lost(run: &Run<'_>, op: &Op, told: RunTime, last: &Op) -> Anomaly {
    let since = last.invoked.since(told);
    let seen = match last.action {
        Action::Read { .. } => "a read by",
        _ => "an acquisition by",
    };
    let explanation = format!(
        "process {} was told that it had not been given {} (`{}`), {}; {} later {seen} process {} still found it in its hands",
        op.process,
        lock(&op.key),
        op.error_code().unwrap_or("no reason"),
        when(&run.context, told),
        human(since),
        last.process,
    );
    run.anomaly(Finding {
        kind: AnomalyKind::LostGrant,
        grade: Grade::Proven,
        key: &op.key,
        ops: vec![op.index, last.index],
        at: told,
        margin_ns: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
        explanation,
    })
}

#[cfg(test)]
mod tests {
    use crate::script::{Script, found_of_kind, script};
    use crate::verdict::AnomalyKind;

    #[track_caller]
    fn accuses(script: Script, expected: &[u64]) {
        let found = found_of_kind(script, AnomalyKind::LostGrant);
        assert_eq!(found.iter().map(|a| a.margin_ns / 1_000_000).collect::<Vec<_>>(), expected, "{found:?}");
    }

    fn refused() -> Script {
        script().acquire(9, "z", 0..10, 50).acquire_fails(1, "a", 100..200, "rejected")
    }

    #[test]
    fn an_owner_that_was_told_no_is_seen_to_hold() {
        accuses(refused().read(4, 300..310, Some("a")), &[100]);
        accuses(refused().acquire_held(4, "d", 300..310, "a"), &[100]);
        accuses(refused().read(4, 300..310, Some("a")).read(4, 700..710, Some("a")), &[500]);
    }

    #[test]
    fn what_is_seen_before_the_answer_may_yet_be_undone() {
        accuses(refused().read(4, 150..310, Some("a")), &[]);
        accuses(refused().read(4, 200..310, Some("a")), &[]);
        accuses(refused().read(4, 201..310, Some("a")), &[1]);
    }

    #[test]
    fn a_read_that_may_be_stale_proves_nothing() {
        accuses(refused().stale_read(4, 300..310, Some("a")), &[]);
    }

    #[test]
    fn an_acquisition_without_an_answer_may_take_effect() {
        accuses(script().acquire_info(1, "a", 100..200, 3_000).read(4, 300..310, Some("a")), &[]);
    }

    #[test]
    fn an_owner_that_nobody_acquired_for_is_not_ours() {
        accuses(refused().read(4, 300..310, Some("stranger")), &[]);
    }

    #[test]
    fn other_locks_do_not_matter() {
        accuses(refused().on("jobs/8").read(4, 300..310, Some("a")), &[]);
    }
}
