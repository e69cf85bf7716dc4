//! Which renewals certainly reached the server that keeps the leases.
//!
//! In some services any server answers a renewal from what it knows itself, and tells the one that keeps the leases a moment
//! later ([`SecondHand`]). A follower of ZooKeeper does so with pings, reads, and even with writes: it has the leader carry them
//! out, but tells it apart from that, with the next heartbeat, which sessions it heard from. Where it is killed, cut off or
//! waits for a paused leader just then, the leader never hears of the renewal, and ends the session in good faith. A leader that was paused
//! and deposed meanwhile goes on answering for a moment, too.
//!
//! So a renewal `r` that was answered `ok` is **known**, and only then prolongs the lease, where both of this holds:
//!
//! * **Nothing disturbed the cluster** from `inv(r) - out_of_touch_for` to `end(r) + known_within`: no fault but of clocks was
//!   there, and no node left its probes without an answer for longer than 500 ms ([`stalls`]). Nor was there a
//!   sign of an election, in this span or within the two seconds after `inv(r)` that a probe may take to show one.
//! * **The lease certainly stood** when word of it arrived: `end(r) + known_within` is no later than the earliest legal expiry by
//!   what was known before; or another renewal was answered `ok` that was asked for so late that whoever answered had heard by then
//!   of an end before that, `known_within` later, and nothing disturbed the cluster from `out_of_touch_for` before it was asked for
//!   until it was answered. (Without that it is worth nothing: a server that is cut off at that moment confirms a lease that ended.)
//!
//! The acquisition is always known: to open a session is itself a decision of the majority, and each later leader gives every
//! session its full time again.
//!
//! No exception is made for clients of the leader itself. Who leads is only seen by probes, and it is the deposed
//! leader whose answers are worth least. Without probes nothing is known of any renewal.

use std::time::Duration;

use crate::context::{Context, JUST_SEEN, stalls, union};
use crate::contract::SecondHand;
use crate::history::{Op, RunTime, Surroundings};

/// What can come between a renewal and the server that keeps the leases.
pub(crate) struct Hearsay {
    known_within: Duration,
    out_of_touch_for: Duration,
    /// When faults and stalls were there: in order and disjoint. Their ends belong to them.
    disturbed: Vec<(RunTime, RunTime)>,
    /// When probes showed that the leadership moved, in order.
    elections: Vec<RunTime>,
}

impl Hearsay {
    pub(crate) fn of(contract: SecondHand, surroundings: &Surroundings) -> Self {
        let context = Context::of(surroundings);
        let faults = context.faults.iter().filter(|fault| !fault.is_of_clocks());
        let faults = faults.map(|fault| (fault.begun, fault.ended.unwrap_or(RunTime(u64::MAX))));
        Self {
            known_within: Duration::from_millis(contract.known_within_ms),
            out_of_touch_for: Duration::from_millis(contract.out_of_touch_for_ms),
            disturbed: union(faults.chain(stalls(surroundings, RunTime(u64::MAX))).collect()),
            elections: context.unsettled,
        }
    }

    /// When the last of the renewals was invoked that are known, or the acquisition was, where none is. `stands_until` tells the earliest legal expiry by an
    /// invocation that is known. The renewals are those that were answered `ok`, in the order of their invocations.
    pub(crate) fn last_known(
        &self,
        acquired: RunTime,
        renewals: &[&Op],
        stands_until: impl Fn(RunTime) -> RunTime,
    ) -> RunTime {
        let in_touch = |renewal: &&&Op| renewal.ended.is_some_and(|ended| self.is_undisturbed(renewal.invoked, ended));
        let last_in_touch = renewals.iter().rfind(in_touch).map_or(acquired, |renewal| renewal.invoked);
        let mut known = acquired;
        for renewal in renewals {
            let Some(ended) = renewal.ended else { continue };
            let arrived = ended.after(self.known_within);
            let stood = arrived <= stands_until(known) || last_in_touch >= arrived.after(self.known_within);
            if stood && self.is_undisturbed(renewal.invoked, arrived) {
                known = known.max(renewal.invoked);
            }
        }
        known
    }

    fn is_undisturbed(&self, invoked: RunTime, arrived: RunTime) -> bool {
        let from = RunTime(invoked.as_nanos().saturating_sub(nanos(self.out_of_touch_for)));
        let shown_by = arrived.max(invoked.after(JUST_SEEN));
        let fault = self.disturbed.partition_point(|(_, until)| *until < from);
        let election = self.elections.partition_point(|at| *at < from);
        self.disturbed.get(fault).is_none_or(|(begin, _)| *begin > arrived)
            && self.elections.get(election).is_none_or(|at| *at > shown_by)
    }
}

