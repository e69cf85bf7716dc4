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
