//! In what a replay differs from the run that it replays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leasehold_checkers::history::vocabulary::{FaultPhase, FaultValue};
use leasehold_checkers::history::{EventType, History, Surroundings};
use leasehold_checkers::verdict::{AnomalyKind, Grade, Judgement, Verdict};

/// Two faults that begin within this of each other began at the same time, as far as servers can tell.
const SAME_TIME: Duration = Duration::from_millis(100);

/// What a run is compared by.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Told {
    servers: String,
    verdict: Verdict,
    proven: BTreeMap<AnomalyKind, usize>,
    faults: BTreeMap<u64, Fault>,
}

#[derive(Clone, Debug, PartialEq)]
struct Fault {
    /// What it does and at which role.
    name: String,
    /// Whom it hit.
    hit: Vec<String>,
    /// When it began, from the beginning of the schedule.
    began: Option<Duration>,
    bit: bool,
}

impl Told {
    pub(in crate::cli) fn of(history: &History, judgement: &Judgement) -> Self {
        let mut proven = BTreeMap::new();
        for anomaly in judgement.anomalies.iter().filter(|anomaly| anomaly.grade == Grade::Proven) {
            *proven.entry(anomaly.kind).or_default() += 1;
        }
        let mut faults = BTreeMap::new();
        for event in Surroundings::of(history).faults {
            if event.value.phase == FaultPhase::Inject {
                let fault = faults.entry(event.value.fault).or_insert_with(|| begun(&event.value));
                fault.bit = event.kind == EventType::Ok;
            }
        }
        Self { servers: history.header.servers.clone(), verdict: judgement.verdict, proven, faults }
    }
}

fn begun(value: &FaultValue) -> Fault {
    Fault {
        name: format!("{} on {}", value.what, value.target),
        hit: value.hit().collect(),
        began: value.due_ns.map(|due| Duration::from_nanos(due.saturating_add(value.late_ns.unwrap_or(0)))),
        bit: false,
    }
}

/// One sentence for each difference.
pub(super) fn between(then: &Told, now: &Told) -> Vec<String> {
    let mut differences = Vec::new();
    if then.servers != now.servers {
        differences.push(format!("the servers are {}, and were {}", now.servers, then.servers));
    }
    if then.verdict != now.verdict {
        differences.push(format!("the verdict is {}, and was {}", now.verdict, then.verdict));
    }
    let kinds: BTreeSet<AnomalyKind> = then.proven.keys().chain(now.proven.keys()).copied().collect();
    for kind in kinds {
        let count = |told: &Told| told.proven.get(&kind).copied().unwrap_or(0);
        if count(then) != count(now) {
            differences.push(format!("{kind}: {} proven, and {} then", count(now), count(then)));
        }
    }
    for (number, before) in &then.faults {
        match now.faults.get(number) {
            None => differences.push(format!("fault {number}, {}, did not come", before.name)),
            Some(after) => differences.extend(of_fault(*number, before, after)),
        }
    }
    let new = now.faults.iter().filter(|(number, _)| !then.faults.contains_key(number));
    differences.extend(new.map(|(number, fault)| format!("fault {number}, {}, did not come then", fault.name)));
    differences
}

fn of_fault(number: u64, then: &Fault, now: &Fault) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differs = |what: String| differences.push(format!("fault {number}, {}, {what}", now.name));
    if then.hit != now.hit {
        differs(format!("hit {}, and {} then", listed(&now.hit), listed(&then.hit)));
    }
    if let (Some(before), Some(after)) = (then.began, now.began)
        && before.abs_diff(after) > SAME_TIME
    {
        let word = if after > before { "later" } else { "earlier" };
        differs(format!("began {:.3} s {word}", before.abs_diff(after).as_secs_f64()));
    }
    match (then.bit, now.bit) {
        (true, false) => differs("had no effect, and did then".to_owned()),
        (false, true) => differs("took effect, and did not then".to_owned()),
        _ => {}
    }
    differences
}

fn listed(hit: &[String]) -> String {
    if hit.is_empty() { "nobody".to_owned() } else { hit.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn fault() -> Fault {
        Fault { name: "pause on leader".to_owned(), hit: vec!["n1".to_owned()], began: Some(2_000 * MS), bit: true }
    }

    fn told() -> Told {
        Told {
            servers: "etcd 3.4.23".to_owned(),
            verdict: Verdict::Invalid,
            proven: BTreeMap::from([(AnomalyKind::PrematureExpiry, 2)]),
            faults: BTreeMap::from([(1, fault()), (2, fault())]),
        }
    }

    #[test]
    fn nothing_is_said_of_what_is_the_same() {
        let mut now = told();
        now.faults.insert(2, Fault { began: Some(2_099 * MS), ..fault() });
        assert_eq!(between(&told(), &now), [""; 0]);
    }

    #[test]
    fn what_differs_is_said_with_both_sides() {
        let now = Told {
            servers: "etcd 3.5.30".to_owned(),
            verdict: Verdict::Valid,
            proven: BTreeMap::new(),
            faults: BTreeMap::from([
                (2, Fault { hit: vec!["process 4".to_owned()], began: Some(1_500 * MS), bit: false, ..fault() }),
                (3, fault()),
            ]),
        };
        assert_eq!(
            between(&told(), &now),
            [
                "the servers are etcd 3.5.30, and were etcd 3.4.23",
                "the verdict is valid, and was invalid",
                "premature-expiry: 0 proven, and 2 then",
                "fault 1, pause on leader, did not come",
                "fault 2, pause on leader, hit process 4, and n1 then",
                "fault 2, pause on leader, began 0.500 s earlier",
                "fault 2, pause on leader, had no effect, and did then",
                "fault 3, pause on leader, did not come then",
            ]
        );
    }
}
