//! What a history tells, as far as the definitions speak of it. All times are in nanoseconds.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use leasehold_checkers::history::vocabulary::{FaultPhase, code};
use leasehold_checkers::history::{
    Action, EventType, Header, History, LeaderView, Op, Ops, Outcome, Surroundings, WatchedLoss,
};
use leasehold_checkers::verdict::{Anomaly, Grade};

pub(crate) const MS: u64 = 1_000_000;

/// An anomaly as the definition has it.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) at: u64,
    pub(crate) grade: Grade,
    /// Where the definition leaves open against what it is measured, each that it allows.
    pub(crate) margins: BTreeSet<u64>,
    /// Ops that must be among those that it names.
    pub(crate) ops: Vec<usize>,
}

impl Expected {
    pub(crate) fn is(&self, told: &Anomaly) -> bool {
        let names_them = self.ops.iter().all(|op| told.ops.contains(op));
        told.at_ns == self.at && told.grade == self.grade && self.margins.contains(&told.margin_ns) && names_them
    }
}

pub(crate) struct Facts<'a> {
    pub(crate) header: &'a Header,
    pub(crate) ops: &'a [Op],
    pub(crate) losses: &'a [WatchedLoss],
    pub(crate) views: &'a [LeaderView],
    pub(crate) faults: Vec<Fault>,
    pub(crate) begin: u64,
    pub(crate) end: u64,
    /// When each node told who leads.
    pub(crate) beats: BTreeMap<&'a str, Vec<u64>>,
    /// For each server the times at which its process was seen to run.
    pub(crate) runs: BTreeMap<&'a str, Vec<u64>>,
    signs: OnceCell<Vec<u64>>,
}

/// A fault, from its begin until its end, if it ended.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) of_clocks: bool,
    /// It puts back the state that was there when it began.
    pub(crate) restores: bool,
    /// The servers that it hits.
    pub(crate) nodes: Vec<String>,
    pub(crate) begun: u64,
    pub(crate) ended: Option<u64>,
}

/// An acquisition that was answered `ok`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant<'a> {
    pub(crate) op: &'a Op,
    pub(crate) owner: &'a str,
    pub(crate) ttl: u64,
    pub(crate) token: Option<u64>,
}

impl Grant<'_> {
    pub(crate) fn invoked(&self) -> u64 {
        self.op.invoked.0
    }

    pub(crate) fn ended(&self) -> u64 {
        self.op.ended.map_or(u64::MAX, |ended| ended.0)
    }
}

/// Something that shows that a lease is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone<'a> {
    /// When it was complete.
    pub(crate) at: u64,
    /// To whom the lock was given, where that is all that shows it.
    pub(crate) given_to: Option<&'a str>,
    /// The renewal or release that was told so.
    pub(crate) own_op: Option<usize>,
}

impl Gone<'_> {
    fn at(at: u64) -> Self {
        Self { at, given_to: None, own_op: None }
    }
}

