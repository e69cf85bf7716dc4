//! Breaks the cluster on purpose: by a schedule, aimed by role, each fault with a proof that it took effect.
//!
//! Every fault has a course of its own, so that faults may overlap. What it does stands in the history: its beginning,
//! its proof, its end. A fault that did not bite is recorded as `info` with the reason, never as `ok`.

mod actor;
mod condition;
mod course;
mod field;
mod package;
mod packages;
mod plan;
mod schedule;
mod targets;
mod trigger;
mod wait;

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_checkers::history::vocabulary::FaultPhase;
use leasehold_checkers::history::{EventType, RunTime};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::run::{Recorder, Stop};
use actor::Actor;
use course::{Log, Occurrence};
use trigger::{Healed, Scene};

pub use condition::{CONDITION_FORMS, Condition, Foreseen, Happened, NotACondition, Place};
pub use field::{Aim, AimedClient, Field};
pub use package::{Aims, Course, Fault, FaultError, Injection, Need, Package, Setting};
pub use packages::{PACKAGES, package};
pub use plan::{Begins, FaultPlan, clock_rate_error_ppm};
pub use schedule::{PlannedFault, Start, next_number, replayed, schedule};
pub use targets::{CLIENT_WORDS, Site, TARGET_WORDS, Target};

/// Runs a schedule against a cluster.
#[derive(Debug)]
pub struct Nemesis {
    field: Field,
    scene: Scene,
    recorder: Recorder,
    seed: u64,
}

impl Nemesis {
    /// A nemesis that has done nothing yet.
    #[must_use]
    pub fn new(field: Field, recorder: Recorder, seed: u64) -> Self {
        let scene = Scene {
            holders: field.holders.clone(),
            leadership: field.leadership.clone(),
            answers: field.answers.clone(),
            healed: Healed::default(),
            clock: recorder.clock(),
        };
        Self { field, scene, recorder, seed }
    }

    /// Carries out the schedule, which counts from now. What is active at `until` is healed then, so nothing is broken when
    /// this returns, unless the run stops: then what is broken stays so.
    ///
    /// The phases come one after another, each once all faults of the one before are healed; what belongs to no phase goes
    /// its own way meanwhile.
    pub async fn run(&self, schedule: Vec<PlannedFault>, until: RunTime, stop: &Stop) {
        let mut phases: BTreeMap<Option<u32>, Vec<PlannedFault>> = BTreeMap::new();
        for planned in schedule {
            phases.entry(planned.phase).or_default().push(planned);
        }
        let start = self.scene.clock.now();
        let free = phases.remove(&None).unwrap_or_default();
        let one_after_another = async {
            for phase in phases.into_values() {
                self.all_of(phase, start, until, stop).await;
            }
        };
        tokio::join!(self.all_of(free, start, until, stop), one_after_another);
    }

    /// Carries out faults that count from now, in a schedule that began at `start`.
    async fn all_of(&self, faults: Vec<PlannedFault>, start: RunTime, until: RunTime, stop: &Stop) {
        let began = self.scene.clock.now();
        let mut courses = JoinSet::new();
        for planned in faults {
            let actor = Actor {
                field: self.field.clone(),
                scene: self.scene.clone(),
                recorder: self.recorder.clone(),
                seed: self.seed,
                start,
                until,
                stop: stop.clone(),
            };
            courses.spawn(actor.carry_out(planned, began));
        }
        while let Some(course) = courses.join_next().await {
            if let Err(error) = course
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }

    /// Records the clocks that are off by the scenario from the start, as faults that last as long as the run. Their
    /// numbers follow those of the schedule.
    pub async fn record_resting_clocks(&self, schedule: &[PlannedFault]) {
        let resting = self.field.cluster.resting_clocks();
        for (number, (node, offset_ms)) in (schedule::next_number(schedule)..).zip(resting) {
            let occurrence = Occurrence {
                number,
                fault: Arc::new(packages::Clock { offset_ms }),
                target: Target::Node(node),
                when: None,
                holder: None,
                due: None,
                ends: RunTime(u64::MAX),
            };
            let log = Log::new(&self.recorder, &occurrence, Aim::at_nodes(vec![node]));
            log.write(EventType::Invoke, FaultPhase::Inject, Ok(Value::Null));
            log.write_result(FaultPhase::Inject, packages::at_rest(&self.field, node, offset_ms).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn every_package_can_be_asked_for_by_a_scenario() {
        let calm = Scenario::load("etcd-v3-calm").expect("it comes along").text;
        for Package { name, settings, .. } in PACKAGES {
            let text = format!("{calm}\n[[nemesis]]\npackage = \"{name}\"\nat_ms = 1\nbogus = 1\n");
            // Each refuses the setting by naming its own, and thereby shows that it is known.
            let error = Scenario::parse("x", "x", &text).expect_err("no package has this setting").to_string();
            assert!(error.contains(&format!("`bogus` is no setting of the package `{name}`")), "{error}");
            assert!(settings.iter().all(|setting| error.contains(setting.name)), "{error}");
        }
    }

    #[test]
    fn settings_out_of_range_are_refused_with_their_place() {
        let calm = Scenario::load("etcd-v3-calm").expect("it comes along").text;
        let error_of = |package: &str, settings: &str| {
            let text = format!("{calm}\n[[nemesis]]\npackage = \"{package}\"\nat_ms = 1\nlasts_ms = 1\n{settings}\n");
            let error = Scenario::parse("x", "x.toml", &text).expect_err("it is out of range").to_string();
            assert!(error.starts_with("x.toml:"), "{error}");
            error
        };
        assert!(error_of("clock", "offset_ms = 0").contains("at least 5"));
        assert!(error_of("clock", "offset_ms = 9_000_000_000_000").contains("50 years"));
        assert!(error_of("clock-drift", "rate_ppm = 100").contains("at least 500"));
        assert!(error_of("clock-drift", "rate_ppm = -1_000_001").contains("from -1000000"));
        assert!(error_of("clock-drift", "rate_ppm = 2_000_000\nclock = \"monotonic\"").contains("to 1000000"));
        assert!(error_of("clock-strobe", "offset_ms = 50\ninterval_ms = 0").contains("more than 0"));
        assert!(error_of("slow-cpu", "percent = 100").contains("from 1 to 99"));
        assert!(error_of("out-of-memory", "limit_mib = 0\nrestart_ms = 1").contains("from 1 to"));
        assert!(error_of("clock-reset", "").contains("has no length"));
    }

    #[test]
    fn no_two_packages_look_the_same() {
        for (index, package) in PACKAGES.iter().enumerate() {
            assert!(PACKAGES[..index].iter().all(|other| other.name != package.name && other.colour != package.colour));
        }
    }
}
