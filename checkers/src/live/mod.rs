//! Judging a run while it happens.
//!
//! A [`Judge`] is fed the events one at a time and can tell at any time what is certain so far. It forgets what is settled, so
//! that its judgement stands within moments of the end of the run, however long that was. Judging a stored history is the same:
//! [`crate::check`] feeds it from begin to end.
//!
//! # What is settled
//!
//! The definitions of [`crate::holds`] look at the past and the future of each grant. But a grant of a lock is **past**, and with
//! it its renewals, releases and what saw it, where all of the following is over, before the *horizon*: before any op on that
//! lock was asked that is still under way, and before an interval that is called linger:
//!
//! * its own ops have ended, and what can come between them and the server that keeps the leases is known (see
//!   `checkers/src/second_hand.rs`); its earliest legal expiry or its first release has passed, and so has each of its client's
//!   beliefs, and the lock-delay if there is one;
//! * the service has said, to anybody, that it is gone, or confirmed its release;
//! * nobody saw it after that, and no checker finds anything on it, proven or possible;
//! * all grants of the lock that were answered before it are past.
//!
//! Such a grant can take no part in any finding any more **unless an event names its owner again**, for an owner is a name for
//! one acquisition. The reasons, checker by checker, for an event after the horizon that does not name it:
//!
//! * *premature-expiry*: an observation that comes later is later than `E`, or than the release.
//! * *double-acquisition, split-belief*: later holds and beliefs, and the windows of later floaters, begin after its own have
//!   ended. (Grants that were answered after it but asked for before it was gone keep it in the judge's memory until they are past
//!   themselves. It is compared with them, but it cannot be forgotten twice.)
//! * *overdue-expiry, stale-read, lost-grant*: a later sighting would name it. So would a sighting that makes it, or an owner
//!   that it was taken from, the holder around a *phantom-grant*; of owners that were seen without a grant the time of the first
//!   sighting is kept, and to see one of them again counts as naming the past.
//! * *fencing, and lost-grant by tokens*: the greatest token is kept; a later one that is not greater counts as naming the past,
//!   and so all tokens that are compared with each other's times are there. A renewal after its lock was gone names it.
//! * *lock-delay*: it has passed.
//! * *lockup* of a lock: by when all of them were gone, and their longest TTL, is kept. A lock that is refused to everybody
//!   without a known reason is kept whole from the first such refusal. For the other shapes see
//!   [`crate::checks::lockup::service`].
//!
//! What is said of faults and leaders at an instant is fixed two seconds later. (That is how long a probe may take to show an
//! election, or that the machine stood still.) A fault that is only known to have begun earlier, and a node that
//! answers for the first time after something was settled, change the past.
//!
//! Where the past is named or changed, which a correct service, its clients and our recorder do not do within reason, the judge
//! cannot tell the verdict: [`Judge::finish`] is [`Reopened`], and the history must be judged by one that forgets nothing.
//!
//! # What is kept
//!
//! Live holds with their renewals; ops under way and acquisitions without an answer; each lock's last holder; locks on which
//! something was found, whole from there on. Besides, what grows by the time and not by the ops: the answers of the probes,
//! faults, and one instant of service in some seconds. And 40 bytes for each acquisition, to know its name again, and as many for each
//! fencing token that was the greatest of its lock.
//!
//! Four things are judged event by event and settle themselves, in the same way whether the record is judged as it happens or as a
//! whole: what servers show of their own state, of which only that is kept which each shows now and where two differ for long; registers, of which that is kept which [`crate::linear::live`] keeps; the runs of a job, of which those are kept that go on,
//! and those that began after one of them; and writes under fencing tokens.
//!
//! # What is certain so far
//!
//! [`Judge::so_far`] tells those anomalies that no later event can take back, unless the record itself turns out to be flawed:
//! of kinds and circumstances in which all that counts is on record. The others are told by the judgement only.

