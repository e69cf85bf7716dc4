//! A client that was told `ok` and never had the lock.
//!
//! An owner is used for one acquisition only, so whoever was replaced as the holder never comes back. If an owner held the lock
//! before an acquisition was invoked and was seen to hold it after that had been answered, it held it all the while, and the
//! acquisition never took effect: no TTL and no clock is needed for that. Precisely, an acquisition of another owner that was
//! answered `ok` in `[inv, end]` is a phantom where for some owner `y`
//!
//! * `y` certainly had the lock by an instant before `inv`: its own acquisition was answered `ok`, or a linearizable
//!   read or a refused acquisition showed it, and that was complete before `inv`; and
//! * a linearizable read or a refused acquisition that was invoked after `end` showed `y`; and
//! * nobody ever saw the phantom hold the lock.
//!
//! Without the last condition it is as well possible that the lock did change hands and the later sight of `y` was out of date:
//! see [`super::stale_read`]. A correct service can give neither set of answers.
//!
//! A client that was given a lock which others then find free cannot be told from one whose lease ended early; that is
//! a premature expiry.
//!
//! The margin is the time by which the answer lies inside of what is certain of `y`: the shorter of the distances between the
//! begins and between the ends. One anomaly an acquisition.

use std::collections::BTreeMap;

use super::overdue_expiry::sightings;
use super::{Finding, Run, word};
use crate::explain::{Count, lock, when};
use crate::history::{Action, Op, Outcome, RunTime};
use crate::holds::Grant;
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade};

/// The name of this checker.
pub const NAME: &str = "phantom-grant";

/// Looks for clients that were told `ok` and never had the lock.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let sightings = sightings(run.ops);
    let tenures = tenures(run, &sightings);
    let unseen = |grant: &&Grant| !sightings.contains_key(&(grant.key.as_str(), grant.owner.as_str()));
    let anomalies: Vec<Anomaly> = run
        .all_grants()
        .filter(unseen)
        .filter_map(|grant| Some(phantom(run, grant, tenures.get(grant.key.as_str())?.around(grant)?)))
        .collect();
    (word(&anomalies, Count(run.totals.grants, "grant")), anomalies)
}

/// A stretch of time throughout which one owner certainly held a lock.
#[derive(Clone, Copy, Debug)]
struct Tenure<'a> {
    owner: &'a str,
    /// The acquisition of that name, whatever became of it.
    acquire: Option<&'a Op>,
    /// By when it had the lock, and the op that shows it.
    from: RunTime,
    first: usize,
    /// When the last request was invoked that saw it.
    until: RunTime,
    last: usize,
}

/// The tenures of one lock.
#[derive(Default)]
struct Tenures<'a> {
    /// By their begin.
    sorted: Vec<Tenure<'a>>,
    /// For each position, the tenure up to there that reaches furthest.
    furthest: Vec<Tenure<'a>>,
}

impl<'a> Tenures<'a> {
    fn index(&mut self) {
        self.sorted.sort_by_key(|tenure| (tenure.from, tenure.first));
        for tenure in &self.sorted {
            let reaching = self.furthest.last().filter(|before| before.until >= tenure.until);
            self.furthest.push(reaching.copied().unwrap_or(*tenure));
        }
    }

    /// The tenure that an acquisition lies inside of. A grant that nobody saw has none itself.
    fn around(&self, grant: &Grant) -> Option<Tenure<'a>> {
        let begun_before = self.sorted.partition_point(|tenure| tenure.from < grant.invoked);
        let reaching = self.furthest.get(begun_before.checked_sub(1)?)?;
        Some(*reaching).filter(|tenure| tenure.until > grant.ended)
    }
}

fn tenures<'a>(
    run: &'a Run<'_>,
    sightings: &BTreeMap<(&'a str, &'a str), Vec<&'a Op>>,
) -> BTreeMap<&'a str, Tenures<'a>> {
    let mut acquisitions: BTreeMap<(&str, &str), &Op> = BTreeMap::new();
    for op in run.ops {
        if let Action::Acquire { owner, .. } = &op.action {
            acquisitions.insert((&op.key, owner), op);
        }
    }
    let mut tenures: BTreeMap<&str, Tenures<'_>> = BTreeMap::new();
    for ((key, owner), seen) in sightings {
        let acquire = acquisitions.get(&(*key, *owner)).copied();
        let told = acquire.filter(|op| op.outcome == Outcome::Ok).and_then(|op| Some((op.ended?, op.index)));
        let first = seen.iter().filter_map(|op| Some((op.ended?, op.index))).chain(told).min();
        let last = seen.iter().filter(|op| op.ended.is_some()).map(|op| (op.invoked, op.index)).max();
        if let (Some((from, first)), Some((until, last))) = (first, last)
            && from < until
        {
            tenures.entry(key).or_default().sorted.push(Tenure { owner, acquire, from, first, until, last });
        }
    }
    tenures.values_mut().for_each(Tenures::index);
    tenures
}

