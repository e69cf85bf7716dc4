//! Grants that the service and its client do not agree about: given to a client that was told no, or forgotten after a yes.
//!
//! # Told no, yet seen to hold
//!
//! Proven where an acquisition failed (`fail`: it certainly did not happen, and never will), and a request that was invoked
//! after that answer found its owner in possession of the lock: a linearizable read that showed it, or another acquisition that
//! was refused because of it. An owner is used for one acquisition only, so nothing else can have put it there.
//!
//! What is seen *before* the failure is answered proves nothing: a service may try a lock, think better of it, and undo
//! what it did before it says no. An acquisition without an answer is lost to nobody: it may have taken effect.
//!
//! # Told yes, and forgotten: by the tokens
//!
//! Where the contract says that each later grant of a lock carries a greater token, the token is a count of what the service has
//! done: the revision or index at which it wrote the grant. A grant was made by the time it was answered. So whatever
//! state of the service serves a request that is invoked after that has counted at least as far, if it comes from the state that
//! made the grant. Proven where a later grant (invoked after the answer) has a token that is no greater: that one was made
//! in a state which does not know of the first. Neither leases nor releases matter: to end a grant takes the count no way back. A
//! floater's token counts as well, for it was given by the time of its answer, however short the hold.
//!
//! A correct service cannot be accused, for to this it gives tokens that grow. etcd's create revision, its v2 index and Consul's
//! `ModifyIndex` count the entries of one log that are applied, and ZooKeeper's transaction ids are greater in each
//! later epoch; an entry is only acknowledged when a majority has it, and only who has it is elected. Where a counter begins
//! anew with each key's life, as Consul's `LockIndex` does, the contract must not call it a token.
//!
//! # Told yes, and forgotten: the lease lives and the lock is gone
//!
//! Once another epoch or other writes have taken the count past the first token, tokens show nothing. Then the grant is
//! *possibly* lost where
//!
//! * before its earliest legal expiry, and before any release of it was invoked, a linearizable read that was invoked after the
//!   grant showed nobody or another, or a later acquisition was granted whose owner was seen to hold the lock; and
//! * a renewal that was invoked after that observation was complete was answered `ok`; and
//! * no request that was invoked after it saw the owner in possession.
//!
//! The first is a premature expiry, and proven as such, so a correct service is not named here either. The renewal says that it was
//! not the lease that ended. It is no proof, for a renewal may be confirmed by one who does not know better: a leader of before
//! (etcd issue 15247), or a follower of ZooKeeper's that is cut off. So the grade is `possible`.
//!
//! An acquisition answered `ok` that is not there any more, without either, is a premature expiry (or, if it never was, a
//! phantom grant): the client cannot tell a lease that ended early from one that was forgotten.
//!
//! # Margins
//!
//! From the failure's answer to the invocation of the last request that saw the owner; from the answer of the forgotten grant to
//! the invocation of the later one with the least token; from the observation to the invocation of the last renewal that was
//! confirmed. One anomaly an acquisition: the first of these that it meets.

use std::collections::BTreeMap;
use std::time::Duration;

use super::overdue_expiry::sightings;
use super::stale_read::was_seen;
use super::{Finding, Run, word};
use crate::explain::{Count, human, lock, when};
use crate::history::{Action, Op, Outcome, RunTime};
use crate::holds::Grant;
use crate::observations::{Evidence, Observation};
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade};

/// The name of this checker.
pub const NAME: &str = "lost-grant";

/// What saw each owner hold its lock, by lock and owner.
type Sightings<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a Op>>;

/// Looks for locks that were given to a client that was told no, and for grants that were forgotten.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let sightings = sightings(run.ops);
    let mut anomalies: Vec<Anomaly> = run.ops.iter().filter_map(|op| told_no(run, &sightings, op)).collect();
    for grants in run.grants.values() {
        let tokens = LaterTokens::of(run, grants);
        let forgotten = |grant| by_token(run, &tokens, grant).or_else(|| while_its_lease_lives(run, &sightings, grant));
        anomalies.extend(grants.iter().filter_map(forgotten));
    }
    (word(&anomalies, Count(run.totals.refused + run.totals.grants, "answered acquisition")), anomalies)
}

