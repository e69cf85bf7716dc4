//! A lease that was still there long after it had to end.
//!
//! A **sighting** of a grant is a linearizable read that showed its owner, or an acquisition that failed because that
//! owner held the lock. Its **lateness** is `inv(sighting) - (end(r) + T/(1-rho))`, where `r` is the last to end of the acquisition
//! and of the renewals of any outcome that were invoked before the sighting's end, and `T` the greatest TTL that was asked for or
//! granted. A renewal acts before it ends, so by then the lease has had its time.
//!
//! It is **proven** late only where the contract names a bound, and nothing else can explain it:
//!
//! * no renewal was unanswered, for such a one may take effect at any later time;
//! * no fault but of clocks was active when the sighting was invoked: a cluster without a quorum cannot end a lease;
//! * the sighting was invoked after the **deadline**: the last of `end(r)`, the end of each fault but of clocks, and (where
//!   the contract says that it starts leases anew) each sign of a leader change, plus `T/(1-rho)`, the contract's grace, and the time
//!   for which any node's probes were missing since ([`Pulse::stalled`](crate::context::Pulse::stalled));
//! * no leader change went unseen: each node was heard again after the sighting was invoked, and with that the leadership was still
//!   the same. (A probe only tells of an election when it is answered, and the election may by then be some time past.)
//!
//! Everything else that is later than the contract's grace, or than 1 s where it names none, is a measurement: of grade `possible`.
//! Ops that the history leaves open, and acquisitions without an answer, give no `end`, so nothing is measured from them.
//!
//! One anomaly a grant: of its proven sightings, or else of all, the latest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Finding, Run, word};
use crate::context::Fault;
use crate::explain::{Count, human, lock, when};
use crate::history::{Action, Op, RunTime};
use crate::holds::Grant;
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade};

/// The name of this checker.
pub const NAME: &str = "overdue-expiry";

/// How late a lease is worth a word where the contract names no bound.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

/// Looks for leases that outlived their time.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let sightings = sightings(run.ops);
    let anomalies: Vec<Anomaly> = run
        .all_grants()
        .filter_map(|grant| {
            let seen = sightings.get(&(grant.key.as_str(), grant.owner.as_str()))?;
            let renewals = Renewals::of(run, grant);
            let latest = seen.iter().filter_map(|op| overdue(run, grant, &renewals, op)).max_by_key(Overdue::rank)?;
            Some(anomaly(run, grant, &latest))
        })
        .collect();
    let mut result = word(&anomalies, Count(run.all_grants().count(), "grant"));
    if run.header.contract.latest_expiry.is_none() {
        result.reason.push_str("; the contract names no latest expiry, so lateness is only measured");
    }
    (result, anomalies)
}

/// The ops that saw a lock held, by lock and holder.
fn sightings(ops: &[Op]) -> BTreeMap<(&str, &str), Vec<&Op>> {
    let mut sightings: BTreeMap<(&str, &str), Vec<&Op>> = BTreeMap::new();
    for op in ops {
        let seen = match &op.action {
            Action::Read { linearizable: true, seen: Some(seen) } => seen,
            Action::Acquire { holder, .. } => holder,
            _ => &None,
        };
        if let Some(owner) = seen {
            sightings.entry((&op.key, owner)).or_default().push(op);
        }
    }
    sightings
}

/// A grant seen after its time.
struct Overdue<'a> {
    sighting: &'a Op,
    /// The op that prolonged the lease last.
    last: usize,
    late: Duration,
    grade: Grade,
}

impl Overdue<'_> {
    /// Proven before possible, then later before less late, then the earlier sighting.
    fn rank(&self) -> (std::cmp::Reverse<Grade>, Duration, std::cmp::Reverse<usize>) {
        (std::cmp::Reverse(self.grade), self.late, std::cmp::Reverse(self.sighting.index))
    }
}

fn overdue<'a>(run: &Run<'_>, grant: &Grant, renewals: &Renewals, sighting: &'a Op) -> Option<Overdue<'a>> {
    let last = renewals.last_before(sighting.ended?)?;
    let ttl = longest_life(grant.longest_ttl, run.header.clock_rate_error_ppm)?;
    let late = sighting.invoked.since(last.ended.after(ttl));
    let grace = run.header.contract.latest_expiry.map(|latest| Duration::from_millis(latest.grace_ms));
    if late <= grace.unwrap_or(WORTH_A_WORD) {
        return None;
    }
    let proven =
        !last.any_unanswered && grace.is_some_and(|grace| is_inexcusable(run, sighting, last.ended, ttl + grace));
    let grade = if proven { Grade::Proven } else { Grade::Possible };
    Some(Overdue { sighting, last: last.op, late, grade })
}