fn phantom(run: &Run<'_>, grant: &Grant, holder: Tenure<'_>) -> Anomaly {
    let margin = grant.invoked.since(holder.from).min(holder.until.since(grant.ended));
    let who = holder.acquire.map_or_else(|| format!("`{}`", holder.owner), |op| format!("process {}", op.process));
    let saw = &run.ops[holder.last];
    let explanation = format!(
        "process {} was told that it had been given {}, {}, but never was: {who} had it before, and {} still found {who} to hold it {} into the run",
        grant.process,
        lock(&grant.key),
        when(&run.context, grant.ended),
        match saw.action {
            Action::Read { .. } => format!("a read by process {}", saw.process),
            _ => format!("an acquisition by process {}", saw.process),
        },
        saw.invoked,
    );
    let mut ops = vec![holder.first, grant.acquire, holder.last];
    ops.extend(holder.acquire.map(|op| op.index));
    ops.sort_unstable();
    ops.dedup();
    run.anomaly(Finding {
        kind: AnomalyKind::PhantomGrant,
        grade: Grade::Proven,
        key: &grant.key,
        ops,
        at: grant.ended,
        margin_ns: u64::try_from(margin.as_nanos()).unwrap_or(u64::MAX),
        explanation,
    })
}

#[cfg(test)]
mod tests {
    use crate::script::{Script, found_of_kind, script};
    use crate::verdict::AnomalyKind;

    #[track_caller]
    fn accuses(script: Script, expected: &[u64]) {
        let found = found_of_kind(script, AnomalyKind::PhantomGrant);
        assert_eq!(found.iter().map(|a| a.margin_ns / 1_000_000).collect::<Vec<_>>(), expected, "{found:?}");
    }

    fn held() -> Script {
        script().acquire(1, "a", 0..100, 300)
    }

    #[test]
    fn another_holds_before_and_after() {
        accuses(held().acquire(2, "b", 200..300, 500).read(4, 400..410, Some("a")), &[100]);
        accuses(held().acquire(2, "b", 200..300, 500).acquire_held(4, "d", 350..410, "a"), &[50]);
    }

    #[test]
    fn another_is_seen_before_and_after_though_nobody_was_told_that_it_acquired() {
        let unanswered = script().acquire_info(1, "a", 0..5_000, 300).read(4, 50..100, Some("a"));
        accuses(unanswered.acquire(2, "b", 200..300, 500).read(4, 400..410, Some("a")), &[100]);
    }

    #[test]
    fn a_sight_that_may_be_of_before() {
        accuses(held().acquire(2, "b", 200..300, 500).read(4, 300..410, Some("a")), &[]);
        accuses(held().acquire(2, "b", 200..300, 500).stale_read(4, 400..410, Some("a")), &[]);
        accuses(held().acquire(2, "b", 100..300, 500).read(4, 400..410, Some("a")), &[]);
    }

    #[test]
    fn one_that_waited_and_was_answered_late() {
        accuses(
            script().acquire(2, "b", 0..3_000, 500).acquire(1, "a", 700..800, 500).read(4, 900..910, Some("a")),
            &[],
        );
    }

    #[test]
    fn one_that_was_seen_did_hold() {
        let seen = held().acquire(2, "b", 200..300, 500).read(4, 320..330, Some("b")).read(4, 400..410, Some("a"));
        accuses(seen, &[]);
    }

    #[test]
    fn the_holder_is_no_phantom_of_its_own() {
        accuses(script().read(4, 50..60, Some("a")).acquire(1, "a", 0..100, 300).read(4, 200..210, Some("a")), &[]);
    }

    #[test]
    fn the_sentence() {
        let script = held().acquire(2, "b", 200..300, 500).read(4, 400..410, Some("a"));
        assert_eq!(
            found_of_kind(script, AnomalyKind::PhantomGrant)[0].explanation,
            "process 2 was told that it had been given `jobs/7`, 300 ms into the run, but never was: process 1 had it before, and a read by \
             process 4 still found process 1 to hold it 0.400 s into the run"
        );
    }
}
