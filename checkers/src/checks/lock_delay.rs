//! A lock that was given to another before the promised delay had passed.
//!
//! Some services keep a lock closed for a while after its holder lost it without a release, so that requests of the old
//! holder that are still on their way find nobody who relies on the lock. Where the contract names such a delay `d`, an
//! acquisition of another process that was answered `ok` is proven to break it where
//!
//! * of the grants that were answered before it was asked for, the last is `g`, and no release of `g` was invoked by the time of
//!   the answer;
//! * the lease of `g` cannot have ended before `s`, the later of its earliest legal expiry `E(g)` (see [`crate::holds`]) and of
//!   the invocation of the last linearizable read or refused acquisition that showed its owner and was complete before the
//!   acquisition was asked for;
//! * the answer was complete before `s + d/(1+rho)`, and not before `E(g)`, for that would be a premature expiry.
//!
//! It is but `possible` where a fault other than of clocks was active or an election was seen since `g` was answered: the delay
//! is kept in a server's memory. No excuse is a snapshot that was taken after the answer and restored: the state that it puts
//! back has `g`, or has lost it already, and a service that keeps its word closes the lock from either.
//!
//! The margin is `s + d/(1+rho) - end`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::overdue_expiry::sightings;
use super::{Finding, Run, word};
use crate::explain::{Count, human, lock, when};
use crate::history::{Op, RunTime};
use crate::holds::Grant;
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade, Verdict};

/// The name of this checker.
pub const NAME: &str = "lock-delay";

/// Looks for locks that were given away too soon after they were lost.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let Some(delay) = delay(run) else {
        let reason = "the contract names no lock-delay".to_owned();
        return (CheckerResult { verdict: Verdict::Valid, reason }, Vec::new());
    };
    let sightings = sightings(run.ops);
    let anomalies: Vec<Anomaly> =
        run.grants.values().flat_map(|grants| among(run, grants, delay, &sightings)).collect();
    (word(&anomalies, Count(run.totals.grants, "grant")), anomalies)
}

