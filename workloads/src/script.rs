//! What one worker does, operation by operation.

use std::time::Duration;

use leasehold_checkers::history::RunTime;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::op::{Answer, Op};
use crate::service::OpError;

/// A worker's behaviour: a state machine that is asked what to do next and told how it went.
///
/// It knows no clock but the times it is given and no randomness but its seed.
pub trait Script: Send {
    /// What to do at `now`, as `process`.
    fn next(&mut self, now: RunTime, process: u64) -> Step;

    /// How the operation that [`Script::next`] asked for ended at `now`. After an error of unknown outcome the process
    /// is retired, and the next call of `next` comes with a new one.
    fn completed(&mut self, now: RunTime, op: &Op, result: &Result<Answer, OpError>);

    /// When it next renews what it holds; `None` if it holds nothing, or means to let go first.
    fn renews_at(&self) -> Option<RunTime> {
        None
    }
}

/// What a worker does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the service.
    Invoke(Op),
    /// Nothing before this instant.
    WaitUntil(RunTime),
}

/// The randomness of one worker. A worker's choices depend on the run's seed and its own number only, so that another
/// worker's fate does not change them.
#[derive(Clone, Debug)]
pub struct Dice(Pcg64Mcg);

impl Dice {
    /// The dice of the worker with this number.
    #[must_use]
    pub fn new(seed: u64, worker: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(worker)))
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability.clamp(0.0, 1.0))
    }

    /// A number of at least 0 and less than 1, each as likely as any other.
    pub fn share(&mut self) -> f64 {
        self.0.random_range(0.0..1.0)
    }

    /// A seed for other dice.
    pub fn seed(&mut self) -> u64 {
        self.0.random()
    }

    /// One of `0..count`.
    ///
    /// # Panics
    /// If there is nothing to choose from.
    pub fn index(&mut self, count: usize) -> usize {
        self.0.random_range(0..count)
    }

    /// A duration of at least half and less than one and a half of `mean`, so that workers do not march in step.
    pub fn around(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.0.random_range(0.5..1.5))
    }

    /// A duration below `bound`, or zero where that is zero.
    pub fn below(&mut self, bound: Duration) -> Duration {
        bound.mul_f64(self.0.random_range(0.0..1.0))
    }
}
