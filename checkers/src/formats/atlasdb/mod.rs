//! The JSON array of ops that the lock test of AtlasDB stores.
//!
//! Each client of it asks for locks by name, keeps the token that it gets, and refreshes or gives back the lock by that
//! token. What is answered does not name the lock again; the invocation does.

mod leases;

use std::collections::HashMap;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::{Value, json};

use super::bytes::Bytes;
use super::error::Problem;
use super::events::{Located, Source};
use super::leasehold::parse;
use super::{Error, Format};
use crate::history::{ErrorInfo, Event, EventType, Process, RunTime, Word};
pub(super) use leases::rewrite as tokens_as_owners;

/// The code of an error, for which AtlasDB has no words of its own.
const ERROR: &str = "error";

/// An element of the array.
#[derive(Deserialize)]
struct Op {
    f: String,
    process: Process,
    time: u64,
    #[serde(rename = "type")]
    kind: EventType,
    #[serde(default)]
    value: Value,
    /// What the client asked with: the token, or its own name and the lock's.
    #[serde(default, rename = "query-params")]
    asked: String,
    #[serde(default)]
    error: Value,
}

/// Reads the ops.
pub(super) struct AtlasDb<R> {
    bytes: Bytes<R>,
    place: Place,
    /// For each client the lock that it asked for last.
    asked: HashMap<u64, String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    BeforeBracket,
    BeforeFirst,
    AfterOp,
    AfterBracket,
}

impl<R: BufRead> AtlasDb<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { bytes: Bytes::new(reader), place: Place::BeforeBracket, asked: HashMap::new() }
    }

    /// The next element as it stands in the array, in one line.
    fn element(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            self.bytes.between_values();
            self.skip_white_space()?;
            self.bytes.begin_value();
            let byte = match (self.bytes.peek()?, self.place) {
                (None, Place::BeforeBracket) => return Err(Error::of_all(Problem::Empty)),
                (None, Place::AfterBracket) => return Ok(None),
                (None, _) => return Err(self.error(Problem::Unfinished)),
                (Some(byte), _) => byte,
            };
            self.place = match (byte, self.place) {
                (b'[', Place::BeforeBracket) => Place::BeforeFirst,
                (b']', Place::BeforeFirst | Place::AfterOp) => Place::AfterBracket,
                (b',', Place::AfterOp) => {
                    self.bytes.pass(byte)?;
                    self.skip_white_space()?;
                    self.bytes.begin_value();
                    return self.object().map(Some);
                }
                (b'{', Place::BeforeFirst) => {
                    self.place = Place::AfterOp;
                    return self.object().map(Some);
                }
                _ => {
                    let reason = format!("`{}` where an array of ops was expected", char::from(byte).escape_default());
                    return Err(self.error(Problem::Malformed { format: Format::AtlasDb, reason }));
                }
            };
            self.bytes.pass(byte)?;
        }
    }

    /// What stands between this brace and its counterpart.
    fn object(&mut self) -> Result<Vec<u8>, Error> {
        let mut text = Vec::new();
        let (mut open, mut in_string) = (0_usize, false);
        loop {
            let byte = self.bytes.take()?;
            // An error in the element shall not speak of lines that begin with it.
            text.push(if byte == b'\n' { b' ' } else { byte });
            match byte {
                b'\\' if in_string => text.push(self.bytes.take()?),
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => open += 1,
                b'}' | b']' if !in_string => open = open.saturating_sub(1),
                _ => {}
            }
            if open == 0 && !in_string {
                return Ok(text);
            }
        }
    }

    fn skip_white_space(&mut self) -> Result<(), Error> {
        while let Some(byte) = self.bytes.peek()?
            && byte.is_ascii_whitespace()
        {
            self.bytes.pass(byte)?;
        }
        Ok(())
    }

    fn error(&self, problem: Problem) -> Error {
        Error::at(self.bytes.value_line(), problem)
    }

    fn event(&mut self, op: Op) -> Event {
        let mut event = Event {
            time: RunTime(op.time),
            process: op.process,
            kind: op.kind,
            f: op.f.into(),
            key: None,
            value: op.value.into(),
            node: None,
            error: match op.error {
                Value::Null => None,
                Value::String(text) => Some(ErrorInfo { code: ERROR.into(), text: text.into() }),
                other => Some(ErrorInfo { code: ERROR.into(), text: other.to_string().into() }),
            },
        };
        if let Process::Client(client) = event.process {
            event.key = self.lock(client, &mut event).map(Word::from);
            if event.kind == EventType::Ok {
                event.value = answer(&event.f, event.value.take(), &op.asked).into();
            }
        }
        event
    }

    /// The lock that an event is about: an invocation names it, a completion is about the same.
    fn lock(&mut self, client: u64, event: &mut Event) -> Option<String> {
        if event.kind != EventType::Invoke {
            return self.asked.get(&client).cloned();
        }
        match event.value.take() {
            Value::String(lock) => {
                self.asked.insert(client, lock.clone());
                Some(lock)
            }
            other => {
                self.asked.remove(&client);
                event.value = other.into();
                None
            }
        }
    }
}

