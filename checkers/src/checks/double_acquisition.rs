//! One lock that was held by two at once.
//!
//! Proven where two grants of one lock cannot both be fitted into time, by the theorem in [`crate::holds`]: their cores
//! overlap, or one is a floater whose window lies inside the other's core.
//!
//! Two holds of one process are not two holders: a process does one thing after the other, and one that asks for a lock
//! again no longer acts on its former hold. What the service broke then is the promise of the former lease, and that is
//! a premature expiry.
//!
//! Each grant is reported at most once, against the grant that leaves it the least room: of the cores of other
//! processes that began no later than its own, or before its window, the one that reaches furthest. So n grants make at
//! most n anomalies, and where any pair conflicts at least one is reported.
//!
//! Of a semaphore with n permits it takes n others, see `checkers/src/checks/crowd.rs`.
//!
//! The margin of overlapping cores is the time for which both certainly stood. The margin of a floater is how deep its
//! window lies in the core: the shorter of the distances between their begins and between their ends. By so much at
//! least a time on record would have to be wrong for the service to be right.

use super::{Finding, Run, crowd, word};
use crate::explain::{Count, human, lock, when};
use crate::history::RunTime;
use crate::holds::{Grant, Hold, Span};
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade};

/// The name of this checker.
pub const NAME: &str = "double-acquisition";

/// Looks for locks that were held by two at once.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let anomalies: Vec<Anomaly> = match run.header.permits() {
        Some(permits) if permits > 1 => {
            run.grants.values().flat_map(|grants| crowd::holders(run, grants, permits)).collect()
        }
        _ => run.grants.values().flat_map(|grants| among(run, grants)).collect(),
    };
    (word(&anomalies, Count(run.totals.grants, "grant")), anomalies)
}

/// Whether two grants of one lock cannot both have been made by a correct service.
#[must_use]
pub fn conflict(a: &Grant, b: &Grant) -> bool {
    if a.process == b.process {
        return false;
    }
    match (a.hold, b.hold) {
        (Hold::Core(a), Hold::Core(b)) => !a.overlap(b).is_zero(),
        (Hold::Core(core), Hold::Floater { from, to }) | (Hold::Floater { from, to }, Hold::Core(core)) => {
            lies_inside(from, to, core)
        }
        _ => false,
    }
}

fn lies_inside(from: RunTime, to: RunTime, core: Span) -> bool {
    core.from < from && to < core.until
}

fn among(run: &Run<'_>, grants: &[Grant]) -> Vec<Anomaly> {
    let cores = Cores::of(grants);
    let overlapping = cores.overlapping().map(|(earlier, later)| of_cores(run, earlier, later));
    let floating = grants.iter().filter_map(|grant| match grant.hold {
        Hold::Floater { from, to } => cores
            .around(from, to, grant.process)
            .map(|(core, holder)| of_floater(run, (core, holder), (from, to), grant)),
        Hold::Core(_) | Hold::Nowhere => None,
    });
    overlapping.chain(floating).collect()
}

/// The cores of one lock, by their begin.
struct Cores<'a> {
    sorted: Vec<Held<'a>>,
    /// For each position, the cores up to there that reach furthest.
    furthest: Vec<Furthest<'a>>,
}

/// A core and whose it is.
type Held<'a> = (Span, &'a Grant);

/// Of some cores the one that reaches furthest, and of those of other processes than its own the one that does.
#[derive(Clone, Copy)]
struct Furthest<'a> {
    first: Held<'a>,
    of_another: Option<Held<'a>>,
}

impl<'a> Furthest<'a> {
    fn and(self, next: Held<'a>) -> Self {
        let same_process = self.first.1.process == next.1.process;
        let reaches_further = self.first.0.until < next.0.until;
        match (reaches_further, same_process) {
            (true, true) => Self { first: next, ..self },
            (true, false) => Self { first: next, of_another: Some(self.first) },
            (false, true) => self,
            (false, false) => {
                let of_another = self.of_another.filter(|other| other.0.until >= next.0.until).unwrap_or(next);
                Self { of_another: Some(of_another), ..self }
            }
        }
    }

    /// The one that reaches furthest among those of other processes than this one.
    fn against(self, process: u64) -> Option<Held<'a>> {
        if self.first.1.process == process { self.of_another } else { Some(self.first) }
    }
}

impl<'a> Cores<'a> {
    fn of(grants: &'a [Grant]) -> Self {
        let mut sorted: Vec<Held<'a>> =
            grants.iter().filter_map(|grant| grant.core().map(|core| (core, grant))).collect();
        sorted.sort_by_key(|(core, grant)| (*core, grant.acquire));
        let mut furthest: Vec<Furthest<'a>> = Vec::with_capacity(sorted.len());
        for held in &sorted {
            let before = furthest.last();
            furthest.push(before.map_or(Furthest { first: *held, of_another: None }, |before| before.and(*held)));
        }
        Self { sorted, furthest }
    }

