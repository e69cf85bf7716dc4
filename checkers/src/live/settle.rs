//! Finds what is past, and forgets it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::{Judge, seen_by};
use crate::checks::lockup::calm::Calm;
use crate::checks::lockup::stuck;
use crate::checks::overdue_expiry::{Renewals, overdue, sightings};
use crate::checks::{Run, SettledLock, double_run, nonlinearizable};
use crate::context::JUST_SEEN;
use crate::history::{Action, Op, Outcome, RunTime, Word};
use crate::holds::Grant;
use crate::servers::AFTERMATH;
use crate::verdict::{Anomaly, AnomalyKind, Grade};

/// What is to become of what is kept.
#[derive(Default)]
struct Plan {
    /// Ops that are not needed any more.
    dropped: BTreeSet<usize>,
    /// Grants that are settled, by their acquisitions.
    past: Vec<usize>,
    /// Owners that must not be named any more.
    forgotten: Vec<(Word, String)>,
    settled: BTreeMap<Word, SettledLock>,
    certain: Vec<Anomaly>,
}

impl Judge {
    /// Settles what is past.
    pub(super) fn settle(&mut self) {
        self.settle_sums();
        if self.form.is_flawed() || self.reopened {
            // What is kept will not be judged here.
            self.pairing.ops.all.retain(|op| op.ended.is_none());
            self.surroundings.losses.clear();
        } else {
            let plan = self.plan();
            self.carry_out(plan);
        }
        let kept = self.pairing.ops.all.len();
        let every = self.settling.map_or(usize::MAX, |settling| settling.every);
        self.settle_at = kept.saturating_add(every.max(kept / 2));
    }

    /// Settles what is kept of all ops together.
    pub(super) fn settle_sums(&mut self) {
        let under_way = self.pairing.ops.iter().filter(|op| op.ended.is_none());
        let oldest = under_way.map(|op| op.invoked).min().unwrap_or(self.end);
        self.hangs.settle(oldest.min(self.end));
        self.service.settle();
    }

    fn plan(&self) -> Plan {
        let run = self.run();
        let anomalies = of_locks(&run);
        let mut seen: BTreeMap<&str, BTreeMap<&str, Vec<&Op>>> = BTreeMap::new();
        for ((key, owner), ops) in sightings(run.ops) {
            seen.entry(key).or_default().insert(owner, ops);
        }
        let found = Found {
            sightings: seen,
            mentioned: anomalies.iter().flat_map(|anomaly| anomaly.ops.iter().copied()).collect(),
            stuck: stuck::since(&run, &Calm::of(&run)),
        };
        let mut ops: BTreeMap<&Word, Vec<&Op>> = BTreeMap::new();
        run.ops.iter().for_each(|op| ops.entry(&op.key).or_default().push(op));
        let mut plan = Plan::default();
        for (key, ops) in &ops {
            Lock::of(self, &run, &found, key, ops).settle(&mut plan);
        }
        let under_way = |key: &str| {
            let open = ops.get(&Word::from(key)).into_iter().flatten().filter(|op| op.ended.is_none());
            open.map(|op| op.invoked).min().unwrap_or(self.end).min(self.end)
        };
        let is_certain = |anomaly: &Anomaly| is_certain(&run, anomaly, under_way(&anomaly.key));
        plan.certain = anomalies.into_iter().filter(is_certain).collect();
        // What a ledger took, and what was answered, is never taken back.
        plan.certain.extend(double_run::check(&run).1);
        if run.registers.is_some() {
            plan.certain.extend(nonlinearizable::check(&run).1);
        }
        plan
    }

    fn carry_out(&mut self, plan: Plan) {
        let Plan { dropped, past, forgotten, settled, certain } = plan;
        self.certain = certain;
        self.settled.extend(settled);
        self.past.extend(past);
        self.past.retain(|grant| !dropped.contains(grant));
        for (key, owner) in forgotten {
            self.pairing.names.forget(&key, &owner);
            self.strangers.remove(&(key, owner));
        }
        self.pairing.ops.all.retain(|op| !dropped.contains(&op.index));
        let names = &self.pairing.names;
        self.surroundings.losses.retain(|loss| !names.is_forgotten(&loss.key, &loss.owner));
    }
}

/// What is found on single locks.
fn of_locks(run: &Run<'_>) -> Vec<Anomaly> {
    super::of_locks(run.header).flat_map(|(_, checker)| checker(run).1).collect()
}

