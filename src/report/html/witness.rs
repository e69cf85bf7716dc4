//! The operations that no order explains, as a table.

use leasehold_checkers::history::Op;

use crate::report::story::{States, Story, witness_of};
use crate::report::words::{instant, one_line, span};

/// More than these are a picture's to show.
const OPS_MAX: usize = 24;

/// The operations that cannot be ordered, and the states around the answer at which explaining ends.
#[derive(Debug)]
pub(super) struct Witness {
    pub(super) rows: Vec<WitnessRow>,
    pub(super) left_out: usize,
    pub(super) states: Option<States>,
}

/// One of the operations.
#[derive(Debug)]
pub(super) struct WitnessRow {
    pub(super) number: usize,
    pub(super) process: u64,
    pub(super) node: String,
    pub(super) deed: String,
    pub(super) asked: String,
    pub(super) answered: String,
    /// Whether its answer is the one that cannot be explained.
    pub(super) is_stuck: bool,
}

/// Of the anomaly that the page shows from close by, where it is one of operations that cannot be ordered.
pub(super) fn of(story: &Story<'_>) -> Option<Witness> {
    let anomaly = story.telling_anomaly().filter(|anomaly| story.cannot_be_ordered(anomaly))?;
    let mut ops = witness_of(story, anomaly);
    let left_out = ops.len().saturating_sub(OPS_MAX);
    ops.drain(..left_out);
    let stuck = anomaly.stuck.as_ref().and_then(|stuck| story.ops.get(stuck.op));
    let states = stuck.map(|stuck| story.states_around(anomaly, stuck));
    let rows = ops.into_iter().map(|op| row(story, op, stuck)).collect();
    Some(Witness { rows, left_out, states })
}

fn row(story: &Story<'_>, op: &Op, stuck: Option<&Op>) -> WitnessRow {
    let answered = |ended: leasehold_checkers::history::RunTime| {
        format!("{}, after {}", instant(ended), span(ended.0.saturating_sub(op.invoked.0)))
    };
    WitnessRow {
        number: op.index,
        process: op.process,
        node: op.node.as_ref().map_or_else(|| "–".to_owned(), |node| one_line(node, 20)),
        deed: one_line(&story.deed(op), 120),
        asked: instant(op.invoked),
        answered: op.ended.filter(|_| !op.is_unanswered()).map_or_else(|| "never".to_owned(), answered),
        is_stuck: stuck.is_some_and(|stuck| stuck.index == op.index),
    }
}
