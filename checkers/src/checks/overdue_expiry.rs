//! A lease that was still there long after it had to end.
//!
//! A **sighting** of a grant is a linearizable read that showed its owner, or an acquisition that failed because that
//! owner held the lock. Its **lateness** is `inv(sighting) - (end(r) + T/(1-rho))`, where `r` is the last to end of the
//! acquisition and of the renewals of any outcome that were invoked before the sighting's end, and `T` the greatest TTL
//! that was asked for or granted. A renewal acts before it ends, so by then the lease has had its time. (Where any sign of life
//! prolongs a lease, which [`SecondHand`](crate::contract::SecondHand) says, a release counts as a renewal here.)
//!
//! It is **proven** late only where the contract names a bound, and nothing else can explain it:
//!
//! * the record tells of all that may be wrong with the cluster
//!   ([`Patience::is_conclusive`](crate::contract::Patience::is_conclusive));
//! * no renewal was unanswered, for such a one may take effect at any later time;
//! * no fault but of clocks was active when the sighting was invoked: a cluster without a quorum cannot end a lease;
//! * the leadership was settled: no sign of an election for as long as the contract's grace, for without a leader
//!   nothing ends;
//! * the sighting was invoked after the **deadline**: the last of `end(r)`, the end of each fault but of clocks, and
//!   (where the contract says that it starts leases anew) each sign of a leader change, plus `T/(1-rho)`, the
//!   contract's grace (which a slow clock draws out as well), and the time for which any node's probes or any client's answers were missing since
//!   ([`Pulse::stalled`](crate::context::Pulse::stalled));
//! * no leader change went unseen: each node was heard again after the sighting was invoked, and with that the
//!   leadership was still the same. (A probe only tells of an election when it is answered, and the election may by
//!   then be some time past.)
//!
//! The grace is what the contract gives a lease beyond its TTL: a fixed time, and from a service that ends leases at a
//! multiple of their TTL the rest of that multiple.
//!
//! Everything else that is later than the contract's grace, or than 1 s where it names none, is a measurement: of grade
//! `possible`. Ops that the history leaves open, and acquisitions without an answer, give no `end`, so nothing is
//! measured from them.
//!
//! One anomaly a grant: of its proven sightings, or else of all, the latest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Finding, Run, word};
use crate::explain::{Count, human, lock, when};
use crate::history::{Action, Op, Ops, RunTime};
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
    let mut result = word(&anomalies, Count(run.totals.grants, "grant"));
    if run.header.contract.latest_expiry.is_none() {
        result.reason.push_str("; the contract names no latest expiry, so lateness is only measured");
    }
    (result, anomalies)
}

