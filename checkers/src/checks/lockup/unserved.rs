//! Requests that go without an answer: of one op, of one node, of the whole cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::calm::{Calm, span_around};
use super::service::{Served, is_write, should_be_served};
use super::{Lockup, classes};
use crate::checks::Run;
use crate::explain::lock;
use crate::history::{Op, Outcome, RunTime};
use crate::holds::Span;
use crate::verdict::Grade;

/// Requests that follow one another with no longer pause were tried all the while.
const PAUSE: Duration = Duration::from_secs(1);

/// A node that left fewer requests than these without an answer is not locked up as a whole.
pub(super) const REQUESTS: usize = 3;

/// Finds the lockups of the cluster, then of nodes, of classes of requests at nodes, and of single ops; those that a greater one
/// explains are left out.
pub(super) fn find(run: &Run<'_>, calm: &Calm) -> Vec<Lockup> {
    let mut found = of_cluster(run, calm);
    let explained = |found: &[Lockup], span: Span| found.iter().any(|lockup| !lockup.span.overlap(span).is_zero());
    for lockup in of_nodes(run, calm) {
        if !explained(&found, lockup.span) {
            found.push(lockup);
        }
    }
    let mut of_classes = classes::find(run, calm);
    let stops_it = |greater: &Lockup, lockup: &Lockup| greater.node.is_none() || greater.node == lockup.node;
    of_classes.retain(|lockup| {
        !found.iter().any(|greater| stops_it(greater, lockup) && !greater.span.overlap(lockup.span).is_zero())
    });
    found.extend(of_classes);
    let mut hangs = of_ops(run, calm);
    hangs.retain(|lockup| !explained(&found, lockup.span));
    found.extend(hangs);
    found
}

/// The ops that were not served though they should have been, in the order of their invocations.
pub(super) fn by_invocation<'a>(run: &'a Run<'_>) -> Vec<&'a Op> {
    let open = run.ops.iter().filter(|op| op.ended.is_none() && should_be_served(op));
    let mut unserved: Vec<&Op> = run.service.unserved.iter().chain(open).collect();
    unserved.sort_by_key(|op| op.index);
    unserved
}

fn of_cluster(run: &Run<'_>, calm: &Calm) -> Vec<Lockup> {
    let bound = Duration::from_millis(run.header.contract.patience.cluster_ms);
    let writes: Vec<&Op> = by_invocation(run).into_iter().filter(|op| is_write(op)).collect();
    let served = run.service.writes.instants();
    let majority = usize::from(run.header.nodes) / 2 + 1;
    let mut found: Vec<Lockup> = Vec::new();
    for (spans, grade) in [(&calm.serving, Grade::Proven), (&calm.quiet, Grade::Possible)] {
        for drought in droughts(served, &writes, spans, bound, run.end) {
            let is_known = found.iter().any(|lockup| !lockup.span.overlap(drought.span).is_zero());
            if drought.served_before && drought.nodes.len() >= majority && !is_known {
                let tried = drought.tried;
                let what = format!("the whole cluster locked up: no write on any node was served, of {tried} tried,");
                found.push(drought.lockup(grade, what));
            }
        }
    }
    found
}

fn of_nodes(run: &Run<'_>, calm: &Calm) -> Vec<Lockup> {
    let bound = Duration::from_millis(run.header.contract.patience.op_ms);
    let mut by_node: BTreeMap<&str, Vec<&Op>> = BTreeMap::new();
    for op in by_invocation(run) {
        if let Some(node) = &op.node {
            by_node.entry(node).or_default().push(op);
        }
    }
    by_node
        .into_iter()
        .flat_map(|(node, ops)| {
            let served = run.service.nodes.get(node).map_or(&[][..], Served::instants);
            let within = |spans: &[Span]| droughts(served, &ops, spans, bound, run.end);
            let is_whole_node = |drought: &Drought<'_>| drought.served_before && drought.tried >= REQUESTS;
            let named = |drought: Drought<'_>, how: &str| {
                let what = format!("{node} locked up: none of {} requests to it was served{how}", drought.tried);
                Lockup { node: Some(node.to_owned()), ..drought.lockup(Grade::Proven, what) }
            };
            let answering = within(&calm.serving_through(node)).into_iter().filter(is_whole_node);
            let mut found: Vec<Lockup> = answering.map(|drought| named(drought, "")).collect();
            for drought in within(&calm.serving_while_running(node)).into_iter().filter(is_whole_node) {
                if found.iter().all(|known| known.span.overlap(drought.span).is_zero()) {
                    found.push(named(drought, ", nor did it say who leads, though its process ran,"));
                }
            }
            found
        })
        .collect()
}

