//! Whether some order of the operations explains all answers.
//!
//! A history is *linearizable* under a model if each operation can be given one instant between its call and its return such
//! that the model, taking the operations in the order of their instants, gives the answers that were recorded. Intervals are
//! closed: an operation that returned at the instant at which another was called may come after it.
//!
//! Locks are partitioned by key first: a history is linearizable if and only if each key's part is (Herlihy and Wing,
//! *Linearizability: A Correctness Condition for Concurrent Objects*, TOPLAS 12(3), 1990).

mod aptness;
pub mod generate;
mod judge;
pub mod kv;
mod linearization;
pub mod live;
pub mod locks;
#[cfg(test)]
mod oracle;
mod pairs;
pub mod register;
mod search;

pub use aptness::Apt;
pub use judge::{Linearized, Model, Reading, Unreadable, judge, judge_part, linearize};
pub use linearization::{Happening, Linearization, Step};
pub use pairs::CallsError;

use crate::history::RunTime;
use crate::verdict::Stuck;

/// What a `fail` without an error code means. With a code, the code says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fails {
    /// The request ran, and saw the opposite of what it wanted: a lock that is held, or not its owner's; another value.
    Observe,
    /// The request did not happen, for whatever reason.
    #[default]
    Ignore,
}

/// One operation as a decision procedure sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<A> {
    /// Its index among the history's operations, for witnesses.
    pub op: usize,
    /// The client.
    pub process: u64,
    /// When it was called.
    pub called: RunTime,
    /// When it returned; `None` if its outcome is unknown, so that it may take effect at any later time, or never.
    pub returned: Option<RunTime>,
    /// What it did, with its answer.
    pub action: A,
}

/// What a decision procedure says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Some order explains all answers.
    Linearizable,
    /// No order does.
    Broken(Witness),
    /// The budget was used up.
    Undecided {
        /// How many operations, in the order of their returns, could be explained.
        explained: usize,
        /// Why it went no further.
        reason: String,
    },
}

/// Why no order explains the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The operations that cannot be ordered, by index: none can be dropped without the rest becoming explainable. To
    /// drop an operation that changes something is to forget when, and how often, it did.
    pub ops: Vec<usize>,
    /// Where the longest explainable prefix ends: the operation whose return could not be explained.
    pub stuck_at: usize,
    /// States that the object may have been in before it, in words. There may be others.
    pub states_before: Vec<String>,
    /// One plain sentence.
    pub explanation: String,
}

impl Witness {
    /// Where explaining ends, as a verdict tells it.
    #[must_use]
    pub fn stuck(&self) -> Stuck {
        Stuck { op: self.stuck_at, states_before: self.states_before.clone() }
    }
}

/// How much work a decision may take. A procedure never goes beyond its memory, and looks at the clock often.
pub struct Budget<'a> {
    /// Asked now and then; `true` ends the work.
    pub out_of_time: &'a dyn Fn() -> bool,
    /// An upper bound on the memory of the search, in bytes.
    pub memory_bytes: usize,
}

impl std::fmt::Debug for Budget<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("memory_bytes", &self.memory_bytes).finish_non_exhaustive()
    }
}
