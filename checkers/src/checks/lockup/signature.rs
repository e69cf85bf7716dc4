//! What a lockup looks like, where there is positive evidence for it.
//!
//! A lockup takes its time to settle: one server may answer reads until the first write gets stuck in it. What is looked at is
//! therefore its second half. A class of requests is **silent** at a node there, if some were tried and none was served for longer
//! than the bound; it is **served** if one was.

use std::collections::BTreeSet;
use std::time::Duration;

use super::classes::Class;
use super::unserved::by_invocation;
use crate::checks::Run;
use crate::history::RunTime;
use crate::holds::Span;
use crate::verdict::{Anomaly, AnomalyKind, Grade, Signature};

/// What went on in the second half of a lockup.
struct Picture<'a> {
    silent: BTreeSet<(&'a str, Class)>,
    served: BTreeSet<(&'a str, Class)>,
    /// The nodes that told who leads.
    heard: BTreeSet<&'a str>,
    /// The nodes that said, all the while, that they were well.
    well: BTreeSet<&'a str>,
    /// Whether a node said that it led.
    is_led: bool,
    /// Whether another began to lead.
    is_led_anew: bool,
    majority: usize,
}

impl<'a> Picture<'a> {
    fn of(run: &'a Run<'_>, span: Span) -> Self {
        let bound = Duration::from_millis(run.header.contract.patience.op_ms);
        let half = Span { from: span.from.after(span.length() / 2), until: span.until };
        let is_within = |at: RunTime| half.from <= at && at <= half.until;
        let classes = &run.service.classes;
        let served = classes.iter().filter(|(_, served)| served.instants().iter().any(|at| is_within(*at)));
        let mut silent = BTreeSet::new();
        for op in by_invocation(run) {
            let Some(node) = &op.node else { continue };
            let until = op.ended.unwrap_or(run.end);
            if until < half.from || half.until < op.invoked {
                continue;
            }
            for (class, is_served) in Class::of(op) {
                let missing = classes
                    .get(&(node.clone(), class))
                    .is_some_and(|served| served.was_missing_for(op.invoked, until, bound, run.end));
                if !is_served && missing {
                    silent.insert((node.as_str(), class));
                }
            }
        }
        let served: BTreeSet<(&str, Class)> = served.map(|((node, class), _)| (node.as_str(), *class)).collect();
        silent.retain(|place| !served.contains(place));
        let views = || run.context.views.iter().filter(|view| is_within(view.time));
        Self {
            silent,
            served,
            heard: views().map(|view| view.node.as_str()).collect(),
            well: run.probes.well_throughout(span.from, span.until).into_iter().collect(),
            is_led: views().any(|view| view.leader.as_deref() == Some(view.node.as_str())),
            is_led_anew: run
                .context
                .leader_changes
                .iter()
                .any(|change| span.from < change.seen && change.seen <= span.until),
            majority: usize::from(run.header.nodes) / 2 + 1,
        }
    }

    fn nodes_with(places: &BTreeSet<(&'a str, Class)>, is: impl Fn(Class) -> bool) -> BTreeSet<&'a str> {
        places.iter().filter(|(_, class)| is(*class)).map(|(node, _)| *node).collect()
    }

    /// Of a lockup of all nodes.
    fn of_cluster(&self) -> Option<Signature> {
        if self.heard.len() < self.majority {
            return Some(Signature::QuorumLost);
        }
        if self.well.is_empty() {
            return None;
        }
        if !self.is_led {
            return Some(Signature::NoElection);
        }
        if self.is_led_anew || self.well.len() < self.majority {
            return None;
        }
        let is_read = |class| class == Class::Read;
        // A server that was asked for no writes may answer reads as if nothing was wrong.
        let stuck = Self::nodes_with(&self.silent, Class::takes_agreement);
        let silent = &Self::nodes_with(&self.silent, is_read) & &stuck;
        let served = &Self::nodes_with(&self.served, is_read) & &stuck;
        match (silent.is_empty(), served.is_empty()) {
            (false, _) => Some(Signature::Total),
            (true, false) => Some(Signature::WriteOnly),
            (true, true) => None,
        }
    }

    /// Of a lockup of one node, or of some of its requests.
    fn of_node(&self, node: &str) -> Option<Signature> {
        let writes_stop = Self::nodes_with(&self.silent, Class::takes_agreement);
        let writes_go_on = Self::nodes_with(&self.served, Class::takes_agreement);
        if writes_go_on.is_empty() && writes_stop.len() >= self.majority {
            return self.of_cluster();
        }
        if self.is_led_anew || !self.is_led {
            return None;
        }
        // Such a lockup is only found where its process ran.
        if !self.heard.contains(node) && !writes_go_on.is_empty() && !writes_go_on.contains(node) {
            return Some(Signature::Deaf);
        }
        if !self.well.contains(node) {
            return None;
        }
        let is_passive = |class: Class| !class.takes_agreement();
        let others_stop = Self::nodes_with(&self.silent, is_passive).contains(node);
        let others_go_on = Self::nodes_with(&self.served, is_passive).contains(node);
        match (writes_stop.contains(node), writes_go_on.contains(node), others_stop, others_go_on) {
            (true, false, true, false) => Some(Signature::OneServer),
            (true, false, false, true) => Some(Signature::OneServersWrites),
            (false, true, true, false) => Some(Signature::Inverse),
            _ => None,
        }
    }
}

/// The signature of a lockup of one node, or of all if it is none's.
pub(super) fn of(run: &Run<'_>, span: Span, node: Option<&str>) -> Option<Signature> {
    let picture = Picture::of(run, span);
    node.map_or_else(|| picture.of_cluster(), |node| picture.of_node(node))
}

/// Names the leases that outlived their time while the service was locked up.
pub(crate) fn name_zombies(anomalies: &mut [Anomaly]) {
    let ends = |anomaly: &Anomaly| anomaly.at_ns.saturating_add(anomaly.margin_ns);
    let lockups: Vec<(u64, u64)> = anomalies
        .iter()
        .filter(|anomaly| anomaly.kind == AnomalyKind::Lockup && anomaly.grade == Grade::Proven)
        .map(|anomaly| (anomaly.at_ns, ends(anomaly)))
        .collect();
    for zombie in anomalies.iter_mut().filter(|anomaly| anomaly.kind == AnomalyKind::OverdueExpiry) {
        let should_have_ended = zombie.at_ns.saturating_sub(zombie.margin_ns);
        if lockups.iter().any(|(from, until)| *from <= zombie.at_ns && should_have_ended < *until) {
            zombie.signature = Some(Signature::ZombieLease);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::history::EventType;
    use crate::script::{Fault, Script, found_of_kind, script};
    use crate::verdict::{Anomaly, AnomalyKind, Signature};

    const NODES: [&str; 3] = ["n1", "n2", "n3"];
    const STOPS: u64 = 5_000;
    const END: u64 = 40_000;

    /// Every node is asked for writes and reads over 40 s, and says that it is well; from 5 s on what `stops` names goes without
    /// an answer.
    fn asked(mut story: Script, stops: impl Fn(&str, &str) -> bool) -> Script {
        let mut process = 0;
        for at in (0..END).step_by(500) {
            for node in NODES {
                for f in ["write", "local-read"] {
                    process += 1;
                    let (kind, code, takes) = if at >= STOPS && stops(node, f) {
                        (EventType::Info, Some("timeout"), 450)
                    } else {
                        (EventType::Ok, None, 10)
                    };
                    story = story.client(at, process, EventType::Invoke, f, json!(process), None).through(node);
                    story = story.client(at + takes, process, kind, f, json!(process), code).through(node);
                }
            }
        }
        story
    }

    fn well(story: Script, nodes: &[&str]) -> Script {
        (0..END).step_by(1_000).fold(story, |story, at| {
            NODES.iter().fold(story, |story, node| story.health(at, node, nodes.contains(node)))
        })
    }

    fn probed() -> Script {
        well(script().steady(0..END + 1, "n1", 5), &NODES).acquire(100_000, "z", 0..10, 500)
    }

    fn lockups(story: Script) -> Vec<Anomaly> {
        found_of_kind(story, AnomalyKind::Lockup)
    }

    #[track_caller]
    fn shows(story: Script, expected: &[Option<Signature>]) {
        let found = lockups(story);
        assert_eq!(found.iter().map(|anomaly| anomaly.signature).collect::<Vec<_>>(), expected, "{found:#?}");
    }

    #[test]
    fn each_signature_is_told_by_what_stops_where() {
        use Signature::{Inverse, OneServer, OneServersWrites, Total, WriteOnly};
        shows(asked(probed(), |_, _| false), &[]);
        shows(asked(probed(), |_, _| true), &[Some(Total)]);
        shows(asked(probed(), |_, f| f == "write"), &[Some(WriteOnly)]);
        shows(asked(probed(), |node, f| f == "write" || node != "n3"), &[Some(Total)]);
        shows(asked(probed(), |node, _| node == "n2"), &[Some(OneServer)]);
        shows(asked(probed(), |node, f| node == "n2" && f == "write"), &[Some(OneServersWrites)]);
        shows(asked(probed(), |node, f| node == "n2" && f == "local-read"), &[Some(Inverse)]);
        shows(
            asked(probed(), |node, f| node == "n2" && f == "local-read" || node == "n3"),
            &[Some(Inverse), Some(OneServer)],
        );
    }

    /// From 5 s on `n2` answers nobody, and is seen to run until some instant.
    fn deaf(runs_until: u64) -> Script {
        let others = (0..END + 1).step_by(200).fold(script(), |story, at| {
            let told = story.leader(at, "n1", Some("n1"), 5).leader(at, "n3", Some("n1"), 5);
            if at < STOPS { told.leader(at, "n2", Some("n1"), 5) } else { told }
        });
        let others = well(others, &["n1", "n3"]).acquire(100_000, "z", 0..10, 500);
        let story = (0..runs_until).step_by(1_500).fold(others, |story, at| story.runs(at, "n2"));
        asked(story, |node, _| node == "n2")
    }

    #[test]
    fn who_answers_nobody_is_deaf_only_while_its_process_runs() {
        let found = lockups(deaf(END));
        assert_eq!(found.iter().map(|lockup| lockup.signature).collect::<Vec<_>>(), [Some(Signature::Deaf)]);
        let sentence = &found[0].explanation;
        assert!(sentence.starts_with("n2 locked up: none of"), "{sentence}");
        assert!(sentence.contains("nor did it say who leads, though its process ran, for 32.5 s"), "{sentence}");
        assert!(!sentence.contains("false health"), "the others said so, and were: {sentence}");
        shows(deaf(STOPS), &[]);
        shows(deaf(STOPS + 15_000), &[]);
        let kill = Fault(1, "kill", "kill", "n2");
        shows(deaf(END).fault(kill, STOPS - 100..STOPS, None), &[]);
    }

    #[test]
    fn without_positive_evidence_there_is_none() {
        let unwell = || well(script().steady(0..END + 1, "n1", 5), &["n1"]).acquire(100_000, "z", 0..10, 500);
        shows(asked(unwell(), |_, _| true), &[None]);
        shows(asked(unwell(), |node, _| node == "n2"), &[None]);
        let elected = || {
            let story = script().steady(0..20_000, "n1", 5).steady(20_000..END + 1, "n2", 6);
            well(story, &NODES).acquire(100_000, "z", 0..10, 500)
        };
        shows(asked(elected(), |_, _| true), &[None]);
        let leaderless = |story: Script| {
            (5_200..END + 1)
                .step_by(200)
                .fold(story, |story, at| NODES.iter().fold(story, |story, node| story.leader(at, node, None, 5)))
        };
        let story = leaderless(well(script().steady(0..5_001, "n1", 5), &NODES).acquire(100_000, "z", 0..10, 500));
        shows(asked(story, |_, _| true), &[Some(Signature::NoElection)]);
        let unheard = well(script().steady(0..5_001, "n1", 5), &NODES).acquire(100_000, "z", 0..10, 500);
        shows(asked(unheard, |_, _| true), &[Some(Signature::QuorumLost)]);
    }

    #[test]
    fn a_packet_is_no_excuse_and_a_cure_is_named() {
        let packet = Fault(1, "packet", "packet create-path-length", "n2");
        let kill = Fault(2, "kill", "kill", "n1");
        let story = probed().fault(packet, 4_900..4_950, Some(4_950..4_950)).fault(kill, END - 500..END - 490, None);
        let found = lockups(asked(story, |_, _| true).acquire(200_000, "y", END + 700..END + 710, 500));
        assert_eq!(found.iter().map(|found| found.at_ns / 1_000_000).collect::<Vec<_>>(), [STOPS], "{found:#?}");
        assert!(found[0].explanation.contains("it ended with kill on n1, 1.21 s after that began"), "{found:#?}");
        assert!(found[0].explanation.ends_with("; S1: total lockup behind good health, the same leader"), "{found:#?}");
        let pause = Fault(1, "pause", "pause", "n2");
        shows(asked(probed().fault(pause, 4_900..4_950, None), |_, _| true), &[]);
    }

    #[test]
    fn a_dead_minority_excuses_for_as_long_as_an_election_takes() {
        let kill = |node| Fault(1, "kill", "kill", node);
        let killed = |story: Script| story.fault(kill("n3"), 4_500..4_510, Some(38_000..38_500));
        let found = lockups(asked(killed(probed()), |_, _| true));
        assert_eq!(found.iter().map(|lockup| lockup.at_ns / 1_000_000).collect::<Vec<_>>(), [14_500], "{found:#?}");
        let other = Fault(2, "pause", "pause", "n1");
        shows(asked(killed(probed()).fault(other, 33_000..33_001, Some(33_002..33_003)), |_, _| true), &[]);
        let never_started_again = probed().fault(kill("n3"), 4_500..4_510, None);
        shows(asked(never_started_again, |_, _| true), &[]);
    }

    #[test]
    fn a_lease_that_outlives_its_time_in_a_lockup_is_a_zombie() {
        // From 5 s on nothing is served, and at 39.9 s the lock of somebody who was last heard of at 4 s is still there.
        let held = probed().acquire(300_000, "dead", 4_000..4_010, 3_000);
        let story = asked(held, |_, _| true).acquire_held(400_000, "heir", END..END + 10, "dead");
        let found = found_of_kind(story, AnomalyKind::OverdueExpiry);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].signature, Some(Signature::ZombieLease), "{found:#?}");
        let calm = asked(probed().acquire(300_000, "dead", 4_000..4_010, 3_000), |_, _| false);
        let found =
            found_of_kind(calm.acquire_held(400_000, "heir", END..END + 10, "dead"), AnomalyKind::OverdueExpiry);
        assert_eq!(found[0].signature, None);
    }
}
