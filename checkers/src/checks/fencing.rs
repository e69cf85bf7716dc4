//! Fencing tokens that do not grow.
//!
//! Where the contract says that each later grant of a lock carries a greater token, proven where
//!
//! * a grant was asked for after an earlier one had been answered, so that it certainly came later, and its token is not
//!   greater; or
//! * two grants carry the same token, whatever their times: one of them came later.
//!
//! Grants that overlap in time are in an order that nobody knows, so nothing else is concluded from their tokens. A grant
//! without a token tells nothing. Each grant is reported at most once, against the greatest token before it. The margin is the
//! time between the two: by so much at least a time on record would have to be wrong for the service to be right. For
//! equal tokens at overlapping times it is the time for which the two overlap.
//!
//! And where a lock's holders write under its guard: a write was accepted whose token is smaller than one that the guard had
//! certainly seen before the write was asked for. The service has seen all tokens that it had granted; the harness's ledger those
//! that it had been shown, for a lock that is granted says nothing to a store.
//!
//! A grant here is an acquisition answered `ok`. Whether it was lawful does not matter: a token that came with it will
//! fence nobody if it is too small.

use std::collections::BTreeMap;
use std::time::Duration;

use super::guarded::{Guarded, TooOld};
use super::{Finding, Run, word};
use crate::explain::{Count, human, lock, when};
use crate::holds::Grant;
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade, Verdict};

/// The name of this checker.
pub const NAME: &str = "fencing";

/// Looks for tokens that do not grow.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    if !run.header.contract.fencing_tokens {
        let reason = "the contract names no fencing tokens".to_owned();
        return (CheckerResult { verdict: Verdict::Valid, reason }, Vec::new());
    }
    let mut anomalies: Vec<Anomaly> = run.grants.values().flat_map(|grants| among(run, grants)).collect();
    anomalies.extend(run.guarded.broken.iter().map(|write| accepted_too_late(run, write)));
    let mut result = word(&anomalies, Count(run.totals.tokens, "token"));
    let Guarded { accepted, refused, .. } = run.guarded;
    if accepted + refused > 0 {
        let of = Count(accepted + refused, "guarded write");
        result.reason.push_str(&format!("; of {of} {refused} had lost their lock and were refused"));
    }
    (result, anomalies)
}

fn accepted_too_late(run: &Run<'_>, TooOld { key, newer, write, invoked }: &TooOld) -> Anomaly {
    let explanation = format!(
        "process {} wrote under {} with the fencing token {}, {}, and was not refused, although process {} had already come with {} \
         {} earlier",
        write.process,
        lock(key),
        write.token,
        when(&run.context, write.at),
        newer.process,
        newer.token,
        human(write.at.since(newer.at)),
    );
    run.anomaly(Finding {
        kind: AnomalyKind::Fencing,
        grade: Grade::Proven,
        key,
        ops: vec![newer.op, write.op],
        at: write.at,
        margin_ns: u64::try_from(invoked.since(newer.at).as_nanos()).unwrap_or(u64::MAX),
        explanation,
    })
}

/// The grants of one lock, which are in the order of their invocations.
fn among(run: &Run<'_>, grants: &[Grant]) -> Vec<Anomaly> {
    let mut by_end: Vec<(u64, &Grant)> = grants.iter().filter_map(|grant| Some((grant.token?, grant))).collect();
    let mut by_invocation = by_end.clone();
    by_end.sort_by_key(|(_, grant)| (grant.ended, grant.acquire));
    by_invocation.sort_by_key(|(_, grant)| (grant.invoked, grant.acquire));

    let mut over = by_end.into_iter().peekable();
    let mut greatest: Option<(u64, &Grant)> = None;
    let mut given: BTreeMap<u64, &Grant> = BTreeMap::new();
    let mut anomalies = Vec::new();
    for (token, grant) in by_invocation {
        while let Some(earlier) = over.next_if(|(_, earlier)| earlier.ended < grant.invoked) {
            greatest = greatest.filter(|(known, _)| *known >= earlier.0).or(Some(earlier));
        }
        let twin = given.insert(token, grant);
        match (greatest, twin) {
            (Some((greater, earlier)), _) if greater >= token => anomalies.push(not_greater(run, earlier, grant)),
            (_, Some(twin)) => anomalies.push(equal(run, twin, grant)),
            _ => {}
        }
    }
    anomalies
}

fn not_greater(run: &Run<'_>, earlier: &Grant, later: &Grant) -> Anomaly {
    let between = later.invoked.since(earlier.ended);
    let explanation = format!(
        "process {} was given {} with the fencing token {}, {}, although process {} had been given it with {} before, {} earlier",
        later.process,
        lock(&later.key),
        later.token.unwrap_or_default(),
        when(&run.context, later.ended),
        earlier.process,
        earlier.token.unwrap_or_default(),
        human(later.ended.since(earlier.ended)),
    );
    finding(run, earlier, later, between, explanation)
}

