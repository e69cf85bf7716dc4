//! When which fault begins and ends: the scenario's plans, unrolled with the run's dice.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leasehold_checkers::history::RunTime;
use leasehold_workloads::script::Dice;

use super::{Begins, Condition, Course, Fault, FaultPlan, Target};

/// The dice by which the schedule is unrolled: a number that no worker has.
const SCHEDULE: u64 = u64::MAX;

/// One fault of the schedule, or one that comes each time that its condition comes true.
#[derive(Clone, Debug)]
pub struct PlannedFault {
    /// Its number in the run, counted from 1. One that may come several times has as many numbers, from this one on.
    pub number: u64,
    /// Which of the scenario's tables it comes from, counted from 1.
    pub table: u32,
    /// What.
    pub fault: Arc<dyn Fault>,
    /// Where.
    pub target: Target,
    /// The phase that it belongs to.
    pub phase: Option<u32>,
    /// When it begins.
    pub start: Start,
    /// When it is taken back, from its beginning.
    pub lasts: Duration,
}

/// When a fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// So long after the beginning of the run, or of its phase.
    At(Duration),
    /// When it came the last time: so long after the beginning of the run, whatever its condition says now.
    Again(Duration, Condition),
    /// Each time that a condition comes true.
    When {
        /// The condition.
        condition: Condition,
        /// It is looked for so long after the beginning of the run, or of its phase.
        from: Duration,
        /// How many times at most.
        times: u32,
        /// After one has been healed, it is not looked for so long.
        cooldown: Duration,
    },
}

impl PlannedFault {
    /// Whether it is over as soon as it is done.
    pub(super) fn is_instant(&self) -> bool {
        self.fault.package().course == Course::Instant
    }

    /// How many numbers it takes.
    fn numbers(&self) -> u64 {
        match self.start {
            Start::At(_) | Start::Again(..) => 1,
            Start::When { times, .. } => u64::from(times),
        }
    }
}

impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |length: Duration| RunTime::default().after(length);
        write!(f, "{}: {} on {}", self.number, self.fault.describe(), self.target)?;
        let lasts = !self.is_instant() && !self.lasts.is_zero();
        match self.start {
            Start::At(begin) | Start::Again(begin, _) => {
                write!(f, " from {}", at(begin))?;
                if lasts {
                    write!(f, " to {}", at(begin + self.lasts))?;
                }
            }
            Start::When { condition, from, times, .. } => {
                write!(f, " when \"{condition}\", up to {times} times, from {}", at(from))?;
                if lasts {
                    write!(f, ", each for {}", at(self.lasts))?;
                }
            }
        }
        self.phase.map_or(Ok(()), |phase| write!(f, ", of phase {phase}"))
    }
}

/// Unrolls the plans: every repetition with its times. The same seed gives the same schedule.
#[must_use]
pub fn schedule(plans: &[FaultPlan], seed: u64) -> Vec<PlannedFault> {
    let mut dice = Dice::new(seed, SCHEDULE);
    let mut faults: Vec<PlannedFault> = (1..)
        .zip(plans)
        .flat_map(|(table, plan)| starts(plan.begins, &mut dice).into_iter().map(move |start| (table, plan, start)))
        .map(|(table, plan, start)| PlannedFault {
            number: 0,
            table,
            fault: plan.fault.clone(),
            target: plan.target.clone(),
            phase: plan.phase,
            start,
            lasts: plan.lasts,
        })
        .collect();
    // Nobody knows when a condition comes true, so those come last.
    faults.sort_by_key(|fault| match fault.start {
        Start::At(begin) | Start::Again(begin, _) => (fault.phase, false, begin),
        Start::When { from, .. } => (fault.phase, true, from),
    });
    let mut number = 1;
    for fault in &mut faults {
        fault.number = number;
        number += fault.numbers();
    }
    faults
}

/// The number after the last one of a schedule.
pub fn next_number(schedule: &[PlannedFault]) -> u64 {
    schedule.last().map_or(1, |last| last.number + last.numbers())
}

fn starts(begins: Begins, dice: &mut Dice) -> Vec<Start> {
    match begins {
        Begins::Every { at, every, times, jitter } => {
            (0..times).map(|round| Start::At(at + every * round + dice.below(jitter))).collect()
        }
        Begins::Within { at, within, times } => (0..times).map(|_| Start::At(at + dice.below(within))).collect(),
        Begins::When { condition, at, times, cooldown } => {
            vec![Start::When { condition, from: at, times, cooldown }]
        }
    }
}

