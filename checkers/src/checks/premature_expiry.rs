//! A lease that ended before the time that was promised for it.
//!
//! Proven where an observation that the lease is gone (see [`crate::observations`]) was complete before `E`, the
//! earliest legal expiry (see [`crate::holds`]), and no release had been invoked by then, other than the one that makes
//! the observation. The margin is `E - end(observation)`, for the earliest such observation: by so much at least the
//! lease ended too early. One anomaly a grant.
//!
//! A service that gives a lock to another while the lease stands breaks the same promise, so such a grant counts as an
//! observation too: what matters to the holder is that its lock was not its own any more.

use super::{Finding, Run, word};
use crate::explain::{Count, human, lock, when};
use crate::history::{Action, Loss};
use crate::holds::Grant;
use crate::observations::{Evidence, Observation};
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade};

/// The name of this checker.
pub const NAME: &str = "premature-expiry";

/// Looks for leases that ended too early.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let anomalies: Vec<Anomaly> = run.all_grants().filter_map(|grant| premature(run, grant)).collect();
    (word(&anomalies, Count(run.totals.grants, "grant")), anomalies)
}

fn premature(run: &Run<'_>, grant: &Grant) -> Option<Anomaly> {
    let too_early = |loss: &&Observation| {
        let released = grant.release_other_than(loss.evidence.op(), run.ops);
        loss.at < grant.earliest_expiry && released.is_none_or(|released| loss.at < released)
    };
    let loss = grant.losses.iter().find(too_early)?;
    let margin = grant.earliest_expiry.since(loss.at);
    let explanation = format!(
        "process {}'s lease on {} had another {} to run when {}, {}",
        grant.process,
        lock(&grant.key),
        human(margin),
        told(run, grant, &loss.evidence),
        when(&run.context, loss.at),
    );
    Some(run.anomaly(Finding {
        kind: AnomalyKind::PrematureExpiry,
        grade: Grade::Proven,
        key: &grant.key,
        ops: ops_of(run, grant, loss),
        at: loss.at,
        margin_ns: grant.earliest_expiry.as_nanos() - loss.at.as_nanos(),
        explanation,
    }))
}

/// The acquisition, the last renewal that the service had confirmed, and the op that saw the loss.
fn ops_of(run: &Run<'_>, grant: &Grant, loss: &Observation) -> Vec<usize> {
    let confirmed = |renewal: &&usize| {
        let renewal = &run.ops[**renewal];
        matches!(renewal.action, Action::Renew { granted_ttl_ms: Some(_), .. }) && renewal.invoked < loss.at
    };
    let last_renewal = grant.renewals.iter().rev().find(confirmed).copied();
    let mut ops: Vec<usize> = [Some(grant.acquire), last_renewal, loss.evidence.op()].into_iter().flatten().collect();
    ops.sort_unstable();
    ops.dedup();
    ops
}

fn told(run: &Run<'_>, grant: &Grant, evidence: &Evidence) -> String {
    match evidence {
        Evidence::OwnAnswer(op) => {
            let op = &run.ops[*op];
            format!("its {} was answered `{}`", noun(&op.action), op.error_code().unwrap_or_default())
        }
        Evidence::Read(op) => {
            let op = &run.ops[*op];
            match &op.action {
                Action::Read { seen: Some(Some(other)), .. } => {
                    let holder = holder_in_words(run, grant, other);
                    format!("a read by process {} showed {holder} as the holder", op.process)
                }
                _ => format!("a read by process {} showed that nobody held it", op.process),
            }
        }
        Evidence::OthersGrant(op) => format!("process {} was given it", run.ops[*op].process),
        Evidence::Watch(Loss::Expired) => "a watch was told that it had expired".to_owned(),
        Evidence::Watch(Loss::Released) => "a watch was told that it had been released".to_owned(),
        Evidence::Watch(Loss::Deleted) => "a watch was told that its key was gone".to_owned(),
    }
}