/// The op of each node that hung the longest.
fn of_ops(run: &Run<'_>, calm: &Calm) -> Vec<Lockup> {
    let bound = Duration::from_millis(run.header.contract.patience.op_ms);
    let mut longest: BTreeMap<&str, Lockup> = BTreeMap::new();
    for op in by_invocation(run).into_iter().filter(|op| op.is_unanswered()) {
        let Some(node) = op.node.as_deref() else { continue };
        let Some(around) = span_around(&calm.serving, op.invoked) else { continue };
        let span = Span { from: op.invoked, until: op.ended.unwrap_or(run.end).min(around.until) };
        if span.length() <= bound || longest.get(node).is_some_and(|known| known.span.length() >= span.length()) {
            continue;
        }
        let what = format!(
            "a request locked up: process {}'s {} of {} through {node} got no answer",
            op.process,
            op.f,
            lock(&op.key),
        );
        let permanent = op.outcome == Outcome::Open;
        let lockup = Lockup {
            grade: Grade::Proven,
            key: op.key.to_string(),
            ops: vec![op.index],
            span,
            node: None,
            what,
            permanent,
            is_single: true,
        };
        longest.insert(node, lockup);
    }
    longest.into_values().collect()
}

/// A stretch of time in which ops were tried all the while, and none was served.
pub(super) struct Drought<'a> {
    pub(super) span: Span,
    nodes: BTreeSet<&'a str>,
    first: usize,
    last: usize,
    pub(super) tried: usize,
    pub(super) served_before: bool,
    served_after: bool,
}

impl Drought<'_> {
    pub(super) fn lockup(self, grade: Grade, what: String) -> Lockup {
        let Self { span, first, last, served_after, .. } = self;
        let (key, ops) = (String::new(), vec![first, last]);
        Lockup { grade, key, ops, span, node: None, what, permanent: !served_after, is_single: false }
    }
}

/// The droughts within the given spans that are longer than a bound.
///
/// Between two neighbouring instants at which something was served, the ops that were not served cover the time in which
/// they were under way; what they cover with no longer [`PAUSE`] between them is a drought. An op counts from the last such
/// instant before its own end.
pub(super) fn droughts<'a>(
    served: &[RunTime],
    unserved: &[&'a Op],
    within: &[Span],
    bound: Duration,
    end: RunTime,
) -> Vec<Drought<'a>> {
    let mut stretches: Vec<(RunTime, RunTime, &'a Op)> = unserved
        .iter()
        .filter_map(|op| {
            let around = span_around(within, op.invoked)?;
            let until = op.ended.unwrap_or(end).min(around.until);
            let last_served = served[..served.partition_point(|at| *at <= until)].last();
            let from = last_served.map_or(op.invoked, |served| op.invoked.max(*served));
            Some((from, until, *op))
        })
        .collect();
    stretches.sort_by_key(|(from, until, op)| (*from, *until, op.index));

    let mut droughts: Vec<Drought<'a>> = Vec::new();
    for (from, until, op) in stretches {
        let served_by = |at: RunTime| served.partition_point(|served| *served <= at);
        let goes_on = |last: &Drought<'_>| {
            let none_served = served_by(last.span.from) == served_by(until);
            let same_span = span_around(within, last.span.from) == span_around(within, op.invoked);
            none_served && same_span && from.since(last.span.until) <= PAUSE
        };
        match droughts.last_mut().filter(|last| goes_on(last)) {
            Some(last) => {
                last.span.until = last.span.until.max(until);
                last.last = op.index;
                last.tried += 1;
                last.nodes.extend(op.node.as_deref());
            }
            None => {
                droughts.push(Drought {
                    span: Span { from, until },
                    nodes: op.node.as_deref().into_iter().collect(),
                    first: op.index,
                    last: op.index,
                    tried: 1,
                    served_before: served_by(from) > 0,
                    served_after: served_by(until) < served.len(),
                });
            }
        }
    }
    droughts.retain(|drought| drought.span.length() > bound);
    droughts
}

#[cfg(test)]
mod tests {
    use crate::script::{Fault, Script, found_of_kind, script};
    use crate::verdict::{AnomalyKind, Grade};

    #[track_caller]
    fn finds(script: Script, expected: &[(Grade, u64)]) {
        let found = found_of_kind(script, AnomalyKind::Lockup);
        let got: Vec<_> = found.iter().map(|a| (a.grade, a.margin_ns / 1_000_000)).collect();
        assert_eq!(got, expected, "{found:?}");
    }

    /// The cluster answers probes for 40 s.
    fn probed() -> Script {
        script().steady(0..40_001, "n1", 5).acquire(0, "z", 0..10, 500)
    }

