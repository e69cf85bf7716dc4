//! Operations on registers from the events of a history, in the words of Jepsen.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Initial, RegisterAction, RegisterHistory, ValueId, Values};
use crate::history::{Event, EventType, Json};
use crate::linear::pairs::{CallsError, Paired, by_key};
use crate::linear::{Call, Fails};

/// What a read that was answered with `null` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NullReads {
    /// That the register had no value, which is a value like any other.
    #[default]
    Observe,
    /// Nothing: the answer was not recorded.
    Ignore,
}

/// How the events are to be understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    /// The value with which each register begins, if that is known.
    pub initial: Option<Value>,
    /// What failed swaps say.
    pub fails: Fails,
    /// What reads of `null` say.
    pub null_reads: NullReads,
}

/// The operations on each register. They are numbered by their place among all operations of clients, in the order of
/// their begin.
///
/// Only `read`, `write` and `cas`, with its pair of the old and the new value, are taken.
///
/// # Errors
///
/// Where the events cannot be paired to operations, or the value of a swap is no pair.
pub fn calls_by_key(events: &[Event], words: &Words) -> Result<BTreeMap<String, RegisterHistory>, CallsError> {
    by_key(
        events,
        || empty(words.initial.as_ref()),
        |register, paired| {
            register.calls.extend(call(paired, words, &mut register.values)?);
            Ok(())
        },
    )
}

/// What an operation did; `None` if it changed nothing and says nothing.
pub(in crate::linear) fn call(
    paired: &Paired<'_>,
    words: &Words,
    values: &mut Values,
) -> Result<Option<Call<RegisterAction>>, CallsError> {
    let (op, process) = (paired.op, paired.process);
    let (called, returned) = (paired.begun.time, paired.returned());
    Ok(action(paired, words, values)?.map(|action| Call { op, process, called, returned, action }))
}

fn empty(initial: Option<&Value>) -> RegisterHistory {
    let mut values = Values::default();
    let initial = initial.map_or(Initial::Unknown, |value| Initial::Known(values.intern(value)));
    RegisterHistory { calls: Vec::new(), initial, values }
}

fn action(paired: &Paired<'_>, words: &Words, values: &mut Values) -> Result<Option<RegisterAction>, CallsError> {
    Ok(match (paired.begun.f.as_str(), paired.kind()) {
        ("read", EventType::Ok) => {
            let seen = paired.ended.map(|event| &event.value).filter(|seen| !seen.is_null());
            match seen {
                Some(seen) => Some(RegisterAction::Read(number(seen, values))),
                None if words.null_reads == NullReads::Observe => {
                    Some(RegisterAction::Read(values.intern(&Value::Null)))
                }
                None => None,
            }
        }
        ("write", EventType::Ok | EventType::Info) => Some(RegisterAction::Write(number(&paired.begun.value, values))),
        ("cas", EventType::Ok | EventType::Info) => {
            let (expected, new) = swapped(paired, values)?;
            Some(RegisterAction::Cas { expected, new })
        }
        ("cas", EventType::Fail)
            if words.fails == Fails::Observe && paired.ended.is_some_and(|event| event.error.is_none()) =>
        {
            let (expected, _) = swapped(paired, values)?;
            Some(RegisterAction::CasFailed { expected })
        }
        _ => None,
    })
}

/// A value's number. Most need no tree to be built.
fn number(value: &Json, values: &mut Values) -> ValueId {
    match value.scalar() {
        Some(text) => values.intern_name(text),
        None => values.intern(value),
    }
}

fn swapped(paired: &Paired<'_>, values: &mut Values) -> Result<(ValueId, ValueId), CallsError> {
    if let Some([expected, new]) = paired.begun.value.scalars() {
        return Ok((values.intern_name(expected), values.intern_name(new)));
    }
    match paired.begun.value.as_array().map(Vec::as_slice) {
        Some([expected, new]) => Ok((values.intern(expected), values.intern(new))),
        _ => Err(paired.malformed("a pair of the old and the new value")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::{Process, RunTime};

    fn event(time: u64, process: u64, kind: EventType, f: &str, value: Value) -> Event {
        let process = Process::Client(process);
        Event {
            time: RunTime(time),
            process,
            kind,
            f: f.into(),
            key: None,
            value: value.into(),
            node: None,
            error: None,
        }
    }

    fn words() -> Words {
        Words { initial: Some(Value::Null), fails: Fails::Observe, null_reads: NullReads::Observe }
    }

    #[test]
    fn each_kind_of_operation() {
        let events = [
            event(1, 0, EventType::Invoke, "write", json!(3)),
            event(2, 1, EventType::Invoke, "read", Value::Null),
            event(3, 1, EventType::Ok, "read", json!(3)),
            event(4, 1, EventType::Invoke, "cas", json!([1, 2])),
            event(5, 1, EventType::Fail, "cas", json!([1, 2])),
            event(6, 0, EventType::Info, "write", json!(3)),
            event(7, 1, EventType::Invoke, "cas", json!([3, 2])),
        ];
        let registers = calls_by_key(&events, &words()).expect("well formed");
        let calls = &registers[""].calls;
        let (null, three, one, two) = (ValueId(0), ValueId(1), ValueId(2), ValueId(3));
        assert_eq!(registers[""].initial, Initial::Known(null));
        let actions: Vec<_> = calls.iter().map(|call| (call.op, call.returned, call.action)).collect();
        assert_eq!(
            actions,
            [
                (0, None, RegisterAction::Write(three)),
                (1, Some(RunTime(3)), RegisterAction::Read(three)),
                (2, Some(RunTime(5)), RegisterAction::CasFailed { expected: one }),
                (3, None, RegisterAction::Cas { expected: three, new: two }),
            ]
        );
        let ignoring = Words { fails: Fails::Ignore, ..words() };
        assert_eq!(calls_by_key(&events, &ignoring).expect("well formed")[""].calls.len(), 3);
    }

    #[test]
    fn events_that_are_no_operations() {
        let told = |events: &[Event]| calls_by_key(events, &words()).expect_err("malformed").to_string();
        let invoke = |f: &str, value| event(1, 7, EventType::Invoke, f, value);
        let ok = |f: &str, value| event(2, 7, EventType::Ok, f, value);
        assert_eq!(told(&[ok("read", json!(1))]), "event 0: process 7 completes an operation, but has none under way");
        assert_eq!(
            told(&[invoke("read", json!(1)), invoke("read", json!(1))]),
            "event 1: process 7 begins an operation while another one is under way"
        );
        assert_eq!(
            told(&[invoke("read", json!(1)), ok("write", json!(1))]),
            "event 1: process 7 completes `write`, but began `read`"
        );
        assert_eq!(
            told(&[invoke("cas", json!(1)), ok("cas", json!(1))]),
            "event 1: the value of `cas` is not a pair of the old and the new value"
        );
    }
}
