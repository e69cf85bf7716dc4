//! Writes events for the tools of others.

use std::io::{self, Write};

use serde_json::Value;

use super::form::Form;
use crate::formats::Keys;
use crate::history::{ErrorInfo, Event, EventType, Process};

/// An event as an op map of Jepsen's, in one line without its break.
///
/// Words become keywords, so that `acquire` is `:acquire` to Knossos. With [`Keys::Pair`] the value of a client's op is the
/// pair of key and value that `jepsen.independent` takes apart. `index` is the place of the event in its history.
///
/// ```
/// use leasehold_checkers::formats::{Keys, to_edn};
/// use leasehold_checkers::history::{Event, EventType, Process, RunTime};
/// use serde_json::json;
///
/// let event = Event {
///     time: RunTime(5),
///     process: Process::Client(0),
///     kind: EventType::Invoke,
///     f: "cas".into(),
///     key: Some("x".into()),
///     value: json!([1, 2]).into(),
///     node: None,
///     error: None,
/// };
/// assert_eq!(
///     to_edn(&event, 7, Keys::Field),
///     r#"{:index 7, :time 5, :process 0, :type :invoke, :f :cas, :key "x", :value [1 2]}"#
/// );
/// assert_eq!(
///     to_edn(&event, 7, Keys::Pair),
///     r#"{:index 7, :time 5, :process 0, :type :invoke, :f :cas, :value ["x" [1 2]]}"#
/// );
/// ```
#[must_use]
pub fn to_edn(event: &Event, index: usize, keys: Keys) -> String {
    let mut fields = Vec::new();
    let mut field = |name: &str, form| fields.push((Form::Keyword(name.to_owned()), form));
    field("index", Form::Number((index as u64).into()));
    field("time", Form::Number(event.time.as_nanos().into()));
    field("process", process(event.process));
    field("type", Form::Keyword(word(event.kind).to_owned()));
    field("f", name(&event.f));
    let value = form(&event.value);
    match (&event.key, keys, event.process) {
        (None, ..) => field("value", value),
        (Some(key), Keys::Pair, Process::Client(_)) => {
            field("value", Form::Vector(vec![Form::Text(key.to_string()), value]));
        }
        (Some(key), ..) => {
            field("key", Form::Text(key.to_string()));
            field("value", value);
        }
    }
    if let Some(node) = &event.node {
        field("node", Form::Text(node.to_string()));
    }
    if let Some(why) = &event.error {
        field("error", error(why));
    }
    Form::Map(fields).to_string()
}

/// Writes events as Jepsen stores a history: one op map a line.
///
/// # Errors
///
/// Where the writer fails.
pub fn write_edn(events: &[Event], keys: Keys, to: &mut impl Write) -> io::Result<()> {
    events.iter().enumerate().try_for_each(|(index, event)| writeln!(to, "{}", to_edn(event, index, keys)))
}

fn process(process: Process) -> Form {
    match process {
        Process::Client(number) => Form::Number(number.into()),
        Process::Nemesis => Form::Keyword("nemesis".to_owned()),
        Process::Probe => Form::Keyword("probe".to_owned()),
        Process::Watch => Form::Keyword("watch".to_owned()),
    }
}

fn word(kind: EventType) -> &'static str {
    match kind {
        EventType::Invoke => "invoke",
        EventType::Ok => "ok",
        EventType::Fail => "fail",
        EventType::Info => "info",
    }
}

/// Jepsen's tests write `:error :timeout`, or `[:timeout "in more words"]`.
fn error(error: &ErrorInfo) -> Form {
    match (name(&error.code), error.text.as_str()) {
        (code @ Form::Keyword(_), "") => code,
        (code, text) => Form::Vector(vec![code, Form::Text(text.to_owned())]),
    }
}

/// A keyword where it can be one.
fn name(name: &str) -> Form {
    let is_plain = name.starts_with(|char: char| char.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_plain { Form::Keyword(name.to_owned()) } else { Form::Text(name.to_owned()) }
}

fn form(value: &Value) -> Form {
    match value {
        Value::Null => Form::Nil,
        Value::Bool(truth) => Form::Bool(*truth),
        Value::Number(number) => Form::Number(number.clone()),
        Value::String(text) => Form::Text(text.clone()),
        Value::Array(values) => Form::Vector(values.iter().map(form).collect()),
        Value::Object(fields) => Form::Map(fields.iter().map(|(key, value)| (name(key), form(value))).collect()),
    }
}
