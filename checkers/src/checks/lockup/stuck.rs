//! A lock that nobody can hold, and that nobody is given.
//!
//! Every acquisition of the lock **may hold** it for a while: one answered `ok` from its invocation until its own `ok` release was
//! complete, or an observation shows that its lease is gone, or else until it must have ended: the end of its last
//! renewal, its longest TTL and the contract's grace by the slowest clock; one without an answer for ever, for nobody knows when
//! it takes effect. One that failed holds nothing.
//!
//! An acquisition that was refused because the lock is `held` is **wrong** where, when it was asked for, nobody may hold the lock,
//! and a lock-delay has passed since, and nobody who may have been given it asked for it before the refusal was complete. To that the longest TTL of the lock and the grace are added again after each sign
//! of an election and after the begin of the time in which the cluster ought to serve, for both may have started leases anew. The
//! lock is stuck where from the invocation of the first to the end of the last of the wrong refusals, all in one stretch in
//! which the cluster ought to serve, and with nobody who may hold it in between, there is more than the bound, and at
//! least three of them.
//!
//! A refusal that names an owner which was not told that it has the lock is not counted: somebody else uses the lock, or it is a
//! lost grant. Nor does that another was told that it has the lock show that the holder before is gone: that may be a phantom.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Lockup;
use super::calm::{Calm, span_around};
use crate::checks::{Run, SettledLock};
use crate::explain::lock;
use crate::history::vocabulary::code;
use crate::history::{Action, Op, Outcome, RunTime};
use crate::holds::{Grant, Span};
use crate::observations::{Evidence, Observation};
use crate::verdict::Grade;

/// Fewer refusals than these are no pattern.
const REFUSALS: usize = 3;

/// Finds the locks that are stuck: of each lock the longest such stretch.
pub(super) fn find(run: &Run<'_>, calm: &Calm) -> Vec<Lockup> {
    acquisitions(run)
        .into_iter()
        .filter_map(|(key, acquisitions)| {
            let (stretches, _) = Lock::of(run, key).stretches(calm, &acquisitions);
            let stuck = stretches.into_iter().filter(|stretch| stretch.is_stuck(run));
            Some(stuck.max_by_key(|stretch| stretch.span.length())?.lockup(key, &acquisitions))
        })
        .collect()
}

/// For each lock that is stuck, or that may turn out to be: since when.
pub(crate) fn since<'a>(run: &'a Run<'_>, calm: &Calm) -> BTreeMap<&'a str, RunTime> {
    acquisitions(run)
        .into_iter()
        .filter_map(|(key, acquisitions)| {
            // That somebody was given the lock may show only later, and so may that those who ask for it are refused.
            let lock = Lock { was_given: true, all_are_refused: true, ..Lock::of(run, key) };
            let (stretches, goes_on) = lock.stretches(calm, &acquisitions);
            let last = stretches.last().filter(|_| goes_on);
            let first = stretches.iter().find(|stretch| stretch.is_stuck(run)).or(last)?;
            Some((key, first.span.from))
        })
        .collect()
}

fn acquisitions<'a>(run: &'a Run<'_>) -> BTreeMap<&'a str, Vec<&'a Op>> {
    let mut by_key: BTreeMap<&str, Vec<&Op>> = BTreeMap::new();
    for op in run.ops.iter().filter(|op| matches!(op.action, Action::Acquire { .. })) {
        by_key.entry(&op.key).or_default().push(op);
    }
    by_key
}

