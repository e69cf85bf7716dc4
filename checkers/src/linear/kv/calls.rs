//! Operations on keys from the events of a history, in Porcupine's words.

use std::collections::BTreeMap;

use serde_json::Value;

use super::KvAction;
use crate::history::{Event, EventType};
use crate::linear::Call;
use crate::linear::pairs::{CallsError, Paired, by_key};

/// The operations on each key. They are numbered by their place among all operations of clients, in the order of their
/// begin.
///
/// Only `get`, `put` and `append` are taken, with strings for values; a get of `null` is one of the empty string.
///
/// # Errors
///
/// Where the events cannot be paired to operations, or a value is no string.
pub fn calls_by_key(events: &[Event]) -> Result<BTreeMap<String, Vec<Call<KvAction>>>, CallsError> {
    let mut keys = by_key(events, Vec::new, |calls, paired| {
        calls.extend(call(paired)?);
        Ok(())
    })?;
    keys.retain(|_, calls| !calls.is_empty());
    Ok(keys)
}

/// What an operation did; `None` if it changed nothing and says nothing.
pub(in crate::linear) fn call(paired: &Paired<'_>) -> Result<Option<Call<KvAction>>, CallsError> {
    let (op, process) = (paired.op, paired.process);
    let (called, returned) = (paired.begun.time, paired.returned());
    Ok(action(paired)?.map(|action| Call { op, process, called, returned, action }))
}

fn action(paired: &Paired<'_>) -> Result<Option<KvAction>, CallsError> {
    Ok(match (paired.begun.f.as_str(), paired.kind()) {
        ("get", EventType::Ok) => {
            let seen = paired.ended.map_or(&Value::Null, |event| &event.value);
            Some(KvAction::Get(string(paired, seen)?))
        }
        ("put", EventType::Ok | EventType::Info) => Some(KvAction::Put(string(paired, &paired.begun.value)?)),
        ("append", EventType::Ok | EventType::Info) => Some(KvAction::Append(string(paired, &paired.begun.value)?)),
        _ => None,
    })
}

fn string(paired: &Paired<'_>, value: &Value) -> Result<String, CallsError> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(string) => Ok(string.clone()),
        _ => Err(paired.malformed("a string")),
    }
}