/// Whether no later event can take an anomaly back, with the instant before which everything that was asked for on its lock has
/// ended.
///
/// A later renewal can bring the earliest legal expiry no further forward than to its own invocation less the slack. Where renewals
/// are passed on, all of those that were answered must be known for good. Tokens that fall
/// later show that tokens tell nothing, so what rests on them alone is not certain.
fn is_certain(run: &Run<'_>, anomaly: &Anomaly, ended_before: RunTime) -> bool {
    let slack = Duration::from_millis(run.header.contract.early_slack_ms);
    let is_over = RunTime(anomaly.at_ns).after(slack) < ended_before;
    let granted: Vec<&Op> = anomaly
        .ops
        .iter()
        .filter_map(|op| run.ops.get(*op))
        .filter(|op| matches!(op.action, Action::Acquire { granted: Some(_), .. }))
        .collect();
    let is_over =
        is_over && renewals_are_known(run, anomaly, ended_before) && servers_are_known(run, anomaly, ended_before);
    let by_time = || match granted.as_slice() {
        [_] => true,
        [one, other] => one.ended.is_some_and(|ended| ended < other.invoked),
        _ => false,
    };
    anomaly.grade == Grade::Proven
        && match anomaly.kind {
            AnomalyKind::Fencing | AnomalyKind::LostGrant => true,
            AnomalyKind::DoubleAcquisition => is_over && anomaly.lease_gone_for_ns.is_none(),
            AnomalyKind::PrematureExpiry => is_over && by_time(),
            AnomalyKind::StaleRead => is_over && granted.len() == 1,
            _ => false,
        }
}

/// Whether no server can turn out to have left by the time of an anomaly.
fn servers_are_known(run: &Run<'_>, anomaly: &Anomaly, now: RunTime) -> bool {
    let contract = &run.header.contract;
    let may_have_left = contract.ends_with_its_server && !contract.patience.is_conclusive;
    !may_have_left || RunTime(anomaly.at_ns).after(AFTERMATH).after(JUST_SEEN) < now
}

/// Whether nothing can turn up any more that came between the renewals of the grants of an anomaly and the server that keeps the
/// leases.
fn renewals_are_known(run: &Run<'_>, anomaly: &Anomaly, now: RunTime) -> bool {
    if run.header.contract.second_hand.is_none() {
        return true;
    }
    let grants = run.grants.get(anomaly.key.as_str()).into_iter().flatten();
    let concerned = grants.filter(|grant| anomaly.ops.contains(&grant.acquire));
    let last = concerned.flat_map(|grant| &grant.renewals).filter_map(|renewal| run.ops[*renewal].ended).max();
    last.is_none_or(|last| last.after(known_within(run)).after(JUST_SEEN) < now)
}

/// What was found out about all that is kept.
struct Found<'a> {
    sightings: BTreeMap<&'a str, BTreeMap<&'a str, Vec<&'a Op>>>,
    /// The ops that take part in an anomaly.
    mentioned: BTreeSet<usize>,
    /// Since when locks are refused to everybody.
    stuck: BTreeMap<&'a str, RunTime>,
}

impl<'a> Found<'a> {
    /// What saw an owner hold a lock.
    fn seen(&self, key: &str, owner: &str) -> &[&'a Op] {
        self.sightings.get(key).and_then(|by_owner| by_owner.get(owner)).map_or(&[], Vec::as_slice)
    }
}

/// One lock, and what of it is past.
struct Lock<'a> {
    judge: &'a Judge,
    run: &'a Run<'a>,
    found: &'a Found<'a>,
    key: &'a Word,
    ops: &'a [&'a Op],
    /// Its grants in the order of their answers.
    grants: Vec<&'a Grant>,
    /// By when each of them was over in every respect; `None` where that is not known.
    quiet: Vec<Option<RunTime>>,
    /// When the oldest op was asked that is under way.
    under_way: RunTime,
    /// Things are past before this.
    horizon: RunTime,
}