/// When one who was given a lock holds it no more; `None` where that is not known.
pub(crate) fn gone_by(run: &Run<'_>, grant: &Grant) -> Option<RunTime> {
    let released = grant.releases.iter().map(|release| &run.ops[*release]);
    let released =
        released.filter(|op| op.outcome == Outcome::Ok && op.invoked > grant.ended).filter_map(|op| op.ended);
    // That another was told that it has the lock does not show that it had.
    let shows = |loss: &&Observation| !matches!(loss.evidence, Evidence::OthersGrant(_));
    let seen = grant.losses.iter().filter(shows).map(|loss| loss.at);
    let prolonged = || grant.prolonged_by.iter().map(|op| &run.ops[*op]);
    let last_renewal = prolonged().filter_map(|op| op.ended).fold(grant.ended, RunTime::max);
    let is_over = prolonged().all(|op| !op.is_unanswered());
    let expired = longest_life(run, grant.longest_ttl).filter(|_| is_over).map(|life| last_renewal.after(life));
    released.chain(seen).chain(expired).min()
}

/// Wrong refusals in a row.
struct Stretch {
    span: Span,
    first: usize,
    last: usize,
    refusals: usize,
}

impl Stretch {
    fn is_stuck(&self, run: &Run<'_>) -> bool {
        let bound = Duration::from_millis(run.header.contract.patience.lock_ms);
        self.refusals >= REFUSALS && self.span.length() > bound
    }

    fn lockup(self, key: &str, acquisitions: &[&Op]) -> Lockup {
        let Self { span, first, last, refusals } = self;
        let granted_after = |op: &&Op| op.outcome == Outcome::Ok && op.ended.is_some_and(|ended| ended > span.from);
        Lockup {
            grade: Grade::Proven,
            key: key.to_owned(),
            ops: vec![first, last],
            span,
            node: None,
            is_single: true,
            what: format!("{} is stuck: nobody can hold it, and {refusals} acquisitions found it held", lock(key)),
            permanent: !acquisitions.iter().copied().any(|op| granted_after(&op)),
        }
    }
}

/// What is known of one lock.
struct Lock<'a> {
    run: &'a Run<'a>,
    grants: BTreeMap<usize, &'a Grant>,
    /// Those that were told that they have it.
    owners: BTreeSet<&'a str>,
    /// How long a lease on it may last without a renewal; `None` where the contract names no bound.
    longest_life: Option<Duration>,
    /// Whether anybody was ever given it.
    was_given: bool,
    /// Whether those acquisitions that are under way are taken for refused.
    all_are_refused: bool,
    settled: Option<&'a SettledLock>,
}

impl<'a> Lock<'a> {
    fn of(run: &'a Run<'a>, key: &str) -> Self {
        let grants = run.grants.get(key).map_or(&[][..], Vec::as_slice);
        let settled = run.settled.get(key);
        let ttl = grants.iter().map(|grant| grant.longest_ttl).chain(settled.map(|settled| settled.longest_ttl)).max();
        Self {
            run,
            grants: grants.iter().map(|grant| (grant.acquire, grant)).collect(),
            owners: grants.iter().map(|grant| grant.owner.as_str()).collect(),
            longest_life: longest_life(run, ttl.unwrap_or_default()),
            was_given: settled.is_some() || !grants.is_empty(),
            all_are_refused: false,
            settled,
        }
    }

    /// The stretches of wrong refusals, and whether the last one goes on.
    fn stretches(&self, calm: &Calm, acquisitions: &[&Op]) -> (Vec<Stretch>, bool) {
        let mut stretches: Vec<Stretch> = Vec::new();
        // When nobody may hold it any more of those seen so far; `None` where that is not known.
        let mut free_from = self.settled.map_or(Some(RunTime::default()), |settled| settled.free_from);
        let mut goes_on = false;
        for (op, taken_from) in acquisitions.iter().zip(self.taken_from(acquisitions)) {
            if op.outcome == Outcome::Open && self.all_are_refused {
                continue;
            }
            if op.outcome != Outcome::Fail {
                let gone = self.grants.get(&op.index).and_then(|grant| gone_by(self.run, grant));
                free_from = free_from.zip(gone).map(|(known, gone)| known.max(gone));
                goes_on = false;
                continue;
            }
            let (Some(free_from), Some(ended)) = (free_from, op.ended) else { continue };
            let Some(around) = span_around(&calm.serving, op.invoked) else { continue };
            if !self.is_wrong(op, free_from, around) || ended >= around.until.min(taken_from) {
                continue;
            }
            match stretches.last_mut().filter(|last| goes_on && around.from <= last.span.from) {
                Some(last) => {
                    last.span.until = last.span.until.max(ended);
                    last.last = op.index;
                    last.refusals += 1;
                }
                None => {
                    let span = Span { from: op.invoked, until: ended };
                    stretches.push(Stretch { span, first: op.index, last: op.index, refusals: 1 });
                }
            }
            goes_on = true;
        }
        (stretches, goes_on)
    }