    /// Between two instants, a worker of each node tries to acquire every 2.1 s, and gets no answer.
    fn in_vain(script: Script, from: u64, until: u64, nodes: &[&str]) -> Script {
        let times = (from..until).step_by(2_100).enumerate();
        times.fold(script, |script, (turn, at)| {
            (100..).zip(nodes).fold(script, |script, (number, node)| {
                let process = from + number + 10 * turn as u64;
                let owner = format!("v{process}");
                script.acquire_info(process, &owner, at..(at + 2_000).min(until), 3_000).through(node)
            })
        })
    }

    const ALL: [&str; 3] = ["n1", "n2", "n3"];

    #[test]
    fn a_cluster_that_serves_no_write() {
        finds(in_vain(probed(), 1_000, 20_000, &ALL), &[(Grade::Proven, 19_000)]);
        finds(in_vain(probed(), 1_000, 16_000, &ALL), &[]);
        finds(in_vain(probed(), 1_000, 16_001, &ALL), &[(Grade::Proven, 15_001)]);
    }

    #[test]
    fn where_faults_may_go_unrecorded_it_is_no_more_than_possible() {
        let not_ours = probed().contract(|contract| contract.patience.is_conclusive = false);
        finds(in_vain(not_ours, 1_000, 20_000, &ALL), &[(Grade::Possible, 19_000)]);
    }

    #[test]
    fn one_write_that_is_served_ends_it() {
        let served = in_vain(probed(), 1_000, 20_000, &ALL).acquire_held(1, "y", 11_000..12_000, "z");
        finds(served, &[]);
        // It is not what the others ask for.
        let renewed = in_vain(probed(), 1_000, 20_000, &ALL).renew_fails(1, "z", 11_000..12_000, "expired");
        let found = found_of_kind(renewed, AnomalyKind::Lockup);
        assert!(
            found.len() == 1
                && found[0].explanation.starts_with("n1 locked up for acquisitions: none of 10 was served for 19 s"),
            "{found:?}"
        );
        let read = in_vain(probed(), 1_000, 20_000, &ALL).read(1, 11_000..12_000, None);
        finds(read, &[(Grade::Proven, 19_000)]);
    }

    #[test]
    fn what_only_one_node_was_asked_is_no_matter_of_the_cluster() {
        let found = found_of_kind(in_vain(probed(), 1_000, 20_000, &["n2"]), AnomalyKind::Lockup);
        assert_eq!(found, []);
        let served = probed().read(7, 100..110, None).through("n2");
        let found = found_of_kind(in_vain(served, 1_000, 20_000, &["n2"]), AnomalyKind::Lockup);
        assert!(
            found[0].explanation.starts_with("n2 locked up: none of 10 requests to it was served for 19 s"),
            "{found:?}"
        );
    }

    #[test]
    fn a_cluster_that_nobody_asks_is_not_locked_up() {
        let pauses = in_vain(in_vain(probed(), 1_000, 10_000, &ALL), 12_000, 20_000, &ALL);
        finds(pauses, &[]);
    }

    #[test]
    fn a_cluster_that_never_served_may_have_been_asked_wrongly() {
        finds(in_vain(script().steady(0..40_001, "n1", 5), 1_000, 20_000, &ALL), &[]);
    }

    #[test]
    fn refusals_are_no_service() {
        let refused = (1_000..20_000_u64).step_by(500).fold(probed(), |script, at| {
            script.acquire_fails(at, &format!("v{at}"), at..at + 10, "refused").through(ALL[at as usize / 500 % 3])
        });
        finds(refused, &[(Grade::Proven, 18_510)]);
        let held = (1_000..20_000_u64)
            .step_by(500)
            .fold(probed(), |script, at| script.acquire_held(at, &format!("v{at}"), at..at + 10, "stranger"));
        finds(held, &[]);
    }

    #[test]
    fn a_fault_excuses_and_so_does_its_aftermath() {
        let pause = Fault(1, "pause", "pause", "n2");
        finds(in_vain(probed().fault(pause, 900..910, None), 1_000, 20_000, &ALL), &[]);
        finds(in_vain(probed().fault(pause, 100..110, Some(700..710)), 1_000, 20_000, &ALL), &[]);
        // It is over after 10 s, or after as long as it lasted.
        finds(
            in_vain(probed().fault(pause, 100..110, Some(700..710)), 10_710, 30_000, &ALL),
            &[(Grade::Proven, 19_290)],
        );
        finds(in_vain(probed().fault(pause, 100..110, Some(14_090..14_100)), 24_200, 40_000, &ALL), &[]);
    }

    #[test]
    fn a_cluster_whose_majority_is_not_heard_may_be_down() {
        let lone = |until| {
            (0..until)
                .step_by(200)
                .fold(script().acquire(0, "z", 0..10, 500), |script, at| script.leader(at, "n1", Some("n1"), 5))
        };
        finds(in_vain(lone(40_000), 1_000, 20_000, &ALL), &[(Grade::Possible, 19_000)]);
    }

