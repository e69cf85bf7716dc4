//! When requests were served, and which were not, as far as that can still matter to a lockup.
//!
//! A stretch without service that is worth a word is longer than the bound, so it lies between two neighbouring instants of
//! service that are further apart than the bound, or after the last. Of instants that are close together those in the middle
//! are therefore forgotten, and so are the requests without service in whose time no such gap lies. That changes no
//! verdict, and what is kept grows with the time that passes, one instant in half a bound, and not with the requests.

use std::collections::BTreeMap;
use std::time::Duration;

use super::classes::Class;
use crate::contract::Patience;
use crate::history::vocabulary::{code, f};
use crate::history::{Action, Op, Outcome, RunTime, Word};

/// Of instants of service of one class at one node that are closer together than this, those in the middle are forgotten.
const GRAIN: Duration = Duration::from_secs(1);

/// Whether an op shows that its request was dealt with. Whoever says no has looked at it; only where no connection came
/// about, or nothing came back over it, has nobody.
pub(super) fn is_served(op: &Op) -> bool {
    let is_silent_failure = op.outcome == Outcome::Fail && op.error_code().is_some_and(code::is_silence);
    !op.is_unanswered() && !is_silent_failure
}

/// Whether an op that is not served is worth a word. Who waits in a queue goes without an answer rightly; who failed for want of one
/// never came to stand there.
pub(super) fn should_be_served(op: &Op) -> bool {
    !(op.is_unanswered() && matches!(op.action, Action::Acquire { blocking: true, .. }))
}

pub(super) fn is_write(op: &Op) -> bool {
    !matches!(op.action, Action::Read { .. } | Action::Register { writes: false, .. }) && op.f != *f::LOCAL_READ
}

/// What is known of the service of a run.
#[derive(Clone, Debug)]
pub struct Service {
    op_bound: Duration,
    /// Of all writes.
    pub(super) writes: Served,
    /// By node.
    pub(super) nodes: BTreeMap<Word, Served>,
    /// By node and class.
    pub(super) classes: BTreeMap<(Word, Class), Served>,
    /// Ops that have ended and were not served, though they should have been.
    pub(super) unserved: Vec<Op>,
}

impl Service {
    /// Of a run in which nothing has happened yet.
    pub(crate) fn new(patience: &Patience) -> Self {
        Self {
            op_bound: Duration::from_millis(patience.op_ms),
            writes: Served::new(Duration::from_millis(patience.cluster_ms)),
            nodes: BTreeMap::new(),
            classes: BTreeMap::new(),
            unserved: Vec::new(),
        }
    }

    /// Takes an op that has ended.
    pub(crate) fn take(&mut self, op: &Op) {
        let Some(ended) = op.ended else { return };
        if let Some(node) = &op.node {
            for (class, _) in Class::of(op).into_iter().filter(|(_, served)| *served) {
                let served = self.classes.entry((node.clone(), class));
                served.or_insert_with(|| Served::new(GRAIN)).note(ended);
            }
        }
        if !is_served(op) {
            if should_be_served(op) {
                self.unserved.push(op.clone());
            }
            return;
        }
        if is_write(op) {
            self.writes.note(ended);
        }
        if let Some(node) = &op.node {
            self.nodes.entry(node.clone()).or_insert_with(|| Served::new(self.op_bound)).note(ended);
        }
    }

    /// Forgets the ops that can be part of no lockup.
    pub(crate) fn settle(&mut self) {
        let Self { op_bound, writes, nodes, classes, unserved } = self;
        unserved.retain(|op| {
            let at_node = |node: &Word| {
                let of_class = |class| {
                    classes.get(&(node.clone(), class)).is_some_and(|served| served.was_missing_during(op, *op_bound))
                };
                let classes = Class::of(op);
                nodes.get(node).is_none_or(|served| served.was_missing_during(op, *op_bound))
                    || classes.into_iter().any(|(class, _)| of_class(class))
            };
            let hung = op.is_unanswered() && op.ended.is_some_and(|ended| ended.since(op.invoked) > *op_bound);
            hung || is_write(op) && writes.was_missing_during(op, writes.grain) || op.node.as_ref().is_some_and(at_node)
        });
    }

    /// How many ops are kept.
    pub(crate) fn kept(&self) -> usize {
        self.unserved.len()
    }
}

/// When something was served.
#[derive(Clone, Debug)]
pub(super) struct Served {
    /// Instants that are no further apart are as good as one.
    grain: Duration,
    at: Vec<RunTime>,
}

impl Served {
    fn new(grain: Duration) -> Self {
        Self { grain, at: Vec::new() }
    }

    fn note(&mut self, at: RunTime) {
        while let [.., before, _] = self.at[..]
            && at.since(before) <= self.grain
        {
            self.at.pop();
        }
        self.at.push(at);
    }

    /// The instants, in order, but for some in the middle of others that are within the grain.
    pub(super) fn instants(&self) -> &[RunTime] {
        &self.at
    }

    /// Whether it was, or may yet turn out to be, missing for longer than a bound at a time at which an op was under way.
    fn was_missing_during(&self, op: &Op, bound: Duration) -> bool {
        let Some(ended) = op.ended else { return true };
        self.was_missing_for(op.invoked, ended, bound, RunTime(u64::MAX))
    }

    /// Whether it was missing for longer than a bound at a time between two instants, in a record that ends at `end`. Before it
    /// was there for the first time nobody missed it.
    pub(super) fn was_missing_for(&self, from: RunTime, until: RunTime, bound: Duration, end: RunTime) -> bool {
        let first = self.at.partition_point(|at| *at <= from).saturating_sub(1);
        self.at[first..].windows(2).take_while(|gap| gap[0] <= until).any(|gap| gap[1].since(gap[0]) > bound)
            || self.at.last().is_some_and(|last| *last <= until && end.since(*last) > bound)
    }
}
