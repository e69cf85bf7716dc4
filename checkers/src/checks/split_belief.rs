//! Two clients that were each entitled to believe that they held one lock, although the service kept its word.
//!
//! That happens where the service allows itself an early expiry, or where clocks run at wrong rates: a client that
//! counts its TTL on a good clock then believes longer than the service promised. The cure is on the client's side
//! (fencing tokens, or a margin), so it is graded `possible`, unless the scenario demands that beliefs exclude one
//! another. Two grants that are a double acquisition in themselves are not reported again.
//!
//! Of a semaphore with n permits it takes more than n who believe at once, see `checkers/src/checks/crowd.rs`.
//!
//! Each belief is compared with the earlier belief of another grant that reaches furthest. The margin is the time for
//! which both believed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::double_acquisition::conflict;
use super::{Finding, Run, crowd, word};
use crate::explain::{Count, human, lock, when};
use crate::history::RunTime;
use crate::holds::{Grant, Span};
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade};

/// The name of this checker.
pub const NAME: &str = "split-belief";

/// Looks for beliefs that overlap.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let anomalies: Vec<Anomaly> = match run.header.permits() {
        Some(permits) if permits > 1 => {
            run.grants.values().flat_map(|grants| crowd::believers(run, grants, permits)).collect()
        }
        _ => {
            let overlaps = run.grants.values().flat_map(|grants| overlaps(grants).into_values());
            overlaps.map(|overlap| anomaly(run, &overlap)).collect()
        }
    };
    (word(&anomalies, Count(run.totals.grants, "grant")), anomalies)
}

/// Two grants whose clients believed at once.
struct Overlap<'a> {
    first: &'a Grant,
    second: &'a Grant,
    at: RunTime,
    lasted: Duration,
}

/// The longest overlap of each pair of grants that is found, by their acquisitions.
fn overlaps(grants: &[Grant]) -> BTreeMap<(usize, usize), Overlap<'_>> {
    let mut believed: Vec<(Span, &Grant)> =
        grants.iter().flat_map(|grant| grant.beliefs.iter().map(move |span| (*span, grant))).collect();
    believed.sort_by_key(|(span, grant)| (*span, grant.acquire));

    let mut overlaps: BTreeMap<(usize, usize), Overlap<'_>> = BTreeMap::new();
    let mut reaching = Furthest::default();
    for (span, grant) in believed {
        if let Some((earlier, first)) = reaching.other_than(grant) {
            let lasted = earlier.overlap(span);
            if !lasted.is_zero() && !conflict(first, grant) {
                let overlap = Overlap { first, second: grant, at: span.from, lasted };
                let longest = overlaps.entry((first.acquire, grant.acquire)).or_insert(Overlap { ..overlap });
                if longest.lasted < lasted {
                    *longest = overlap;
                }
            }
        }
        reaching.add(span, grant);
    }
    overlaps
}