    /// Each core that begins before an earlier one of another process has ended, with that one.
    fn overlapping(&self) -> impl Iterator<Item = (Held<'a>, Held<'a>)> {
        let pairs = self.furthest.iter().zip(self.sorted.iter().skip(1));
        pairs
            .filter_map(|(before, later)| Some((before.against(later.1.process)?, *later)))
            .filter(|(earlier, later)| later.0.from < earlier.0.until)
    }

    /// The core of another process that a floater's window lies inside.
    fn around(&self, from: RunTime, to: RunTime, process: u64) -> Option<Held<'a>> {
        let begun_before = self.sorted.partition_point(|(core, _)| core.from < from);
        let held = self.furthest.get(begun_before.checked_sub(1)?)?.against(process)?;
        lies_inside(from, to, held.0).then_some(held)
    }
}

fn of_cores(run: &Run<'_>, (earlier, first): (Span, &Grant), (later, second): (Span, &Grant)) -> Anomaly {
    let both = earlier.overlap(later);
    let at = later.from;
    let explanation = format!(
        "process {} still held {} for another {} when process {} was given it, {}",
        first.process,
        lock(&first.key),
        human(earlier.until.since(at)),
        second.process,
        when(&run.context, at),
    );
    finding(run, first, second, at, both.as_nanos(), explanation)
}

fn of_floater(
    run: &Run<'_>,
    (core, holder): (Span, &Grant),
    (from, to): (RunTime, RunTime),
    floater: &Grant,
) -> Anomaly {
    let margin = from.since(core.from).min(core.until.since(to));
    let lapsed = floater.ended.since(to);
    let why = if lapsed.is_zero() {
        "although its lease may have run out by then".to_owned()
    } else {
        format!("{} after its lease was gone", human(lapsed))
    };
    let explanation = format!(
        "process {} was told that it had been given {}, {}, {why}: it can only have been given it while process {} held it, from {} to {}",
        floater.process,
        lock(&floater.key),
        when(&run.context, floater.ended),
        holder.process,
        core.from,
        core.until,
    );
    let lease_gone_for_ns = Some(u64::try_from(lapsed.as_nanos()).unwrap_or(u64::MAX));
    Anomaly { lease_gone_for_ns, ..finding(run, holder, floater, to, margin.as_nanos(), explanation) }
}

