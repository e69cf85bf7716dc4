//! Replicas that differ, and go on to differ.
//!
//! A server that answers from what it has itself (`local-read`s of registers) may be behind, and nobody
//! promises by how much. As with [`super::lockup`], what is judged is that it lasts for longer than any election, disk or busy machine can
//! explain: the bound `L` is that of one op in [`crate::contract::Patience`], and 15 s at least.
//! Reads of locks that need not be current are passed over: where they come from, and how old they may be, is nobody's word.
//!
//! No instant needs to be still for that. Let `A` show the value `v` in reads of which the first was answered at `t1` and the last was
//! asked at `t2`, and `B` show `w` from `s1` to `s2` likewise, with no other value between. Every value is put in once, so in the
//! order of the writes either `w` comes before `v` or `v` before `w`. In the first case `v` was agreed upon by `t1`, and `B`, which showed `w` at
//! `s2`, was behind by `s2 - t1`; in the second `A` was behind by `t2 - s1`. So where both are `L` or more, replicas differ, whichever
//! came first.
//!
//! # Assumptions
//!
//! * Every value of a register is written once, and it begins with `null`; what is asked for twice is passed over.
//! * `B` ought to have been in touch for `L` before `s2`, and `A` for `L` before `t2`: no fault was active, its aftermath was over,
//!   a majority and the server itself answered who leads ([`super::lockup::calm`]).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::Value;

use super::lockup::calm::{Calm, span_around};
use super::{Finding, Run, word};
use crate::explain::{Count, human, lock, when};
use crate::history::vocabulary::f;
use crate::history::{Event, EventType, Op, Outcome, RunTime, Word};
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade, Signature};

/// The name of this checker.
pub const NAME: &str = "divergence";

/// Nobody is taken to have diverged sooner, however impatient a run is.
const AT_LEAST: Duration = Duration::from_secs(15);

/// Two servers that differ are noted again when it has gone on for so long.
const STEP: Duration = Duration::from_secs(1);

/// Looks for replicas that differ.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let calm = Calm::of(run);
    let mut anomalies = Vec::new();
    for (key, pairs) in &run.replicas.differing {
        let proven = pairs.iter().filter(|pair| pair.proves(run, &calm));
        anomalies.extend(proven.max_by_key(|pair| pair.lasted()).map(|pair| pair.anomaly(run, key)));
    }
    (word(&anomalies, Count(run.replicas.reads, "local read")), anomalies)
}

/// What servers show of their own state, as it happens.
#[derive(Debug, Default)]
pub struct Replicas {
    bound: Duration,
    /// How many reads were answered.
    reads: usize,
    shown: BTreeMap<Word, BTreeMap<Word, Shown>>,
    /// By register, the values that were put in, and whether more than once.
    written: HashMap<(Word, String), bool>,
    differing: BTreeMap<Word, Vec<Pair>>,
}

/// What a server shows, from the first answer that had it on.
#[derive(Clone, Debug)]
struct Shown {
    what: String,
    first_answered: RunTime,
    last_asked: RunTime,
    ops: [usize; 2],
}

/// Two servers that show different things, in the order of their names.
#[derive(Clone, Debug)]
struct Pair([(Word, Shown); 2]);

impl Replicas {
    /// With so much patience.
    pub(crate) fn new(bound: Duration) -> Self {
        Self { bound: bound.max(AT_LEAST), ..Self::default() }
    }

    /// Takes an op that begins or has ended, with the event that tells of it.
    pub(crate) fn take(&mut self, op: &Op, event: &Event) {
        if let (EventType::Invoke, Some(new)) = (event.kind, put_in(op, &event.value)) {
            let again = self.written.entry((op.key.clone(), new.to_string())).and_modify(|again| *again = true);
            again.or_insert(new.is_null());
        }
        let (Some(node), Some(answered), Some(what)) = (&op.node, op.ended, shown(op, &event.value)) else { return };
        self.reads += 1;
        let (asked, index) = (op.invoked, op.index);
        let nodes = self.shown.entry(op.key.clone()).or_default();
        match nodes.get_mut(node).filter(|shown| shown.what == what) {
            Some(shown) if shown.last_asked < asked => (shown.last_asked, shown.ops[1]) = (asked, index),
            Some(_) => {}
            None => {
                let shown = Shown { what, first_answered: answered, last_asked: asked, ops: [index; 2] };
                nodes.insert(node.clone(), shown);
            }
        }
        self.compare(&op.key, node);
    }

    /// Notes which others show something else than a server does, and have for long enough.
    fn compare(&mut self, key: &Word, node: &Word) {
        let nodes = &self.shown[key];
        let is_unique = |shown: &Shown| self.written.get(&(key.clone(), shown.what.clone())) != Some(&true);
        let (mine, others) = (&nodes[node], nodes.iter().filter(|(other, _)| *other != node));
        for (other, theirs) in others.filter(|(_, theirs)| theirs.what != mine.what) {
            let mut pair = [(node.clone(), mine.clone()), (other.clone(), theirs.clone())];
            pair.sort_by(|(one, _), (other, _)| one.cmp(other));
            let pair = Pair(pair);
            if pair.lasted() < self.bound || !is_unique(mine) || !is_unique(theirs) {
                continue;
            }
            let known = self.differing.entry(key.clone()).or_default();
            if known.iter().all(|known| pair.goes_beyond(known)) {
                known.push(pair);
            }
        }
    }
}