/// How long a TTL lasts at most: `T/(1-rho)`, rounded up. `None` where the clock may stand still.
fn longest_life(ttl: Duration, rate_error_ppm: u64) -> Option<Duration> {
    const MILLION: u128 = 1_000_000;
    let slowest = MILLION.checked_sub(u128::from(rate_error_ppm)).filter(|slowest| *slowest > 0)?;
    let nanos = (ttl.as_nanos() * MILLION).div_ceil(slowest);
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

/// Whether neither a fault, nor an election, nor a stall can explain that a lease which had to end `allowed` after
/// `last` was still there.
fn is_inexcusable(run: &Run<'_>, sighting: &Op, last: RunTime, allowed: Duration) -> bool {
    let seen = sighting.invoked;
    let context = &run.context;
    let mut disturbing = context.faults.iter().filter(|fault| !fault.is_of_clocks());
    if disturbing.clone().any(|fault| fault.is_active(seen)) {
        return false;
    }
    let last_fault = disturbing.by_ref().filter_map(|fault: &Fault| fault.ended).filter(|ended| *ended < seen).max();
    let restarts = run.header.contract.latest_expiry.is_some_and(|latest| latest.restarts_at_leader_change);
    let Some(heard) = run.pulse.all_heard_again_after(seen) else { return false };
    let known = context.unsettled.partition_point(|at| *at <= seen);
    let moved_meanwhile = context.unsettled.get(known).is_some_and(|at| *at <= heard);
    if restarts && moved_meanwhile {
        return false;
    }
    let last_election = if restarts { context.unsettled[..known].last().copied() } else { None };
    let counted_from = [Some(last), last_fault, last_election].into_iter().flatten().max().unwrap_or(last);
    seen > counted_from.after(allowed).after(run.pulse.stalled(counted_from, seen))
}

/// What prolonged a lease, so that the last before any instant is found at once.
struct Renewals {
    /// By invocation; each with what is known of it and of all before it.
    up_to: Vec<(RunTime, Option<Prolonged>)>,
}

/// The state of a lease's renewals at some instant.
#[derive(Clone, Copy)]
struct Prolonged {
    /// The op that ended last.
    op: usize,
    ended: RunTime,
    any_unanswered: bool,
}

impl Renewals {
    fn of(run: &Run<'_>, grant: &Grant) -> Self {
        let mut so_far = Some(Prolonged { op: grant.acquire, ended: grant.ended, any_unanswered: false });
        let mut up_to = vec![(grant.invoked, so_far)];
        for renewal in grant.renewals.iter().map(|renewal| &run.ops[*renewal]) {
            so_far = so_far.zip(renewal.ended).map(|(before, ended)| Prolonged {
                op: if ended > before.ended { renewal.index } else { before.op },
                ended: before.ended.max(ended),
                any_unanswered: before.any_unanswered || renewal.is_unanswered(),
            });
            up_to.push((renewal.invoked, so_far));
        }
        up_to.sort_by_key(|(invoked, _)| *invoked);
        Self { up_to }
    }

    /// The state after all renewals that were invoked by an instant; `None` where one of them never ended.
    fn last_before(&self, instant: RunTime) -> Option<Prolonged> {
        let invoked = self.up_to.partition_point(|(invoked, _)| *invoked <= instant);
        self.up_to.get(invoked.checked_sub(1)?)?.1
    }
}

fn anomaly(run: &Run<'_>, grant: &Grant, overdue: &Overdue<'_>) -> Anomaly {
    let Overdue { sighting, last, late, grade } = overdue;
    let saw = match sighting.action {
        Action::Read { .. } => "a read by",
        _ => "an acquisition by",
    };
    let excuse = match (grade, run.header.contract.latest_expiry) {
        (Grade::Proven, _) => "",
        (Grade::Possible, None) => "; the service names no bound for that",
        (Grade::Possible, Some(_)) => "; a fault, an election, a stall or an unanswered renewal may excuse that",
    };
    let explanation = format!(
        "process {}'s lease on {} should have run out {} before {saw} process {} still found it held, {}{excuse}",
        grant.process,
        lock(&grant.key),
        human(*late),
        sighting.process,
        when(&run.context, sighting.invoked),
    );
    let mut ops = vec![grant.acquire, *last, sighting.index];
    ops.sort_unstable();
    ops.dedup();
    run.anomaly(Finding {
        kind: AnomalyKind::OverdueExpiry,
        grade: *grade,
        key: &grant.key,
        ops,
        at: sighting.invoked,
        margin_ns: u64::try_from(late.as_nanos()).unwrap_or(u64::MAX),
        explanation,
    })
}
