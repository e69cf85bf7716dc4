//! A read that was promised to be current and was not.
//!
//! Proven where a linearizable read showed an owner whose hold was certainly over before the read was invoked. An owner is used
//! for one acquisition only, so it cannot have come back. It was over by the completion of the first of these:
//!
//! * its own release, answered `ok` and invoked after its acquisition had been answered;
//! * any observation that its lease is gone (see [`crate::observations`]): a refused renewal, a watch, an earlier read that
//!   showed somebody else or nobody, or the grant of another that certainly came later. The last counts only where that other was
//!   itself seen to hold the lock; else it may never have had it, which is a phantom grant.
//!
//! Where an earlier read is the evidence, nothing tells which of the two reads was wrong, but one of them was. A read
//! that shows somebody else or nobody while a lock is certainly held is judged as a premature expiry.
//!
//! The margin is the time from when the hold was over to the invocation of the last such read. One anomaly a hold.

use std::collections::BTreeMap;

use super::overdue_expiry::sightings;
use super::{Finding, Run, word};
use crate::explain::{Count, human, lock, when};
use crate::history::{Action, Loss, Op, Outcome, RunTime};
use crate::holds::Grant;
use crate::observations::Evidence;
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade};

/// The name of this checker.
pub const NAME: &str = "stale-read";

/// Looks for reads that showed a holder of before.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let sightings = sightings(run.ops);
    let anomalies: Vec<Anomaly> = run
        .all_grants()
        .filter_map(|grant| {
            let seen = sightings.get(&(grant.key.as_str(), grant.owner.as_str()))?;
            let end = end_of(run, grant, &sightings)?;
            let stale = |op: &&&Op| matches!(op.action, Action::Read { .. }) && op.invoked > end.at;
            let last = seen.iter().filter(stale).max_by_key(|op| (op.invoked, op.index))?;
            let times = seen.iter().filter(stale).count();
            Some(stale_read(run, grant, &end, last, times))
        })
        .collect();
    (word(&anomalies, Count(run.totals.reads, "linearizable read")), anomalies)
}

/// When a hold was certainly over, and what shows it.
struct End {
    at: RunTime,
    op: Option<usize>,
    how: String,
}

fn end_of(run: &Run<'_>, grant: &Grant, sightings: &BTreeMap<(&str, &str), Vec<&Op>>) -> Option<End> {
    let releases = grant.releases.iter().map(|release| &run.ops[*release]);
    let released = releases
        .filter(|release| release.outcome == Outcome::Ok && release.invoked > grant.ended)
        .filter_map(|release| Some(End { at: release.ended?, op: Some(release.index), how: "given back".to_owned() }))
        .min_by_key(|end| end.at);
    let counts = |evidence: &Evidence| match evidence {
        Evidence::OthersGrant(other) => was_seen(&run.ops[*other], sightings),
        Evidence::OwnAnswer(_) | Evidence::Read(_) | Evidence::Watch(_) => true,
    };
    let lost = grant.losses.iter().find(|loss| counts(&loss.evidence)).map(|loss| End {
        at: loss.at,
        op: loss.evidence.op(),
        how: in_words(run, &loss.evidence),
    });
    released.into_iter().chain(lost).min_by_key(|end| end.at)
}

/// Whether anybody saw the owner of this acquisition hold the lock.
pub(super) fn was_seen(acquisition: &Op, sightings: &BTreeMap<(&str, &str), Vec<&Op>>) -> bool {
    match &acquisition.action {
        Action::Acquire { owner, .. } => sightings.contains_key(&(acquisition.key.as_str(), owner.as_str())),
        _ => false,
    }
}

fn in_words(run: &Run<'_>, evidence: &Evidence) -> String {
    match evidence {
        Evidence::OwnAnswer(op) => format!("found gone (`{}`)", run.ops[*op].error_code().unwrap_or_default()),
        Evidence::Read(op) => format!("not shown any more by a read of process {}", run.ops[*op].process),
        Evidence::OthersGrant(op) => format!("given to process {}", run.ops[*op].process),
        Evidence::Watch(Loss::Expired) => "seen to expire by a watch".to_owned(),
        Evidence::Watch(Loss::Released) => "seen to be released by a watch".to_owned(),
        Evidence::Watch(Loss::Deleted) => "seen to be deleted by a watch".to_owned(),
    }
}

