//! Lockups: of the cluster, of a node, of an op, of a lock.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_checkers::history::vocabulary::code;
use leasehold_checkers::history::{Action, Op, Outcome, Word};
use leasehold_checkers::verdict::Grade;

use super::facts::{Expected, Facts, Grant, MS};
use super::overdue::{overlap, stalled};

const SECOND: u64 = 1_000 * MS;

pub(crate) fn lockups(facts: &Facts<'_>) -> Vec<Expected> {
    let moments = moments(facts);
    let mut found = cluster(facts, &moments);
    let explained = |found: &[Lockup], lockup: &Lockup| found.iter().any(|other| lockup.meets(other));
    for lockup in nodes(facts, &moments) {
        if !explained(&found, &lockup) {
            found.push(lockup);
        }
    }
    let stops_it = |greater: &Lockup, lockup: &Lockup| {
        greater.meets(lockup) && (greater.node.is_none() || greater.node == lockup.node)
    };
    let of_classes: Vec<Lockup> = classes(facts, &moments)
        .into_iter()
        .filter(|lockup| !found.iter().any(|greater| stops_it(greater, lockup)))
        .collect();
    found.extend(of_classes);
    let hangs: Vec<Lockup> =
        single_ops(facts, &moments).into_iter().filter(|lockup| !explained(&found, lockup)).collect();
    let mut expected: Vec<Expected> = found.iter().chain(&hangs).map(Lockup::expected).collect();
    expected.extend(stuck_locks(facts, &moments));
    expected
}

/// Nothing served from when until when.
#[derive(Clone, Debug)]
struct Lockup {
    from: u64,
    until: u64,
    grade: Grade,
    ops: Vec<usize>,
    node: Option<Word>,
}

impl Lockup {
    fn meets(&self, other: &Self) -> bool {
        self.from.max(other.from) < self.until.min(other.until)
    }

    fn expected(&self) -> Expected {
        let margins = [self.until - self.from].into();
        Expected { at: self.from, grade: self.grade, margins, ops: self.ops.clone() }
    }
}

/// No fault of any kind is active just after an instant, and none ended in the last while, or within as long as it had lasted.
fn is_quiet(facts: &Facts<'_>, at: u64) -> bool {
    let recovery = facts.header.contract.patience.recovery_ms * MS;
    facts.faults.iter().all(|fault| match fault.ended {
        _ if at < fault.begun => true,
        None => false,
        Some(ended) => at >= ended + recovery.max(ended - fault.begun),
    })
}

/// There is a sign before and one after, and not more than so much between them.
fn is_between(signs: &[u64], at: u64, most: u64) -> bool {
    let before = signs.iter().filter(|sign| **sign <= at).max();
    let after = signs.iter().filter(|sign| **sign > at).min();
    before.zip(after).is_some_and(|(before, after)| after - before <= most)
}

/// Between two neighbouring instants at which anything changes.
struct Moment<'a> {
    from: u64,
    until: u64,
    quiet: bool,
    /// Who tells who leads, at least once a second.
    heard: BTreeSet<&'a str>,
    /// Whose process is seen to run, at least once in four seconds.
    running: BTreeSet<&'a str>,
    serving: bool,
}

fn moments<'a>(facts: &Facts<'a>) -> Vec<Moment<'a>> {
    let recovery = facts.header.contract.patience.recovery_ms * MS;
    let of_faults = facts.faults.iter().flat_map(|fault| {
        let ended = fault.ended.unwrap_or(facts.end);
        [fault.begun, ended, ended + recovery, ended + (ended - fault.begun)]
    });
    let beats = facts.beats.values().chain(facts.runs.values()).flatten().copied();
    let turns: BTreeSet<u64> = beats.chain(of_faults).chain([0, facts.end]).filter(|at| *at <= facts.end).collect();
    let turns: Vec<u64> = turns.into_iter().collect();
    let moment = |pair: &[u64]| {
        let [from, until] = [pair[0], pair[1]];
        let quiet = is_quiet(facts, from);
        let seen = |signs: &BTreeMap<&'a str, Vec<u64>>, most: u64| -> BTreeSet<&'a str> {
            signs.iter().filter(|(_, signs)| is_between(signs, from, most)).map(|(node, _)| *node).collect()
        };
        let (heard, running) = (seen(&facts.beats, SECOND), seen(&facts.runs, 4 * SECOND));
        let serving = quiet && heard.len() > usize::from(facts.header.nodes) / 2;
        Moment { from, until, quiet, heard, running, serving }
    };
    turns.windows(2).map(moment).collect()
}