/// The ops that saw a lock held, by lock and holder.
pub(crate) fn sightings(ops: &Ops) -> BTreeMap<(&str, &str), Vec<&Op>> {
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
pub(crate) struct Overdue<'a> {
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

pub(crate) fn overdue<'a>(run: &Run<'_>, grant: &Grant, renewals: &Renewals, sighting: &'a Op) -> Option<Overdue<'a>> {
    let last = renewals.last_before(sighting.ended?)?;
    let ttl = longest_life(grant.longest_ttl, run.header.clock_rate_error_ppm)?;
    let late = sighting.invoked.since(last.ended.after(ttl));
    // What a service does about a lease that is over it times by the same clock.
    let grace = match run.header.contract.latest_expiry {
        Some(latest) => Some(longest_life(latest.after_ttl(grant.longest_ttl), run.header.clock_rate_error_ppm)?),
        None => None,
    };
    if late <= grace.unwrap_or(WORTH_A_WORD) {
        return None;
    }
    let is_conclusive = run.header.contract.patience.is_conclusive;
    let proven = is_conclusive
        && !last.any_unanswered
        && grace.is_some_and(|grace| is_inexcusable(run, sighting, last.ended, ttl, grace));
    let grade = if proven { Grade::Proven } else { Grade::Possible };
    Some(Overdue { sighting, last: last.op, late, grade })
}

/// How long a time by the service's clock lasts at most: `T/(1-rho)`, rounded up. `None` where the clock may stand still.
fn longest_life(ttl: Duration, rate_error_ppm: u64) -> Option<Duration> {
    const MILLION: u128 = 1_000_000;
    let slowest = MILLION.checked_sub(u128::from(rate_error_ppm)).filter(|slowest| *slowest > 0)?;
    let nanos = (ttl.as_nanos() * MILLION).div_ceil(slowest);
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

/// Whether neither a fault, nor an election, nor a stall can explain that a lease which had to end `ttl` and `grace`
/// after `last` was still there.
fn is_inexcusable(run: &Run<'_>, sighting: &Op, last: RunTime, ttl: Duration, grace: Duration) -> bool {
    let seen = sighting.invoked;
    let disturbing = || run.context.faults.iter().filter(|fault| !fault.is_of_clocks());
    if disturbing().any(|fault| fault.is_active(seen)) {
        return false;
    }
    let Some(elected) = last_election(run, seen) else { return false };
    let restarts = run.header.contract.latest_expiry.is_some_and(|latest| latest.restarts_at_leader_change);
    let healed = disturbing().filter_map(|fault| fault.ended).filter(|ended| *ended < seen).max().unwrap_or_default();
    let counted_from = last.max(healed).max(if restarts { elected } else { RunTime::default() });
    let is_over = |from: RunTime, allowed: Duration| seen > from.after(allowed).after(run.pulse.stalled(from, seen));
    is_over(elected, grace) && is_over(counted_from, ttl + grace)
}

/// The last sign of an election before an instant; `None` where there may have been one that shows only later, or not
/// at all.
fn last_election(run: &Run<'_>, before: RunTime) -> Option<RunTime> {
    let heard = run.pulse.all_heard_again_after(before)?;
    let unsettled = &run.context.unsettled;
    let known = unsettled.partition_point(|at| *at <= before);
    let moved_meanwhile = unsettled.get(known).is_some_and(|at| *at <= heard);
    (!moved_meanwhile).then(|| unsettled[..known].last().copied().unwrap_or_default())
}

/// What prolonged a lease, so that the last before any instant is found at once.
pub(crate) struct Renewals {
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
    pub(crate) fn of(run: &Run<'_>, grant: &Grant) -> Self {
        let mut so_far = Some(Prolonged { op: grant.acquire, ended: grant.ended, any_unanswered: false });
        let mut up_to = vec![(grant.invoked, so_far)];
        for renewal in grant.prolonged_by.iter().map(|op| &run.ops[*op]) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::LatestExpiry;
    use crate::history::EventType;
    use crate::history::vocabulary::FaultPhase;
    use crate::script::{Fault, Script, script};
    use crate::verdict::Verdict;

    fn found(script: Script) -> Vec<Anomaly> {
        let judgement = crate::check(&script.history());
        assert_eq!(judgement.checkers["well-formed"].verdict, Verdict::Valid, "{judgement:?}");
        judgement.anomalies.into_iter().filter(|anomaly| anomaly.kind == AnomalyKind::OverdueExpiry).collect()
    }

    #[track_caller]
    fn finds(script: Script, expected: &[(Grade, u64)]) {
        let found = found(script);
        let got: Vec<_> = found.iter().map(|anomaly| (anomaly.grade, anomaly.margin_ns / 1_000_000)).collect();
        assert_eq!(got, expected, "{found:?}");
    }

    /// Held from 0.1 s, due at 3.1 s, and with a grace of 1 s overdue after 4.1 s. The cluster is at rest.
    fn held() -> Script {
        unwatched().steady(0..12_000, "n1", 5)
    }

    fn unwatched() -> Script {
        script().acquire(1, "a", 0..100, 3_000)
    }

    #[test]
    fn a_lease_seen_after_its_time() {
        finds(held().read(4, 4_101..4_110, Some("a")), &[(Grade::Proven, 1_001)]);
        finds(held().acquire_held(4, "b", 4_101..4_110, "a"), &[(Grade::Proven, 1_001)]);
        finds(held().read(4, 4_100..4_110, Some("a")), &[]);
    }

    #[test]
    fn where_faults_may_go_unrecorded_lateness_is_no_more_than_possible() {
        let not_ours = held().contract(|contract| contract.patience.is_conclusive = false);
        finds(not_ours.read(4, 4_101..4_110, Some("a")), &[(Grade::Possible, 1_001)]);
    }

    #[test]
    fn of_several_sightings_the_latest_counts() {
        let polled =
            held().read(4, 4_200..4_210, Some("a")).read(4, 6_100..6_110, Some("a")).read(4, 6_200..6_300, None);
        finds(polled, &[(Grade::Proven, 3_000)]);
    }

    #[test]
    fn a_proof_outweighs_a_later_sighting_that_proves_nothing() {
        let paused = held().fault(Fault(1, "pause", "pause", "n2"), 5_000..5_010, Some(9_000..9_010));
        let seen = paused.read(4, 4_200..4_210, Some("a")).read(4, 6_100..6_110, Some("a"));
        finds(seen, &[(Grade::Proven, 1_100)]);
    }

    #[test]
    fn a_stale_read_shows_nothing() {
        finds(held().stale_read(4, 6_000..6_010, Some("a")), &[]);
    }

    #[test]
    fn a_read_asked_in_time_and_answered_late() {
        finds(held().read(4, 3_900..9_000, Some("a")), &[]);
    }

    #[test]
    fn renewals_of_any_outcome_restart_the_time() {
        finds(held().renew(1, "a", 3_000..3_050, 3_000).read(4, 7_000..7_010, Some("a")), &[]);
        finds(held().renew(1, "a", 3_000..3_050, 3_000).read(4, 7_051..7_060, Some("a")), &[(Grade::Proven, 1_001)]);
        finds(held().renew_fails(1, "a", 3_000..3_050, "refused").read(4, 7_000..7_010, Some("a")), &[]);
    }

    #[test]
    fn an_unanswered_renewal_may_take_effect_at_any_time() {
        finds(held().renew_info(1, "a", 1_000..2_000).read(4, 9_000..9_010, Some("a")), &[(Grade::Possible, 4_000)]);
        finds(held().renew_open(1, "a", 1_000).read(4, 9_000..9_010, Some("a")), &[]);
    }

    #[test]
    fn where_any_sign_of_life_prolongs_a_lease_so_does_a_release_that_fails() {
        let by_hearsay = |contract: &mut crate::contract::Contract| {
            let second_hand = crate::contract::SecondHand { known_within_ms: 100, out_of_touch_for_ms: 100 };
            contract.second_hand = Some(second_hand);
        };
        let failed = || held().release_fails(1, "a", 2_000..2_100, "rejected");
        finds(failed().read(4, 6_000..6_010, Some("a")), &[(Grade::Proven, 2_900)]);
        finds(failed().contract(by_hearsay).read(4, 6_000..6_010, Some("a")), &[]);
        finds(failed().contract(by_hearsay).read(4, 6_101..6_110, Some("a")), &[(Grade::Proven, 1_001)]);
        let unknown = held().release_info(1, "a", 2_000..2_100).contract(by_hearsay);
        finds(unknown.read(4, 9_000..9_010, Some("a")), &[(Grade::Possible, 3_900)]);
    }

    #[test]
    fn a_renewal_asked_after_the_sighting_does_not_excuse_it() {
        finds(held().read(4, 5_000..5_010, Some("a")).renew(1, "a", 6_000..6_010, 3_000), &[(Grade::Proven, 1_900)]);
    }

    #[test]
    fn a_renewal_under_way_at_the_sighting_may_have_prolonged_the_lease() {
        finds(held().read(4, 5_000..5_010, Some("a")).renew(1, "a", 5_005..5_020, 3_000), &[]);
    }

    #[test]
    fn the_greatest_ttl_counts() {
        finds(held().renew(1, "a", 200..210, 6_000).read(4, 7_000..7_010, Some("a")), &[]);
    }

    /// A server whose disk stands still answers probes from its memory, goes on leading, and cannot end a lease.
    #[test]
    fn requests_that_hang_excuse_as_much() {
        let hung = |until| held().acquire_held(8, "b", 3_000..until, "a").read(4, 6_050..6_060, Some("a"));
        finds(hung(6_000), &[(Grade::Possible, 2_950)]);
        finds(hung(3_500), &[(Grade::Proven, 2_950)]);
        let timed_out = held().acquire_info(8, "b", 3_000..5_000, 3_000).renew_info(9, "z", 4_900..6_000);
        finds(timed_out.read(4, 6_050..6_060, Some("a")), &[(Grade::Possible, 2_950)]);
        let served = held().acquire_held(8, "b", 3_000..6_000, "a").acquire_held(7, "c", 4_500..4_510, "a");
        let served = (3_400..6_000).step_by(400).fold(served, |script, at| script.read(6, at..at + 10, Some("a")));
        finds(served.read(4, 6_050..6_060, Some("a")), &[(Grade::Proven, 2_950)]);
        let queued = held().acquire_token(8, "b", 3_000..6_900, 3_000, 9).read(4, 6_050..6_060, Some("a"));
        finds(queued, &[(Grade::Proven, 2_950)]);
    }

    #[test]
    fn a_service_that_ends_leases_at_twice_their_ttl_is_given_that_time() {
        let twice = |contract: &mut crate::contract::Contract| {
            contract.latest_expiry = Some(LatestExpiry { ttls: 2, grace_ms: 1_000, restarts_at_leader_change: false });
        };
        // The lease of 3 s was granted by 0.1 s: it may be seen until 7.1 s.
        finds(held().contract(twice).read(4, 7_100..7_110, Some("a")), &[]);
        finds(held().contract(twice).read(4, 7_101..7_110, Some("a")), &[(Grade::Proven, 4_001)]);
    }

    #[test]
    fn a_leader_change_starts_the_lease_anew_where_the_contract_says_so() {
        let elected = || unwatched().steady(0..3_000, "n1", 5).steady(3_000..12_000, "n2", 6);
        finds(elected().read(4, 6_900..6_910, Some("a")), &[(Grade::Possible, 3_800)]);
        finds(elected().read(4, 7_001..7_010, Some("a")), &[(Grade::Proven, 3_901)]);
        let not_restarting = |contract: &mut crate::contract::Contract| {
            contract.latest_expiry = Some(LatestExpiry { ttls: 1, grace_ms: 1_000, restarts_at_leader_change: false });
        };
        finds(elected().contract(not_restarting).read(4, 4_200..4_210, Some("a")), &[(Grade::Proven, 1_100)]);
    }

    #[test]
    fn an_election_is_an_excuse_for_a_while_even_where_it_starts_nothing_anew() {
        let not_restarting = |contract: &mut crate::contract::Contract| {
            contract.latest_expiry = Some(LatestExpiry { ttls: 1, grace_ms: 1_000, restarts_at_leader_change: false });
        };
        let elected = || unwatched().contract(not_restarting).steady(0..4_000, "n1", 5).steady(4_000..12_000, "n2", 6);
        finds(elected().read(4, 4_900..4_910, Some("a")), &[(Grade::Possible, 1_800)]);
        finds(elected().read(4, 5_001..5_010, Some("a")), &[(Grade::Proven, 1_901)]);
    }

    #[test]
    fn an_election_that_ended_with_the_same_leader_shows_in_its_term() {
        let elected = unwatched().steady(0..3_000, "n1", 5).steady(3_000..12_000, "n1", 6);
        finds(elected.read(4, 6_900..6_910, Some("a")), &[(Grade::Possible, 3_800)]);
    }

    #[test]
    fn an_election_that_the_next_probe_shows_may_have_been_before_the_sighting() {
        let elected = unwatched().steady(0..4_001, "n1", 5).steady(4_200..12_000, "n2", 6);
        finds(elected.read(4, 4_150..4_160, Some("a")), &[(Grade::Possible, 1_050)]);
    }

    #[test]
    fn a_node_that_knows_no_leader_unsettles() {
        finds(held().leader(3_500, "n3", None, 5).read(4, 7_000..7_010, Some("a")), &[(Grade::Possible, 3_900)]);
    }

    #[test]
    fn a_node_that_lags_behind_says_nothing_new() {
        finds(held().leader(3_500, "n3", Some("n2"), 4).read(4, 4_200..4_210, Some("a")), &[(Grade::Proven, 1_100)]);
    }

    #[test]
    fn no_proof_without_probes_after_the_sighting() {
        finds(unwatched().steady(0..4_300, "n1", 5).read(4, 4_250..4_260, Some("a")), &[(Grade::Possible, 1_150)]);
        finds(unwatched().read(4, 9_000..9_010, Some("a")), &[(Grade::Possible, 5_900)]);
    }

    #[test]
    fn a_stall_of_the_machine_extends_the_deadline_by_as_much() {
        let stalled = || unwatched().steady(0..2_001, "n1", 5).steady(4_000..12_000, "n1", 5);
        finds(stalled().read(4, 6_000..6_010, Some("a")), &[(Grade::Possible, 2_900)]);
        finds(stalled().read(4, 6_101..6_110, Some("a")), &[(Grade::Proven, 3_001)]);
    }

    #[test]
    fn one_node_that_does_not_answer_is_a_stall_too() {
        let script = ["n1", "n2"].into_iter().fold(unwatched().leader(100, "n3", Some("n1"), 5), |script, node| {
            (0..60).fold(script, |script, beat| script.leader(beat * 200, node, Some("n1"), 5))
        });
        finds(script.read(4, 9_000..9_010, Some("a")), &[(Grade::Possible, 5_900)]);
    }

    #[test]
    fn faults_excuse_while_they_last_and_start_the_time_anew() {
        let paused = |heal| held().fault(Fault(1, "pause", "pause", "n2"), 1_000..1_010, heal);
        finds(paused(None).read(4, 9_000..9_010, Some("a")), &[(Grade::Possible, 5_900)]);
        finds(paused(Some(2_900..3_000)).read(4, 7_000..7_010, Some("a")), &[(Grade::Possible, 3_900)]);
        finds(paused(Some(2_900..3_000)).read(4, 7_001..7_010, Some("a")), &[(Grade::Proven, 3_901)]);
    }

    #[test]
    fn a_fault_of_the_clocks_is_no_excuse() {
        let moved = held().fault(Fault(1, "clock", "clock -5 s", "n1"), 1_000..1_010, None);
        finds(moved.read(4, 8_000..8_010, Some("a")), &[(Grade::Proven, 4_900)]);
    }

    #[test]
    fn a_fault_that_was_refused_is_no_excuse() {
        let pause = Fault(1, "pause", "pause", "n2");
        let refused = held().nemesis(1_000, EventType::Invoke, FaultPhase::Inject, pause).nemesis(
            1_010,
            EventType::Fail,
            FaultPhase::Inject,
            pause,
        );
        finds(refused.read(4, 5_000..5_010, Some("a")), &[(Grade::Proven, 1_900)]);
    }

    #[test]
    fn without_a_bound_lateness_is_only_measured() {
        let unbound = || held().contract(|contract| contract.latest_expiry = None);
        finds(unbound().read(4, 4_101..4_110, Some("a")), &[(Grade::Possible, 1_001)]);
        finds(unbound().read(4, 4_100..4_110, Some("a")), &[]);
        assert_eq!(crate::check(&unbound().read(4, 9_000..9_010, Some("a")).history()).verdict, Verdict::Valid);
    }

    #[test]
    fn a_slow_clock_has_longer() {
        let slow = || held().header(|header| header.clock_rate_error_ppm = 250_000);
        // The grace of 1 s is by that clock as well.
        finds(slow().read(4, 5_433..5_440, Some("a")), &[]);
        finds(slow().read(4, 5_434..5_440, Some("a")), &[(Grade::Proven, 1_334)]);
        finds(held().header(|header| header.clock_rate_error_ppm = 1_000_000).read(4, 9_000..9_010, Some("a")), &[]);
    }

    #[test]
    fn an_unanswered_acquisition_gives_nothing_to_measure_from() {
        let unknown = script().acquire_info(1, "a", 0..100, 3_000).steady(0..12_000, "n1", 5);
        finds(unknown.read(4, 9_000..9_010, Some("a")), &[]);
    }

    #[test]
    fn the_sentence() {
        let found = found(held().renew(1, "a", 1_000..1_100, 3_000).read(4, 9_000..9_010, Some("a")));
        assert_eq!(
            found[0].explanation,
            "process 1's lease on `jobs/7` should have run out 4.9 s before a read by process 4 still found it held, 9 s into the run"
        );
        assert_eq!(found[0].ops, [0, 1, 2]);
        assert_eq!(found[0].leaders, ["n1 led in term 5, said n1, n2, n3"]);
    }
}