fn told_no(run: &Run<'_>, sightings: &Sightings<'_>, op: &Op) -> Option<Anomaly> {
    let (Action::Acquire { owner, .. }, Outcome::Fail, Some(told)) = (&op.action, op.outcome, op.ended) else {
        return None;
    };
    let seen = sightings.get(&(op.key.as_str(), owner.as_str()))?.iter();
    let after = |seen: &&&Op| seen.index != op.index && seen.invoked > told && seen.ended.is_some();
    let last = seen.filter(after).max_by_key(|seen| (seen.invoked, seen.index))?;
    let since = last.invoked.since(told);
    let seen = match last.action {
        Action::Read { .. } => "a read by",
        _ => "an acquisition by",
    };
    let explanation = format!(
        "process {} was told that it had not been given {} (`{}`), {}; {} later {seen} process {} still found it in its hands",
        op.process,
        lock(&op.key),
        op.error_code().unwrap_or("no reason"),
        when(&run.context, told),
        human(since),
        last.process,
    );
    Some(run.anomaly(Finding {
        kind: AnomalyKind::LostGrant,
        grade: Grade::Proven,
        key: &op.key,
        ops: vec![op.index, last.index],
        at: told,
        margin_ns: nanos(since),
        explanation,
    }))
}

/// The grants of one lock with tokens that count, so that each finds the least token that was given later.
struct LaterTokens<'a> {
    /// In the order of their invocations.
    invoked: Vec<RunTime>,
    /// For each place, the grant with the least token from there on; of equal ones the first.
    least: Vec<(u64, &'a Grant)>,
}

impl<'a> LaterTokens<'a> {
    fn of(run: &Run<'_>, grants: &'a [Grant]) -> Self {
        let counts = run.header.contract.fencing_tokens;
        let with_token = grants.iter().filter(|_| counts).filter_map(|grant| Some((grant.token?, grant)));
        let mut least: Vec<(u64, &Grant)> = with_token.collect();
        least.sort_by_key(|(_, grant)| (grant.invoked, grant.acquire));
        let invoked = least.iter().map(|(_, grant)| grant.invoked).collect();
        for place in (1..least.len()).rev() {
            if least[place].0 < least[place - 1].0 {
                least[place - 1] = least[place];
            }
        }
        Self { invoked, least }
    }

    fn least_after(&self, instant: RunTime) -> Option<(u64, &'a Grant)> {
        self.least.get(self.invoked.partition_point(|invoked| *invoked <= instant)).copied()
    }
}

fn by_token(run: &Run<'_>, tokens: &LaterTokens<'_>, grant: &Grant) -> Option<Anomaly> {
    let token = grant.token?;
    let (smaller, later) = tokens.least_after(grant.ended).filter(|(later, _)| *later <= token)?;
    let explanation = format!(
        "process {} was given {} with the token {token}, {}; whoever gave it to process {} with {smaller}, {} later, did not know of that",
        grant.process,
        lock(&grant.key),
        when(&run.context, grant.ended),
        later.process,
        human(later.ended.since(grant.ended)),
    );
    Some(run.anomaly(Finding {
        kind: AnomalyKind::LostGrant,
        grade: Grade::Proven,
        key: &grant.key,
        ops: vec![grant.acquire, later.acquire],
        at: later.ended,
        margin_ns: nanos(later.invoked.since(grant.ended)),
        explanation,
    }))
}