/// The same schedule, with the faults that wait for a condition at the times at which they came before, by number: so long
/// after the beginning of the run. Those that did not come then do not come now.
#[must_use]
pub fn replayed(schedule: Vec<PlannedFault>, came: &BTreeMap<u64, Duration>) -> Vec<PlannedFault> {
    schedule
        .into_iter()
        .flat_map(|fault| match fault.start {
            Start::When { condition, .. } => {
                let numbers = fault.number..fault.number + fault.numbers();
                let again = |(&number, &due): (&u64, &Duration)| PlannedFault {
                    number,
                    start: Start::Again(due, condition),
                    ..fault.clone()
                };
                came.range(numbers).map(again).collect()
            }
            Start::At(_) | Start::Again(..) => vec![fault],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemesis::condition::Place;
    use crate::nemesis::packages::Pause;

    const S: Duration = Duration::from_secs(1);

    fn plan(begins: Begins) -> FaultPlan {
        FaultPlan { fault: Arc::new(Pause {}), target: Target::Leader, phase: None, begins, lasts: S }
    }

    fn every(at: Duration, times: u32) -> FaultPlan {
        plan(Begins::Every { at, every: 5 * S, times, jitter: S / 2 })
    }

    fn holder(times: u32) -> FaultPlan {
        let condition = Condition::Held(Place::Anywhere);
        plan(Begins::When { condition, at: Duration::ZERO, times, cooldown: S })
    }

    fn numbers(faults: &[PlannedFault]) -> Vec<u64> {
        faults.iter().map(|fault| fault.number).collect()
    }

    fn begins(faults: &[PlannedFault]) -> Vec<Duration> {
        let begin = |fault: &PlannedFault| match fault.start {
            Start::At(begin) | Start::Again(begin, _) => Some(begin),
            Start::When { .. } => None,
        };
        faults.iter().filter_map(begin).collect()
    }

    #[test]
    fn repetitions_are_numbered_in_the_order_of_their_beginnings() {
        let faults = schedule(&[every(2 * S, 3), every(Duration::ZERO, 1)], 1);
        assert_eq!(numbers(&faults), [1, 2, 3, 4]);
        assert!(begins(&faults).is_sorted());
        assert_eq!(faults.iter().map(|fault| fault.table).collect::<Vec<_>>(), [2, 1, 1, 1]);
    }

    #[test]
    fn the_seed_decides_the_jitter_and_the_random_times() {
        let random = plan(Begins::Within { at: 3 * S, within: 10 * S, times: 20 });
        for plans in [[every(S, 3)], [random]] {
            let begins = |seed| begins(&schedule(&plans, seed));
            assert_eq!(begins(1), begins(1));
            assert_ne!(begins(1), begins(2));
        }
    }

    #[test]
    fn random_times_lie_in_their_window() {
        let begins = begins(&schedule(&[plan(Begins::Within { at: 3 * S, within: 10 * S, times: 200 })], 7));
        assert_eq!(begins.len(), 200);
        assert!(begins.iter().all(|begin| (3 * S..13 * S).contains(begin)));
        assert!(begins[0] < 4 * S && begins[199] > 12 * S, "they use all of it");
    }

    #[test]
    fn a_condition_takes_a_number_for_each_time_that_it_may_come_true() {
        let faults = schedule(&[holder(3), every(S, 1), holder(2)], 1);
        assert_eq!(numbers(&faults), [1, 2, 5]);
        assert_eq!(next_number(&faults), 7);
    }

    #[test]
    fn phases_stand_in_their_order_behind_what_has_none() {
        let in_phase = |phase, plan: FaultPlan| FaultPlan { phase: Some(phase), ..plan };
        let faults = schedule(&[in_phase(2, every(S, 1)), in_phase(1, every(5 * S, 1)), every(9 * S, 1)], 1);
        assert_eq!(faults.iter().map(|fault| fault.phase).collect::<Vec<_>>(), [None, Some(1), Some(2)]);
    }

    #[test]
    fn a_replay_takes_the_times_of_conditions_from_the_record() {
        let planned = schedule(&[every(S, 1), holder(3)], 1);
        let came = BTreeMap::from([(1, 9 * S), (2, 4 * S), (4, 8 * S)]);
        let again = replayed(planned.clone(), &came);
        assert_eq!(numbers(&again), [1, 2, 4]);
        assert_eq!(begins(&again)[0], begins(&planned)[0], "what has its time by the seed keeps it");
        assert_eq!(begins(&again)[1..], [4 * S, 8 * S]);
        assert_eq!(replayed(planned, &BTreeMap::new()).len(), 1);
    }
}