mod settle;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::checks::divergence::Replicas;
use crate::checks::double_run::Runs;
use crate::checks::guarded::Guarded;
use crate::checks::lockup::service::Service;
use crate::checks::nonlinearizable::Registers;
use crate::checks::probes::Probes;
use crate::checks::well_formed::{self, Form};
use crate::checks::{
    Run, SettledLock, Totals, activity, clock, divergence, double_acquisition, double_run, fencing, lock_delay, lockup,
    lost_grant, nonlinearizable, overdue_expiry, phantom_grant, premature_expiry, split_belief, stale_read, stats,
};
use crate::context::{Context, Hangs, JUST_SEEN, Pulse};
use crate::history::vocabulary::{FaultPhase, f};
use crate::history::{
    Action, CAS_REGISTER, Event, EventType, Flaw, Header, JOB, Op, Outcome, Pairing, Process, RunTime, Surroundings,
    Word,
};
use crate::holds::grants;
use crate::part::Part;
use crate::verdict::{Anomaly, CheckerResult, Judgement, Verdict, by_weight};

/// A checker that takes the record's form for granted.
type Checker = fn(&Run<'_>) -> (CheckerResult, Vec<Anomaly>);

/// Those of every run.
const OF_ALL: [(&str, Checker); 5] = [
    (activity::NAME, activity::check),
    (divergence::NAME, divergence::check),
    (lockup::NAME, lockup::check),
    (stats::NAME, stats::check),
    (clock::NAME, clock::check),
];

/// Those that look at one lock after the other.
const OF_LOCKS: [(&str, Checker); 9] = [
    (premature_expiry::NAME, premature_expiry::check),
    (double_acquisition::NAME, double_acquisition::check),
    (split_belief::NAME, split_belief::check),
    (overdue_expiry::NAME, overdue_expiry::check),
    (phantom_grant::NAME, phantom_grant::check),
    (lost_grant::NAME, lost_grant::check),
    (fencing::NAME, fencing::check),
    (lock_delay::NAME, lock_delay::check),
    (stale_read::NAME, stale_read::check),
];

/// That of registers: there is no lease that could end, and nobody holds anything.
const OF_REGISTERS: (&str, Checker) = (nonlinearizable::NAME, nonlinearizable::check);

/// Those of a lock that rest on there being one holder: that another has it, or that its delay follows on the end of the one.
const OF_ONE_HOLDER: [&str; 2] = [phantom_grant::NAME, lock_delay::NAME];

/// Whether a checker has nothing to say of this run.
fn is_left_out(header: &Header, name: &str) -> bool {
    OF_ONE_HOLDER.contains(&name) && header.permits().is_some_and(|permits| permits > 1)
}

/// Those that look at the locks of this run.
fn of_locks(header: &Header) -> impl Iterator<Item = (&'static str, Checker)> {
    OF_LOCKS.into_iter().filter(|(name, _)| !is_left_out(header, name))
}

/// The checkers of a run, by what it is about.
fn checkers(header: &Header) -> Vec<(&'static str, Checker)> {
    let mut checkers = OF_ALL.to_vec();
    if header.model == CAS_REGISTER {
        checkers.push(OF_REGISTERS);
    } else {
        checkers.extend(of_locks(header));
    }
    if header.workload == JOB {
        checkers.push((double_run::NAME, double_run::check));
    }
    checkers
}

/// When a judge settles what is past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settling {
    /// How long after it is past. Clients and watches that are late by no more than that surprise nobody.
    pub linger: Duration,
    /// After how many new ops, and not before half as many have come as are kept.
    pub every: usize,
}

impl Default for Settling {
    fn default() -> Self {
        Self { linger: Duration::from_secs(30), every: 4_096 }
    }
}

/// After how many ops of other parts the sums of all ops are settled.
const OTHERS: usize = 4_096;

/// An event named what was settled, or changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event spoke of what was settled: the history must be judged as a whole")]
pub struct Reopened;

