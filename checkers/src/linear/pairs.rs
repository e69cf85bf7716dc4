//! Operations of any kind from the events of a history, each with its begin and its end.

use std::collections::BTreeMap;

use crate::history::{Event, EventType, Process, RunTime};

/// Why events are no operations of the kind that is looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallsError {
    /// An end without a begin.
    #[error("event {event}: process {process} completes an operation, but has none under way")]
    NothingUnderWay {
        /// The event, by its place.
        event: usize,
        /// The process.
        process: u64,
    },
    /// A begin before the end of the last operation.
    #[error("event {event}: process {process} begins an operation while another one is under way")]
    StillUnderWay {
        /// The event, by its place.
        event: usize,
        /// The process.
        process: u64,
    },
    /// An end of another operation than was begun.
    #[error("event {event}: process {process} completes `{completed}`, but began `{begun}`")]
    Mismatched {
        /// The event, by its place.
        event: usize,
        /// The process.
        process: u64,
        /// What was begun.
        begun: String,
        /// What was completed.
        completed: String,
    },
    /// An event that is stamped earlier than the one before it, where events are taken as they come.
    #[error("event {event} is stamped earlier than the one before it")]
    TimeGoesBack {
        /// The event, by its place.
        event: usize,
    },
    /// A value of another shape than its operation needs.
    #[error("event {event}: the value of `{f}` is not {needed}")]
    Malformed {
        /// The event, by its place.
        event: usize,
        /// The operation.
        f: String,
        /// What is needed.
        needed: &'static str,
    },
}

/// An operation that has ended, or was under way when the history did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paired<'a> {
    /// Its place among the operations of all clients, in the order of their begin.
    pub(super) op: usize,
    pub(super) process: u64,
    pub(super) begun: &'a Event,
    pub(super) ended: Option<&'a Event>,
    /// The place of its last event.
    pub(super) place: usize,
}

impl<'a> Paired<'a> {
    pub(super) fn key(&self) -> &'a str {
        self.begun.key.as_deref().unwrap_or_default()
    }

    /// How it ended: as if it had timed out, where the history ends before it.
    pub(super) fn kind(&self) -> EventType {
        self.ended.map_or(EventType::Info, |event| event.kind)
    }

    pub(super) fn returned(&self) -> Option<RunTime> {
        self.ended.filter(|event| event.kind != EventType::Info).map(|event| event.time)
    }

    pub(super) fn malformed(&self, needed: &'static str) -> CallsError {
        CallsError::Malformed { event: self.place, f: self.begun.f.to_string(), needed }
    }
}

/// What becomes of the operations on each key, one after the other.
pub(super) fn by_key<T>(
    events: &[Event],
    empty: impl Fn() -> T,
    mut take: impl FnMut(&mut T, &Paired<'_>) -> Result<(), CallsError>,
) -> Result<BTreeMap<String, T>, CallsError> {
    // Many histories are of one register that has no name. To compare empty strings costs more than to see that there are none.
    let mut parts: BTreeMap<Option<&str>, T> = BTreeMap::new();
    for paired in pair(events)? {
        let key = Some(paired.key()).filter(|key| !key.is_empty());
        take(parts.entry(key).or_insert_with(&empty), &paired)?;
    }
    Ok(parts.into_iter().map(|(key, part)| (key.unwrap_or_default().to_owned(), part)).collect())
}

/// All operations of clients, in the order of their begin.
pub(super) fn pair(events: &[Event]) -> Result<Vec<Paired<'_>>, CallsError> {
    let mut under_way: BTreeMap<u64, usize> = BTreeMap::new();
    let mut all: Vec<Paired<'_>> = Vec::with_capacity(events.len() / 2);
    for (place, event) in events.iter().enumerate() {
        let Process::Client(process) = event.process else { continue };
        if event.kind == EventType::Invoke {
            let op = all.len();
            if under_way.insert(process, op).is_some() {
                return Err(CallsError::StillUnderWay { event: place, process });
            }
            all.push(Paired { op, process, begun: event, ended: None, place });
            continue;
        }
        let Some(op) = under_way.remove(&process) else {
            return Err(CallsError::NothingUnderWay { event: place, process });
        };
        let paired = &mut all[op];
        if paired.begun.f != event.f {
            let (begun, completed) = (paired.begun.f.to_string(), event.f.to_string());
            return Err(CallsError::Mismatched { event: place, process, begun, completed });
        }
        paired.ended = Some(event);
        paired.place = place;
    }
    Ok(all)
}
