//! What makes a history unfit for judgement.
//!
//! The checkers rest on assumptions about the record: one clock that does not go back, clients that wait for an answer
//! before they ask again, values of a known shape. Where the record breaks one of them, whatever a checker would say of
//! the service might be the recorder's fault, so nothing is said.

use std::fmt;

use super::header::{CAS_REGISTER, LEASE_LOCK, LEASE_SEMAPHORE, MOST_PERMITS};
use super::{Process, RunTime};

/// An assumption that a line of the history breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The line in the file, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub kind: FlawKind,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.kind)
    }
}

/// The assumptions that a history can break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlawKind {
    /// The history is judged by a model that the checkers know. Under another, such as one of readers and writers, what they would
    /// call a broken promise may be none.
    #[error(
        "the model `{model}` is not known: `{LEASE_LOCK}`, `{LEASE_SEMAPHORE}:N` of at most {MOST_PERMITS} permits, and `{CAS_REGISTER}` are"
    )]
    UnknownModel {
        /// The model that the header names.
        model: String,
    },
    /// All events are stamped by one clock that never goes back, in the order of the file.
    #[error("time goes back from {from} to {to}")]
    TimeGoesBack {
        /// The time of the line before.
        from: RunTime,
        /// The time of this line.
        to: RunTime,
    },
    /// Nobody sets the machine's own wall clock during a run.
    #[error("the machine's own wall clock was moved by {by_ms} ms since the start of the run")]
    HostClockMoved {
        /// By how much; negative for back.
        by_ms: i64,
    },
    /// A completion answers an invocation.
    #[error("{process} completes `{f}`, but has nothing under way")]
    NothingUnderWay {
        /// Who.
        process: Process,
        /// What it completes.
        f: String,
    },
    /// A process waits for the answer before it asks again.
    #[error("{process} invokes `{f}` while op {open} is still under way")]
    StillUnderWay {
        /// Who.
        process: Process,
        /// What it invokes.
        f: String,
        /// The op that is under way.
        open: usize,
    },
    /// A process whose op ended in `info` is never used again, for that op may still take effect.
    #[error("{process} invokes `{f}` although its op {retired_by} ended in info")]
    Retired {
        /// Who.
        process: Process,
        /// What it invokes.
        f: String,
        /// The op that ended in `info`.
        retired_by: usize,
    },
    /// A completion is about what was invoked.
    #[error("{process} completes op {op} as `{completed}`, but invoked `{invoked}`")]
    Mismatched {
        /// Who.
        process: Process,
        /// The op.
        op: usize,
        /// `f` and key of the invocation.
        invoked: String,
        /// `f` and key of the completion.
        completed: String,
    },
    /// A completion speaks of the owner that the invocation named.
    #[error("op {op} was invoked for owner `{invoked}` and completed for owner `{completed}`")]
    OtherOwner {
        /// The op.
        op: usize,
        /// The owner that the invocation names.
        invoked: String,
        /// The owner that the completion names.
        completed: String,
    },
    /// A value has the shape that belongs to its `f`.
    #[error("the value of `{f}` is malformed: {reason}")]
    MalformedValue {
        /// What it is the value of.
        f: String,
        /// Why it is malformed.
        reason: String,
    },
    /// An owner is a name for one acquisition, so that whoever sees it in a lock knows which grant that is.
    #[error("owner `{owner}` acquires `{key}` for the second time: first in op {first}")]
    OwnerReused {
        /// The name.
        owner: String,
        /// The lock.
        key: String,
        /// The first acquisition under that name.
        first: usize,
    },
}