impl<'a> Lock<'a> {
    fn of(judge: &'a Judge, run: &'a Run<'a>, found: &'a Found<'a>, key: &'a Word, ops: &'a [&'a Op]) -> Self {
        let mut grants: Vec<&Grant> = run.grants.get(key).into_iter().flatten().collect();
        grants.sort_by_key(|grant| (grant.ended, grant.acquire));
        let under_way = ops.iter().filter(|op| op.ended.is_none()).map(|op| op.invoked).min();
        let under_way = under_way.unwrap_or(RunTime(u64::MAX));
        let stuck = found.stuck.get(key.as_str()).copied().unwrap_or(RunTime(u64::MAX));
        let horizon = judge.horizon().min(under_way).min(stuck);
        let quiet = grants.iter().map(|grant| quiet(run, found, grant)).collect();
        Self { judge, run, found, key, ops, grants, quiet, under_way, horizon }
    }

    fn settle(&self, plan: &mut Plan) {
        let first_kept = self.settle_grants(plan);
        let current = self.grants[first_kept..].iter().map(|grant| grant.invoked).min();
        // Before this nothing was asked for that is not past.
        let asked_from = current.unwrap_or(RunTime(u64::MAX)).min(self.under_way);
        let over = (0..first_kept).take_while(|place| self.quiet[*place].is_some_and(|quiet| quiet < asked_from));
        let dropped = over.count();
        self.carry(&self.grants[..dropped], plan);
        self.drop_ops(dropped, asked_from, plan);
    }

    /// Settles the grants up to the first that cannot be, and gives its place.
    fn settle_grants(&self, plan: &mut Plan) -> usize {
        let mut seen_later = vec![RunTime(u64::MAX); self.grants.len() + 1];
        for (place, grant) in self.grants.iter().enumerate().rev() {
            let first = self.seen(&grant.owner).iter().filter_map(|op| op.ended).min();
            seen_later[place] = seen_later[place + 1].min(first.unwrap_or(RunTime(u64::MAX)));
        }
        for (place, grant) in self.grants.iter().enumerate() {
            if self.judge.past.contains(&grant.acquire) {
                continue;
            }
            let is_quiet = self.quiet[place].is_some_and(|quiet| quiet < self.horizon);
            let believed_before = self
                .grants
                .get(place + 1)
                .is_none_or(|next| grant.beliefs.last().is_none_or(|last| last.from < next.ended));
            let may_be_phantom = self.seen(&grant.owner).is_empty() && seen_later[place + 1] < grant.invoked;
            let is_mentioned = self.found.mentioned.contains(&grant.acquire);
            if !is_quiet || !believed_before || may_be_phantom || is_mentioned {
                return place;
            }
            plan.past.push(grant.acquire);
            plan.forgotten.push((self.key.clone(), grant.owner.clone()));
            let settled = self.settled_mut(plan);
            settled.until = settled.until.max(grant.ended);
        }
        self.grants.len()
    }

    fn settled_mut<'p>(&self, plan: &'p mut Plan) -> &'p mut SettledLock {
        plan.settled.entry(self.key.clone()).or_insert_with(|| {
            self.judge.settled.get(self.key).cloned().unwrap_or(SettledLock {
                free_from: Some(RunTime::default()),
                longest_ttl: Duration::ZERO,
                greatest_token: None,
                until: RunTime::default(),
            })
        })
    }

    /// Keeps the sums of the grants that are dropped.
    fn carry(&self, dropped: &[&Grant], plan: &mut Plan) {
        for grant in dropped {
            let gone = stuck::gone_by(self.run, grant);
            let settled = self.settled_mut(plan);
            settled.free_from = settled.free_from.zip(gone).map(|(known, gone)| known.max(gone));
            settled.longest_ttl = settled.longest_ttl.max(grant.longest_ttl);
            settled.greatest_token = settled.greatest_token.max(grant.token);
        }
    }

    fn seen(&self, owner: &str) -> &[&'a Op] {
        self.found.seen(self.key, owner)
    }

    /// Drops the first grants, and all ops that nothing which is kept depends on.
    fn drop_ops(&self, first: usize, asked_from: RunTime, plan: &mut Plan) {
        let delayed = self.run.header.contract.lock_delay_ms.is_some();
        let before = if delayed { self.horizon.min(asked_from) } else { self.horizon };
        let kept = Kept::of(self, first, before);
        for op in self.ops {
            if op.ended.is_some_and(|ended| ended < before)
                && !self.found.mentioned.contains(&op.index)
                && !kept.needs(op)
            {
                plan.dropped.insert(op.index);
                if let Action::Acquire { owner, granted: None, .. } = &op.action {
                    plan.forgotten.push((self.key.clone(), owner.clone()));
                }
            }
        }
        plan.dropped.extend(self.grants[..first].iter().map(|grant| grant.acquire));
    }
}

/// By when a grant was over in every respect.
fn quiet(run: &Run<'_>, found: &Found<'_>, grant: &Grant) -> Option<RunTime> {
    let own = || grant.renewals.iter().chain(&grant.releases).map(|op| &run.ops[*op]);
    let own_ended = own().try_fold(grant.ended, |last, op| Some(last.max(op.ended?)))?;
    let own_known = own_ended.after(known_within(run));
    let released = own().filter(|op| {
        matches!(op.action, Action::Release { .. }) && op.outcome == Outcome::Ok && op.invoked > grant.ended
    });
    let gone = released.filter_map(|op| op.ended).chain(grant.losses.first().map(|loss| loss.at)).min()?;
    let seen = found.seen(&grant.key, &grant.owner);
    if seen.iter().any(|op| op.invoked > gone) {
        return None;
    }
    let seen_last = seen.iter().filter_map(|op| op.ended).max().unwrap_or_default();
    let expired = grant.earliest_expiry.min(grant.release_invoked.unwrap_or(RunTime(u64::MAX)));
    let believed = grant.beliefs.last().map_or(RunTime::default(), |belief| belief.until);
    let delay = run.header.contract.lock_delay_ms.map(Duration::from_millis);
    let open_again = delay.map(|delay| grant.earliest_expiry.max(seen_last).after(delay)).unwrap_or_default();
    let free = stuck::gone_by(run, grant).unwrap_or_default();
    [own_known, gone, seen_last, expired, believed, open_again, free].into_iter().max()
}