impl<R: BufRead> Source for AtlasDb<R> {
    fn next_event(&mut self) -> Result<Option<Located>, Error> {
        let Some(element) = self.element()? else { return Ok(None) };
        let op = parse(&element).map_err(|problem| self.error(problem))?;
        Ok(Some((self.bytes.value_line(), self.event(op))))
    }

    /// An array that was cut is an error: its last op may be anywhere.
    fn truncated(&self) -> bool {
        false
    }
}

/// What was answered, in words: a token, or nothing, or whether there was something to give back.
fn answer(f: &str, value: Value, asked: &str) -> Value {
    match (f, &value) {
        ("lock", Value::String(granted)) => {
            let client = asked.split_once(',').map(|(client, _)| client);
            json!({ "client": client, "token": token(granted) })
        }
        ("refresh", Value::String(refreshed)) => json!({ "token": token(asked), "refreshed": token(refreshed) }),
        ("unlock", Value::String(unlocked)) => json!({ "token": token(asked), "unlocked": unlocked == "true" }),
        _ => value,
    }
}

/// The id in `LockRefreshToken [tokenId=1qrmb8nq54vz8]`; `None` for no token.
fn token(text: &str) -> Option<&str> {
    let id = text.strip_prefix("LockRefreshToken [tokenId=").and_then(|rest| rest.strip_suffix(']'));
    id.or(Some(text)).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Options, Record};

    fn read(text: &str) -> Result<Record, Error> {
        Record::from_reader(text.as_bytes(), &Options { format: Some(Format::AtlasDb), ..Options::default() })
    }

    #[track_caller]
    fn error(text: &str) -> String {
        read(text).expect_err("it is no history").to_string()
    }

    #[test]
    fn a_lock_is_taken_refreshed_and_given_back() {
        let token = "LockRefreshToken [tokenId=1qr]";
        let ops = json!([
            { "f": "lock", "process": 3, "time": 1, "type": "invoke", "value": "bob" },
            { "f": "lock", "process": 3, "time": 2, "type": "ok", "value": token, "query-params": "n4,bob" },
            { "f": "refresh", "process": 3, "time": 3, "type": "invoke", "value": "bob" },
            { "f": "refresh", "process": 3, "time": 4, "type": "ok", "value": "", "query-params": token },
            { "f": "unlock", "process": 3, "time": 5, "type": "invoke", "value": "bob" },
            { "f": "unlock", "process": 3, "time": 6, "type": "ok", "value": "true", "query-params": token },
            { "f": "lock", "process": 3, "time": 7, "type": "invoke", "value": "eve" },
            { "f": "lock", "process": 3, "time": 8, "type": "info", "value": "eve", "error": "timeout" },
        ]);
        let record = read(&format!("{ops:#}")).expect("it is a history");
        let events = &record.events;
        assert!(events[..6].iter().all(|event| event.key.as_deref() == Some("bob")));
        assert!(events[6..].iter().all(|event| event.key.as_deref() == Some("eve")));
        assert_eq!(events[0].value, json!(null));
        assert_eq!(events[1].value, json!({ "client": "n4", "token": "1qr" }));
        assert_eq!(events[3].value, json!({ "token": "1qr", "refreshed": null }));
        assert_eq!(events[5].value, json!({ "token": "1qr", "unlocked": true }));
        assert_eq!(events[7].error.as_ref().map(|error| error.text.as_str()), Some("timeout"));
        assert_eq!(record.lines[..3], [2, 9, 17]);
    }

    #[test]
    fn what_looks_like_the_end_of_an_op() {
        let text = r#" [ {"f":"a}\"]\\","process":"nemesis","time":1,"type":"info","value":{"b":[{}]}} ] "#;
        let record = read(text).expect("it is a history");
        assert_eq!(record.events[0].f, "a}\"]\\");
        assert_eq!(record.events[0].process, Process::Nemesis);
        assert_eq!(read("[]").map(|record| record.events.len()).ok(), Some(0));
    }

    #[test]
    fn wrong_arrays() {
        let op = r#"{"f":"lock","process":3,"time":1,"type":"invoke","value":"bob"}"#;
        assert_eq!(error(op), "line 1: not atlasdb: `{` where an array of ops was expected");
        assert_eq!(error(&format!("[{op}\n{op}]")), "line 2: not atlasdb: `{` where an array of ops was expected");
        assert_eq!(error(&format!("[{op}] {op}")), "line 1: not atlasdb: `{` where an array of ops was expected");
        assert!(error(&format!("[{op},\n]")).starts_with("line 2: not JSON: "));
        assert!(error("[\n\n{\"f\":1}]").starts_with("line 3: wrong field: invalid type: integer `1`"));
        assert!(error("[{\"f\":\"lock\"}]").starts_with("line 1: wrong field: missing field"));
    }
}