fn noun(action: &Action) -> &'static str {
    if matches!(action, Action::Release { .. }) { "release" } else { "renewal" }
}

/// The process behind an owner, or the owner's name where no process acquired under it.
fn holder_in_words(run: &Run<'_>, grant: &Grant, owner: &str) -> String {
    let acquirer = run.acquirers.get(&(grant.key.clone(), owner.to_owned()));
    acquirer.map_or_else(|| format!("`{owner}`"), |process| format!("process {process}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Fault, Script, script};
    use crate::verdict::Verdict;

    fn found(script: Script) -> Vec<Anomaly> {
        let judgement = crate::check(&script.history());
        assert_eq!(judgement.checkers["well-formed"].verdict, Verdict::Valid, "{judgement:?}");
        judgement.anomalies.into_iter().filter(|anomaly| anomaly.kind == AnomalyKind::PrematureExpiry).collect()
    }

    #[track_caller]
    fn accuses(script: Script, margin_ms: u64) {
        let found = found(script);
        assert_eq!(
            found.iter().map(|anomaly| anomaly.margin_ns).collect::<Vec<_>>(),
            [margin_ms * 1_000_000],
            "{found:?}"
        );
    }

    #[track_caller]
    fn accuses_nobody(script: Script) {
        assert_eq!(found(script), []);
    }

    /// Process 1 holds the lock from 100 ms at the latest until 3 s at the earliest.
    fn held() -> Script {
        script().acquire(1, "a", 0..100, 3_000)
    }

    #[test]
    fn a_renewal_told_of_expiry_before_its_time() {
        accuses(held().renew_fails(1, "a", 1_000..1_100, "expired"), 1_900);
        accuses(held().renew_fails(1, "a", 1_000..1_100, "not-held"), 1_900);
        accuses(held().renew_fails(1, "a", 1_000..1_100, "mismatch"), 1_900);
    }

    #[test]
    fn a_renewal_told_of_expiry_after_its_time_or_at_the_very_instant() {
        accuses_nobody(held().renew_fails(1, "a", 2_900..3_001, "expired"));
        accuses_nobody(held().renew_fails(1, "a", 2_900..3_000, "expired"));
        accuses(held().renew_fails(1, "a", 2_900..2_999, "expired"), 1);
    }

    #[test]
    fn a_failure_without_the_codes_that_observe_says_nothing() {
        accuses_nobody(held().renew_fails(1, "a", 1_000..1_100, "refused"));
        accuses_nobody(held().renew_info(1, "a", 1_000..1_100));
    }

    #[test]
    fn an_answered_renewal_prolongs_and_an_unanswered_one_does_not() {
        let renewed = || held().renew(1, "a", 1_000..1_010, 3_000);
        accuses(renewed().renew_fails(1, "a", 3_500..3_600, "expired"), 400);
        accuses_nobody(renewed().renew_fails(1, "a", 4_000..4_100, "expired"));
        accuses_nobody(held().renew_info(1, "a", 1_000..2_000).renew_fails(7, "a", 3_500..3_600, "expired"));
    }

    #[test]
    fn a_companion_s_renewals_count() {
        accuses(held().renew(9, "a", 2_000..2_010, 3_000).read(4, 4_000..4_100, None), 900);
    }

    #[test]
    fn a_later_renewal_with_a_shorter_ttl_brings_the_expiry_forward() {
        let long = || script().acquire(1, "a", 0..100, 10_000);
        accuses_nobody(long().renew(1, "a", 1_000..1_010, 3_000).read(4, 4_100..4_200, None));
        accuses(long().renew(1, "a", 1_000..1_010, 3_000).read(4, 3_100..3_200, None), 800);
    }

    #[test]
    fn a_renewal_with_a_longer_ttl_puts_the_expiry_off() {
        accuses(held().renew(1, "a", 1_000..1_010, 10_000).read(4, 8_000..8_100, None), 2_900);
        // Of two that were under way together either may have been carried out last.
        let together = held().renew(1, "a", 1_000..1_100, 10_000).renew(9, "a", 1_050..1_060, 2_000);
        accuses_nobody(together.clone().read(4, 3_050..3_060, None));
        accuses(together.read(4, 3_000..3_040, None), 10);
    }

    #[test]
    fn an_unanswered_renewal_with_a_shorter_ttl_may_bring_the_expiry_forward_from_when_it_was_asked() {
        let asked = |ttl_ms| {
            let value = serde_json::json!({ "owner": "a", "ttl_ms": ttl_ms });
            let long = script().acquire(1, "a", 0..100, 10_000);
            long.client(5_000, 1, crate::history::EventType::Invoke, "renew", value, None)
        };
        accuses_nobody(asked(1_000).read(4, 5_900..6_000, None));
        accuses(asked(1_000).read(4, 5_800..5_900, None), 100);
        accuses(asked(20_000).read(4, 9_800..9_900, None), 100);
    }

    #[test]
    fn an_unanswered_renewal_that_does_not_say_its_ttl_is_taken_for_the_shortest() {
        let unsaid = || held().renew(1, "a", 1_000..1_010, 10_000).renew_open(1, "a", 1_500);
        accuses_nobody(unsaid().read(4, 4_400..4_500, None));
        accuses(unsaid().read(4, 4_300..4_400, None), 100);
    }

    #[test]
    fn a_read_that_shows_nobody_or_another() {
        accuses(held().read(4, 500..600, None), 2_400);
        accuses(held().read(4, 500..600, Some("b")), 2_400);
        accuses_nobody(held().read(4, 500..600, Some("a")));
        accuses_nobody(held().stale_read(4, 500..600, None));
    }

    #[test]
    fn a_read_that_shows_one_whose_lock_was_over_shows_the_past() {
        let before = || script().acquire(7, "z", 0..1, 1).release(7, "z", 2..3).acquire(1, "a", 10..100, 3_000);
        accuses_nobody(before().read(4, 500..600, Some("z")));
        // Whatever else shows the loss still does, and a read of nobody.
        accuses(before().read(4, 500..600, Some("z")).read(4, 700..800, None), 2_210);
        accuses(before().read(4, 500..600, Some("z")).renew_fails(1, "a", 700..800, "expired"), 2_210);
        let told = || script().acquire(7, "z", 0..1, 1).acquire(1, "a", 10..100, 3_000);
        accuses_nobody(told().watch(8, "expired", "z").read(4, 500..600, Some("z")));
        accuses_nobody(told().renew_fails(7, "z", 5..8, "expired").read(4, 500..600, Some("z")));
        // That another was given the lock, or another read did not show it, does not tell which of the two was wrong.
        accuses(told().read(4, 500..600, Some("z")), 2_410);
        accuses(told().read(4, 5..8, None).read(4, 500..600, Some("z")), 2_410);
        // It was over when the read was under way already.
        accuses(told().watch(500, "expired", "z").read(4, 500..600, Some("z")), 2_410);
    }

    #[test]
    fn a_read_that_may_have_run_before_the_grant() {
        accuses_nobody(held().read(4, 99..600, None));
        accuses_nobody(held().read(4, 100..600, None));
        accuses(held().read(4, 101..600, None), 2_400);
    }

    #[test]
    fn the_earliest_complete_read_is_taken_whichever_was_asked_first() {
        accuses(held().read(4, 500..2_000, None).read(5, 600..700, Some("b")).read(6, 650..660, Some("a")), 2_300);
    }

    #[test]
    fn a_release_of_any_outcome_ends_the_promise() {
        accuses_nobody(held().release(1, "a", 500..600).read(4, 700..800, None));
        accuses_nobody(held().release_info(1, "a", 500..900).read(4, 700..800, None));
        accuses_nobody(held().release_fails(1, "a", 500..600, "refused").read(4, 700..800, None));
        accuses_nobody(held().read(4, 400..500, None).release(1, "a", 500..600));
        accuses(held().read(4, 400..499, None).release(1, "a", 500..600), 2_501);
    }

    #[test]
    fn a_release_told_that_there_is_nothing_to_release() {
        accuses(held().release_fails(1, "a", 500..600, "expired"), 2_400);
        accuses(held().release_fails(1, "a", 500..600, "not-held").read(4, 520..540, None), 2_400);
    }

    #[test]
    fn the_second_of_two_releases_may_find_nothing_to_release() {
        accuses_nobody(held().release_info(1, "a", 500..600).release_fails(2, "a", 700..800, "not-held"));
    }

    #[test]
    fn another_s_grant_that_certainly_came_later() {
        accuses(held().acquire(2, "b", 500..600, 3_000), 2_400);
        accuses_nobody(held().acquire(2, "b", 2_500..3_000, 3_000));
    }

    #[test]
    fn another_s_grant_that_may_have_come_first() {
        accuses_nobody(script().acquire(2, "b", 0..1_000, 300).acquire(1, "a", 400..500, 3_000));
        accuses_nobody(script().acquire(2, "b", 100..1_000, 50).acquire(1, "a", 0..100, 3_000));
    }

    #[test]
    fn tokens_tell_the_order_where_the_contract_says_that_they_grow() {
        let queued = || script().acquire_token(1, "a", 0..500, 3_000, 7).acquire_token(2, "b", 0..1_000, 9_000, 8);
        accuses(queued(), 2_000);
        accuses_nobody(queued().contract(|contract| contract.fencing_tokens = false));
        let equal = script().acquire_token(1, "a", 0..500, 3_000, 7).acquire_token(2, "b", 0..1_000, 9_000, 7);
        accuses_nobody(equal);
    }

    #[test]
    fn tokens_that_contradict_the_times_tell_no_order() {
        let inverted = script().acquire_token(1, "a", 0..10, 3_000, 51).acquire_token(2, "b", 500..600, 3_000, 48);
        let found = found(inverted);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].at_ns, found[0].margin_ns), (600_000_000, 2_400_000_000));
    }

    #[test]
    fn one_contradiction_makes_all_tokens_of_a_lock_useless() {
        let pair = || script().acquire_token(2, "b", 500..600, 9_000, 48).acquire_token(3, "c", 550..700, 9_000, 60);
        accuses(pair(), 8_800);
        accuses(pair().acquire_token(1, "a", 0..10, 3_000, 51), 2_400);
    }

    #[test]
    fn a_watch_that_saw_the_key_vanish() {
        accuses(held().watch(1_000, "expired", "a"), 2_000);
        accuses(held().watch(1_000, "deleted", "a"), 2_000);
        accuses(held().watch(1_000, "released", "a"), 2_000);
        accuses_nobody(held().watch(1_000, "expired", "b"));
        accuses_nobody(held().watch(3_000, "expired", "a"));
        accuses_nobody(held().release_info(1, "a", 900..2_000).watch(1_000, "released", "a"));
    }

    #[test]
    fn word_of_an_older_run_s_key_of_the_same_name() {
        accuses_nobody(script().watch(10, "deleted", "a").acquire(1, "a", 10..100, 3_000));
    }

    #[test]
    fn a_status_update_in_the_queue_finds_the_lock_not_held() {
        let queued = || script().acquire_token(1, "a", 0..2_000, 3_000, 7);
        accuses_nobody(queued().renew_fails(9, "a", 500..600, "not-held"));
        accuses_nobody(queued().renew_fails(9, "a", 500..600, "mismatch"));
        accuses_nobody(queued().renew(9, "a", 300..400, 3_000).renew_fails(9, "a", 500..600, "not-held"));
    }

    #[test]
    fn a_lease_not_found_in_the_queue_speaks_of_expiry_only_if_it_had_been_found_before() {
        let queued = || script().acquire_token(1, "a", 0..2_000, 3_000, 7);
        accuses_nobody(queued().renew_fails(9, "a", 10..20, "expired"));
        accuses(queued().renew(9, "a", 300..400, 3_000).renew_fails(9, "a", 500..600, "expired"), 2_700);
        accuses_nobody(queued().renew(8, "a", 300..500, 3_000).renew_fails(9, "a", 500..600, "expired"));
    }

    #[test]
    fn a_mismatch_after_an_update_that_may_have_taken_effect_says_nothing() {
        accuses_nobody(held().renew_info(1, "a", 200..300).renew_fails(2, "a", 400..500, "mismatch"));
        accuses_nobody(held().renew(9, "a", 300..450, 3_000).renew_fails(1, "a", 400..500, "mismatch"));
        accuses_nobody(held().renew_open(9, "a", 450).renew_fails(1, "a", 400..500, "mismatch"));
        accuses(held().renew(9, "a", 300..390, 3_000).renew_fails(1, "a", 400..500, "mismatch"), 2_800);
    }

    #[test]
    fn the_contract_and_the_clock_s_rate_shorten_the_promise() {
        let seen_gone = || held().read(4, 2_000..2_400, None);
        accuses_nobody(seen_gone().contract(|contract| contract.early_slack_ms = 600));
        accuses(seen_gone().contract(|contract| contract.early_slack_ms = 500), 100);
        accuses_nobody(seen_gone().header(|header| header.clock_rate_error_ppm = 250_000));
        accuses(seen_gone().header(|header| header.clock_rate_error_ppm = 200_000), 100);
        accuses_nobody(seen_gone().contract(|contract| contract.early_slack_ms = u64::MAX));
    }

    /// etcd's v2 API turns a TTL into an instant as soon as a server reads the request. A leader that was paused and no longer leads
    /// hands the requests that lay in its sockets on to the new one, and an old instant replaces a newer one.
    #[test]
    fn an_older_renewal_that_takes_effect_late_brings_the_end_forward() {
        let from_request = |counts: bool| {
            let renewed = held().renew_info(1, "a", 1_000..2_000).renew(11, "a", 2_500..2_600, 3_000);
            renewed.contract(|contract| contract.counts_from_request = counts)
        };
        accuses_nobody(from_request(true).acquire(2, "b", 4_500..4_600, 3_000));
        accuses_nobody(from_request(true).watch(4_200, "expired", "a"));
        accuses(from_request(true).acquire(2, "b", 3_500..3_600, 3_000), 400);
        accuses(from_request(false).acquire(2, "b", 4_500..4_600, 3_000), 900);
    }

    #[test]
    fn of_renewals_under_way_at_once_the_older_may_take_effect_last() {
        let both = |end| held().renew(9, "a", 1_000..end, 3_000).renew(1, "a", 2_000..2_100, 3_000);
        let from_request = |end| both(end).contract(|contract| contract.counts_from_request = true);
        accuses_nobody(from_request(2_500).read(4, 4_100..4_200, None));
        accuses(from_request(1_900).read(4, 4_100..4_200, None), 800);
        accuses(both(2_500).read(4, 4_100..4_200, None), 800);
    }

    #[test]
    fn other_locks_do_not_matter() {
        accuses_nobody(
            held().on("jobs/8").acquire(2, "b", 500..600, 3_000).read(4, 500..600, None).watch(700, "expired", "a"),
        );
    }

    #[test]
    fn a_ttl_beyond_all_time_is_no_trouble() {
        let found = found(script().acquire(1, "a", 0..100, u64::MAX).read(4, 500..600, None));
        assert_eq!(found[0].margin_ns, u64::MAX - 600_000_000);
    }

    #[test]
    fn the_sentence() {
        let found =
            found(held().fault(Fault(1, "clock", "clock +9 s", "n3"), 350..400, None).acquire(2, "b", 500..520, 3_000));
        assert_eq!(
            found[0].explanation,
            "process 1's lease on `jobs/7` had another 2.48 s to run when process 2 was given it, 120 ms into clock +9 s on n3"
        );
        assert_eq!(found[0].ops, [0, 1]);
        assert_eq!(found[0].faults, ["clock +9 s on n3, since 0.350 s"]);
    }
}