/// How long word of a renewal is under way.
fn known_within(run: &Run<'_>) -> Duration {
    Duration::from_millis(run.header.contract.second_hand.map_or(0, |contract| contract.known_within_ms))
}

/// When, and which op shows it.
type Place = (RunTime, usize);

/// What is kept of a lock, to see which ops it depends on.
struct Kept<'a> {
    lock: &'a Lock<'a>,
    grants: HashMap<&'a str, (&'a Grant, Renewals)>,
    /// The two that were answered first.
    first_answered: Vec<&'a Grant>,
    /// Who asked again, and when, after being given the lock.
    asked_again: BTreeSet<(u64, RunTime)>,
    acquisitions: HashMap<&'a str, &'a Op>,
    /// Of each owner the old sightings that began and ended its tenure.
    ends_of_tenures: BTreeSet<usize>,
}

impl<'a> Kept<'a> {
    fn of(lock: &'a Lock<'a>, first: usize, before: RunTime) -> Self {
        let grants = &lock.grants[first..];
        let mut acquisitions = HashMap::new();
        let mut tenures: HashMap<&str, (Place, Place)> = HashMap::new();
        for op in lock.ops {
            if let Action::Acquire { owner, .. } = &op.action {
                acquisitions.insert(owner.as_str(), *op);
            }
            if let (Some(seen), Some(ended)) = (seen_by(op), op.ended.filter(|ended| *ended < before)) {
                let (begin, end) = ((ended, op.index), (op.invoked, op.index));
                let tenure = tenures.entry(seen).or_insert((begin, end));
                *tenure = (tenure.0.min(begin), tenure.1.max(end));
            }
        }
        Self {
            lock,
            grants: grants
                .iter()
                .map(|grant| (grant.owner.as_str(), (*grant, Renewals::of(lock.run, grant))))
                .collect(),
            first_answered: grants.iter().take(2).copied().collect(),
            asked_again: grants.iter().filter_map(|grant| Some((grant.process, grant.asked_again?))).collect(),
            acquisitions,
            ends_of_tenures: tenures.values().flat_map(|(begin, end)| [begin.1, end.1]).collect(),
        }
    }

    /// Whether something depends on an op that has ended before the horizon.
    fn needs(&self, op: &Op) -> bool {
        match &op.action {
            Action::Renew { owner, .. } | Action::Release { owner } => self.needs_owned(owner),
            Action::Acquire { owner, granted: Some(_), .. } => self.grants.contains_key(owner.as_str()),
            Action::Acquire { .. } => {
                op.outcome != Outcome::Fail
                    || self.asked_again.contains(&(op.process, op.invoked))
                    || self.needs_sighting(op)
            }
            Action::Read { linearizable: true, seen: Some(_) } => self.needs_sighting(op) || self.bears_witness(op),
            Action::Read { .. } | Action::Register { .. } | Action::Work(_) | Action::Other => false,
        }
    }

    fn needs_owned(&self, owner: &str) -> bool {
        let is_known = || self.lock.judge.pairing.names.is_known(self.lock.key, owner);
        match self.acquisitions.get(owner) {
            Some(acquisition) => acquisition.ended.is_none() || self.grants.contains_key(owner),
            None => !is_known(),
        }
    }

    /// Whether a read shows that a grant which is kept is gone.
    fn bears_witness(&self, read: &Op) -> bool {
        let shows = |grant: &&&Grant| seen_by(read) == Some(grant.owner.as_str());
        self.first_answered.iter().any(|grant| !shows(&grant) && grant.ended < read.invoked)
    }

    /// Whether the sight of an owner matters that is not forgotten.
    fn needs_sighting(&self, op: &Op) -> bool {
        let Some(seen) = seen_by(op) else { return false };
        if let Some((grant, renewals)) = self.grants.get(seen) {
            let is_live = grant.losses.is_empty() && grant.release_invoked.is_none();
            let is_late = || overdue(self.lock.run, grant, renewals, op).is_some();
            return !is_live || self.ends_of_tenures.contains(&op.index) || is_late();
        }
        match self.acquisitions.get(seen) {
            Some(acquisition) if acquisition.outcome == Outcome::Ok => false,
            Some(acquisition) if acquisition.outcome != Outcome::Info => true,
            None if self.lock.judge.pairing.names.is_known(self.lock.key, seen) => false,
            _ => self.ends_of_tenures.contains(&op.index),
        }
    }
}