/// The longest stretches in which something holds at every moment.
fn stretches(facts: &Facts<'_>, moments: &[Moment<'_>], holds: impl Fn(&Moment<'_>) -> bool) -> Vec<(u64, u64)> {
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    for moment in moments.iter().filter(|moment| holds(moment)) {
        // A fault that begins and ends at one instant is there all the same.
        let begins = |at: u64| facts.faults.iter().any(|fault| fault.begun == at);
        match stretches.last_mut() {
            Some(last) if last.1 == moment.from && !begins(moment.from) => last.1 = moment.until,
            _ => stretches.push((moment.from, moment.until)),
        }
    }
    stretches
}

fn around(stretches: &[(u64, u64)], at: u64) -> Option<(u64, u64)> {
    stretches.iter().copied().find(|(from, until)| (*from..*until).contains(&at))
}

fn is_served(op: &Op) -> bool {
    !op.is_unanswered() && !["refused", "no-session", "timeout", "broken"].iter().any(|code| op.failed_with(code))
}

/// To wait in a queue is no evidence.
fn should_be_served(op: &Op) -> bool {
    !op.is_unanswered() || !matches!(op.action, Action::Acquire { blocking: true, .. })
}

/// Ops that follow one another with no pause of more than a second, all sent in one stretch of calm, none served and nothing
/// served in between.
struct Drought<'a> {
    lockup: Lockup,
    tried: Vec<&'a Op>,
    served_before: bool,
}

fn droughts<'a>(facts: &Facts<'_>, ops: &[&'a Op], stretches: &[(u64, u64)], bound: u64) -> Vec<Drought<'a>> {
    let served: BTreeSet<u64> =
        ops.iter().filter(|op| is_served(op)).filter_map(|op| op.ended).map(|at| at.0).collect();
    // For each stretch of calm, and each pair of neighbouring instants at which something was served.
    let mut droughts = Vec::new();
    for calm in stretches {
        let begins = std::iter::once(None).chain(served.iter().copied().map(Some));
        for (begin, end) in begins.zip(served.iter().copied().map(Some).chain([None])) {
            let mut spans: Vec<(u64, u64, &'a Op)> = Vec::new();
            for op in ops.iter().filter(|op| !is_served(op) && should_be_served(op)) {
                let until = op.ended.map_or(facts.end, |ended| ended.0).min(calm.1);
                let in_gap = begin.is_none_or(|begin| begin <= until) && end.is_none_or(|end| until < end);
                if in_gap && (calm.0..calm.1).contains(&op.invoked.0) {
                    spans.push((op.invoked.0.max(begin.unwrap_or(0)), until, op));
                }
            }
            while let Some(first) = spans.iter().map(|(from, ..)| *from).min() {
                let (mut until, mut tried) = (first, Vec::new());
                while let Some(place) = spans.iter().position(|(from, ..)| *from <= until + SECOND) {
                    let (_, to, op) = spans.remove(place);
                    until = until.max(to);
                    tried.push(op);
                }
                let lockup = Lockup { from: first, until, grade: Grade::Proven, ops: Vec::new(), node: None };
                if until - first > bound {
                    droughts.push(Drought { lockup, tried, served_before: begin.is_some() });
                }
            }
        }
    }
    droughts.sort_by_key(|drought| drought.lockup.from);
    droughts
}

fn cluster(facts: &Facts<'_>, moments: &[Moment<'_>]) -> Vec<Lockup> {
    let bound = facts.header.contract.patience.cluster_ms * MS;
    let writes: Vec<&Op> = facts.ops.iter().filter(|op| !matches!(op.action, Action::Read { .. })).collect();
    let mut found: Vec<Lockup> = Vec::new();
    let serving = stretches(facts, moments, |moment| moment.serving);
    let quiet = stretches(facts, moments, |moment| moment.quiet);
    for (calm, grade) in [(serving, Grade::Proven), (quiet, Grade::Possible)] {
        for drought in droughts(facts, &writes, &calm, bound) {
            let nodes: BTreeSet<&Option<Word>> = drought.tried.iter().map(|op| &op.node).collect();
            let through_a_majority = nodes.len() > usize::from(facts.header.nodes) / 2;
            let known = found.iter().any(|other| other.meets(&drought.lockup));
            if drought.served_before && through_a_majority && !known {
                found.push(Lockup { grade, ..drought.lockup });
            }
        }
    }
    found
}

fn nodes(facts: &Facts<'_>, moments: &[Moment<'_>]) -> Vec<Lockup> {
    let bound = facts.header.contract.patience.op_ms * MS;
    let nodes: BTreeSet<&Word> = facts.ops.iter().filter_map(|op| op.node.as_ref()).collect();
    let of_node = |node: &Word| {
        let asked: Vec<&Op> = facts.ops.iter().filter(|op| op.node.as_ref() == Some(node)).collect();
        let among = |calm: &[(u64, u64)]| -> Vec<Lockup> {
            let found = droughts(facts, &asked, calm, bound).into_iter();
            found
                .filter(|found| found.served_before && found.tried.len() >= 3)
                .map(|found| Lockup { node: Some(node.clone()), ..found.lockup })
                .collect()
        };
        let answers = stretches(facts, moments, |moment| moment.serving && moment.heard.contains(node.as_str()));
        let runs = stretches(facts, moments, |moment| moment.serving && moment.running.contains(node.as_str()));
        let mut found = among(&answers);
        let silent = among(&runs).into_iter().filter(|lockup| !found.iter().any(|other| lockup.meets(other)));
        let silent: Vec<Lockup> = silent.collect();
        found.extend(silent);
        found
    };
    nodes.into_iter().flat_map(of_node).collect()
}