    /// For each acquisition, when the next one was asked for that may have been given the lock. It may have been given it at once, so
    /// that one which asked before it and was answered later is rightly refused.
    fn taken_from(&self, acquisitions: &[&Op]) -> Vec<RunTime> {
        let mut next = RunTime(u64::MAX);
        let mut taken_from: Vec<RunTime> = Vec::with_capacity(acquisitions.len());
        for op in acquisitions.iter().rev() {
            taken_from.push(next);
            let is_refused = op.outcome == Outcome::Fail || op.outcome == Outcome::Open && self.all_are_refused;
            next = if is_refused { next } else { op.invoked };
        }
        taken_from.reverse();
        taken_from
    }

    /// Whether a refusal cannot be explained by anybody who asked before it and may hold the lock.
    fn is_wrong(&self, op: &Op, free_from: RunTime, around: Span) -> bool {
        let Action::Acquire { holder, .. } = &op.action else { return false };
        let known_holder = holder.as_deref().is_none_or(|holder| self.owners.contains(holder));
        let context = &self.run.context;
        let elections = &context.unsettled[..context.unsettled.partition_point(|at| *at <= op.invoked)];
        let anew = elections.last().map_or(around.from, |at| around.from.max(*at));
        // Where no bound is named, nothing that was not seen to end is over, and so nothing can start anew.
        let settled = anew.after(self.longest_life.unwrap_or_default());
        let delay = Duration::from_millis(self.run.header.contract.lock_delay_ms.unwrap_or_default());
        let free = free_from.max(settled).after(delay);
        let stalled = self.run.pulse.stalled(free_from, op.invoked);
        op.failed_with(code::HELD) && known_holder && self.was_given && op.invoked > free.after(stalled)
    }
}

