//! Breaks the cluster on purpose: by a schedule, aimed by role, each fault with a proof that it took effect.
//!
//! The nemesis is one process, as everywhere in this field: it does one thing after the other, and what it does stands
//! in the history. A fault that did not bite is recorded as `info` with the reason, never as `ok`.

mod clock;
mod election;
mod kill;
mod partition;
mod pause;
mod schedule;
mod targets;
mod wait;

use std::sync::Arc;

use leasehold_checkers::history::vocabulary::{FaultPhase, FaultValue};
use leasehold_checkers::history::{ErrorInfo, EventType, Process, RunTime};
use leasehold_workloads::script::Dice;
use serde_json::Value;

use crate::NodeId;
use crate::cluster::{Cluster, ClusterError};
use crate::run::{Entry, Recorder, Stop, value_of};
use crate::scenario::{Fault, Target};

pub use schedule::{PlannedFault, describe, schedule};

/// Why a fault could not be injected, healed or proven.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// The cluster did not do what was asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The fault is in place, but nothing shows that it took effect.
    #[error("no effect: {0}")]
    DidNotBite(String),
    /// No node plays the role that the fault aims at.
    #[error("no target: {0}")]
    NoTarget(String),
}

/// What a package offers for `leasehold faults`.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// Its name in scenarios.
    pub name: &'static str,
    /// What it does.
    pub does: &'static str,
    /// Its settings in a scenario.
    pub settings: &'static str,
    /// How it shows that it took effect.
    pub proof: &'static str,
}

/// All packages.
pub const PACKAGES: [Package; 5] =
    [clock::PACKAGE, election::PACKAGE, pause::PACKAGE, kill::PACKAGE, partition::PACKAGE];

/// The dice by which targets are picked: a number that neither a worker nor the schedule has.
const AIM: u64 = u64::MAX - 1;

/// Runs a schedule against a cluster.
#[derive(Debug)]
pub struct Nemesis {
    cluster: Arc<Cluster>,
    recorder: Recorder,
    dice: Dice,
    active: Vec<Active>,
}

/// A fault that has begun and is not healed yet.
#[derive(Debug)]
struct Active {
    planned: PlannedFault,
    nodes: Vec<NodeId>,
}

/// What is to be done next.
enum Turn {
    Begin(PlannedFault),
    End(u64),
}

impl Nemesis {
    /// A nemesis that has done nothing yet.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, recorder: Recorder, seed: u64) -> Self {
        Self { cluster, recorder, dice: Dice::new(seed, AIM), active: Vec::new() }
    }

    /// Carries out the schedule until it is done or the run stops. What is active then stays so: see
    /// [`Nemesis::heal_all`].
    pub async fn run(&mut self, schedule: Vec<PlannedFault>, until: RunTime, stop: &mut Stop) {
        let clock = self.recorder.clock();
        for (time, turn) in turns(schedule) {
            if time >= until {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(clock.at(time)) => {}
                () = stop.requested() => return,
            }
            match turn {
                Turn::Begin(planned) => self.begin(planned).await,
                Turn::End(number) => self.end(number).await,
            }
        }
    }

    /// Records the clocks that are off by the scenario from the start, as faults that last as long as the run; `first` is
    /// the number of the first one.
    pub async fn record_resting_clocks(&mut self, first: u64) {
        let resting = self.cluster.resting_clocks();
        for (number, (node, offset_ms)) in (first..).zip(resting) {
            let planned = PlannedFault {
                number,
                fault: Fault::Clock { offset_ms },
                target: Target::Node(node),
                begins: self.recorder.clock().now(),
                ends: RunTime(u64::MAX),
            };
            self.record(EventType::Invoke, FaultPhase::Inject, &planned, &[node], Ok(Value::Null));
            let result = clock::inject(&self.cluster, &[node], 0).await;
            self.record(completion_of(&result), FaultPhase::Inject, &planned, &[node], result);
        }
    }

    /// Takes back every fault that is still active, the last one first.
    pub async fn heal_all(&mut self) {
        while let Some(number) = self.active.last().map(|active| active.planned.number) {
            self.end(number).await;
        }
    }

    async fn begin(&mut self, planned: PlannedFault) {
        let targets = targets::resolve(&self.cluster, &planned, &mut self.dice).await;
        let nodes = targets.as_ref().map_or_else(|_| Vec::new(), Clone::clone);
        self.record(EventType::Invoke, FaultPhase::Inject, &planned, &nodes, Ok(Value::Null));
        let result = match targets {
            Ok(nodes) => inject(&self.cluster, &planned.fault, &nodes).await,
            Err(error) => Err(error),
        };
        let kind = completion_of(&result);
        self.record(kind, FaultPhase::Inject, &planned, &nodes, result);
        let (number, is_instant) = (planned.number, planned.fault.is_instant());
        self.active.push(Active { planned, nodes });
        if is_instant {
            self.end(number).await;
        }
    }

    async fn end(&mut self, number: u64) {
        let Some(index) = self.active.iter().position(|active| active.planned.number == number) else { return };
        let Active { planned, nodes } = self.active.remove(index);
        self.record(EventType::Invoke, FaultPhase::Heal, &planned, &nodes, Ok(Value::Null));
        let result = heal(&self.cluster, &planned.fault, &nodes).await;
        let kind = completion_of(&result);
        self.record(kind, FaultPhase::Heal, &planned, &nodes, result);
    }

    fn record(
        &self,
        kind: EventType,
        phase: FaultPhase,
        planned: &PlannedFault,
        nodes: &[NodeId],
        proof: Result<Value, FaultError>,
    ) {
        let error = proof.as_ref().err().map(|error| {
            tracing::warn!("fault {}: {error}", planned.number);
            ErrorInfo { code: "fault".into(), text: error.to_string().into() }
        });
        let value = FaultValue {
            fault: planned.number,
            phase,
            target: planned.target.to_string(),
            nodes: nodes.iter().map(ToString::to_string).collect(),
            what: describe(&planned.fault),
            proof: proof.unwrap_or_default(),
        };
        self.recorder.record(Entry {
            process: Process::Nemesis,
            kind,
            f: planned.fault.package().to_owned(),
            key: None,
            value: value_of(&value),
            node: None,
            error,
        });
    }
}