fn nanos(long: Duration) -> u64 {
    u64::try_from(long.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::contract::{Contract, SecondHand};
    use crate::history::EventType;
    use crate::script::{Fault, Script, script};
    use crate::verdict::{AnomalyKind, Grade, Verdict};

    const PAUSE: Fault<'_> = Fault(1, "pause", "pause", "n2");

    fn by_hearsay(contract: &mut Contract) {
        contract.second_hand = Some(SecondHand { known_within_ms: 700, out_of_touch_for_ms: 2_200 });
    }

    /// Leases of a service whose followers answer: a leader that is known from the first second on.
    fn calm() -> Script {
        script().contract(by_hearsay).steady(0..30_000, "n1", 5)
    }

    /// By how much a lease ended too early, in milliseconds, where it did.
    fn early(script: Script) -> Option<u64> {
        let judgement = crate::check(&script.history());
        assert_eq!(judgement.checkers["well-formed"].verdict, Verdict::Valid, "{judgement:?}");
        let early = judgement.anomalies.into_iter().find(|anomaly| anomaly.kind == AnomalyKind::PrematureExpiry);
        early.filter(|anomaly| anomaly.grade == Grade::Proven).map(|anomaly| anomaly.margin_ns / 1_000_000)
    }

    /// Acquired at 10 s, renewed at 11 s, and gone by 13.1 s, 0.9 s too early if the renewal counts.
    fn renewed(calm: Script) -> Script {
        calm.acquire(1, "a", 10_000..10_100, 3_000).renew(1, "a", 11_000..11_100, 3_000).watch(13_100, "deleted", "a")
    }

    #[test]
    fn in_a_calm_cluster_all_renewals_count() {
        assert_eq!(early(renewed(calm())), Some(900));
        assert_eq!(early(renewed(calm()).contract(|contract| contract.second_hand = None)), Some(900));
    }

    #[test]
    fn a_fault_near_a_renewal_makes_it_worth_nothing() {
        let paused = |from: u64, until: u64| renewed(calm().fault(PAUSE, from..from + 5, Some(until - 5..until)));
        assert_eq!(early(paused(11_050, 12_000)), None);
        assert_eq!(early(paused(11_800, 12_000)), None);
        assert_eq!(early(paused(11_801, 12_000)), Some(900));
        assert_eq!(early(paused(8_000, 8_800)), None);
        assert_eq!(early(paused(8_000, 8_799)), Some(900));
        let for_good = calm().fault(PAUSE, 1_000..1_005, None);
        assert_eq!(early(renewed(for_good)), None);
    }

    #[test]
    fn the_acquisition_counts_whatever_happens() {
        let paused = calm().fault(PAUSE, 9_000..9_005, None);
        assert_eq!(early(paused.acquire(1, "a", 10_000..10_100, 3_000).watch(12_000, "deleted", "a")), Some(1_000));
    }

    #[test]
    fn clocks_that_are_moved_are_no_excuse() {
        let moved = calm().fault(Fault(1, "clock", "clock +10 s", "n1"), 11_050..11_060, None);
        assert_eq!(early(renewed(moved)), Some(900));
        let nothing = calm().nemesis(11_050, EventType::Invoke, crate::history::vocabulary::FaultPhase::Inject, PAUSE);
        let refused = nothing.nemesis(11_060, EventType::Fail, crate::history::vocabulary::FaultPhase::Inject, PAUSE);
        assert_eq!(early(renewed(refused)), Some(900));
    }

    #[test]
    fn an_election_that_is_seen_around_it_makes_it_worth_nothing() {
        let elected = |at| calm().leader(at, "n2", Some("n2"), 6);
        assert_eq!(early(renewed(elected(8_799))), Some(900));
        assert_eq!(early(renewed(elected(8_800))), None);
        assert_eq!(early(renewed(elected(13_000))), None);
        assert_eq!(early(renewed(elected(13_001))), Some(900));
    }

    #[test]
    fn so_does_a_node_that_falls_silent_and_where_there_are_no_probes() {
        let silent =
            |from: u64| script().contract(by_hearsay).steady(0..from, "n1", 5).steady(from + 501..30_000, "n1", 5);
        assert_eq!(early(renewed(silent(11_200))), None);
        assert_eq!(early(renewed(silent(12_200))), Some(900));
        assert_eq!(early(renewed(script().contract(by_hearsay))), None);
        let ended = script().contract(by_hearsay).steady(0..11_700, "n1", 5);
        assert_eq!(early(renewed(ended)), None);
    }

    #[test]
    fn a_renewal_at_the_last_moment_may_come_too_late() {
        let last = |ended: u64| {
            let late = calm().acquire(1, "a", 10_000..10_100, 3_000).renew(1, "a", 12_000..ended, 3_000);
            late.watch(13_900, "deleted", "a")
        };
        assert_eq!(early(last(12_300)), Some(1_100));
        assert_eq!(early(last(12_301)), None);
        // Another that was asked for when an end before it arrived would be known shows that it came in time.
        let again = |asked| last(12_301).renew(1, "a", asked..asked + 10, 3_000).watch(15_990, "deleted", "a");
        assert_eq!(early(again(13_700)), None);
        assert_eq!(early(again(13_701)), Some(2_801));
    }

    /// Found by a sceptic: the first renewal arrived when the lease was over. A follower that is cut off then does not know, and
    /// confirms the second one as well.
    #[test]
    fn regression_a_renewal_that_came_too_late_is_confirmed_by_a_server_out_of_touch() {
        let twice = |cut_off: u64| {
            let calm = calm().fault(PAUSE, cut_off..cut_off + 5, None);
            let held = calm.acquire(1, "a", 10_000..10_100, 3_000).renew(1, "a", 12_000..12_400, 3_000);
            held.renew(1, "a", 13_900..13_950, 3_000).watch(13_990, "deleted", "a")
        };
        assert_eq!(early(twice(13_500)), None);
        assert_eq!(early(twice(13_951)), Some(1_010));
    }

    #[test]
    fn of_several_renewals_the_last_that_is_known_counts() {
        let paused = calm().fault(PAUSE, 12_000..12_005, None);
        let held = paused.acquire(1, "a", 10_000..10_100, 3_000).renew(1, "a", 11_000..11_100, 3_000);
        let held = held.renew(1, "a", 12_100..12_200, 3_000).renew(1, "a", 13_200..13_300, 3_000);
        assert_eq!(early(held.clone().watch(13_900, "deleted", "a")), Some(100));
        assert_eq!(early(held.watch(14_000, "deleted", "a")), None);
    }
}
