//! From the fields of a Jepsen op to an event.

use std::collections::HashMap;

use serde_json::Value;

use super::Keys;
use super::edn::Form;
use crate::history::{ErrorInfo, Event, EventType, Process, RunTime};

/// The code of an error that came without a word for programs.
const UNNAMED: &str = "error";

/// Turns ops into events, one after the other.
pub(super) struct Ops {
    keys: Keys,
    key_needed: bool,
    /// How many there were.
    count: u64,
    /// Whether they tell their times, which is known after the first.
    timed: Option<bool>,
    /// For each client the key of its latest invocation, where values are pairs.
    asked: HashMap<u64, String>,
}

/// The fields of an op, as they are written.
pub(super) struct Fields {
    pub(super) time: Option<Form>,
    pub(super) process: Form,
    pub(super) kind: Form,
    pub(super) f: Form,
    pub(super) key: Form,
    pub(super) value: Form,
    pub(super) node: Form,
    pub(super) error: Form,
}

impl Ops {
    pub(super) fn new(keys: Keys) -> Self {
        Self { keys, key_needed: false, count: 0, timed: None, asked: HashMap::new() }
    }

    /// Takes an op without a key for an error.
    pub(super) fn each_with_a_key(self) -> Self {
        Self { key_needed: true, ..self }
    }

    /// The event that an op map tells of.
    pub(super) fn event(&mut self, form: Form) -> Result<Event, String> {
        let Form::Map(fields) = form.untagged() else { return Err("an op is a map".to_owned()) };
        self.event_of(Fields::of(fields)?)
    }

    pub(super) fn event_of(&mut self, fields: Fields) -> Result<Event, String> {
        let process = process(fields.process)?;
        let kind = kind(&fields.kind)?;
        let f = fields.f.into_name().map_err(|form| format!("`:f` must be a keyword, not `{form}`"))?;
        let own_key = match fields.key {
            Form::Nil => None,
            key => Some(key.into_label()),
        };
        let (key, value) = match (self.keys, process) {
            (Keys::Pair, Process::Client(client)) => self.key_of_pair(client, kind, fields.value)?,
            _ => (own_key, fields.value),
        };
        if self.key_needed && key.is_none() {
            return Err("it has no `:key`".to_owned());
        }
        let time = self.time(fields.time)?;
        self.count += 1;
        Ok(Event {
            time,
            process,
            kind,
            f,
            key,
            value: value.into_json()?,
            node: match fields.node {
                Form::Nil => None,
                node => Some(node.into_label()),
            },
            error: error(fields.error)?,
        })
    }

    /// Where no op tells its time, their order stands for it.
    fn time(&mut self, time: Option<Form>) -> Result<RunTime, String> {
        let timed = *self.timed.get_or_insert(time.is_some());
        match time {
            Some(Form::Number(ns)) if timed => ns
                .as_u64()
                .map(RunTime)
                .ok_or_else(|| format!("`:time` must be nanoseconds since the start, not `{ns}`")),
            Some(time) if timed => Err(format!("`:time` must be nanoseconds since the start, not `{time}`")),
            None if !timed => Ok(RunTime(self.count)),
            _ => Err("some ops have a `:time` and some have none".to_owned()),
        }
    }

    fn key_of_pair(&mut self, client: u64, kind: EventType, value: Form) -> Result<(Option<String>, Form), String> {
        match value.untagged() {
            Form::Vector(pair) if pair.len() == 2 => {
                let mut pair = pair.into_iter();
                let (key, value) = (pair.next().unwrap_or(Form::Nil).into_label(), pair.next().unwrap_or(Form::Nil));
                if kind == EventType::Invoke {
                    self.asked.insert(client, key.clone());
                }
                Ok((Some(key), value))
            }
            value if kind == EventType::Invoke => {
                Err(format!("its value must be a pair of key and value, not `{value}`"))
            }
            value => Ok((self.asked.get(&client).cloned(), value)),
        }
    }
}

impl Fields {
    fn of(entries: Vec<(Form, Form)>) -> Result<Self, String> {
        let mut found: [Option<Form>; 8] = Default::default();
        const NAMES: [&str; 8] = ["time", "process", "type", "f", "key", "value", "node", "error"];
        for (key, value) in entries {
            // What else a test has put into its ops is its own business.
            let Some(place) = NAMES.iter().position(|name| key.is_keyword(name)) else { continue };
            if found[place].replace(value.untagged()).is_some() {
                return Err(format!("it has two fields `{key}`"));
            }
        }
        let [time, process, kind, f, key, value, node, error] = found;
        let needed = |field: Option<Form>, name: &str| field.ok_or_else(|| format!("it has no `:{name}`"));
        Ok(Self {
            time: time.filter(|time| *time != Form::Nil),
            process: needed(process, "process")?,
            kind: needed(kind, "type")?,
            f: needed(f, "f")?,
            key: key.unwrap_or(Form::Nil),
            value: value.unwrap_or(Form::Nil),
            node: node.unwrap_or(Form::Nil),
            error: error.unwrap_or(Form::Nil),
        })
    }
}

/// Clients have numbers. Whoever has a name is none, and what Jepsen calls them all is the nemesis.
fn process(form: Form) -> Result<Process, String> {
    match form {
        Form::Number(ref number) if number.is_u64() => Ok(Process::Client(number.as_u64().unwrap_or_default())),
        Form::Keyword(name) => Ok(match name.as_str() {
            "probe" => Process::Probe,
            "watch" => Process::Watch,
            _ => Process::Nemesis,
        }),
        other => Err(format!("`:process` must be a number or a keyword, not `{other}`")),
    }
}

fn kind(form: &Form) -> Result<EventType, String> {
    [("invoke", EventType::Invoke), ("ok", EventType::Ok), ("fail", EventType::Fail), ("info", EventType::Info)]
        .into_iter()
        .find(|(word, _)| form.is_keyword(word))
        .map(|(_, kind)| kind)
        .ok_or_else(|| format!("`:type` must be `:invoke`, `:ok`, `:fail` or `:info`, not `{form}`"))
}

/// Tests write `:timeout`, `[:timeout "in more words"]`, a sentence, or anything else.
fn error(form: Form) -> Result<Option<ErrorInfo>, String> {
    let named = |code: String, text: String| Ok(Some(ErrorInfo { code, text }));
    match form {
        Form::Nil => Ok(None),
        Form::Keyword(code) => named(code, String::new()),
        Form::Text(text) => named(UNNAMED.to_owned(), text),
        Form::Vector(forms) => match <[Form; 2]>::try_from(forms) {
            Ok([Form::Keyword(code) | Form::Text(code), Form::Nil]) => named(code, String::new()),
            Ok([Form::Keyword(code) | Form::Text(code), text]) => named(code, in_words(text)?),
            Ok(other) => named(UNNAMED.to_owned(), Form::Vector(other.into()).to_string()),
            Err(other) => match other.first() {
                Some(Form::Keyword(code)) => named(code.clone(), Form::Vector(other[1..].to_vec()).to_string()),
                _ => named(UNNAMED.to_owned(), Form::Vector(other).to_string()),
            },
        },
        other => named(UNNAMED.to_owned(), other.to_string()),
    }
}

fn in_words(form: Form) -> Result<String, String> {
    Ok(match form {
        Form::Text(text) => text,
        other => match other.clone().into_json()? {
            Value::String(text) => text,
            _ => other.to_string(),
        },
    })
}
