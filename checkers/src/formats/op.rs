//! From the fields of a Jepsen op to an event.

use std::collections::HashMap;

use serde_json::Value;

use super::Keys;
use super::edn::Form;
use super::lexicon::Lexicon;
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
    lexicon: Lexicon,
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
        Self { keys, key_needed: false, count: 0, timed: None, asked: HashMap::new(), lexicon: Lexicon::default() }
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
            f: self.lexicon.word(&f),
            key: key.map(|key| self.lexicon.word(&key)),
            value: value.into_json()?.into(),
            node: match fields.node {
                Form::Nil => None,
                node => Some(self.lexicon.word(&node.into_label())),
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
    let named = |code: String, text: String| Ok(Some(ErrorInfo { code: code.into(), text: text.into() }));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::edn::Parser;
    use serde_json::{Value, json};

    fn events(keys: Keys, text: &str) -> Result<Vec<Event>, String> {
        let mut ops = Ops::new(keys);
        let forms = format!("[{text}]");
        let Ok(Form::Vector(forms)) = Parser::new(forms.as_bytes()).form() else { panic!("it is EDN") };
        forms.into_iter().map(|form| ops.event(form)).collect()
    }

    #[track_caller]
    fn one(text: &str) -> Event {
        events(Keys::Field, text).unwrap_or_else(|reason| panic!("{reason}")).remove(0)
    }

    #[track_caller]
    fn error_of(error: &str) -> (String, String) {
        let event = one(&format!("{{:process 0 :type :fail :f :read :error {error}}}"));
        let error = event.error.expect("there is one");
        (error.code.into(), error.text.into())
    }

    #[test]
    fn all_fields() {
        let text = "#jepsen.history.Op{:index 3, :time 7, :type :ok, :process 2, :f :txn/read, :value #{1}, :key 5, :node :n1, :x {}}";
        let event = one(text);
        assert_eq!((event.time, event.process, event.kind), (RunTime(7), Process::Client(2), EventType::Ok));
        assert_eq!(
            (event.f.as_str(), event.key.as_deref(), event.node.as_deref()),
            ("txn/read", Some("5"), Some("n1"))
        );
        assert_eq!((event.value, event.error), (json!([1]).into(), None));
    }

    #[test]
    fn whoever_has_a_name_is_no_client() {
        let process = |name: &str| one(&format!("{{:process {name} :type :info :f :start}}")).process;
        assert_eq!(process(":nemesis"), Process::Nemesis);
        assert_eq!(process(":clock-nemesis"), Process::Nemesis);
        assert_eq!(process(":watch"), Process::Watch);
        for wrong in ["-1", "1.0", "\"0\"", "nil", "[0]"] {
            let error = events(Keys::Field, &format!("{{:process {wrong} :type :info :f :start}}"));
            assert_eq!(error, Err(format!("`:process` must be a number or a keyword, not `{wrong}`")));
        }
    }

    #[test]
    fn times_of_all_or_none() {
        let op = |time: &str| format!("{{:process 0 :type :ok :f :read {time}}}");
        let times = |ops: &[&str]| {
            let ops: Vec<String> = ops.iter().map(|time| op(time)).collect();
            events(Keys::Field, &ops.concat()).map(|events| events.iter().map(|event| event.time.0).collect::<Vec<_>>())
        };
        assert_eq!(times(&[":time 7", ":time 5"]), Ok(vec![7, 5]));
        assert_eq!(times(&["", ":time nil"]), Ok(vec![0, 1]));
        let mixed = Err("some ops have a `:time` and some have none".to_owned());
        assert_eq!(times(&["", ":time 5"]), mixed);
        assert_eq!(times(&[":time 5", ""]), mixed);
        assert_eq!(times(&[":time -5"]), Err("`:time` must be nanoseconds since the start, not `-5`".to_owned()));
    }

    #[test]
    fn errors_in_all_shapes() {
        let error = |code: &str, text: &str| (code.to_owned(), text.to_owned());
        assert_eq!(error_of(":timeout"), error("timeout", ""));
        assert_eq!(error_of("[:not-found \"no such lease\"]"), error("not-found", "no such lease"));
        assert_eq!(error_of("[:temporarily-unavailable nil]"), error("temporarily-unavailable", ""));
        assert_eq!(error_of("\"in words\""), error("error", "in words"));
        assert_eq!(error_of("[:a {:b 1} 2]"), error("a", "[{:b 1} 2]"));
        assert_eq!(error_of("{:type :x}"), error("error", "{:type :x}"));
        assert_eq!(error_of("[1 2]"), error("error", "[1 2]"));
        assert_eq!(error_of("[]"), error("error", "[]"));
    }

    #[test]
    fn what_is_no_op() {
        let error = |text: &str| events(Keys::Field, text).expect_err("it is no op");
        assert_eq!(error("7"), "an op is a map");
        assert_eq!(error("[[:process 0]]"), "an op is a map");
        assert_eq!(error("{:process 0 :f :read}"), "it has no `:type`");
        assert_eq!(error("{:process 0 :type :ok}"), "it has no `:f`");
        assert_eq!(error("{:process 0 :type :ok :f nil}"), "`:f` must be a keyword, not `nil`");
        assert_eq!(error("{:process 0 :process 1 :type :ok :f :a}"), "it has two fields `:process`");
        assert_eq!(
            error("{:process 0 :type :ok :f :a :value {:b 1 \"b\" 2}}"),
            "a map has two keys that are called `b`"
        );
    }

    #[test]
    fn pairs_of_key_and_value() {
        let ops = "{:process 0 :type :invoke :f :cas :value [9 [1 2]]} {:process 0 :type :info :f :cas :value nil}
                   {:process :nemesis :type :info :f :start :value [:n1 :n2]}";
        let events = events(Keys::Pair, ops).expect("they are ops");
        let told: Vec<_> = events.iter().map(|event| (event.key.as_deref(), Value::clone(&event.value))).collect();
        assert_eq!(told, [(Some("9"), json!([1, 2])), (Some("9"), json!(null)), (None, json!(["n1", "n2"]))]);
        let no_pair = super::tests::events(Keys::Pair, "{:process 0 :type :invoke :f :cas :value 5}");
        assert_eq!(no_pair, Err("its value must be a pair of key and value, not `5`".to_owned()));
    }
}