/// What an op puts into a register.
fn put_in(op: &Op, asked: &Value) -> Option<Value> {
    match op.f.as_str() {
        f::WRITE => Some(asked.clone()),
        f::CAS => asked.get(1).cloned(),
        _ => None,
    }
}

/// What an answered read shows of the server's own state.
fn shown(op: &Op, told: &Value) -> Option<String> {
    (op.f == *f::LOCAL_READ && op.outcome == Outcome::Ok).then(|| told.to_string())
}

impl Pair {
    /// By how much one of the two was behind at least, whichever it was.
    fn lasted(&self) -> Duration {
        let [(_, a), (_, b)] = &self.0;
        b.last_asked.since(a.first_answered).min(a.last_asked.since(b.first_answered))
    }

    fn goes_beyond(&self, known: &Self) -> bool {
        let is_same = self.0.iter().zip(&known.0).all(|((a, x), (b, y))| a == b && x.what == y.what);
        !is_same || self.lasted() >= known.lasted() + STEP
    }

    /// Whether each of the two ought to have been in touch for long enough when it was asked last.
    fn proves(&self, run: &Run<'_>, calm: &Calm) -> bool {
        let bound = run.replicas.bound;
        self.0.iter().all(|(node, shown)| {
            let around = span_around(&calm.serving_through(node), shown.last_asked);
            around.is_some_and(|span| shown.last_asked.since(span.from) >= bound)
        })
    }