/// Judges a run while it happens.
#[derive(Debug)]
pub struct Judge {
    header: Header,
    /// Whose locks and registers are judged.
    part: Part,
    /// How many ops there were on them.
    judged: usize,
    settling: Option<Settling>,
    settle_at: usize,
    line: usize,
    end: RunTime,
    form: Form,
    pairing: Pairing,
    surroundings: Surroundings,
    probes: Probes,
    totals: Totals,
    service: Service,
    runs: Runs,
    guarded: Guarded,
    replicas: Replicas,
    registers: Option<Registers>,
    hangs: Hangs,
    settled: BTreeMap<Word, SettledLock>,
    /// Grants that are settled, but still needed to judge others by, by their acquisitions.
    past: BTreeSet<usize>,
    /// By lock and name: when those were first seen to hold it who were not told so.
    strangers: HashMap<(Word, String), RunTime>,
    /// When each fault was first heard of, and whether it is over.
    faults: BTreeMap<u64, (RunTime, bool)>,
    reopened: bool,
    certain: Vec<Anomaly>,
}

impl Judge {
    /// A judge of a run that begins.
    #[must_use]
    pub fn new(header: Header) -> Self {
        Self::that_settles(header, Settling::default())
    }

    /// A judge that settles what is past at other times; that changes nothing but its memory.
    #[must_use]
    pub fn that_settles(header: Header, settling: Settling) -> Self {
        let judge = Self::that_forgets_nothing(header);
        Self { settling: Some(settling), settle_at: settling.every, ..judge }
    }

    /// A judge that keeps everything, and so is never [`Reopened`].
    #[must_use]
    pub fn that_forgets_nothing(header: Header) -> Self {
        Self {
            part: Part::WHOLE,
            judged: 0,
            settling: None,
            settle_at: usize::MAX,
            line: 1,
            end: RunTime::default(),
            form: Form::of(&header),
            pairing: Pairing::of(&header),
            surroundings: Surroundings::default(),
            probes: Probes::default(),
            totals: Totals::default(),
            service: Service::new(&header.contract.patience),
            runs: Runs::default(),
            guarded: Guarded::default(),
            replicas: Replicas::new(Duration::from_millis(header.contract.patience.op_ms)),
            registers: (header.model == CAS_REGISTER).then(Registers::default),
            hangs: Hangs::default(),
            settled: BTreeMap::new(),
            past: BTreeSet::new(),
            strangers: HashMap::new(),
            faults: BTreeMap::new(),
            reopened: false,
            certain: Vec::new(),
            header,
        }
    }

    /// A judge of a part of the keys, and of what concerns the cluster as a whole. It keeps everything of its own part, and of the
    /// other keys what is under way.
    #[must_use]
    pub fn of_part(header: Header, part: Part) -> Self {
        let judge = Self::that_forgets_nothing(header);
        Self { registers: judge.registers.map(|registers| registers.of_part(part)), part, ..judge }
    }

    /// Takes the next event.
    pub fn observe(&mut self, event: &Event) {
        self.line += 1;
        self.end = event.time;
        self.surroundings.begin.get_or_insert(event.time);
        self.form.take(self.line, event);
        self.beware(event);
        if let Some(registers) = &mut self.registers {
            registers.take(event);
        }
        let taken = match event.process {
            Process::Client(process) => self.pairing.take(self.line, process, event).map(|op| self.take_op(op, event)),
            Process::Watch if !self.part.has(event.key.as_deref().unwrap_or_default()) => Ok(()),
            Process::Nemesis | Process::Probe | Process::Watch => {
                self.probes.take(event);
                self.surroundings.take(event)
            }
        };
        if let Err(kind) = taken {
            self.form.note(&Flaw { line: self.line, kind });
        }
        if self.pairing.ops.all.len() >= self.settle_at {
            self.settle();
        }
    }

    /// The anomalies that are proven, and that no later event takes back: what was found when something was settled last.
    #[must_use]
    pub fn so_far(&self) -> &[Anomaly] {
        &self.certain
    }