/// What belongs to a class: its name, and whether it was served.
fn of_class(op: &Op, class: &str) -> Option<bool> {
    let no_session = op.failed_with("no-session") || op.failed_with("refused");
    match (op.f.as_str(), class) {
        ("acquire", "new session") => (is_served(op) || no_session).then_some(!no_session),
        ("acquire", "acquire") => (!no_session).then_some(is_served(op)),
        (f, class) => (f == class).then_some(is_served(op)),
    }
}

/// One node serves nothing of one class.
fn classes(facts: &Facts<'_>, moments: &[Moment<'_>]) -> Vec<Lockup> {
    let bound = facts.header.contract.patience.op_ms * MS;
    let nodes: BTreeSet<&Word> = facts.ops.iter().filter_map(|op| op.node.as_ref()).collect();
    let mut found = Vec::new();
    for node in nodes {
        let calm = stretches(facts, moments, |moment| moment.serving && moment.heard.contains(node.as_str()));
        for class in ["new session", "acquire", "renew", "release", "read"] {
            let asked: Vec<&Op> =
                facts.ops.iter().filter(|op| op.node.as_ref() == Some(node) && of_class(op, class).is_some()).collect();
            let of_class = droughts(facts, &asked, &calm, bound).into_iter();
            found.extend(
                of_class
                    .filter(|found| found.served_before && found.tried.len() >= 3)
                    .map(|found| Lockup { node: Some(node.clone()), ..found.lockup }),
            );
        }
    }
    found
}

/// Of each node the op that hung the longest.
fn single_ops(facts: &Facts<'_>, moments: &[Moment<'_>]) -> Vec<Lockup> {
    let bound = facts.header.contract.patience.op_ms * MS;
    let serving = stretches(facts, moments, |moment| moment.serving);
    let nodes: BTreeSet<&Word> = facts.ops.iter().filter_map(|op| op.node.as_ref()).collect();
    let longest = |node: &Word| {
        let mut hung: Vec<Lockup> = Vec::new();
        for op in facts.ops.iter().filter(|op| op.node.as_ref() == Some(node) && op.is_unanswered()) {
            if let (true, Some(calm)) = (should_be_served(op), around(&serving, op.invoked.0)) {
                let until = op.ended.map_or(facts.end, |ended| ended.0).min(calm.1);
                let ops = vec![op.index];
                hung.push(Lockup { from: op.invoked.0, until, grade: Grade::Proven, ops, node: None });
            }
        }
        hung.retain(|hung| hung.until - hung.from > bound);
        let most = hung.iter().map(|hung| hung.until - hung.from).max()?;
        hung.into_iter().find(|hung| hung.until - hung.from == most)
    };
    nodes.into_iter().filter_map(longest).collect()
}