fn equal(run: &Run<'_>, one: &Grant, other: &Grant) -> Anomaly {
    let together = one.ended.min(other.ended).since(other.invoked).max(Duration::from_nanos(1));
    let explanation = format!(
        "process {} and process {} were both given {} with the fencing token {}, {}",
        one.process,
        other.process,
        lock(&other.key),
        other.token.unwrap_or_default(),
        when(&run.context, other.ended),
    );
    finding(run, one, other, together, explanation)
}

fn finding(run: &Run<'_>, earlier: &Grant, later: &Grant, margin: Duration, explanation: String) -> Anomaly {
    run.anomaly(Finding {
        kind: AnomalyKind::Fencing,
        grade: Grade::Proven,
        key: &later.key,
        ops: vec![earlier.acquire, later.acquire],
        at: later.ended,
        margin_ns: u64::try_from(margin.as_nanos()).unwrap_or(u64::MAX),
        explanation,
    })
}

#[cfg(test)]
mod tests {
    use crate::history::vocabulary::{Guard, Piece};
    use crate::script::{Script, found_of_kind, script};
    use crate::verdict::AnomalyKind;

    #[track_caller]
    fn accuses(script: Script, expected: &[(usize, usize, u64)]) {
        let found = found_of_kind(script, AnomalyKind::Fencing);
        let got: Vec<_> = found.iter().map(|a| (a.ops[0], a.ops[1], a.margin_ns / 1_000_000)).collect();
        assert_eq!(got, expected, "{found:?}");
    }

    fn first() -> Script {
        script().acquire_token(1, "a", 0..100, 500, 7)
    }

    #[test]
    fn a_later_grant_with_a_smaller_or_an_equal_token() {
        accuses(first().acquire_token(2, "b", 900..1_000, 500, 6), &[(0, 1, 800)]);
        accuses(first().acquire_token(2, "b", 900..1_000, 500, 7), &[(0, 1, 800)]);
        accuses(first().acquire_token(2, "b", 900..1_000, 500, 8), &[]);
    }

    #[test]
    fn grants_whose_order_nobody_knows() {
        accuses(first().acquire_token(2, "b", 50..1_000, 500, 6), &[]);
        accuses(first().acquire_token(2, "b", 100..1_000, 500, 6), &[]);
        accuses(first().acquire_token(2, "b", 101..1_000, 500, 6), &[(0, 1, 1)]);
    }

    #[test]
    fn one_token_for_two_is_wrong_in_any_order() {
        accuses(first().acquire_token(2, "b", 50..1_000, 500, 7), &[(0, 1, 50)]);
    }

    #[test]
    fn each_is_held_against_the_greatest_token_before_it() {
        let restored = first()
            .acquire_token(2, "b", 1_000..1_100, 500, 9)
            .acquire_token(3, "c", 2_000..2_100, 500, 8)
            .acquire_token(4, "d", 3_000..3_100, 500, 10);
        accuses(restored, &[(1, 2, 900)]);
    }

    #[test]
    fn other_locks_grants_without_tokens_and_services_without_them() {
        accuses(first().on("jobs/8").acquire_token(2, "b", 900..1_000, 500, 6), &[]);
        accuses(first().acquire(2, "b", 900..1_000, 500), &[]);
        let none =
            first().acquire_token(2, "b", 900..1_000, 500, 6).contract(|contract| contract.fencing_tokens = false);
        accuses(none, &[]);
    }

    #[test]
    fn a_write_under_an_old_token_that_is_accepted_after_a_newer_one() {
        let newer = || first().acquire_token(2, "b", 900..1_000, 500, 8);
        accuses(newer().write_guarded(1, "a", 1_100..1_110, (Guard::Service, 7)), &[(1, 2, 100)]);
        // Asked for before the newer grant was answered: nobody knows which was first.
        accuses(newer().write_guarded(1, "a", 1_000..1_110, (Guard::Service, 7)), &[]);
        accuses(newer().write_guarded(2, "b", 1_100..1_110, (Guard::Service, 8)), &[]);
    }

    #[test]
    fn a_ledger_knows_the_tokens_only_that_it_was_shown() {
        let newer = || first().acquire_token(2, "b", 900..1_000, 500, 8);
        accuses(newer().write_guarded(1, "a", 1_100..1_110, (Guard::Token, 7)), &[]);
        let shown = newer().write_guarded(2, "b", 1_100..1_110, (Guard::Token, 8));
        accuses(shown.clone().write_guarded(1, "a", 1_200..1_210, (Guard::Token, 7)), &[(2, 3, 90)]);
        accuses(shown.work_fenced(1, "a", 1_200, Piece::Write), &[]);
    }

    #[test]
    fn the_sentence() {
        let found = found_of_kind(first().acquire_token(2, "b", 900..1_000, 500, 6), AnomalyKind::Fencing);
        assert_eq!(
            found[0].explanation,
            "process 2 was given `jobs/7` with the fencing token 6, 1 s into the run, although process 1 had been given it with 7 before, \
             900 ms earlier"
        );
    }
}