    /// How many ops and spans of time are kept that are not settled.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.pairing.ops.all.len() + self.service.kept() + self.hangs.kept() + self.surroundings.losses.len()
    }

    /// The judgement of the whole run; `truncated` says that its record ends in the middle of a line.
    ///
    /// # Errors
    ///
    /// [`Reopened`] where an event spoke of what was settled. Then only a judge that forgets nothing can tell.
    pub fn finish(mut self, truncated: bool) -> Result<Judgement, Reopened> {
        if let Some(registers) = &mut self.registers {
            registers.conclude(self.end);
        }
        let form = self.form.result(truncated);
        let (mut results, anomalies) = match form.verdict {
            Verdict::Valid if self.reopened => return Err(Reopened),
            Verdict::Valid => judged(&self.run()),
            Verdict::Unknown | Verdict::Invalid => (not_judged(&self.header, &form), Vec::new()),
        };
        results.insert(well_formed::NAME.to_owned(), form);
        Ok(Judgement {
            verdict: results.values().map(|result| result.verdict).fold(Verdict::Valid, Verdict::merge),
            anomalies,
            ops: self.judged,
            checkers: results,
        })
    }

    /// What is not settled, for the checkers.
    fn run(&self) -> Run<'_> {
        let ops = &self.pairing.ops;
        let grants = grants(&self.header, ops, &self.surroundings);
        let acquirers =
            grants.values().flatten().map(|grant| ((grant.key.clone(), grant.owner.clone()), grant.process));
        Run {
            header: &self.header,
            ops,
            acquirers: acquirers.collect(),
            grants,
            context: Context::of(&self.surroundings),
            pulse: Pulse::of(&self.surroundings, self.hangs.spans(ops, self.end), self.end),
            probes: &self.probes,
            service: &self.service,
            runs: &self.runs,
            guarded: &self.guarded,
            replicas: &self.replicas,
            registers: self.registers.as_ref(),
            totals: &self.totals,
            settled: &self.settled,
            end: self.end,
        }
    }

    fn take_op(&mut self, index: usize, event: &Event) {
        let op = &self.pairing.ops[index];
        let is_others = !self.part.has(&op.key);
        if !is_others {
            self.replicas.take(op, event);
        }
        if op.outcome == Outcome::Open {
            self.totals.begin(op);
            self.judged += usize::from(!is_others);
            if is_others && (self.totals.ops - self.judged).is_multiple_of(OTHERS) {
                self.settle_sums();
            }
        } else {
            self.totals.end(op);
            if op.asks_the_service() {
                self.hangs.take(op);
                self.service.take(op);
            }
            if is_others {
                self.pairing.ops.forget(index);
                return;
            }
            self.runs.take(op);
            self.guarded.take(op);
        }
        self.reopened |= self.speaks_of_the_past(index);
        self.note_stranger(index);
    }

    /// Whether an op names an owner that is settled, or could not have been if time had run as it did.
    fn speaks_of_the_past(&self, index: usize) -> bool {
        let op = &self.pairing.ops[index];
        let is_settled = |owner: &str| self.pairing.names.is_forgotten(&op.key, owner);
        let settled = self.settled.get(&op.key);
        match &op.action {
            Action::Renew { owner, .. } | Action::Release { owner } => is_settled(owner),
            Action::Acquire { owner, granted, .. } => {
                let greatest = settled.and_then(|settled| settled.greatest_token);
                let token = granted.and_then(|granted| granted.token);
                let falls = self.header.contract.fencing_tokens && token.is_some() && token <= greatest;
                let was_seen = op.outcome == Outcome::Open && self.is_old_stranger(op, owner);
                falls || was_seen || seen_by(op).is_some_and(|seen| is_settled(seen) || self.is_old_stranger(op, seen))
            }
            Action::Read { .. } => seen_by(op).is_some_and(|seen| is_settled(seen) || self.is_old_stranger(op, seen)),
            Action::Register { .. } | Action::Work(_) | Action::Other => false,
        }
    }

    /// Whether this owner was seen to hold the lock, and others that were given it since are settled.
    fn is_old_stranger(&self, op: &Op, owner: &str) -> bool {
        let Some(settled) = self.settled.get(&op.key) else { return false };
        let first = self.strangers.get(&(op.key.clone(), owner.to_owned()));
        first.is_some_and(|first| *first <= settled.until)
    }

    /// Remembers when an owner was first seen.
    fn note_stranger(&mut self, index: usize) {
        if self.settling.is_none() {
            return;
        }
        let op = &self.pairing.ops[index];
        if let (Some(seen), Some(ended)) = (seen_by(op), op.ended) {
            let name = (op.key.clone(), seen.to_owned());
            self.strangers.entry(name).or_insert(ended);
        }
    }

    /// Looks out for events that change what was said of the past.
    fn beware(&mut self, event: &Event) {
        if self.settling.is_none() {
            return;
        }
        let anything_settled = !self.settled.is_empty();
        let changes_the_past =
            match event.process {
                Process::Nemesis => self.begins_in_the_past(event),
                Process::Probe if event.kind == EventType::Ok && event.f == f::LEADER => {
                    event.node.as_ref().is_some_and(|node| !self.probes.answers.contains_key(node))
                }
                Process::Watch => event.value.get("owner").and_then(|owner| owner.as_str()).is_some_and(|owner| {
                    self.pairing.names.is_forgotten(event.key.as_deref().unwrap_or_default(), owner)
                }),
                Process::Probe | Process::Client(_) => false,
            };
        self.reopened |= changes_the_past && anything_settled;
    }

    /// Whether an event of the nemesis tells that a fault was there, or was another, at an instant that is settled.
    fn begins_in_the_past(&mut self, event: &Event) -> bool {
        let Ok(value) = event.value.read::<crate::history::vocabulary::FaultValue>() else { return false };
        let horizon = self.horizon();
        match (value.phase, event.kind) {
            (FaultPhase::Inject, kind) => {
                let known = self.faults.get(&value.fault).filter(|(_, is_over)| !is_over);
                let begun = known.map_or(event.time, |(begun, _)| *begun);
                self.faults.insert(value.fault, (begun, kind == EventType::Fail));
                kind != EventType::Invoke && begun < horizon
            }
            (FaultPhase::Heal, kind) => match self.faults.get_mut(&value.fault) {
                Some((_, is_over)) => {
                    *is_over |= kind == EventType::Ok;
                    false
                }
                None => true,
            },
        }
    }

    /// The instant before which things are settled.
    fn horizon(&self) -> RunTime {
        let back = self.settling.map_or(Duration::MAX, |settling| settling.linger.saturating_add(JUST_SEEN));
        RunTime(self.end.as_nanos().saturating_sub(u64::try_from(back.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Whom a request saw in possession of the lock.
fn seen_by(op: &Op) -> Option<&str> {
    match &op.action {
        Action::Read { linearizable: true, seen: Some(Some(seen)) } => Some(seen),
        Action::Acquire { holder: Some(holder), .. } => Some(holder),
        _ => None,
    }
}

fn judged(run: &Run<'_>) -> (BTreeMap<String, CheckerResult>, Vec<Anomaly>) {
    let mut results = BTreeMap::new();
    let mut anomalies = Vec::new();
    for (name, checker) in checkers(run.header) {
        let (result, found) = checker(run);
        results.insert(name.to_owned(), result);
        anomalies.extend(found);
    }
    lockup::signature::name_zombies(&mut anomalies);
    anomalies.sort_by(by_weight);
    (results, anomalies)
}

/// A record that breaks an assumption could make any checker accuse a correct service.
fn not_judged(header: &Header, form: &CheckerResult) -> BTreeMap<String, CheckerResult> {
    let reason = format!("not judged: {}", form.reason);
    let result = CheckerResult { verdict: Verdict::Unknown, reason };
    checkers(header).into_iter().map(|(name, _)| (name.to_owned(), result.clone())).collect()
}