fn completion_of<T>(result: &Result<T, FaultError>) -> EventType {
    if result.is_ok() { EventType::Ok } else { EventType::Info }
}

/// Beginnings and ends in the order of their times; at one instant what ends goes first.
fn turns(schedule: Vec<PlannedFault>) -> Vec<(RunTime, Turn)> {
    let mut turns = Vec::with_capacity(schedule.len() * 2);
    for planned in schedule {
        if !planned.fault.is_instant() {
            turns.push((planned.ends, Turn::End(planned.number)));
        }
        turns.push((planned.begins, Turn::Begin(planned)));
    }
    turns.sort_by_key(|(time, turn)| (*time, matches!(turn, Turn::Begin(_))));
    turns
}

async fn inject(cluster: &Cluster, fault: &Fault, nodes: &[NodeId]) -> Result<Value, FaultError> {
    match fault {
        Fault::Clock { offset_ms } => clock::inject(cluster, nodes, *offset_ms).await,
        Fault::Election { how } => election::inject(cluster, *how, nodes).await,
        Fault::Pause => pause::inject(cluster, nodes).await,
        Fault::Kill => kill::inject(cluster, nodes).await,
        Fault::Partition { shape } => partition::inject(cluster, *shape, nodes).await,
    }
}

async fn heal(cluster: &Cluster, fault: &Fault, nodes: &[NodeId]) -> Result<Value, FaultError> {
    match fault {
        Fault::Clock { .. } => clock::heal(cluster, nodes).await,
        // An election is over once another node leads; there is nothing to take back.
        Fault::Election { .. } => Ok(Value::Null),
        Fault::Pause => pause::heal(cluster, nodes).await,
        Fault::Kill => kill::heal(cluster, nodes).await,
        Fault::Partition { shape } => partition::heal(cluster, *shape, nodes).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn every_package_can_be_asked_for_by_a_scenario() {
        let calm = Scenario::load("etcd-v3-calm").expect("it comes along").text;
        for Package { name, .. } in PACKAGES {
            let text = format!(
                "{calm}\n[[nemesis]]\npackage = \"{name}\"\noffset_ms = 1\nhow = \"cut\"\nshape = \"isolate\"\nat_ms = 1\n"
            );
            // Each refuses some of these settings, and thereby shows that it is known.
            let error = Scenario::parse("x", "x", &text).expect_err("no package has all of these settings").to_string();
            assert!(error.contains(&format!("no setting of the package `{name}`")), "{error}");
        }
    }
}