fn while_its_lease_lives(run: &Run<'_>, sightings: &Sightings<'_>, grant: &Grant) -> Option<Anomaly> {
    let of_lock = |loss: &&Observation| match loss.evidence {
        Evidence::Read(_) => true,
        Evidence::OthersGrant(other) => was_seen(&run.ops[other], sightings),
        Evidence::OwnAnswer(_) | Evidence::Watch(_) => false,
    };
    let loss = grant.losses.iter().find(of_lock)?;
    let is_too_early =
        loss.at < grant.earliest_expiry && grant.release_invoked.is_none_or(|released| loss.at < released);
    let seen = sightings.get(&(grant.key.as_str(), grant.owner.as_str())).into_iter().flatten();
    if !is_too_early || seen.into_iter().any(|op| op.invoked > loss.at && op.ended.is_some()) {
        return None;
    }
    let confirmed = |renewal: &&Op| {
        matches!(renewal.action, Action::Renew { granted_ttl_ms: Some(_), .. }) && renewal.invoked > loss.at
    };
    let renewals = grant.renewals.iter().map(|renewal| &run.ops[*renewal]);
    let last = renewals.filter(confirmed).max_by_key(|renewal| (renewal.invoked, renewal.index))?;
    let since = last.invoked.since(loss.at);
    let explanation = format!(
        "process {}'s grant of {} was gone, {}, although its lease was not: {} later it was still renewed",
        grant.process,
        lock(&grant.key),
        when(&run.context, loss.at),
        human(since),
    );
    let mut ops: Vec<usize> = [grant.acquire, last.index].into_iter().chain(loss.evidence.op()).collect();
    ops.sort_unstable();
    Some(run.anomaly(Finding {
        kind: AnomalyKind::LostGrant,
        grade: Grade::Possible,
        key: &grant.key,
        ops,
        at: loss.at,
        margin_ns: nanos(since),
        explanation,
    }))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::script::{Script, found_of_kind, script};
    use crate::verdict::{AnomalyKind, Grade};

    #[track_caller]
    fn accuses(script: Script, expected: &[u64]) {
        let found = found_of_kind(script, AnomalyKind::LostGrant);
        assert_eq!(found.iter().map(|a| a.margin_ns / 1_000_000).collect::<Vec<_>>(), expected, "{found:?}");
    }

    fn refused() -> Script {
        script().acquire(9, "z", 0..10, 50).acquire_fails(1, "a", 100..200, "rejected")
    }

    #[test]
    fn an_owner_that_was_told_no_is_seen_to_hold() {
        accuses(refused().read(4, 300..310, Some("a")), &[100]);
        accuses(refused().acquire_held(4, "d", 300..310, "a"), &[100]);
        accuses(refused().read(4, 300..310, Some("a")).read(4, 700..710, Some("a")), &[500]);
    }

    #[test]
    fn what_is_seen_before_the_answer_may_yet_be_undone() {
        accuses(refused().read(4, 150..310, Some("a")), &[]);
        accuses(refused().read(4, 200..310, Some("a")), &[]);
        accuses(refused().read(4, 201..310, Some("a")), &[1]);
    }

    #[test]
    fn a_read_that_may_be_stale_proves_nothing() {
        accuses(refused().stale_read(4, 300..310, Some("a")), &[]);
    }

    #[test]
    fn an_acquisition_without_an_answer_may_take_effect() {
        accuses(script().acquire_info(1, "a", 100..200, 3_000).read(4, 300..310, Some("a")), &[]);
    }

    #[test]
    fn an_owner_that_nobody_acquired_for_is_not_ours() {
        accuses(refused().read(4, 300..310, Some("stranger")), &[]);
    }

    #[test]
    fn other_locks_do_not_matter() {
        accuses(refused().on("jobs/8").read(4, 300..310, Some("a")), &[]);
    }

    fn first() -> Script {
        script().acquire_token(1, "a", 0..100, 500, 7)
    }

    #[test]
    fn a_later_grant_whose_token_shows_that_it_knows_nothing_of_the_first() {
        accuses(first().acquire_token(2, "b", 900..1_000, 500, 6), &[800]);
        accuses(first().acquire_token(2, "b", 900..1_000, 500, 7), &[800]);
        accuses(first().acquire_token(2, "b", 900..1_000, 500, 8), &[]);
        accuses(first().release(1, "a", 200..210).acquire_token(2, "b", 900..1_000, 500, 7), &[800]);
    }

    #[test]
    fn grants_whose_order_nobody_knows() {
        accuses(first().acquire_token(2, "b", 100..1_000, 500, 6), &[]);
        accuses(first().acquire_token(2, "b", 101..1_000, 500, 6), &[1]);
    }

    #[test]
    fn each_grant_that_was_forgotten_is_named_once() {
        let restored = first()
            .acquire_token(2, "b", 1_000..1_100, 500, 8)
            .acquire_token(3, "c", 2_000..2_100, 500, 6)
            .acquire_token(4, "d", 3_000..3_100, 500, 7);
        accuses(restored, &[1_900, 900]);
    }

    #[test]
    fn tokens_that_do_not_count() {
        let smaller = || first().acquire_token(2, "b", 900..1_000, 500, 6);
        accuses(smaller().contract(|contract| contract.fencing_tokens = false), &[]);
        accuses(first().on("jobs/8").acquire_token(2, "b", 900..1_000, 500, 6), &[]);
        accuses(first().acquire(2, "b", 900..1_000, 500), &[]);
    }

    fn held() -> Script {
        script().acquire(1, "a", 0..100, 3_000)
    }

    #[test]
    fn a_lease_that_is_renewed_after_its_lock_was_gone() {
        let given = || held().acquire(2, "b", 400..500, 3_000).read(4, 510..520, Some("b"));
        accuses(given().renew(1, "a", 700..710, 3_000), &[200]);
        accuses(held().read(4, 400..500, None).renew(1, "a", 700..710, 3_000), &[200]);
        // Nobody saw the other with it: it may never have been given it.
        accuses(held().acquire(2, "b", 400..500, 3_000).renew(1, "a", 700..710, 3_000), &[]);
        let found = found_of_kind(given().renew(1, "a", 700..710, 3_000), AnomalyKind::LostGrant);
        assert_eq!(found[0].grade, Grade::Possible);
    }

    #[test]
    fn a_renewal_that_says_nothing_of_the_time_after() {
        let gone = || held().read(4, 400..500, None);
        accuses(gone().renew(1, "a", 500..710, 3_000), &[]);
        accuses(gone().renew_fails(1, "a", 700..710, "expired"), &[]);
        accuses(gone().renew_info(1, "a", 700..710), &[]);
    }

    #[test]
    fn a_lock_that_may_be_gone_or_is_not() {
        let renewed = |script: Script| script.renew(1, "a", 5_000..5_010, 3_000);
        // By its release.
        accuses(renewed(held().release(1, "a", 200..300).read(4, 400..500, None)), &[]);
        // The read was wrong.
        accuses(renewed(held().read(4, 400..500, None).read(4, 600..610, Some("a"))), &[]);
        accuses(renewed(held().stale_read(4, 400..500, None)), &[]);
        // By the slack the lease may be over, and its renewal confirmed by one that is behind.
        let slack = |script: Script, ms| script.contract(|contract| contract.early_slack_ms = ms);
        accuses(slack(held().read(4, 400..500, None).renew(1, "a", 700..710, 3_000), 3_000), &[200]);
        accuses(slack(held().read(4, 400..500, None).renew(1, "a", 700..710, 3_000), 3_200), &[]);
    }

    #[test]
    fn the_sentences() {
        let by_token = first().acquire_token(2, "b", 900..1_000, 500, 6);
        assert_eq!(
            found_of_kind(by_token, AnomalyKind::LostGrant)[0].explanation,
            "process 1 was given `jobs/7` with the token 7, 100 ms into the run; whoever gave it to process 2 with 6, 900 ms later, did not \
             know of that"
        );
        let by_renewal = held().read(4, 400..500, None).renew(1, "a", 700..710, 3_000);
        assert_eq!(
            found_of_kind(by_renewal, AnomalyKind::LostGrant)[0].explanation,
            "process 1's grant of `jobs/7` was gone, 500 ms into the run, although its lease was not: 200 ms later it was still renewed"
        );
    }
}
