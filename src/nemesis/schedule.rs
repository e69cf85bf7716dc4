//! When which fault begins and ends: the scenario's plans, unrolled with the run's dice.

use std::sync::Arc;

use leasehold_checkers::history::RunTime;
use leasehold_workloads::script::Dice;

use super::{Course, Fault, FaultPlan, Target};

/// The dice by which the schedule is unrolled: a number that no worker has.
const SCHEDULE: u64 = u64::MAX;

/// One fault of the schedule.
#[derive(Clone, Debug)]
pub struct PlannedFault {
    /// Its number in the run, counted from 1.
    pub number: u64,
    /// What.
    pub fault: Arc<dyn Fault>,
    /// Where.
    pub target: Target,
    /// When it begins.
    pub begins: RunTime,
    /// When it is taken back.
    pub ends: RunTime,
}

impl PlannedFault {
    /// Whether it is over as soon as it is done.
    pub(super) fn is_instant(&self) -> bool {
        self.fault.package().course == Course::Instant
    }
}

impl std::fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} on {} from {}", self.number, self.fault.describe(), self.target, self.begins)?;
        if self.is_instant() || self.begins == self.ends { Ok(()) } else { write!(f, " to {}", self.ends) }
    }
}

/// Unrolls the plans: every repetition with its times. The same seed gives the same schedule.
#[must_use]
pub fn schedule(plans: &[FaultPlan], seed: u64) -> Vec<PlannedFault> {
    let mut dice = Dice::new(seed, SCHEDULE);
    let mut faults: Vec<PlannedFault> = plans
        .iter()
        .flat_map(|plan| (0..plan.times).map(move |round| (plan, round)))
        .map(|(plan, round)| {
            let begins = RunTime::default().after(plan.at + plan.every * round + dice.below(plan.jitter));
            PlannedFault {
                number: 0,
                fault: plan.fault.clone(),
                target: plan.target.clone(),
                begins,
                ends: begins.after(plan.lasts),
            }
        })
        .collect();
    faults.sort_by_key(|fault| fault.begins);
    for (index, fault) in faults.iter_mut().enumerate() {
        fault.number = index as u64 + 1;
    }
    faults
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::nemesis::packages::Pause;

    fn plan() -> FaultPlan {
        FaultPlan {
            fault: Arc::new(Pause {}),
            target: Target::Leader,
            at: Duration::from_secs(2),
            lasts: Duration::from_secs(1),
            times: 3,
            every: Duration::from_secs(5),
            jitter: Duration::from_millis(500),
        }
    }

    #[test]
    fn repetitions_are_numbered_in_the_order_of_their_beginnings() {
        let faults = schedule(&[plan(), FaultPlan { at: Duration::ZERO, times: 1, ..plan() }], 1);
        assert_eq!(faults.iter().map(|fault| fault.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(faults.is_sorted_by_key(|fault| fault.begins));
        for fault in &faults {
            assert_eq!(fault.ends.since(fault.begins), Duration::from_secs(1));
        }
    }

    #[test]
    fn the_seed_decides_the_jitter() {
        let begins = |seed| schedule(&[plan()], seed).iter().map(|fault| fault.begins).collect::<Vec<_>>();
        assert_eq!(begins(1), begins(1));
        assert_ne!(begins(1), begins(2));
    }
}