    fn anomaly(&self, run: &Run<'_>, key: &str) -> Anomaly {
        let [(one, a), (other, b)] = &self.0;
        let at = a.first_answered.max(b.first_answered);
        let until = a.last_asked.max(b.last_asked);
        let well = run.probes.well_throughout(at, until);
        let both_are_well = [one, other].iter().all(|node| well.contains(&node.as_str()));
        let signature = both_are_well.then_some(Signature::Divergence);
        let mut ops = [a.ops, b.ops].concat();
        ops.sort_unstable();
        ops.dedup();
        let explanation = format!(
            "replicas of {} differ: {one} showed {} and {other} showed {} for {}, from {}; and still did when no fault had been active for {}{}",
            lock(key),
            a.what,
            b.what,
            human(self.lasted()),
            when(&run.context, at),
            human(run.replicas.bound),
            signature.map(|signature| format!("; {signature}")).unwrap_or_default(),
        );
        let grade = if run.header.contract.patience.is_conclusive { Grade::Proven } else { Grade::Possible };
        let margin_ns = u64::try_from(self.lasted().as_nanos()).unwrap_or(u64::MAX);
        let kind = AnomalyKind::Divergence;
        let anomaly = run.anomaly(Finding { kind, grade, key, ops, at, margin_ns, explanation });
        Anomaly { signature, ..anomaly }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use crate::history::EventType;
    use crate::script::{Fault, Script, found_of_kind, script};
    use crate::verdict::{Anomaly, AnomalyKind, Grade, Signature};

    const END: u64 = 60_000;
    /// The usual patience with one op.
    const BOUND: u64 = 15_000;

    fn probed() -> Script {
        let story = script().on("r").steady(0..END + 1, "n1", 5).acquire(0, "z", 0..10, 500);
        (0..END).step_by(1_000).fold(story, |story, at| story.health(at, "n1", true).health(at, "n2", true))
    }

    fn write(story: Script, at: u64, value: u64) -> Script {
        let process = 1_000_000 + at;
        let story = story.client(at, process, EventType::Invoke, "write", json!(value), None).through("n1");
        story.client(at + 5, process, EventType::Ok, "write", json!(value), None).through("n1")
    }

    /// What a server shows at some instant.
    fn shows(story: Script, at: u64, node: &str, value: &Value) -> Script {
        let process = 2_000_000 + 10 * at + u64::from(node.as_bytes()[1]);
        let story = story.client(at, process, EventType::Invoke, "local-read", Value::Null, None).through(node);
        story.client(at + 3, process, EventType::Ok, "local-read", value.clone(), None).through(node)
    }

    /// From one instant until another `n1` shows the one and `n2` the other, which was overwritten by it.
    fn differ(story: Script, from: u64, until: u64) -> Script {
        (from..until).step_by(500).fold(write(write(story, 100, 7), 200, 8), |story, at| {
            shows(shows(story, at, "n1", &json!(8)), at + 100, "n2", &json!(7))
        })
    }

    fn found(story: Script) -> Vec<Anomaly> {
        found_of_kind(story, AnomalyKind::Divergence)
    }

    #[track_caller]
    fn lasts(story: Script, expected: &[u64]) {
        let found = found(story);
        let got: Vec<u64> = found.iter().map(|anomaly| anomaly.margin_ns / 1_000_000).collect();
        assert_eq!(got, expected, "{found:#?}");
    }

    #[test]
    fn replicas_that_go_on_to_differ() {
        let found = found(differ(probed(), 1_000, 31_000));
        assert_eq!(
            found[0].explanation,
            "replicas of `r` differ: n1 showed 8 and n2 showed 7 for 29.1 s, from 1.1 s into the run; and still did when no fault \
             had been active for 15 s; S9: replicas that differ behind good health"
        );
        assert_eq!((found[0].grade, found[0].signature), (Grade::Proven, Some(Signature::Divergence)));
        assert_eq!((found.len(), found[0].ops.len()), (1, 4));
    }

    #[test]
    fn a_replica_may_be_behind_for_a_while() {
        lasts(differ(probed(), 1_000, 1_000 + BOUND), &[]);
        lasts(differ(probed(), 1_000, 2_000 + BOUND), &[15_097]);
    }

    #[test]
    fn a_fault_may_keep_it_behind() {
        let cut = Fault(1, "network", "cut", "n2");
        lasts(differ(probed().fault(cut, 500..510, None), 1_000, 31_000), &[]);
        // For 10 s after it, and then they have to agree within the bound.
        lasts(differ(probed().fault(cut, 500..510, Some(900..1_000)), 1_100, 25_500), &[]);
        lasts(differ(probed().fault(cut, 500..510, Some(900..1_000)), 1_100, 40_000), &[38_097]);
        // Nor is one judged that is not heard of itself.
        let unheard = (0..END).step_by(200).fold(script().on("r").acquire(0, "z", 0..10, 500), |story, at| {
            story.leader(at, "n1", Some("n1"), 5).leader(at, "n3", Some("n1"), 5)
        });
        lasts(differ(unheard, 1_000, 31_000), &[]);
    }

    #[test]
    fn what_is_put_in_twice_may_be_shown_twice() {
        lasts(write(differ(probed(), 1_000, 31_000), 800, 7), &[]);
        lasts(write(differ(probed(), 1_000, 31_000), 800, 9), &[29_097]);
    }

    #[test]
    fn one_that_never_had_it_differs_as_well() {
        let story = (1_000..31_000).step_by(500).fold(write(probed(), 100, 7), |story, at| {
            shows(shows(story, at, "n1", &json!(7)), at + 100, "n2", &Value::Null)
        });
        lasts(story, &[29_097]);
    }

    #[test]
    fn where_faults_may_go_unrecorded_it_is_no_more_than_possible() {
        let not_ours = probed().contract(|contract| contract.patience.is_conclusive = false);
        assert_eq!(found(differ(not_ours, 1_000, 31_000))[0].grade, Grade::Possible);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        /// Two replicas follow a log, each by no more than the bound behind, at any speed; values may come again.
        #[test]
        fn who_is_behind_by_less_than_the_bound_is_not_accused(
            writes in proptest::collection::vec((100..50_000_u64, 1..30_u64), 0..12),
            reads in proptest::collection::vec((0..END - 10, any::<bool>(), 0..BOUND), 2..120),
        ) {
            let mut log = writes;
            log.sort_unstable();
            let mut story = log.iter().fold(probed(), |story, (at, value)| {
                let taken = story.clone();
                if log.iter().filter(|(other, _)| other == at).count() > 1 { taken } else { write(taken, *at, *value) }
            });
            log.dedup_by_key(|(at, _)| *at);
            let mut reads = reads;
            reads.sort_unstable();
            reads.dedup_by_key(|(at, ..)| *at);
            let mut applied = [0, 0];
            for (at, first, behind) in reads {
                // A write is agreed upon when it is asked for, and no replica goes back.
                let known = log.partition_point(|(written, _)| written + behind <= at);
                let replica = usize::from(first);
                applied[replica] = applied[replica].max(known);
                let value = applied[replica].checked_sub(1).map_or(Value::Null, |last| json!(log[last].1));
                story = shows(story, at, ["n2", "n1"][replica], &value);
            }
            prop_assert_eq!(found(story), Vec::new());
        }

        /// A replica that never applies one write, the last, is accused once both were looked at for long enough.
        #[test]
        fn who_lost_a_write_is_accused(
            lost_at in 200..20_000_u64,
            reads in proptest::collection::vec((0..500_u64, 0..500_u64), 60),
        ) {
            let story = reads.iter().zip((0..END).step_by(1_000)).fold(
                write(write(probed(), 100, 7), lost_at, 8),
                |story, ((one, other), at)| {
                    let [one, other] = [at + one, at + 500 + other % 480];
                    let of = |at: u64, loses: bool| match at {
                        ..110 => Value::Null,
                        at if at < lost_at + 10 || loses => json!(7),
                        _ => json!(8),
                    };
                    shows(shows(story, one, "n1", &of(one, false)), other, "n2", &of(other, true))
                },
            );
            prop_assert_eq!(found(story).len(), 1);
        }
    }
}