/// A request that found an owner in possession.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    pub(crate) op: usize,
    pub(crate) invoked: u64,
    pub(crate) ended: u64,
    pub(crate) is_read: bool,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(history: &'a History, ops: &'a Ops, surroundings: &'a Surroundings) -> Self {
        let mut beats: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for view in &surroundings.leaders {
            beats.entry(&view.node).or_default().push(view.time.0);
        }
        let mut runs: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for event in history.events.iter().filter(|event| event.f == "process") {
            runs.entry(event.node.as_deref().unwrap_or_default()).or_default().push(event.time.0);
        }
        Self {
            header: &history.header,
            ops: &ops.all,
            losses: &surroundings.losses,
            views: &surroundings.leaders,
            faults: faults(surroundings),
            begin: history.events.first().map_or(0, |event| event.time.0),
            end: history.events.last().map_or(0, |event| event.time.0),
            beats,
            runs,
            signs: OnceCell::new(),
        }
    }

    pub(crate) fn grants(&self) -> Vec<Grant<'a>> {
        let granted = |op: &'a Op| match &op.action {
            Action::Acquire { owner, granted: Some(granted), .. } => {
                Some(Grant { op, owner, ttl: granted.ttl_ms * MS, token: granted.token })
            }
            _ => None,
        };
        self.ops.iter().filter_map(granted).collect()
    }

    pub(crate) fn renewals(&self, grant: &Grant<'_>) -> Vec<&'a Op> {
        let is_one = |op: &&Op| matches!(&op.action, Action::Renew { owner, .. } if owner == grant.owner);
        self.ops.iter().filter(is_one).filter(|op| op.key == grant.op.key).collect()
    }

    /// What may have prolonged a lease: renewals, and where any sign of life does that, releases too.
    pub(crate) fn signs_of_life(&self, grant: &Grant<'_>) -> Vec<&'a Op> {
        let releases = if self.header.contract.second_hand.is_some() { self.releases(grant) } else { Vec::new() };
        self.renewals(grant).into_iter().chain(releases).collect()
    }

    pub(crate) fn releases(&self, grant: &Grant<'_>) -> Vec<&'a Op> {
        let is_one = |op: &&Op| matches!(&op.action, Action::Release { owner } if owner == grant.owner);
        self.ops.iter().filter(is_one).filter(|op| op.key == grant.op.key).collect()
    }

    /// A linearizable read that showed it, or an acquisition that was refused because of it.
    pub(crate) fn sights(&self, key: &str, owner: &str) -> Vec<Sight> {
        let sight = |op: &Op| {
            let (seen, is_read) = match &op.action {
                Action::Read { linearizable: true, seen: Some(Some(seen)) } => (seen, true),
                Action::Acquire { holder: Some(holder), .. } => (holder, false),
                _ => return None,
            };
            let ended = op.ended.expect("it was answered").0;
            (op.key == key && seen == owner).then_some(Sight { op: op.index, invoked: op.invoked.0, ended, is_read })
        };
        self.ops.iter().filter_map(sight).collect()
    }

    /// `T/(1+rho)`, rounded down.
    pub(crate) fn by_the_fastest_clock(&self, ns: u64) -> u64 {
        u64::try_from(u128::from(ns) * 1_000_000 / u128::from(1_000_000 + self.header.clock_rate_error_ppm))
            .expect("small")
    }

    /// `T/(1-rho)`, rounded up.
    pub(crate) fn by_the_slowest_clock(&self, ns: u64) -> u64 {
        let slowest = u128::from(1_000_000 - self.header.clock_rate_error_ppm);
        u64::try_from((u128::from(ns) * 1_000_000).div_ceil(slowest)).expect("small")
    }

    /// The earliest legal expiry: of all that the service may have carried out last, the one that promises least.
    pub(crate) fn earliest_expiry(&self, grant: &Grant<'_>) -> u64 {
        let renewals = self.renewals(grant);
        let confirmed: Vec<(u64, u64, u64)> = std::iter::once((grant.invoked(), grant.ended(), grant.ttl))
            .chain(renewals.iter().filter_map(|op| match op.action {
                Action::Renew { granted_ttl_ms: Some(ttl_ms), .. } => Some((op.invoked.0, op.ended?.0, ttl_ms * MS)),
                _ => None,
            }))
            .collect();
        let shortest = confirmed.iter().map(|(.., ttl)| *ttl).min().expect("the grant");
        let last_asked = self.last_known(&confirmed, shortest);
        let unanswered = renewals.iter().filter(|op| op.is_unanswered()).map(|op| match op.action {
            Action::Renew { asked_ttl_ms: Some(ttl_ms), .. } => (op.invoked.0, ttl_ms * MS),
            _ => (op.invoked.0, shortest),
        });
        let may_be_last = confirmed.iter().filter(|(_, ended, _)| *ended >= last_asked).map(|c| (c.0, c.2));
        let by_time = may_be_last.chain(unanswered).map(|(invoked, ttl)| {
            let from = if self.header.contract.counts_from_request { invoked } else { invoked.max(last_asked) };
            (from + self.by_the_fastest_clock(ttl)).saturating_sub(self.header.contract.early_slack_ms * MS)
        });
        by_time.chain(self.hits_of_its_server(grant)).min().expect("the grant")
    }

    /// Where leases end with their servers: each instant from the request on at which a fault other than of clocks begins at the server
    /// that was asked, or the request itself, if one is there already or was a moment ago.
    fn hits_of_its_server(&self, grant: &Grant<'_>) -> Vec<u64> {
        let node = grant.op.node.as_ref().expect("each request of these stories names its server");
        let hits = |fault: &&Fault| {
            let aftermath = if fault.restores { 0 } else { 10_000 * MS };
            fault.nodes.iter().any(|hit| **hit == **node)
                && fault.ended.is_none_or(|ended| ended + aftermath >= grant.invoked())
        };
        let begins = self.disturbances().filter(hits).map(|fault| fault.begun.max(grant.invoked()));
        begins.filter(|_| self.header.contract.ends_with_its_server).collect()
    }

    /// When the last was asked for of the acquisition, which is the first of these, and of the renewals that certainly reached whoever
    /// keeps the leases.
    fn last_known(&self, confirmed: &[(u64, u64, u64)], shortest: u64) -> u64 {
        let (acquired, renewals) = confirmed.split_first().expect("the grant");
        let Some(contract) = self.header.contract.second_hand else {
            return confirmed.iter().map(|(invoked, ..)| *invoked).max().expect("the grant");
        };
        let undisturbed = |invoked: u64, until: u64| {
            let from = invoked.saturating_sub(contract.out_of_touch_for_ms * MS);
            let fault =
                self.disturbances().any(|fault| fault.begun <= until && fault.ended.is_none_or(|ended| ended >= from));
            let shown_by = until.max(invoked + 2_000 * MS);
            let election = self.signs_of_elections().iter().any(|at| (from..=shown_by).contains(at));
            let silent = self.beats.values().any(|beats| {
                let beats: Vec<u64> = [self.begin].iter().chain(beats).chain([&u64::MAX]).copied().collect();
                beats.windows(2).any(|pair| pair[1] - pair[0] > 500 * MS && pair[0] <= until && pair[1] >= from)
            });
            !fault && !election && !silent && !self.beats.is_empty()
        };
        let mut known = acquired.0;
        for (invoked, ended, _) in renewals {
            let arrived = ended + contract.known_within_ms * MS;
            let slack = self.header.contract.early_slack_ms * MS;
            let in_time = arrived <= (known + self.by_the_fastest_clock(shortest)).saturating_sub(slack);
            let heard_of_it = arrived + contract.known_within_ms * MS;
            let seen_to_stand = renewals
                .iter()
                .any(|(another, answered, _)| *another >= heard_of_it && undisturbed(*another, *answered));
            if (in_time || seen_to_stand) && undisturbed(*invoked, arrived) {
                known = known.max(*invoked);
            }
        }
        known
    }

    /// The greatest TTL that was asked for in a renewal, or granted.
    pub(crate) fn longest_ttl(&self, grant: &Grant<'_>) -> u64 {
        let spoken = self.renewals(grant).into_iter().flat_map(|op| match op.action {
            Action::Renew { asked_ttl_ms, granted_ttl_ms, .. } => [asked_ttl_ms, granted_ttl_ms],
            _ => [None, None],
        });
        spoken.flatten().map(|ttl_ms| ttl_ms * MS).fold(grant.ttl, u64::max)
    }

    /// Each thing that shows that the lease is gone.
    pub(crate) fn gone(&self, grant: &Grant<'a>) -> Vec<Gone<'a>> {
        let elsewhere = self.elsewhere(grant).into_iter().map(|(at, given_to)| Gone { given_to, ..Gone::at(at) });
        self.told_gone(grant).into_iter().chain(elsewhere).collect()
    }

    /// What the owner itself was told, and what a watch was.
    fn told_gone(&self, grant: &Grant<'a>) -> Vec<Gone<'a>> {
        let key = &grant.op.key;
        let mut gone = Vec::new();
        let renewals = self.renewals(grant);
        for op in renewals.iter().chain(&self.releases(grant)) {
            let Some(told) = op.ended else { continue };
            let after = op.invoked.0 > grant.ended();
            let renewed_before = renewals
                .iter()
                .any(|other| other.outcome == Outcome::Ok && other.ended.is_some_and(|ended| ended < op.invoked));
            // Nothing that may have changed the value was under way at any time of it.
            let alone = renewals.iter().filter(|other| other.index != op.index).all(|other| {
                let before = !other.is_unanswered() && other.ended.is_some_and(|ended| ended < op.invoked);
                before || other.invoked > told
            });
            let shows = op.failed_with(code::NOT_HELD) && after
                || op.failed_with(code::EXPIRED) && (after || renewed_before)
                || op.failed_with(code::MISMATCH) && after && alone;
            if shows {
                gone.push(Gone { own_op: Some(op.index), ..Gone::at(told.0) });
            }
        }
        let watched = self.losses.iter().filter(|loss| loss.key == *key && loss.owner == grant.owner);
        gone.extend(watched.map(|loss| Gone::at(loss.time.0)));
        gone.retain(|gone| gone.at > grant.invoked());
        gone
    }

    /// Whether an owner's lock was over before this, as its release, its own answers or a watch tell.
    fn was_over(&self, key: &str, owner: &str, before: u64) -> bool {
        let grants = self.grants();
        let Some(grant) = grants.iter().find(|grant| grant.op.key == *key && grant.owner == owner) else {
            return false;
        };
        let given_back = |op: &&&Op| op.outcome == Outcome::Ok && op.invoked.0 > grant.ended();
        let releases = self.releases(grant);
        let released = releases.iter().filter(given_back).filter_map(|op| op.ended).map(|ended| ended.0);
        let told = self.told_gone(grant).into_iter().map(|gone| gone.at);
        released.chain(told).any(|over| over < before)
    }

    /// When each thing was complete that shows the lock in nobody's hands or in another's, and whether it is but the grant of
    /// another, and then whose.
    pub(crate) fn elsewhere(&self, grant: &Grant<'a>) -> Vec<(u64, Option<&'a str>)> {
        let key = &grant.op.key;
        let mut elsewhere = Vec::new();
        for op in self.ops.iter().filter(|op| op.key == *key && op.invoked.0 > grant.ended()) {
            if let Action::Read { linearizable: true, seen: Some(seen) } = &op.action
                && seen.as_deref() != Some(grant.owner)
                && !seen.as_deref().is_some_and(|owner| self.was_over(key, owner, op.invoked.0))
            {
                elsewhere.push((op.ended.expect("it was answered").0, None));
            }
        }
        let others: Vec<Grant<'a>> = self.grants().into_iter().filter(|other| other.op.key == *key).collect();
        let tokens_tell = self.header.contract.fencing_tokens && !contradict(&others);
        let has_greater = |other: &&Grant<'_>| grant.token.zip(other.token).is_some_and(|(mine, theirs)| theirs > mine);
        // One with a greater token that was complete at the very instant of the request: then tokens and times hardly agree.
        let first = others.iter().filter(has_greater).map(Grant::ended).min();
        let tokens_tell = tokens_tell && first.is_some_and(|first| first > grant.invoked());
        for other in others.iter().filter(|other| other.op.index != grant.op.index) {
            if other.invoked() > grant.ended() || tokens_tell && has_greater(&other) {
                elsewhere.push((other.ended(), Some(other.owner)));
            }
        }
        elsewhere.retain(|(at, _)| *at > grant.invoked());
        elsewhere
    }

    /// When a probe told of a newer term or another leader than before, or of none.
    pub(crate) fn signs_of_elections(&self) -> &[u64] {
        self.signs.get_or_init(|| self.all_signs_of_elections())
    }

    fn all_signs_of_elections(&self) -> Vec<u64> {
        let is_sign = |place: &usize| {
            let (before, view) = (&self.views[..*place], &self.views[*place]);
            let newest = before.iter().map(|other| other.term).max();
            let known = before.iter().rfind(|other| Some(other.term) == newest && other.leader.is_some());
            let named_otherwise = known.and_then(|known| known.leader.as_ref()) != view.leader.as_ref();
            view.leader.is_none()
                || newest.is_none_or(|newest| view.term > newest || view.term == newest && named_otherwise)
        };
        (0..self.views.len()).filter(is_sign).map(|place| self.views[place].time.0).collect()
    }

    /// The faults other than of clocks.
    pub(crate) fn disturbances(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(|fault| !fault.of_clocks)
    }
}

/// Whether a grant was over before another was asked for, and has no smaller token.
fn contradict(grants: &[Grant<'_>]) -> bool {
    grants.iter().any(|one| {
        grants.iter().any(|other| {
            let tokens = one.token.zip(other.token);
            one.ended() < other.invoked() && tokens.is_some_and(|(earlier, later)| earlier >= later)
        })
    })
}

/// What is uncertain is taken for the longer. These stories begin each fault once, and may heal it more than once.
fn faults(surroundings: &Surroundings) -> Vec<Fault> {
    let numbers: BTreeSet<u64> = surroundings.faults.iter().map(|event| event.value.fault).collect();
    let of_number = |number: u64| {
        let events: Vec<_> = surroundings.faults.iter().filter(|event| event.value.fault == number).collect();
        let begins = |event: &&&_| -> bool {
            let event: &leasehold_checkers::history::FaultEvent = event;
            event.value.phase == FaultPhase::Inject
        };
        let begun = events.iter().find(begins).map_or(0, |event| event.time.0);
        let never = events.iter().filter(begins).any(|event| event.kind == EventType::Fail);
        let healed = events.iter().find(|event| event.value.phase == FaultPhase::Heal && event.kind == EventType::Ok);
        let of_clocks = events[0].package == "clock";
        let restores = events[0].package == "snapshot";
        let nodes = events[0].value.nodes.clone();
        (!never).then_some(Fault { of_clocks, restores, nodes, begun, ended: healed.map(|event| event.time.0) })
    };
    numbers.into_iter().filter_map(of_number).collect()
}
