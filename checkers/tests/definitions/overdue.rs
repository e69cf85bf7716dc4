//! Leases that outlive their time.

use leasehold_checkers::history::vocabulary::code;
use leasehold_checkers::history::{Action, Op, Outcome};
use leasehold_checkers::verdict::Grade;

use super::facts::{Expected, Facts, Grant, MS, Sight};

const STALL: u64 = 500 * MS;

/// A request that was invoked after the contract's latest expiry still saw the lease. Of each grant's sights the latest that
/// is proven, or else the latest.
pub(crate) fn overdue_expiries(facts: &Facts<'_>) -> Vec<Expected> {
    let stalled = stalled(facts);
    let mut expected = Vec::new();
    for grant in facts.grants() {
        let sights = facts.sights(&grant.op.key, grant.owner);
        let late: Vec<(Grade, u64, Sight)> = sights
            .iter()
            .filter_map(|sight| Some((judge(facts, &grant, sight, &stalled)?, *sight)))
            .map(|((grade, late), sight)| (grade, late, sight))
            .collect();
        let worst = late.iter().map(|(grade, ..)| *grade).min();
        let latest = late.iter().filter(|(grade, ..)| Some(*grade) == worst).map(|(_, late, _)| *late).max();
        let at = late.iter().filter(|(grade, late, _)| Some(*grade) == worst && Some(*late) == latest);
        // Sights that are as late as each other are invoked at one instant, but for those between which a renewal came.
        if let Some((grade, late, sight)) = at.min_by_key(|(.., sight)| sight.op) {
            expected.push(Expected {
                at: sight.invoked,
                grade: *grade,
                margins: [*late].into(),
                ops: vec![grant.op.index, sight.op],
            });
        }
    }
    expected
}

fn judge(facts: &Facts<'_>, grant: &Grant<'_>, sight: &Sight, stalled: &[(u64, u64)]) -> Option<(Grade, u64)> {
    let renewals: Vec<&Op> = facts.signs_of_life(grant).into_iter().filter(|op| op.invoked.0 <= sight.ended).collect();
    if renewals.iter().any(|op| op.ended.is_none()) {
        return None;
    }
    let last = renewals.iter().filter_map(|op| op.ended).map(|ended| ended.0).fold(grant.ended(), u64::max);
    let ttl = facts.by_the_slowest_clock(facts.longest_ttl(grant));
    let late = sight.invoked.checked_sub(last + ttl)?;
    let bound = facts.header.contract.latest_expiry;
    let grace = bound.map(|latest| {
        let more_ttls = facts.longest_ttl(grant) * u64::from(latest.ttls - 1);
        facts.by_the_slowest_clock(more_ttls + latest.grace_ms * MS)
    });
    if late <= grace.unwrap_or(1_000 * MS) {
        return None;
    }
    let proven = bound.zip(grace).is_some_and(|(latest, grace)| {
        let at_fault = facts
            .disturbances()
            .any(|fault| fault.begun <= sight.invoked && fault.ended.is_none_or(|ended| ended >= sight.invoked));
        let signs = facts.signs_of_elections();
        let Some(heard) = all_heard_again(facts, sight.invoked) else { return false };
        let moved = signs.iter().any(|at| *at > sight.invoked && *at <= heard);
        let elected = signs.iter().copied().filter(|at| *at <= sight.invoked).max().unwrap_or(0);
        let healed = facts.disturbances().filter_map(|fault| fault.ended).filter(|ended| *ended < sight.invoked);
        let anew = if latest.restarts_at_leader_change { elected } else { 0 };
        let from = healed.max().unwrap_or(0).max(last).max(anew);
        let past = |from: u64, allowed: u64| sight.invoked > from + allowed + overlap(stalled, from, sight.invoked);
        let unanswered = renewals.iter().any(|op| op.is_unanswered());
        !at_fault && !moved && !unanswered && past(elected, grace) && past(from, ttl + grace)
    });
    Some((if proven { Grade::Proven } else { Grade::Possible }, late))
}

/// By when each node that was ever heard has answered twice more, if that was within a second.
fn all_heard_again(facts: &Facts<'_>, at: u64) -> Option<u64> {
    let mut heard = at;
    for beats in facts.beats.values() {
        let second = *beats.iter().filter(|beat| **beat > at).nth(1)?;
        if second - at > 2 * STALL {
            return None;
        }
        heard = heard.max(second);
    }
    Some(heard)
}

/// For how long, between two instants, something on the list was the case.
pub(crate) fn overlap(spans: &[(u64, u64)], from: u64, until: u64) -> u64 {
    let mut turns: Vec<u64> = spans.iter().flat_map(|(begin, end)| [*begin, *end]).chain([from, until]).collect();
    turns.sort_unstable();
    let covered = |pair: &&[u64]| {
        let inside = |(begin, end): &(u64, u64)| *begin <= pair[0] && pair[1] <= *end;
        from <= pair[0] && pair[1] <= until && spans.iter().any(inside)
    };
    turns.windows(2).filter(covered).map(|pair| pair[1] - pair[0]).sum()
}

/// The spans, longer than half a second, in which some node was not heard, or in which requests were under way that took so
/// long and none showed that the cluster could agree on anything.
pub(crate) fn stalled(facts: &Facts<'_>) -> Vec<(u64, u64)> {
    let mut spans = Vec::new();
    if facts.beats.is_empty() {
        spans.push((facts.begin, facts.end));
    }
    for beats in facts.beats.values() {
        let beats: Vec<u64> = [facts.begin].iter().chain(beats).chain([&facts.end]).copied().collect();
        spans.extend(beats.windows(2).map(|pair| (pair[0], pair[1])).filter(|(from, until)| until - from > STALL));
    }
    spans.extend(hung(facts));
    spans
}

fn hung(facts: &Facts<'_>) -> Vec<(u64, u64)> {
    let span = |op: &Op| (op.invoked.0, op.ended.map_or(facts.end, |ended| ended.0));
    let long: Vec<(u64, u64)> = facts
        .ops
        .iter()
        .filter(|op| !matches!(op.action, Action::Acquire { blocking: true, .. }))
        .map(span)
        .filter(|(from, until)| until - from > STALL)
        .collect();
    let agreed: Vec<(u64, u64)> = facts
        .ops
        .iter()
        .filter(|op| match op.action {
            Action::Acquire { .. } => op.outcome == Outcome::Ok || op.failed_with(code::HELD),
            Action::Read { linearizable, .. } => linearizable && op.outcome == Outcome::Ok,
            Action::Release { .. } => op.outcome == Outcome::Ok,
            Action::Renew { .. } | Action::Register { .. } | Action::Work(_) | Action::Other => false,
        })
        .map(span)
        .collect();
    let mut turns: Vec<u64> = long.iter().chain(&agreed).flat_map(|(from, until)| [*from, *until]).collect();
    turns.sort_unstable();
    turns.dedup();
    let mut spans = Vec::new();
    for from in &turns {
        for until in turns.iter().filter(|until| **until > from + STALL) {
            let disproved = agreed.iter().any(|(invoked, ended)| from < invoked && ended < until);
            if !disproved && overlap(&long, *from, *until) == until - from {
                spans.push((*from, *until));
            }
        }
    }
    spans
}
