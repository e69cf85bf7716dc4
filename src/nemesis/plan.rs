//! A fault with its target and its times, as a scenario plans it.

use std::sync::Arc;
use std::time::Duration;

use super::{Fault, Target};

/// A fault with its target and its times.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// What.
    pub fault: Arc<dyn Fault>,
    /// Where.
    pub target: Target,
    /// When first, since the start of the run.
    pub at: Duration,
    /// For how long each time.
    pub lasts: Duration,
    /// How many times.
    pub times: u32,
    /// From one beginning to the next.
    pub every: Duration,
    /// Each beginning is put off by less than this, by the run's dice.
    pub jitter: Duration,
}