/// The beliefs of two different grants that reach furthest.
#[derive(Default)]
struct Furthest<'a> {
    first: Option<(Span, &'a Grant)>,
    second: Option<(Span, &'a Grant)>,
}

impl<'a> Furthest<'a> {
    fn add(&mut self, span: Span, grant: &'a Grant) {
        let further = |than: Option<(Span, &Grant)>| than.is_none_or(|(other, _)| other.until < span.until);
        let is_first = self.first.is_some_and(|(_, first)| first.acquire == grant.acquire);
        if further(self.first) {
            if !is_first {
                self.second = self.first;
            }
            self.first = Some((span, grant));
        } else if !is_first && further(self.second) {
            self.second = Some((span, grant));
        }
    }

    fn other_than(&self, grant: &Grant) -> Option<(Span, &'a Grant)> {
        [self.first, self.second].into_iter().flatten().find(|(_, other)| other.acquire != grant.acquire)
    }
}

fn anomaly(run: &Run<'_>, overlap: &Overlap<'_>) -> Anomaly {
    let Overlap { first, second, at, lasted } = overlap;
    let explanation = format!(
        "process {} and process {} were each entitled to believe for {} that they held {}, {}; the service kept its word, so \
         only a fencing token protects what the lock guards",
        first.process,
        second.process,
        human(*lasted),
        lock(&first.key),
        when(&run.context, *at),
    );
    run.anomaly(Finding {
        kind: AnomalyKind::SplitBelief,
        grade: if run.header.beliefs_must_exclude { Grade::Proven } else { Grade::Possible },
        key: &first.key,
        ops: vec![first.acquire, second.acquire],
        at: *at,
        margin_ns: u64::try_from(lasted.as_nanos()).unwrap_or(u64::MAX),
        explanation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Script, script};
    use crate::verdict::{Judgement, Verdict};

    /// A service that may end a lease 1 s early, and does.
    fn early() -> Script {
        script().contract(|contract| contract.early_slack_ms = 1_000).acquire(1, "a", 0..100, 3_000).acquire(
            2,
            "b",
            2_200..2_300,
            3_000,
        )
    }

    fn judged(script: Script) -> Judgement {
        crate::check(&script.history())
    }

    fn split(judgement: &Judgement) -> Vec<(Grade, Vec<usize>, u64)> {
        let split = judgement.anomalies.iter().filter(|anomaly| anomaly.kind == AnomalyKind::SplitBelief);
        split.map(|anomaly| (anomaly.grade, anomaly.ops.clone(), anomaly.margin_ns / 1_000_000)).collect()
    }

    #[test]
    fn the_service_kept_its_word_yet_both_believe() {
        let judgement = judged(early());
        assert_eq!(judgement.verdict, Verdict::Valid);
        assert_eq!(split(&judgement), [(Grade::Possible, vec![0, 1], 700)]);
    }

    #[test]
    fn a_scenario_may_demand_that_beliefs_exclude() {
        let judgement = judged(early().header(|header| header.beliefs_must_exclude = true));
        assert_eq!(judgement.verdict, Verdict::Invalid);
        assert_eq!(split(&judgement), [(Grade::Proven, vec![0, 1], 700)]);
    }

    #[test]
    fn a_wrong_clock_rate_splits_beliefs_as_well() {
        let fast = script()
            .header(|header| header.clock_rate_error_ppm = 500_000)
            .acquire(1, "a", 0..100, 3_000)
            .acquire(2, "b", 2_200..2_300, 3_000);
        assert_eq!(split(&judged(fast)), [(Grade::Possible, vec![0, 1], 700)]);
    }

    #[test]
    fn a_double_acquisition_is_not_reported_again() {
        let judgement = judged(script().acquire(1, "a", 0..100, 3_000).acquire(2, "b", 1_000..1_100, 3_000));
        assert_eq!(judgement.verdict, Verdict::Invalid);
        assert_eq!(split(&judgement), []);
    }

    #[test]
    fn a_client_that_lets_go_or_is_told_believes_no_more() {
        assert_eq!(split(&judged(early().release_info(1, "a", 2_000..2_900))), []);
        assert_eq!(split(&judged(early().renew_fails(1, "a", 2_100..2_250, "expired"))), []);
        assert_eq!(
            split(&judged(early().renew_fails(1, "a", 2_100..2_400, "expired"))),
            [(Grade::Possible, vec![0, 2], 100)]
        );
    }

    #[test]
    fn what_was_told_in_the_queue_does_not_end_a_belief_that_began_later() {
        let queued = script()
            .contract(|contract| contract.early_slack_ms = 1_000)
            .renew_fails(9, "a", 10..20, "not-held")
            .acquire(1, "a", 0..100, 3_000)
            .acquire(2, "b", 2_200..2_300, 3_000);
        assert_eq!(split(&judged(queued)).len(), 1);
    }

    #[test]
    fn a_client_whose_renewal_is_late_does_not_believe_meanwhile() {
        let late = script()
            .contract(|contract| contract.early_slack_ms = 3_000)
            .acquire(1, "a", 0..100, 1_000)
            .acquire(2, "b", 1_100..1_200, 300)
            .renew(1, "a", 900..1_500, 1_000);
        assert_eq!(split(&judged(late)), []);
    }

    #[test]
    fn a_belief_is_compared_with_others_even_where_its_own_reaches_furthest() {
        let three = script()
            .contract(|contract| contract.early_slack_ms = 10_000)
            .acquire(1, "a", 0..10, 2_000)
            .acquire(2, "b", 20..30, 1_000)
            .renew(2, "b", 1_500..1_510, 3_000);
        assert_eq!(split(&judged(three)), [(Grade::Possible, vec![0, 1], 990)]);
    }
}