/// Three acquisitions or more were refused as `held` although nobody can hold the lock, for longer than the bound.
fn stuck_locks(facts: &Facts<'_>, moments: &[Moment<'_>]) -> Vec<Expected> {
    let bound = facts.header.contract.patience.lock_ms * MS;
    let serving = stretches(facts, moments, |moment| moment.serving);
    let keys: BTreeSet<&Word> = facts.ops.iter().map(|op| &op.key).collect();
    let of_key = |key: &Word| {
        let lock = Lock {
            facts,
            acquisitions: facts
                .ops
                .iter()
                .filter(|op| op.key == *key && matches!(op.action, Action::Acquire { .. }))
                .collect(),
            grants: facts.grants().into_iter().filter(|grant| grant.op.key == *key).collect(),
            stalled: stalled(facts),
        };
        let wrong: Vec<&Op> =
            lock.acquisitions.iter().copied().filter(|op| lock.is_wrongly_refused(op, &serving)).collect();
        // All runs of wrong refusals: in one stretch of calm, and with no acquisition that may hold the lock asked for among
        // them.
        let mut most: Option<(u64, u64)> = None;
        for first in &wrong {
            let together = |op: &&&Op| {
                let between = first.index..=op.index;
                let taken = lock
                    .acquisitions
                    .iter()
                    .any(|other| between.contains(&other.index) && other.outcome != Outcome::Fail);
                let calm = around(&serving, first.invoked.0) == around(&serving, op.invoked.0);
                op.index >= first.index && calm && !taken
            };
            let run: Vec<&&Op> = wrong.iter().filter(together).collect();
            let until = run.iter().filter_map(|op| op.ended).map(|ended| ended.0).max().unwrap_or(0);
            let span = (first.invoked.0, until);
            let longer = most.is_none_or(|most| span.1 - span.0 >= most.1 - most.0);
            // A later begin of the same run is shorter, or of the same length and counts fewer.
            let inside = most.is_some_and(|most| most.0 == span.0);
            if run.len() >= 3 && until - first.invoked.0 > bound && longer && !inside {
                most = Some(span);
            }
        }
        most.map(|(from, until)| Expected {
            at: from,
            grade: Grade::Proven,
            margins: [until - from].into(),
            ops: Vec::new(),
        })
    };
    keys.into_iter().filter_map(of_key).collect()
}

struct Lock<'a> {
    facts: &'a Facts<'a>,
    acquisitions: Vec<&'a Op>,
    grants: Vec<Grant<'a>>,
    stalled: Vec<(u64, u64)>,
}

impl Lock<'_> {
    /// By when an acquisition holds the lock no more: `Some(None)` if it never held it, `None` if nobody knows.
    fn held_until(&self, op: &Op) -> Option<Option<u64>> {
        match op.outcome {
            Outcome::Fail => Some(None),
            Outcome::Info | Outcome::Open => None,
            Outcome::Ok => {
                let grant = self.grants.iter().find(|grant| grant.op.index == op.index)?;
                let released = self.facts.releases(grant).into_iter().filter_map(|release| {
                    let counts = release.outcome == Outcome::Ok && release.invoked.0 > grant.ended();
                    release.ended.filter(|_| counts).map(|ended| ended.0)
                });
                let gone =
                    self.facts.gone(grant).into_iter().filter(|gone| gone.given_to.is_none()).map(|gone| gone.at);
                let renewals = self.facts.signs_of_life(grant);
                let last = renewals.iter().filter_map(|op| op.ended).map(|ended| ended.0).fold(grant.ended(), u64::max);
                let settled = !renewals.iter().any(|op| op.is_unanswered());
                let run_out = self.life(self.facts.longest_ttl(grant)).filter(|_| settled).map(|life| last + life);
                released.chain(gone).chain(run_out).min().map(Some)
            }
        }
    }

    /// The TTL and the grace by the slowest clock, where the contract names a bound.
    fn life(&self, ttl: u64) -> Option<u64> {
        let latest = self.facts.header.contract.latest_expiry?;
        Some(self.facts.by_the_slowest_clock(ttl * u64::from(latest.ttls) + latest.grace_ms * MS))
    }

    fn is_wrongly_refused(&self, op: &Op, serving: &[(u64, u64)]) -> bool {
        let (Action::Acquire { holder, .. }, Some(ended)) = (&op.action, op.ended) else { return false };
        let Some(calm) = around(serving, op.invoked.0) else { return false };
        let is_known = holder.as_ref().is_none_or(|holder| self.grants.iter().any(|grant| grant.owner == holder));
        if !op.failed_with(code::HELD) || ended.0 >= calm.1 || !is_known || self.grants.is_empty() {
            return false;
        }
        let taken_meanwhile =
            |other: &&Op| other.index > op.index && other.outcome != Outcome::Fail && other.invoked <= ended;
        if self.acquisitions.iter().any(taken_meanwhile) {
            return false;
        }
        let mut free_from = 0;
        for other in self.acquisitions.iter().filter(|other| other.index < op.index) {
            match self.held_until(other) {
                None => return false,
                Some(until) => free_from = free_from.max(until.unwrap_or(0)),
            }
        }
        let signs = self.facts.signs_of_elections();
        let elected = signs.iter().copied().filter(|at| *at <= op.invoked.0).max().unwrap_or(0);
        let longest = self.grants.iter().map(|grant| self.facts.longest_ttl(grant)).max().unwrap_or(0);
        let anew = elected.max(calm.0) + self.life(longest).unwrap_or(0);
        let delay = self.facts.header.contract.lock_delay_ms.unwrap_or(0) * MS;
        let excused = overlap(&self.stalled, free_from, op.invoked.0);
        op.invoked.0 > free_from.max(anew) + delay + excused
    }
}
