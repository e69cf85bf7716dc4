//! A cluster, or a part of it, that stops to serve although nothing is wrong with it.
//!
//! No service promises by when it answers. What is judged is that it stops to answer for longer than any election, disk or
//! busy machine can explain, with the bounds of [`crate::contract::Patience`], in time in which the cluster **ought to
//! serve**: no fault of any kind is active; none ended within the recovery time, or within as long as it had lasted; and a
//! majority of the nodes answered who leads, each at least once a second (see [`calm`]). Only requests that were sent in such
//! time count, for an earlier one may have been swallowed by a fault.
//!
//! Five shapes, told apart in the sentence:
//!
//! * **op**: one op, or everything that one node was asked, goes without an answer for longer than the bound, while the
//!   cluster ought to serve (and the node itself answers who leads, or its process runs by the word of the harness).
//! * **cluster**: writes were tried through a majority of the nodes, without a pause longer than a second, for longer than the
//!   bound, and none on any node was served, although some had been served before.
//! * **class**: one node serves none of the writes, reads, keep-alives, new sessions, acquisitions or releases that it is asked for, at
//!   least three, for longer than the bound, though it had served such before: see [`classes`].
//! * **stuck lock**: a lock that nobody can hold any more is refused to everybody: see [`stuck`].
//! * **false health**: any of these, while nodes said each time they were asked that they were well. That is named in
//!   the sentence.
//!
//! An op is **served** where it ended in `ok`, or in any `fail` but for those that only say that no answer came
//! ([`crate::history::vocabulary::code::is_silence`]), such as `refused`, where no connection came about.
//! An acquisition that waits in a queue goes without an answer rightly, so it is no evidence, but its `ok` is,
//! and so is that it was never let into the queue.
//!
//! Where the cluster is not the run's own, faults may be at work that the record does not have
//! ([`Patience::is_conclusive`](crate::contract::Patience::is_conclusive)): then every lockup is `possible`.
//!
//! Where all holds but that no majority answered the probes, a cluster that serves nothing is `possible`: it may have been down.
//!
//! The margin is how long it lasted as far as the record shows. It is **permanent as observed** where nothing was served any more
//! until the record ends; nobody knows what came after.

pub mod calm;
pub mod classes;
pub mod service;
pub(crate) mod signature;
pub mod stuck;
pub mod unserved;

use std::time::Duration;

use super::{Finding, Run, word};
use crate::explain::{Count, human, when};
use crate::history::RunTime;
use crate::holds::Span;
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade};
use calm::Calm;

/// The name of this checker.
pub const NAME: &str = "lockup";

/// Looks for lockups.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let calm = Calm::of(run);
    let mut lockups = unserved::find(run, &calm);
    lockups.extend(stuck::find(run, &calm));
    let anomalies: Vec<Anomaly> = lockups.into_iter().map(|lockup| lockup.anomaly(run)).collect();
    let mut result = word(&anomalies, Count(run.totals.ops, "op"));
    let calm_time: Duration = calm.serving.iter().map(|span| span.length()).sum();
    if calm_time.is_zero() {
        result.reason.push_str("; the cluster was never certain to be fit to serve");
    } else {
        result.reason.push_str("; the cluster ought to have served for ");
        result.reason.push_str(&human(calm_time));
    }
    (result, anomalies)
}

/// A lockup of any shape.
#[derive(Clone, Debug)]
pub(super) struct Lockup {
    pub(super) grade: Grade,
    /// The lock, where it is about one.
    pub(super) key: String,
    /// The first and the last op that show it.
    pub(super) ops: Vec<usize>,
    /// From when until when it lasted.
    pub(super) span: Span,
    /// What happened, as the beginning of a sentence.
    pub(super) what: String,
    /// The node that it is about, where it is about one.
    pub(super) node: Option<String>,
    /// Whether nothing of the kind was served any more until the record ended.
    pub(super) permanent: bool,
    /// Whether it is about a single op or a single lock, and tells nothing of the servers.
    pub(super) is_single: bool,
}

impl Lockup {
    fn anomaly(self, run: &Run<'_>) -> Anomaly {
        let Self { grade, key, mut ops, span, what, node, permanent, is_single } = self;
        let is_conclusive = run.header.contract.patience.is_conclusive;
        let grade = if is_conclusive { grade } else { Grade::Possible };
        ops.sort_unstable();
        ops.dedup();
        let signature = if is_single { None } else { signature::of(run, span, node.as_deref()) };
        let explanation = format!(
            "{what} for {}, from {}{}{}{}{}",
            human(span.length()),
            when(&run.context, span.from),
            health(run, span, node.as_deref()),
            match grade {
                Grade::Proven => "; no fault was active",
                Grade::Possible if is_conclusive => "; no fault was active, but it may have been down",
                Grade::Possible => "; no fault was recorded, but the cluster is not ours, so there may have been one",
            },
            if permanent { permanence(run, span.from) } else { cure(run, span, node.as_deref()) },
            signature.map(|signature| format!("; {signature}")).unwrap_or_default(),
        );
        let anomaly = run.anomaly(Finding {
            kind: AnomalyKind::Lockup,
            grade,
            key: &key,
            ops,
            at: span.from,
            margin_ns: u64::try_from(span.length().as_nanos()).unwrap_or(u64::MAX),
            explanation,
        });
        Anomaly { signature, ..anomaly }
    }
}

/// What ended it: the last thing that was done between its begin and the first request that was served again.
fn cure(run: &Run<'_>, span: Span, node: Option<&str>) -> String {
    let served = match node {
        None => Some(&run.service.writes),
        Some(node) => run.service.nodes.get(node),
    };
    let again = served.and_then(|served| served.instants().iter().find(|at| **at > span.until).copied());
    let Some(again) = again else { return String::new() };
    let bit = run.context.faults.iter().filter(|fault| fault.bit && !fault.is_packet());
    let done = bit.flat_map(|fault| {
        let healed = fault.healing.map(|at| (at, format!("when {} was taken back", fault.what)));
        [Some((fault.begun, format!("with {}", fault.what))), healed]
    });
    let in_time = |(at, _): &(RunTime, String)| span.from < *at && *at <= again;
    let Some((at, what)) = done.flatten().filter(in_time).max_by_key(|(at, _)| *at) else { return String::new() };
    format!("; it ended {what}, {} after that began", human(again.since(at)))
}

fn permanence(run: &Run<'_>, from: RunTime) -> String {
    format!("; permanent as observed: it was so when the record ended, {} after it began", human(run.end.since(from)))
}

/// What those said of their health who did not serve.
fn health(run: &Run<'_>, span: Span, node: Option<&str>) -> String {
    let mut well = run.probes.well_throughout(span.from, span.until);
    well.retain(|said| node.is_none_or(|node| *said == node));
    match well.as_slice() {
        [] => String::new(),
        [node] => format!(", while {node} said that it was well (false health)"),
        nodes => format!(", while {} said that they were well (false health)", nodes.join(", ")),
    }
}
