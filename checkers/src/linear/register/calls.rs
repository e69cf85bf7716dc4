//! Operations on registers from the events of a history, in the words of Jepsen.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Initial, RegisterAction, RegisterHistory, ValueId, Values};
use crate::history::{Event, EventType, Process};
use crate::linear::Call;

/// What a swap that ended in `fail` without an error code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fails {
    /// That the register had another value than the expected one.
    Observe,
    /// That it did not happen, for whatever reason.
    Ignore,
}

/// Why events are no operations on registers.
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
    /// A swap whose value is no pair.
    #[error("event {event}: the value of `cas` is not a pair of the old and the new value")]
    NoPair {
        /// The event, by its place.
        event: usize,
    },
}

/// The operations on each register, with the index of each among all operations of clients in the order of their begin.
///
/// Only `read`, `write` and `cas` are taken. `initial` is the value with which each register begins, if that is known.
///
/// # Errors
///
/// Where the events cannot be paired to operations, or the value of a swap is no pair.
pub fn calls_by_key(
    events: &[Event],
    initial: Option<&Value>,
    fails: Fails,
) -> Result<BTreeMap<String, RegisterHistory>, CallsError> {
    let mut under_way: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    let mut registers: BTreeMap<String, RegisterHistory> = BTreeMap::new();
    let mut next_op = 0;
    for (place, event) in events.iter().enumerate() {
        let Process::Client(process) = event.process else { continue };
        if event.kind == EventType::Invoke {
            if under_way.insert(process, (next_op, place)).is_some() {
                return Err(CallsError::StillUnderWay { event: place, process });
            }
            next_op += 1;
            continue;
        }
        let Some((op, begun)) = under_way.remove(&process) else {
            return Err(CallsError::NothingUnderWay { event: place, process });
        };
        if events[begun].f != event.f {
            return Err(CallsError::Mismatched {
                event: place,
                process,
                begun: events[begun].f.clone(),
                completed: event.f.clone(),
            });
        }
        take(&mut registers, initial, Ended { op, process, begun: &events[begun], ended: Some(event), place, fails })?;
    }
    for (&process, &(op, place)) in &under_way {
        take(&mut registers, initial, Ended { op, process, begun: &events[place], ended: None, place, fails })?;
    }
    for register in registers.values_mut() {
        register.calls.sort_by_key(|call| call.op);
    }
    Ok(registers)
}

/// An operation that has ended, or was under way when the history did.
struct Ended<'a> {
    op: usize,
    process: u64,
    begun: &'a Event,
    ended: Option<&'a Event>,
    place: usize,
    fails: Fails,
}

fn take(
    registers: &mut BTreeMap<String, RegisterHistory>,
    initial: Option<&Value>,
    ended: Ended<'_>,
) -> Result<(), CallsError> {
    let key = ended.begun.key.clone().unwrap_or_default();
    let register = registers.entry(key).or_insert_with(|| empty(initial));
    if let Some(action) = ended.action(&mut register.values)? {
        register.calls.push(Call {
            op: ended.op,
            process: ended.process,
            called: ended.begun.time,
            returned: ended.ended.filter(|event| event.kind != EventType::Info).map(|event| event.time),
            action,
        });
    }
    Ok(())
}

fn empty(initial: Option<&Value>) -> RegisterHistory {
    let mut values = Values::default();
    let initial = initial.map_or(Initial::Unknown, |value| Initial::Known(values.intern(value)));
    RegisterHistory { calls: Vec::new(), initial, values }
}

impl Ended<'_> {
    /// What it did; `None` if it changed nothing and says nothing.
    fn action(&self, values: &mut Values) -> Result<Option<RegisterAction>, CallsError> {
        let kind = self.ended.map_or(EventType::Info, |event| event.kind);
        Ok(match (self.begun.f.as_str(), kind) {
            ("read", EventType::Ok) => {
                let seen = self.ended.map_or(&Value::Null, |event| &event.value);
                Some(RegisterAction::Read(values.intern(seen)))
            }
            ("write", EventType::Ok | EventType::Info) => Some(RegisterAction::Write(values.intern(&self.begun.value))),
            ("cas", EventType::Ok | EventType::Info) => {
                let (expected, new) = self.pair(values)?;
                Some(RegisterAction::Cas { expected, new })
            }
            ("cas", EventType::Fail) if self.fails == Fails::Observe && self.has_no_error() => {
                let (expected, _) = self.pair(values)?;
                Some(RegisterAction::CasFailed { expected })
            }
            _ => None,
        })
    }

    fn has_no_error(&self) -> bool {
        self.ended.is_some_and(|event| event.error.is_none())
    }

    fn pair(&self, values: &mut Values) -> Result<(ValueId, ValueId), CallsError> {
        match self.begun.value.as_array().map(Vec::as_slice) {
            Some([expected, new]) => Ok((values.intern(expected), values.intern(new))),
            _ => Err(CallsError::NoPair { event: self.place }),
        }
    }
}
