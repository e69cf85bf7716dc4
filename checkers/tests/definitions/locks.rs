//! What concerns one lock and needs no probes.

use std::collections::BTreeSet;

use leasehold_checkers::history::{Action, Outcome};
use leasehold_checkers::verdict::Grade;

use super::facts::{Expected, Facts, Grant, MS};

/// An acquisition failed, and a request that was invoked after that answer found its owner in possession; or a grant was
/// forgotten.
pub(crate) fn lost_grants(facts: &Facts<'_>) -> Vec<Expected> {
    let mut expected = Vec::new();
    for op in facts.ops.iter().filter(|op| op.outcome == Outcome::Fail) {
        let (Action::Acquire { owner, .. }, Some(told)) = (&op.action, op.ended) else { continue };
        let sights = facts.sights(&op.key, owner);
        let last = sights.iter().filter(|sight| sight.invoked > told.0).map(|sight| sight.invoked).max();
        expected.extend(last.map(|last| Expected {
            at: told.0,
            grade: Grade::Proven,
            margins: [last - told.0].into(),
            ops: vec![op.index],
        }));
    }
    expected.extend(
        facts.grants().iter().filter_map(|grant| forgotten_by_token(facts, grant).or_else(|| outlived(facts, grant))),
    );
    expected
}

/// The contract says that tokens grow, and a grant that was asked for after the answer has no greater one: the least is told.
fn forgotten_by_token(facts: &Facts<'_>, grant: &Grant<'_>) -> Option<Expected> {
    let token = grant.token.filter(|_| facts.header.contract.fencing_tokens)?;
    let of_lock = facts.grants().into_iter().filter(|other| other.op.key == grant.op.key);
    let later = of_lock.filter(|other| other.invoked() > grant.ended() && other.token.is_some());
    let least = later.min_by_key(|other| (other.token, other.invoked(), other.op.index))?;
    (least.token <= Some(token)).then(|| Expected {
        at: least.ended(),
        grade: Grade::Proven,
        margins: [least.invoked() - grant.ended()].into(),
        ops: vec![grant.op.index, least.op.index],
    })
}

/// Too early, and with no release, its lock was another's or nobody's; then its lease was renewed, and nobody saw it hold the lock.
fn outlived(facts: &Facts<'_>, grant: &Grant<'_>) -> Option<Expected> {
    let key = &grant.op.key;
    let is_seen = |other: &str| !facts.sights(key, other).is_empty();
    let elsewhere = facts.elsewhere(grant).into_iter();
    let gone = elsewhere.filter(|(_, whose)| whose.is_none_or(is_seen)).map(|(at, _)| at).min()?;
    let released = facts.releases(grant).iter().any(|release| release.invoked.0 <= gone);
    let is_back = facts.sights(key, grant.owner).iter().any(|sight| sight.invoked > gone);
    let renewals = facts.renewals(grant).into_iter().filter(|op| op.outcome == Outcome::Ok && op.invoked.0 > gone);
    let renewed = renewals.map(|op| op.invoked.0).max()?;
    (gone < facts.earliest_expiry(grant) && !released && !is_back).then(|| Expected {
        at: gone,
        grade: Grade::Possible,
        margins: [renewed - gone].into(),
        ops: vec![grant.op.index],
    })
}

/// One other owner certainly had the lock before it was asked for and was seen to have it by a request that was invoked after
/// the answer, and nobody ever saw the client hold it.
pub(crate) fn phantom_grants(facts: &Facts<'_>) -> Vec<Expected> {
    let mut expected = Vec::new();
    for grant in facts.grants() {
        let key = &grant.op.key;
        if !facts.sights(key, grant.owner).is_empty() {
            continue;
        }
        let names = facts.ops.iter().flat_map(|op| match &op.action {
            Action::Acquire { owner, holder, .. } => [Some(owner), holder.as_ref()],
            Action::Read { seen: Some(Some(seen)), .. } => [Some(seen), None],
            _ => [None, None],
        });
        let others: BTreeSet<&String> = names.flatten().filter(|owner| *owner != grant.owner).collect();
        let mut margins = BTreeSet::new();
        for other in others {
            let sights = facts.sights(key, other);
            let granted = facts.grants().into_iter().filter(|own| own.op.key == *key && own.owner == other.as_str());
            let had_by = granted.map(|own| own.ended()).chain(sights.iter().map(|sight| sight.ended)).min();
            let last_seen = sights.iter().map(|sight| sight.invoked).max();
            if let (Some(had_by), Some(last_seen)) = (had_by, last_seen)
                && had_by < grant.invoked()
                && grant.ended() < last_seen
            {
                margins.insert((grant.invoked() - had_by).min(last_seen - grant.ended()));
            }
        }
        if !margins.is_empty() {
            expected.push(Expected { at: grant.ended(), grade: Grade::Proven, margins, ops: vec![grant.op.index] });
        }
    }
    expected
}

