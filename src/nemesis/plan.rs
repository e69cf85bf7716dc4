//! A fault with its target and its times, as a scenario plans it.

use std::sync::Arc;
use std::time::Duration;

use super::{Condition, Fault, Target};

/// A fault with its target and its times.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// What.
    pub fault: Arc<dyn Fault>,
    /// Where.
    pub target: Target,
    /// The phase that it belongs to; phases come one after another, in the order of their numbers.
    pub phase: Option<u32>,
    /// When, from the start of the run or of its phase.
    pub begins: Begins,
    /// For how long each time.
    pub lasts: Duration,
}

/// When a fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// At regular times, or once.
    Every {
        /// First.
        at: Duration,
        /// From one beginning to the next.
        every: Duration,
        /// How many times.
        times: u32,
        /// Each beginning is put off by less than this, by the run's dice.
        jitter: Duration,
    },
    /// At times that the run's dice choose.
    Within {
        /// From when on.
        at: Duration,
        /// For how long.
        within: Duration,
        /// How many times.
        times: u32,
    },
    /// Each time that a condition comes true.
    When {
        /// The condition.
        condition: Condition,
        /// From when on it is looked for.
        at: Duration,
        /// How many times at most.
        times: u32,
        /// After one has been healed, it is not looked for so long.
        cooldown: Duration,
    },
}

/// How late a fault may begin after its time, at most: it waits for a leader to aim at.
const LATE: Duration = Duration::from_secs(10);

/// By how much, in ppm, these faults let the rate of any clock be wrong, at most. The history declares it, and everything
/// that is judged by a lease's time allows for it.
///
/// It is the sum over all faults that may overlap on a node, fast ones and slow ones apart, and so rather too great than too
/// small: that makes a judgement milder, and never wrong. For a monotonic clock it is a twentieth more, because one that gets
/// back its pace gains 10 ms of its drift at once, lest it step backwards; a TTL has at least a second.
#[must_use]
pub fn clock_rate_error_ppm(plans: &[FaultPlan]) -> u64 {
    let sum = |wrong: fn(i64) -> i64| -> u64 {
        let rates = plans
            .iter()
            .map(|plan| wrong(plan.fault.clock_rate_ppm()).unsigned_abs() * plan.at_once() * plan.margin() / 100);
        rates.fold(0, u64::saturating_add)
    };
    sum(|rate_ppm| rate_ppm.max(0)).max(sum(|rate_ppm| rate_ppm.min(0)))
}

impl FaultPlan {
    /// How much of its rate is to be declared, in percent.
    fn margin(&self) -> u64 {
        if self.fault.moves_monotonic_clocks() { 105 } else { 100 }
    }

    /// How many repetitions of it may be in force at the same time.
    fn at_once(&self) -> u64 {
        match self.begins {
            Begins::Every { every, times, jitter, .. } => {
                let longest = (self.lasts + jitter + LATE).as_nanos();
                let overlapping = longest.checked_div(every.as_nanos()).map_or(1, |others| others + 1);
                overlapping.min(u128::from(times)).try_into().unwrap_or(u64::MAX)
            }
            // The dice may let them all begin at once.
            Begins::Within { times, .. } => u64::from(times),
            // The condition is not looked for again before the fault is healed.
            Begins::When { .. } => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn declared(faults: &[&str]) -> u64 {
        let mut text = Scenario::load("etcd-v3-calm").expect("it comes along").text;
        for fault in faults {
            text.push_str(&format!("\n[[nemesis]]\npackage = \"clock-drift\"\nat_ms = 1\nlasts_ms = 1000\n{fault}\n"));
        }
        let scenario = Scenario::parse("x", "x", &text).unwrap_or_else(|error| panic!("{error}"));
        clock_rate_error_ppm(&scenario.faults)
    }

    #[test]
    fn the_rate_that_is_declared_covers_all_that_may_add_up() {
        assert_eq!(declared(&[]), 0);
        assert_eq!(declared(&["rate_ppm = 1000"]), 1_000);
        assert_eq!(declared(&["rate_ppm = 1000\nclock = \"monotonic\""]), 1_050);
        assert_eq!(declared(&["rate_ppm = 1000", "rate_ppm = 2000", "rate_ppm = -2500"]), 3_000);
        assert_eq!(declared(&["rate_ppm = -2000", "rate_ppm = -2500", "rate_ppm = 1000"]), 4_500);
    }

    #[test]
    fn repetitions_count_as_often_as_they_overlap() {
        // A second long and up to 10 s late: 11 s, into which two more beginnings fit.
        assert_eq!(declared(&["rate_ppm = 1000\ntimes = 9\nevery_ms = 5000"]), 3_000);
        assert_eq!(declared(&["rate_ppm = 1000\ntimes = 2\nevery_ms = 5000"]), 2_000);
        assert_eq!(declared(&["rate_ppm = 1000\ntimes = 9\nevery_ms = 60000"]), 1_000);
    }
}