/// The delay as it may pass by the fastest clock, rounded down.
fn delay(run: &Run<'_>) -> Option<Duration> {
    const MILLION: u128 = 1_000_000;
    let promised = Duration::from_millis(run.header.contract.lock_delay_ms?);
    let nanos = promised.as_nanos() * MILLION / (MILLION + u128::from(run.header.clock_rate_error_ppm));
    Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

/// The grants of one lock, which are in the order of their invocations.
fn among(
    run: &Run<'_>,
    grants: &[Grant],
    delay: Duration,
    sightings: &BTreeMap<(&str, &str), Vec<&Op>>,
) -> Vec<Anomaly> {
    let mut by_end: Vec<&Grant> = grants.iter().collect();
    by_end.sort_by_key(|grant| (grant.ended, grant.acquire));
    grants
        .iter()
        .filter_map(|later| {
            let before = by_end.partition_point(|earlier| earlier.ended < later.invoked);
            let earlier = by_end[before.checked_sub(1)?];
            let seen = sightings.get(&(earlier.key.as_str(), earlier.owner.as_str())).into_iter().flatten();
            let last_seen = seen.filter(|op| op.ended.is_some_and(|ended| ended < later.invoked)).map(|op| op.invoked);
            let lost_at = last_seen.fold(earlier.earliest_expiry, RunTime::max);
            let closed_until = lost_at.after(delay);
            let released = earlier.release_invoked.is_some_and(|released| released <= later.ended);
            let broken = later.process != earlier.process
                && !released
                && later.ended >= earlier.earliest_expiry
                && later.ended < closed_until;
            broken.then(|| too_soon(run, earlier, later, closed_until))
        })
        .collect()
}

fn too_soon(run: &Run<'_>, earlier: &Grant, later: &Grant, closed_until: RunTime) -> Anomaly {
    let margin = closed_until.since(later.ended);
    let (grade, excuse) = match is_disturbed(run, earlier.ended, later.ended) {
        true => (Grade::Possible, "; a fault or an election may excuse that"),
        false => (Grade::Proven, ""),
    };
    let explanation = format!(
        "process {} was given {}, {}, although process {} had lost it without a release and it had to stay closed for another {}{excuse}",
        later.process,
        lock(&later.key),
        when(&run.context, later.ended),
        earlier.process,
        human(margin),
    );
    run.anomaly(Finding {
        kind: AnomalyKind::LockDelayBroken,
        grade,
        key: &later.key,
        ops: vec![earlier.acquire, later.acquire],
        at: later.ended,
        margin_ns: u64::try_from(margin.as_nanos()).unwrap_or(u64::MAX),
        explanation,
    })
}

/// Whether a fault was active that may excuse it, or the leadership moved, between two instants.
fn is_disturbed(run: &Run<'_>, from: RunTime, until: RunTime) -> bool {
    let faults = run.context.faults.iter().filter(|fault| !fault.is_of_clocks() && !fault.restores_what_was(from));
    let mut meanwhile = faults.filter(|fault| fault.begun <= until && fault.ended.is_none_or(|ended| from <= ended));
    meanwhile.next().is_some() || run.context.unsettled.iter().any(|at| (from..=until).contains(at))
}

#[cfg(test)]
mod tests {
    use crate::script::{Fault, Script, found_of_kind, script};
    use crate::verdict::{AnomalyKind, Grade};

    #[track_caller]
    fn finds(script: Script, expected: &[(Grade, u64)]) {
        let found = found_of_kind(script, AnomalyKind::LockDelayBroken);
        let got: Vec<_> = found.iter().map(|a| (a.grade, a.margin_ns / 1_000_000)).collect();
        assert_eq!(got, expected, "{found:?}");
    }

    /// Held until 3 s, and then closed until 5 s.
    fn held() -> Script {
        script().contract(|contract| contract.lock_delay_ms = Some(2_000)).acquire(1, "a", 0..100, 3_000)
    }

    #[test]
    fn a_lock_that_is_given_away_within_the_delay() {
        finds(held().acquire(2, "b", 3_100..3_200, 3_000), &[(Grade::Proven, 1_800)]);
        finds(held().acquire(2, "b", 3_100..4_999, 3_000), &[(Grade::Proven, 1)]);
        finds(held().acquire(2, "b", 3_100..5_000, 3_000), &[]);
    }

    #[test]
    fn the_delay_counts_from_when_the_holder_was_last_seen() {
        let seen = || held().read(4, 3_900..4_000, Some("a"));
        finds(seen().acquire(2, "b", 5_000..5_100, 3_000), &[(Grade::Proven, 800)]);
        finds(seen().acquire(2, "b", 5_000..5_900, 3_000), &[]);
        finds(seen().acquire(2, "b", 4_000..5_100, 3_000), &[]);
    }

    #[test]
    fn a_release_ends_it_without_delay() {
        finds(held().release(1, "a", 1_000..1_100).acquire(2, "b", 3_100..3_200, 3_000), &[]);
        finds(held().release_info(1, "a", 1_000..1_100).acquire(2, "b", 3_100..3_200, 3_000), &[]);
    }

    #[test]
    fn before_the_lease_may_end_it_is_a_premature_expiry() {
        finds(held().acquire(2, "b", 2_000..2_100, 3_000), &[]);
    }

    #[test]
    fn one_whose_order_is_not_known() {
        finds(held().acquire(2, "b", 50..3_200, 3_000), &[]);
    }

    #[test]
    fn a_fault_or_an_election_may_excuse() {
        let paused = held().fault(Fault(1, "pause", "pause", "n2"), 1_000..1_010, Some(1_500..1_510));
        finds(paused.acquire(2, "b", 3_100..3_200, 3_000), &[(Grade::Possible, 1_800)]);
        let elected = held().leader(50, "n1", Some("n1"), 4).leader(1_000, "n1", Some("n2"), 5);
        finds(elected.acquire(2, "b", 3_100..3_200, 3_000), &[(Grade::Possible, 1_800)]);
        let clock = held().fault(Fault(1, "clock", "clock +9 s", "n2"), 1_000..1_010, None);
        finds(clock.acquire(2, "b", 3_100..3_200, 3_000), &[(Grade::Proven, 1_800)]);
    }

    #[test]
    fn a_snapshot_excuses_only_if_it_was_taken_before_the_holder_was_told() {
        let restored =
            |taken: u64| held().fault(Fault(1, "snapshot", "snapshot", "n1"), taken..taken + 10, Some(3_000..3_050));
        finds(restored(1_000).acquire(2, "b", 3_100..3_200, 3_000), &[(Grade::Proven, 1_800)]);
        finds(restored(101).acquire(2, "b", 3_100..3_200, 3_000), &[(Grade::Proven, 1_800)]);
        finds(restored(100).acquire(2, "b", 3_100..3_200, 3_000), &[(Grade::Possible, 1_800)]);
        finds(restored(50).acquire(2, "b", 3_100..3_200, 3_000), &[(Grade::Possible, 1_800)]);
    }

    #[test]
    fn a_fast_clock_shortens_the_delay() {
        let fast = held().header(|header| header.clock_rate_error_ppm = 1_000_000);
        finds(fast.acquire(2, "b", 2_400..2_450, 3_000), &[(Grade::Proven, 50)]);
        let fast = held().header(|header| header.clock_rate_error_ppm = 1_000_000);
        finds(fast.acquire(2, "b", 2_400..2_500, 3_000), &[]);
    }

    #[test]
    fn without_a_promise_nothing_is_broken() {
        finds(held().acquire(2, "b", 3_100..3_200, 3_000).contract(|contract| contract.lock_delay_ms = None), &[]);
    }
}
