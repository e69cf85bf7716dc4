//! An order of operations that explains all answers, as something to look at.
//!
//! The procedures only decide whether there is an order. One is spelled out on request, so that plain checking does not pay
//! for it: each model has a `linearize` beside its `decide`.
//!
//! What stands in an order can be checked by hand: every operation that was answered is in it once, each step is at an instant
//! while its operation was under way, the instants never go back, and the model takes the steps one after the other.

use std::fmt;

use super::Call;
use crate::history::RunTime;

/// An order of all operations that were answered, and of those of unknown outcome that took effect in it.
///
/// What tells nothing under the model (a request that certainly did not happen, a read without an answer) is not in it, and
/// neither is an operation of unknown outcome that the order does without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linearization {
    /// The steps, first to last.
    pub steps: Vec<Step>,
}

/// One step of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What happened.
    pub happening: Happening,
    /// An instant at which it may have: the earliest that the steps before it leave open.
    pub at: RunTime,
    /// What happened, in words.
    pub words: String,
    /// The object's state after it, in words.
    pub state: String,
}

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happening {
    /// An operation took effect.
    Op(usize),
    /// The service took back by itself what an operation had been given: a lease ran out.
    Expiry {
        /// The operation that had been given it.
        grant: usize,
    },
}

impl Linearization {
    /// Lets an operation take effect as soon as the steps so far allow.
    pub(super) fn take_effect<A>(&mut self, call: &Call<A>, words: String, state: String) {
        self.step(Happening::Op(call.op), call.called, words, state);
    }

    /// Appends a step that happens no earlier than this, and no earlier than the steps so far.
    pub(super) fn step(&mut self, happening: Happening, not_before: RunTime, words: String, state: String) {
        let last = self.steps.last().map_or(RunTime(0), |step| step.at);
        self.steps.push(Step { happening, at: last.max(not_before), words, state });
    }
}

/// One line a step.
impl fmt::Display for Linearization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { happening, at, words, state } = self;
        match happening {
            Happening::Op(op) => write!(f, "{at}  op {op}: {words} -> {state}"),
            Happening::Expiry { grant } => write!(f, "{at}  expiry of op {grant}: {words} -> {state}"),
        }
    }
}
