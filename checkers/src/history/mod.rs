//! The record of a run: a header, then events in the order in which they happened.
//!
//! On disk it is `history.jsonl`, one JSON object a line: see [`Header`] and [`Event`], and [`vocabulary`] for what
//! stands in an event's `value`. [`History::read`] reads it back. [`Ops`] pairs what the clients asked with what they
//! were told, and [`Surroundings`] holds what the nemesis, the probes and the watches put on record.

mod event;
mod flaw;
mod header;
mod json;
mod names;
mod ops;
mod reader;
mod surroundings;
pub mod vocabulary;
mod word;

pub use event::{ErrorInfo, Event, EventType, Process, RunTime};
pub use flaw::{Flaw, FlawKind};
pub use header::{CAS_REGISTER, FORMAT_VERSION, Header, JOB, LEASE_LOCK, LEASE_SEMAPHORE, MOST_PERMITS};
pub use json::Json;
pub use ops::{Action, Granted, Op, Ops, Outcome, Pairing, Work};
pub use reader::{MAX_EVENTS, MAX_LINE_BYTES, header_to_line, to_line};
pub use surroundings::{FaultEvent, LeaderView, Loss, Surroundings, WatchedLoss};
pub use word::Word;

/// A whole recorded run.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// What was run.
    pub header: Header,
    /// All events, in the order of the file.
    pub events: Vec<Event>,
    /// Whether the file ended in the middle of a line, as after a crash of the recorder. The cut line is left out.
    pub truncated: bool,
}

impl History {
    /// A history that was not cut.
    #[must_use]
    pub fn new(header: Header, events: Vec<Event>) -> Self {
        Self { header, events, truncated: false }
    }

    /// The events, each with the number of its line in the file.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &Event)> {
        const LINE_OF_FIRST_EVENT: usize = 2;
        (LINE_OF_FIRST_EVENT..).zip(&self.events)
    }
}
