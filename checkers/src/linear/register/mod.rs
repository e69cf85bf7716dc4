//! Registers with read, write and compare-and-set.
//!
//! ```
//! use leasehold_checkers::history::RunTime;
//! use leasehold_checkers::linear::register::{Initial, RegisterAction, RegisterHistory, Values, decide};
//! use leasehold_checkers::linear::{Budget, Call, Decision};
//!
//! let mut values = Values::default();
//! let (nil, one) = (values.intern_name("nil"), values.intern_name("1"));
//! let call = |op, process, called, returned, action| {
//!     Call { op, process, called: RunTime(called), returned: Some(RunTime(returned)), action }
//! };
//! let calls = vec![
//!     call(0, 0, 0, 10, RegisterAction::Write(one)),
//!     call(1, 1, 20, 30, RegisterAction::Read(nil)),
//! ];
//! let history = RegisterHistory { calls, initial: Initial::Known(nil), values };
//! let budget = Budget { out_of_time: &|| false, memory_bytes: 1 << 20 };
//! let Decision::Broken(witness) = decide(&history, &budget) else { panic!("the read is stale") };
//! assert_eq!(witness.ops, [0, 1]);
//! ```

mod calls;
mod frontier;
mod linearize;
mod portfolio;
mod problem;
#[cfg(test)]
mod tests;
mod unique;
mod values;
pub(in crate::linear) mod witness;

pub(in crate::linear) use calls::call;
pub use calls::{NullReads, Words, calls_by_key};
pub(in crate::linear) use frontier::{Frontier, Unanswered};
pub use linearize::linearize;
pub use portfolio::{decide, decide_each, is_linearizable};
pub(in crate::linear) use problem::Kind;
pub use values::{ValueId, Values};

use crate::linear::Call;

/// What an operation did, with its answer.
///
/// An operation without an answer is a [`Call`] that never returned: its action is what was asked. Reads without an
/// answer can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisterAction {
    /// It read this value.
    Read(ValueId),
    /// It wrote this value.
    Write(ValueId),
    /// It found the expected value and replaced it.
    Cas {
        /// The value that it found.
        expected: ValueId,
        /// The value that it wrote.
        new: ValueId,
    },
    /// It found another value than the expected one, and changed nothing.
    CasFailed {
        /// The value that it did not find.
        expected: ValueId,
    },
}

/// The value with which a register begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    /// This one.
    Known(ValueId),
    /// Any, of those that operations name or another.
    Unknown,
}

/// The operations on one register.
#[derive(Clone, Debug)]
pub struct RegisterHistory {
    /// The operations, in any order.
    pub calls: Vec<Call<RegisterAction>>,
    /// The value with which it begins.
    pub initial: Initial,
    /// The names of the values.
    pub values: Values,
}
