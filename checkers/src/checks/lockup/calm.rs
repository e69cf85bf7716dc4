//! When a cluster ought to serve.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::Run;
use crate::context::Fault;
use crate::history::{RunTime, Word};
use crate::holds::Span;

/// A node that has not answered a probe for longer than this may be down.
const HEARD: Duration = Duration::from_secs(1);

/// A process that was not seen to run for longer than this may have ended. It is looked at once a second, after questions that may take another.
const SEEN_TO_RUN: Duration = Duration::from_secs(4);

/// The spans in which a cluster ought to serve, in order and disjoint.
#[derive(Clone, Debug)]
pub struct Calm {
    /// No fault is active, and none has ended within its time of recovery.
    pub quiet: Vec<Span>,
    /// Quiet, and a majority of the nodes answers.
    pub serving: Vec<Span>,
    heard: BTreeMap<Word, Vec<Span>>,
    running: BTreeMap<Word, Vec<Span>>,
}

impl Calm {
    /// Works it out from the faults and the probes.
    #[must_use]
    pub fn of(run: &Run<'_>) -> Self {
        let heard: BTreeMap<Word, Vec<Span>> =
            run.probes.answers.iter().map(|(node, answers)| (node.clone(), unbroken(answers, HEARD))).collect();
        let running = &run.probes.running;
        let running = running.iter().map(|(node, seen)| (node.clone(), unbroken(seen, SEEN_TO_RUN))).collect();
        let quiet = quiet(run);
        let majority = usize::from(run.header.nodes) / 2 + 1;
        let serving = common(&quiet, &at_least(majority, &heard));
        Self { quiet, serving, heard, running }
    }

    /// The spans in which the cluster ought to serve and this node's process runs, whether it answers or not.
    #[must_use]
    pub fn serving_while_running(&self, node: &str) -> Vec<Span> {
        self.running.get(node).map_or_else(Vec::new, |running| common(&self.serving, running))
    }

    /// The spans in which the cluster ought to serve and this node answers.
    #[must_use]
    pub fn serving_through(&self, node: &str) -> Vec<Span> {
        self.heard.get(node).map_or_else(Vec::new, |heard| common(&self.serving, heard))
    }
}

/// The span that an instant belongs to.
#[must_use]
pub fn span_around(spans: &[Span], at: RunTime) -> Option<Span> {
    let begun = spans.partition_point(|span| span.from <= at);
    spans.get(begun.checked_sub(1)?).copied().filter(|span| at < span.until)
}

/// The time without faults, and without their aftermath.
///
/// A malformed packet is no excuse: a server that stops for one is what this checker looks for. A kill of a minority is one
/// for the time in which the others may need to elect a leader, and again from when the dead are started; unless any
/// other fault, or its aftermath, comes in between.
fn quiet(run: &Run<'_>) -> Vec<Span> {
    let recovery = Duration::from_millis(run.header.contract.patience.recovery_ms);
    let faults: Vec<&Fault> = run.context.faults.iter().filter(|fault| !fault.is_packet()).collect();
    let wholes: Vec<Span> = faults.iter().map(|fault| with_aftermath(fault, recovery)).collect();
    let mut excused = Vec::new();
    for (index, (fault, whole)) in faults.iter().zip(&wholes).enumerate() {
        let others = wholes.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, span)| span);
        let is_alone = |until| {
            let dead = Span { from: fault.begun, until };
            others.clone().all(|other| other.overlap(dead).is_zero())
        };
        let elected = fault.begun.after(recovery);
        match fault.healing {
            Some(healing) if elected < healing && fault.kills_a_minority(run.header.nodes) && is_alone(healing) => {
                excused.extend([Span { from: fault.begun, until: elected }, Span { from: healing, ..*whole }]);
            }
            _ => excused.push(*whole),
        }
    }
    excused.sort_unstable_by_key(|span| span.from);
    let mut quiet = Vec::new();
    let mut free_from = RunTime::default();
    for Span { from, until } in excused {
        if free_from < from {
            quiet.push(Span { from: free_from, until: from });
        }
        free_from = free_from.max(until);
    }
    if free_from < run.end {
        quiet.push(Span { from: free_from, until: run.end });
    }
    quiet
}

/// From its begin until it is over and all has had time to recover; for ever, if it never ended.
fn with_aftermath(fault: &Fault, recovery: Duration) -> Span {
    let over = fault.ended.map(|ended| ended.after(recovery.max(ended.since(fault.begun))));
    Span { from: fault.begun, until: over.unwrap_or(RunTime(u64::MAX)) }
}

/// From the first to the last of these instants, but for where they are too far apart.
fn unbroken(instants: &[RunTime], at_most: Duration) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for pair in instants.windows(2) {
        let [from, until] = [pair[0], pair[1]];
        match spans.last_mut() {
            _ if until.since(from) > at_most => {}
            Some(last) if last.until == from => last.until = until,
            _ => spans.push(Span { from, until }),
        }
    }
    spans
}

/// Where so many of the nodes are heard.
fn at_least(count: usize, heard: &BTreeMap<Word, Vec<Span>>) -> Vec<Span> {
    let begins = heard.values().flatten().map(|span| (span.from, 0_u8));
    let ends = heard.values().flatten().map(|span| (span.until, 1_u8));
    let mut turns: Vec<(RunTime, u8)> = begins.chain(ends).collect();
    turns.sort_unstable();
    let mut spans: Vec<Span> = Vec::new();
    let mut now_heard = 0_usize;
    for (at, turn) in turns {
        let enough_before = now_heard >= count;
        now_heard = if turn == 0 { now_heard + 1 } else { now_heard.saturating_sub(1) };
        match (enough_before, now_heard >= count) {
            (false, true) => spans.push(Span { from: at, until: at }),
            (true, false) => spans.iter_mut().next_back().into_iter().for_each(|last| last.until = at),
            _ => {}
        }
    }
    spans.retain(|span| span.from < span.until);
    spans
}

/// What two lists of spans have in common.
fn common(one: &[Span], other: &[Span]) -> Vec<Span> {
    let (mut i, mut j) = (0, 0);
    let mut both = Vec::new();
    while let (Some(a), Some(b)) = (one.get(i), other.get(j)) {
        let span = Span { from: a.from.max(b.from), until: a.until.min(b.until) };
        if span.from < span.until {
            both.push(span);
        }
        if a.until <= b.until {
            i += 1;
        } else {
            j += 1;
        }
    }
    both
}
