//! The record of a run: a header, then events in the order in which they happened.
//!
//! On disk it is `history.jsonl`, one JSON object a line: see [`Header`] and [`Event`], and [`vocabulary`] for what
//! stands in an event's `value`.

mod event;
mod header;
pub mod vocabulary;

pub use event::{ErrorInfo, Event, EventType, Process, RunTime};
pub use header::{FORMAT_VERSION, Header};

/// A whole recorded run.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// What was run.
    pub header: Header,
    /// All events, in the order of the file.
    pub events: Vec<Event>,
}