/// A grant that was asked for after another was answered has no greater token; or two grants have the same one.
pub(crate) fn fencing(facts: &Facts<'_>) -> Vec<Expected> {
    if !facts.header.contract.fencing_tokens {
        return Vec::new();
    }
    let with_token = || facts.grants().into_iter().filter(|grant| grant.token.is_some());
    let mut expected = Vec::new();
    for grant in with_token() {
        let others: Vec<Grant<'_>> =
            with_token().filter(|other| other.op.key == grant.op.key && other.op.index != grant.op.index).collect();
        let before = || others.iter().filter(|other| other.ended() < grant.invoked());
        let greatest = before().map(|other| other.token).max().flatten();
        let margins: BTreeSet<u64> = if greatest >= grant.token {
            before().filter(|other| other.token == greatest).map(|other| grant.invoked() - other.ended()).collect()
        } else {
            // Of two the later asked for is reported.
            let twins = others.iter().filter(|other| {
                other.token == grant.token && (other.invoked(), other.op.index) < (grant.invoked(), grant.op.index)
            });
            twins.map(|twin| twin.ended().min(grant.ended()).saturating_sub(grant.invoked()).max(1)).collect()
        };
        if !margins.is_empty() {
            expected.push(Expected { at: grant.ended(), grade: Grade::Proven, margins, ops: vec![grant.op.index] });
        }
    }
    expected
}

/// After a holder was lost without a release, another was answered `ok` before its earliest legal expiry, or the last sight
/// of it, plus the delay.
pub(crate) fn lock_delays(facts: &Facts<'_>) -> Vec<Expected> {
    let Some(delay_ms) = facts.header.contract.lock_delay_ms else { return Vec::new() };
    let delay = facts.by_the_fastest_clock(delay_ms * MS);
    let mut expected = Vec::new();
    for later in facts.grants() {
        let answered_before =
            facts.grants().into_iter().filter(|g| g.op.key == later.op.key && g.ended() < later.invoked());
        let Some(lost) = answered_before.max_by_key(|grant| (grant.ended(), grant.op.index)) else { continue };
        let expiry = facts.earliest_expiry(&lost);
        let sights = facts.sights(&lost.op.key, lost.owner);
        let seen = sights.iter().filter(|sight| sight.ended < later.invoked()).map(|sight| sight.invoked).max();
        let closed_until = expiry.max(seen.unwrap_or(0)) + delay;
        let released = facts.releases(&lost).iter().any(|release| release.invoked.0 <= later.ended());
        let same_client = lost.op.process == later.op.process;
        if same_client || released || later.ended() < expiry || later.ended() >= closed_until {
            continue;
        }
        let meanwhile = lost.ended()..=later.ended();
        let fault = facts.disturbances().any(|fault| {
            let knows_the_grant = fault.restores && fault.begun > lost.ended();
            fault.begun <= *meanwhile.end()
                && fault.ended.is_none_or(|ended| ended >= *meanwhile.start())
                && !knows_the_grant
        });
        let election = facts.signs_of_elections().iter().any(|at| meanwhile.contains(at));
        expected.push(Expected {
            at: later.ended(),
            grade: if fault || election { Grade::Possible } else { Grade::Proven },
            margins: [closed_until - later.ended()].into(),
            ops: vec![lost.op.index, later.op.index],
        });
    }
    expected
}

/// A linearizable read showed an owner whose hold was certainly over before the read was invoked.
pub(crate) fn stale_reads(facts: &Facts<'_>) -> Vec<Expected> {
    let mut expected = Vec::new();
    for grant in facts.grants() {
        let key = &grant.op.key;
        let released = facts.releases(&grant).into_iter().filter_map(|op| {
            let counts = op.outcome == Outcome::Ok && op.invoked.0 > grant.ended();
            op.ended.filter(|_| counts).map(|ended| ended.0)
        });
        let gone = facts
            .gone(&grant)
            .into_iter()
            .filter(|gone| gone.given_to.is_none_or(|other| !facts.sights(key, other).is_empty()))
            .map(|gone| gone.at);
        let Some(over) = released.chain(gone).min() else { continue };
        let reads = facts.sights(key, grant.owner).into_iter().filter(|sight| sight.is_read && sight.invoked > over);
        expected.extend(reads.map(|read| read.invoked).max().map(|last| Expected {
            at: over,
            grade: Grade::Proven,
            margins: [last - over].into(),
            ops: vec![grant.op.index],
        }));
    }
    expected
}