/// `(T + grace)/(1-rho)`: what a service does about a lease that is over it times by the same clock.
fn longest_life(run: &Run<'_>, ttl: Duration) -> Option<Duration> {
    const MILLION: u128 = 1_000_000;
    let grace = run.header.contract.latest_expiry?.after_ttl(ttl);
    let slowest = MILLION.checked_sub(u128::from(run.header.clock_rate_error_ppm)).filter(|slowest| *slowest > 0)?;
    let nanos = ((ttl + grace).as_nanos() * MILLION).div_ceil(slowest);
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

#[cfg(test)]
mod tests {
    use crate::contract::LatestExpiry;
    use crate::script::{Fault, Script, found_of_kind, script};
    use crate::verdict::AnomalyKind;

    #[track_caller]
    fn finds(script: Script, expected: &[u64]) {
        let found = found_of_kind(script, AnomalyKind::Lockup);
        assert_eq!(found.iter().map(|a| a.margin_ns / 1_000_000).collect::<Vec<_>>(), expected, "{found:?}");
    }

    /// Held and given back by 0.3 s, with the cluster well for 40 s.
    fn released() -> Script {
        script().steady(0..40_001, "n1", 5).acquire(1, "a", 100..110, 3_000).release(1, "a", 200..300)
    }

    /// Refused every second in this time, because of that holder.
    fn refused(script: Script, during: std::ops::Range<u64>, holder: &str) -> Script {
        during
            .step_by(1_000)
            .fold(script, |script, at| script.acquire_held(100 + at, &format!("v{at}"), at..at + 10, holder))
    }

    #[test]
    fn a_lock_that_was_given_back_and_stays_held() {
        // The first 4 s are allowed, for a lease of 3 s may have been started anew as the cluster came up.
        finds(refused(released(), 1_000..25_000, "a"), &[19_010]);
        finds(refused(released(), 1_000..20_000, "a"), &[]);
    }

    #[test]
    fn a_lease_that_never_ends_is_stuck_when_it_is_past_its_time() {
        let held = script().steady(0..40_001, "n1", 5).acquire(1, "a", 100..110, 3_000);
        finds(refused(held.clone(), 1_000..25_000, "a"), &[19_010]);
        // Another 3 s for one that ends leases at twice their TTL.
        let twice = held.contract(|contract| {
            contract.latest_expiry = contract.latest_expiry.map(|latest| LatestExpiry { ttls: 2, ..latest });
        });
        finds(refused(twice, 1_000..25_000, "a"), &[16_010]);
    }

    #[test]
    fn somebody_may_hold_it() {
        finds(refused(released(), 1_000..25_000, "stranger"), &[]);
        finds(refused(released().acquire_info(2, "b", 400..500, 3_000), 1_000..25_000, "a"), &[]);
        finds(refused(released().acquire(2, "b", 12_000..12_010, 20_000), 1_000..25_000, "a"), &[]);
        let renewed = script().steady(0..40_001, "n1", 5).acquire(1, "a", 100..110, 3_000).renew_info(1, "a", 200..300);
        finds(refused(renewed, 1_000..25_000, "a"), &[]);
    }

    /// Found by a sceptic: the lock was free when they asked, but not when they were refused.
    #[test]
    fn regression_one_who_asked_later_was_given_it_first() {
        let slow = (0..4).fold(released().acquire(2, "b", 8_010..24_900, 3_000), |script, number| {
            script.acquire_held(10 + number, &format!("v{number}"), 8_000 + number..25_000, "b")
        });
        finds(slow, &[]);
        let last = |asked: u64| {
            let refused = refused(released(), 6_000..15_000, "a").acquire_held(90, "w", 15_000..23_000, "a");
            refused.acquire(2, "b", asked..24_000, 3_000)
        };
        finds(last(23_000), &[]);
        finds(last(23_001), &[17_000]);
    }

    #[test]
    fn a_fault_starts_anew_and_an_election_cannot_bring_a_lease_back() {
        let pause = Fault(1, "pause", "pause", "n2");
        finds(refused(released().fault(pause, 12_000..12_010, Some(12_100..12_110)), 1_000..25_000, "a"), &[]);
        let elected = released().leader(12_000, "n1", None, 6).leader(12_100, "n1", Some("n2"), 6);
        finds(refused(elected, 1_000..25_000, "a"), &[19_010]);
    }

    #[test]
    fn an_election_gives_a_lease_its_time_again() {
        let held = || script().steady(0..40_001, "n1", 5).acquire(1, "a", 100..110, 3_000);
        let elected = held().leader(4_000, "n1", None, 6).leader(4_001, "n1", Some("n2"), 6);
        finds(refused(elected, 1_000..25_000, "a"), &[15_010]);
    }

    #[test]
    fn a_lock_delay_is_no_lockup() {
        let delayed = released().contract(|contract| contract.lock_delay_ms = Some(15_000));
        finds(refused(delayed, 1_000..25_000, "a"), &[]);
    }

    #[test]
    fn the_sentence() {
        let found = found_of_kind(refused(released(), 1_000..25_000, "a"), AnomalyKind::Lockup);
        assert_eq!(
            found[0].explanation,
            "`jobs/7` is stuck: nobody can hold it, and 20 acquisitions found it held for 19 s, from 5 s into the run; no fault was active; \
             permanent as observed: it was so when the record ended, 35 s after it began"
        );
    }
}