fn finding(run: &Run<'_>, first: &Grant, second: &Grant, at: RunTime, margin_ns: u128, explanation: String) -> Anomaly {
    run.anomaly(Finding {
        kind: AnomalyKind::DoubleAcquisition,
        grade: Grade::Proven,
        key: &first.key,
        ops: vec![first.acquire, second.acquire],
        at,
        margin_ns: u64::try_from(margin_ns).unwrap_or(u64::MAX),
        explanation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Fault, Script, script};
    use crate::verdict::Verdict;

    fn found(script: Script) -> Vec<Anomaly> {
        let judgement = crate::check(&script.history());
        assert_eq!(judgement.checkers["well-formed"].verdict, Verdict::Valid, "{judgement:?}");
        judgement.anomalies.into_iter().filter(|anomaly| anomaly.kind == AnomalyKind::DoubleAcquisition).collect()
    }

    /// Which grants are reported, by their acquisitions, and with which margin.
    #[track_caller]
    fn accuses(script: Script, expected: &[(usize, usize, u64)]) {
        let found = found(script);
        let got: Vec<_> = found.iter().map(|a| (a.ops[0], a.ops[1], a.margin_ns / 1_000_000)).collect();
        assert_eq!(got, expected, "{found:?}");
    }

    #[track_caller]
    fn accuses_nobody(script: Script) {
        accuses(script, &[]);
    }

    fn held() -> Script {
        script().acquire(1, "a", 0..100, 3_000)
    }

    #[test]
    fn two_cores_that_overlap() {
        accuses(held().acquire(2, "b", 1_000..1_100, 3_000), &[(0, 1, 1_900)]);
        accuses(held().acquire(2, "b", 2_900..2_999, 3_000), &[(0, 1, 1)]);
    }

    #[test]
    fn one_after_the_other() {
        accuses_nobody(held().acquire(2, "b", 2_900..3_000, 3_000));
        accuses_nobody(held().release(1, "a", 1_000..1_100).acquire(2, "b", 900..1_000, 3_000));
        accuses_nobody(held().release_info(1, "a", 1_000..1_100).acquire(2, "b", 900..1_001, 3_000));
    }

    #[test]
    fn one_process_is_not_two_holders() {
        accuses_nobody(held().acquire(1, "b", 1_000..1_100, 3_000));
        // But it is one against every other process, with its old hold and its new one.
        accuses(held().acquire(1, "b", 1_000..1_100, 3_000).acquire(2, "c", 1_400..1_500, 3_000), &[(1, 2, 2_500)]);
        accuses(
            held().acquire(2, "c", 400..500, 3_000).acquire(1, "b", 1_000..1_100, 3_000),
            &[(0, 1, 2_500), (1, 2, 2_300)],
        );
        // The furthest core is of the same process, and a nearer one of another is found all the same.
        let between = script().acquire(2, "c", 0..50, 2_000).acquire(1, "a", 100..200, 6_000);
        accuses(between.acquire(1, "b", 1_000..1_100, 3_000), &[(0, 1, 1_800), (0, 2, 900)]);
    }

    #[test]
    fn an_unanswered_acquisition_holds_nothing() {
        accuses_nobody(script().acquire_info(1, "a", 0..100, 3_000).acquire(2, "b", 200..300, 3_000));
    }

    #[test]
    fn other_locks_do_not_matter() {
        accuses_nobody(held().on("jobs/8").acquire(2, "b", 1_000..1_100, 3_000));
    }

    #[test]
    fn answers_in_the_wrong_order_are_no_crime() {
        accuses_nobody(script().acquire(2, "b", 0..1_000, 300).acquire(1, "a", 400..500, 3_000));
        accuses_nobody(script().acquire(2, "b", 0..5_000, 300).acquire(1, "a", 400..500, 3_000));
    }

    #[test]
    fn three_at_once_are_each_reported_against_the_one_that_reaches_furthest() {
        let three = script()
            .acquire(1, "a", 0..100, 10_000)
            .acquire(2, "b", 200..300, 1_000)
            .acquire(3, "c", 400..500, 1_000)
            .acquire(4, "d", 9_000..10_100, 1_000);
        accuses(three, &[(0, 1, 900), (0, 2, 900)]);
    }

    #[test]
    fn a_slow_answer_that_can_only_have_been_given_while_another_held() {
        accuses(held().acquire(2, "b", 500..2_500, 200), &[(0, 1, 500)]);
        accuses_nobody(held().acquire(2, "b", 500..3_000, 200));
        accuses(held().acquire(2, "b", 500..2_999, 200), &[(0, 1, 1)]);
        accuses_nobody(script().acquire(1, "a", 0..700, 3_000).acquire(2, "b", 500..2_500, 200));
        accuses(script().acquire(1, "a", 0..699, 3_000).acquire(2, "b", 500..2_500, 200), &[(0, 1, 1)]);
    }

    #[test]
    fn a_slow_answer_whose_release_was_already_asked_for() {
        accuses_nobody(held().acquire(2, "b", 50..2_500, 9_000).release(9, "b", 90..95));
        accuses(held().acquire(2, "b", 50..2_500, 9_000).release(9, "b", 190..195), &[(0, 1, 90)]);
    }

    /// Museum case 3: etcd before 3.5 answers `ok` to a waiter in the Lock RPC's queue whose lease has run out.
    fn dead_lease() -> Script {
        script()
            .acquire_token(1, "a", 0..50, 60_000, 3)
            .acquire_token(2, "b", 100..2_573, 2_000, 5)
            .watch(2_300, "deleted", "b")
            .release(1, "a", 2_570..2_572)
    }

    #[test]
    fn a_lock_given_on_a_lease_that_is_gone() {
        accuses(dead_lease(), &[(0, 1, 270)]);
    }

    #[test]
    fn a_lock_given_on_a_lease_that_is_gone_told_by_its_own_renewals() {
        let dead_lease = script()
            .acquire_token(1, "a", 0..50, 60_000, 3)
            .acquire_token(2, "b", 100..4_010, 2_000, 5)
            .renew(9, "b", 200..210, 2_000)
            .renew_fails(9, "b", 2_300..2_310, "expired")
            .release(1, "a", 4_000..4_005);
        accuses(dead_lease, &[(0, 1, 1_690)]);
    }

    #[test]
    fn a_lock_given_before_the_lease_was_gone_but_answered_after() {
        let slow = script()
            .acquire_token(1, "a", 0..50, 60_000, 3)
            .release(1, "a", 2_200..2_205)
            .acquire_token(2, "b", 100..2_573, 2_000, 5)
            .watch(2_300, "deleted", "b")
            .acquire_token(3, "c", 150..2_400, 60_000, 7);
        accuses_nobody(slow);
    }

    #[test]
    fn a_lock_given_on_a_lease_that_nobody_saw_go_may_have_been_given_in_time() {
        let unseen = script()
            .acquire_token(1, "a", 0..50, 60_000, 3)
            .acquire_token(2, "b", 100..2_573, 2_000, 5)
            .release(1, "a", 2_570..2_572);
        accuses_nobody(unseen);
    }

    #[test]
    fn a_lease_gone_before_it_was_asked_for_is_not_this_one() {
        accuses_nobody(held().watch(200, "deleted", "b").acquire(2, "b", 200..3_100, 1_000));
    }

    #[test]
    fn the_sentences() {
        let fault = |script: Script| script.fault(Fault(1, "clock", "clock +9 s", "n3"), 900..980, None);
        let cores = found(fault(held()).acquire(2, "b", 1_000..1_100, 3_000));
        assert_eq!(
            cores[0].explanation,
            "process 1 still held `jobs/7` for another 1.9 s when process 2 was given it, 120 ms into clock +9 s on n3"
        );
        assert_eq!(
            found(dead_lease())[0].explanation,
            "process 2 was told that it had been given `jobs/7`, 2.57 s into the run, 273 ms after its lease was gone: it can only \
             have been given it while process 1 held it, from 0.050 s to 2.570 s"
        );
    }
}