    #[test]
    fn a_node_that_serves_nothing_while_the_others_do() {
        let others = |script: Script| {
            (0..40_000_u64).step_by(500).fold(script, |script, at| {
                script.acquire_held(500 + at, &format!("o{at}"), at..at + 10, "stranger").through("n1")
            })
        };
        let before = || others(probed()).read(7, 100..110, None).through("n2");
        finds(in_vain(before(), 1_000, 20_000, &["n2"]), &[(Grade::Proven, 19_000)]);
        finds(in_vain(before(), 1_000, 20_000, &["n2"]).read(8, 9_000..9_010, None).through("n2"), &[]);
    }

    /// It does not say who leads either, but the harness sees that its process runs.
    #[test]
    fn a_node_that_is_silent_altogether_and_runs() {
        let others_well = |node: &'static str| move |script: Script, at| script.leader(at, node, Some("n1"), 5);
        let majority = |script: Script| {
            let script = (0..40_001).step_by(200).fold(script, others_well("n1"));
            let script = (0..40_001_u64).step_by(500).fold(script, |script, at| {
                script.acquire_held(500 + at, &format!("o{at}"), at..at + 10, "stranger").through("n1")
            });
            script.acquire(0, "z", 0..10, 500).read(7, 100..110, None).through("n2")
        };
        let silent = |script: Script| in_vain(script, 1_000, 20_000, &["n2"]);
        let whole = |script: Script| silent((0..40_001).step_by(200).fold(majority(script), others_well("n3")));
        let runs = |every: usize| (0..40_001).step_by(every).fold(script(), |script, at| script.runs(at, "n2"));
        finds(whole(runs(1_000)), &[(Grade::Proven, 19_000)]);
        finds(whole(runs(4_000)), &[(Grade::Proven, 19_000)]);
        let found = found_of_kind(whole(runs(1_000)), AnomalyKind::Lockup);
        let words = "n2 locked up: none of 10 requests to it was served, nor did it say who leads, though its process ran, for 19 s";
        assert!(found[0].explanation.starts_with(words), "{found:?}");
        // It may have died in between, or all the while.
        finds(whole(runs(4_001)), &[]);
        finds(whole(script()), &[]);
        // Without the others it has no majority.
        finds(silent(majority(runs(1_000))), &[]);
    }

    #[test]
    fn one_request_that_hangs() {
        let busy = |script: Script| {
            (0..40_000_u64)
                .step_by(500)
                .fold(script, |script, at| script.acquire_held(500 + at, &format!("o{at}"), at..at + 10, "stranger"))
        };
        finds(busy(probed()).renew_info(0, "z", 1_000..16_001), &[(Grade::Proven, 15_001)]);
        finds(busy(probed()).renew_info(0, "z", 1_000..16_000), &[]);
        finds(busy(probed()).renew_open(0, "z", 1_000), &[(Grade::Proven, 39_000)]);
    }

    #[test]
    fn one_who_waits_in_a_queue_does_not_hang() {
        let waiting = serde_json::json!({ "owner": "w", "ttl_ms": 3_000, "blocking": true });
        finds(probed().client(1_000, 9, crate::history::EventType::Invoke, "acquire", waiting, None), &[]);
    }

    /// Their sessions are not opened in time, so nothing was asked in them.
    #[test]
    fn one_who_is_not_let_into_the_queue_waits_for_an_answer() {
        let not_let_in = |script: Script, code: &'static str| {
            (1_000..20_000_u64).step_by(500).fold(script, |script, at| {
                let (node, owner) = (ALL[at as usize / 500 % 3], format!("v{at}"));
                let asked = serde_json::json!({ "owner": owner, "ttl_ms": 3_000, "blocking": true });
                let error = Some(code);
                script
                    .client(at, at, crate::history::EventType::Invoke, "acquire", asked.clone(), None)
                    .through(node)
                    .client(at + 400, at, crate::history::EventType::Fail, "acquire", asked, error)
                    .through(node)
            })
        };
        finds(not_let_in(probed(), "no-session"), &[(Grade::Proven, 18_900)]);
        finds(not_let_in(probed(), "rejected"), &[]);
    }

    #[test]
    fn the_sentence() {
        let well = |script: Script| {
            (0..40_000).step_by(1_000).fold(script, |script, at| {
                script.health(at, "n1", true).health(at, "n2", true).health(at, "n3", at < 9_000)
            })
        };
        let found = found_of_kind(well(in_vain(probed(), 1_000, 20_000, &ALL)), AnomalyKind::Lockup);
        assert_eq!(
            found[0].explanation,
            "the whole cluster locked up: no write on any node was served, of 30 tried, for 19 s, from 1 s into the run, while n1, n2 \
             said that they were well (false health); no fault was active; permanent as observed: it was so when the record ended, \
             39 s after it began"
        );
    }
}