fn stale_read(run: &Run<'_>, grant: &Grant, end: &End, last: &Op, times: usize) -> Anomaly {
    let late = last.invoked.since(end.at);
    let more = match times - 1 {
        0 => String::new(),
        more => format!("; {} before it did the same", Count(more, "read")),
    };
    let explanation = format!(
        "a linearizable read by process {} showed process {} as the holder of {}, {}, {} after that hold was {}{more}",
        last.process,
        grant.process,
        lock(&grant.key),
        when(&run.context, last.invoked),
        human(late),
        end.how,
    );
    let mut ops: Vec<usize> = [Some(grant.acquire), end.op, Some(last.index)].into_iter().flatten().collect();
    ops.sort_unstable();
    ops.dedup();
    run.anomaly(Finding {
        kind: AnomalyKind::StaleRead,
        grade: Grade::Proven,
        key: &grant.key,
        ops,
        at: end.at,
        margin_ns: u64::try_from(late.as_nanos()).unwrap_or(u64::MAX),
        explanation,
    })
}

#[cfg(test)]
mod tests {
    use crate::script::{Script, found_of_kind, script};
    use crate::verdict::AnomalyKind;

    #[track_caller]
    fn accuses(script: Script, expected: &[u64]) {
        let found = found_of_kind(script, AnomalyKind::StaleRead);
        assert_eq!(found.iter().map(|a| a.margin_ns / 1_000_000).collect::<Vec<_>>(), expected, "{found:?}");
    }

    fn held() -> Script {
        script().acquire(1, "a", 0..100, 3_000)
    }

    #[test]
    fn a_holder_that_had_released() {
        let released = || held().release(1, "a", 200..300);
        accuses(released().read(4, 301..310, Some("a")), &[1]);
        accuses(released().read(4, 300..310, Some("a")), &[]);
        accuses(released().read(4, 250..310, Some("a")), &[]);
        accuses(released().stale_read(4, 400..410, Some("a")), &[]);
        accuses(released().read(4, 400..410, None), &[]);
        accuses(released().read(4, 400..410, Some("a")).read(4, 900..910, Some("a")), &[600]);
    }

    #[test]
    fn a_release_that_is_not_certain() {
        accuses(held().release_info(1, "a", 200..300).read(4, 400..410, Some("a")), &[]);
        accuses(held().release_fails(1, "a", 200..300, "refused").read(4, 400..410, Some("a")), &[]);
    }

    #[test]
    fn a_release_that_may_have_come_before_the_acquisition() {
        accuses(script().acquire(1, "a", 0..500, 3_000).release(9, "a", 100..200).read(4, 600..610, Some("a")), &[]);
        accuses(
            script().acquire_info(1, "a", 0..50, 3_000).release(9, "a", 100..200).read(4, 600..610, Some("a")),
            &[],
        );
    }

    #[test]
    fn a_holder_that_was_seen_to_be_gone() {
        accuses(held().watch(3_200, "deleted", "a").read(4, 3_300..3_310, Some("a")), &[100]);
        accuses(held().renew_fails(1, "a", 3_200..3_210, "expired").read(4, 3_300..3_310, Some("a")), &[90]);
        accuses(held().read(5, 3_200..3_210, None).read(4, 3_300..3_310, Some("a")), &[90]);
        accuses(held().read(5, 3_200..3_310, None).read(4, 3_300..3_310, Some("a")), &[]);
    }

    #[test]
    fn a_holder_that_was_replaced_by_one_that_was_seen() {
        let replaced = || held().acquire(2, "b", 3_100..3_200, 3_000);
        accuses(replaced().read(4, 3_300..3_310, Some("a")), &[]);
        accuses(replaced().read(5, 3_205..3_250, Some("b")).read(4, 3_300..3_310, Some("a")), &[100]);
        // Whenever it was seen.
        accuses(replaced().read(4, 3_300..3_310, Some("a")).acquire_held(5, "c", 3_400..3_410, "b"), &[100]);
    }

    #[test]
    fn an_owner_that_nobody_is_known_to_have_acquired_for() {
        accuses(held().acquire(2, "b", 3_100..3_200, 3_000).read(4, 3_300..3_310, Some("stranger")), &[]);
    }

    #[test]
    fn the_sentence() {
        let script = held().release(1, "a", 200..300).read(4, 400..410, Some("a")).read(4, 900..910, Some("a"));
        assert_eq!(
            found_of_kind(script, AnomalyKind::StaleRead)[0].explanation,
            "a linearizable read by process 4 showed process 1 as the holder of `jobs/7`, 900 ms into the run, 600 ms after that \
             hold was given back; 1 read before it did the same"
        );
    }
}
