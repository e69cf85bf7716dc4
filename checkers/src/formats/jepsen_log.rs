//! The lines of `jepsen.log` that tell of ops.
//!
//! `INFO  jepsen.util - 3 :invoke :cas [1 2]`, or in newer logs `… INFO [jepsen worker 3] jepsen.util: 3 :invoke …`, with
//! tabs or any other white space between them: the process, the type, the f, the value, and an error in whatever words.

use std::io::BufRead;

use super::edn::{Form, Parser};
use super::error::Problem;
use super::events::{Located, Source};
use super::lines::Lines;
use super::op::{Fields, Ops};
use super::{Error, Format};
use crate::history::Event;

/// Who logs the ops.
const LOGGER: &[u8] = b"jepsen.util";

/// Reads the lines that tell of ops, and passes over the others.
pub(super) struct JepsenLog<R> {
    lines: Lines<R>,
    ops: Ops,
    any: bool,
    truncated: bool,
}

impl<R: BufRead> JepsenLog<R> {
    pub(super) fn new(reader: R, ops: Ops) -> Self {
        Self { lines: Lines::new(reader), ops, any: false, truncated: false }
    }
}

impl<R: BufRead> Source for JepsenLog<R> {
    fn next_event(&mut self) -> Result<Option<Located>, Error> {
        while self.lines.advance()? {
            let Some(message) = message(self.lines.line()) else { continue };
            // Other formats end in a bracket. Here `:write 12` that was cut to `:write 1` would be believed.
            if !self.lines.is_whole() {
                self.truncated = true;
                return Ok(None);
            }
            let event = event(&mut self.ops, message).map_err(|problem| self.lines.error(problem))?;
            self.any = true;
            return Ok(Some((self.lines.number(), event)));
        }
        if self.any { Ok(None) } else { Err(Error::of_all(Problem::NoOps)) }
    }

    fn truncated(&self) -> bool {
        self.truncated
    }
}

/// The op in a line; `None` if the line tells of something else.
pub(super) fn message(line: &[u8]) -> Option<&[u8]> {
    let logger = line.windows(LOGGER.len()).position(|window| window == LOGGER)?;
    let rest = line[logger + LOGGER.len()..].trim_ascii();
    let message = rest.strip_prefix(b"-").or_else(|| rest.strip_prefix(b":")).unwrap_or(rest).trim_ascii();
    let mut words = message.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let is_process = |word: &[u8]| word.starts_with(b":") || word.iter().all(u8::is_ascii_digit);
    (words.next().is_some_and(is_process) && words.next().is_some_and(|word| word.starts_with(b":"))).then_some(message)
}

fn event(ops: &mut Ops, message: &[u8]) -> Result<Event, Problem> {
    let mut rest = message;
    let mut next = || -> Result<Form, Problem> {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(Form::Nil);
        }
        Parser::new(&mut rest).form().map_err(|error| match error.problem {
            Problem::Unfinished => Problem::Malformed {
                format: Format::JepsenLog,
                reason: "a bracket or quote is not closed by the end of the line".to_owned(),
            },
            other => other,
        })
    };
    let (process, kind, f, value) = (next()?, next()?, next()?, next()?);
    let told = error(rest.trim_ascii());
    let gave_up = kind.is_keyword("fail") || kind.is_keyword("info");
    // Old tests put the reason in the place of the value.
    let (value, error) = match value {
        Form::Keyword(reason) if gave_up && told == Form::Nil => (Form::Nil, Form::Keyword(reason)),
        value => (value, told),
    };
    ops.event_of(Fields { time: None, process, kind, f, key: Form::Nil, value, node: Form::Nil, error })
        .map_err(Problem::NotAnOp)
}

/// Errors are printed as they are, so that their texts have no quotes.
fn error(bytes: &[u8]) -> Form {
    if bytes.is_empty() {
        return Form::Nil;
    }
    let mut rest = bytes;
    match Parser::new(&mut rest).form() {
        Ok(form @ (Form::Keyword(_) | Form::Vector(_) | Form::Text(_) | Form::Nil)) if rest.trim_ascii().is_empty() => {
            form
        }
        _ => Form::Text(String::from_utf8_lossy(bytes).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Keys, Options, Record};
    use crate::history::{EventType, Process};
    use serde_json::{Value, json};

    fn read(text: &str) -> Result<Record, Error> {
        let options = Options { format: Some(Format::JepsenLog), keys: Keys::Field };
        Record::from_reader(text.as_bytes(), &options)
    }

    #[track_caller]
    fn one(line: &str) -> Event {
        read(&format!("{line}\n")).unwrap_or_else(|error| panic!("{error}")).events.remove(0)
    }

    #[test]
    fn lines_old_and_new() {
        for line in [
            "INFO  jepsen.util - 3\t:invoke\t:cas\t[1 2]",
            "INFO  jepsen.util - 3   :invoke :cas    [1 2]  ",
            "INFO [2017-05-01 12:00:00,123] jepsen worker 3 - jepsen.util 3\t:invoke\t:cas\t[1 2]\r",
            "2023-05-02 10:00:00,123{GMT}\tINFO\t[jepsen worker 3] jepsen.util: 3\t:invoke\t:cas\t[1 2]",
        ] {
            let event = one(line);
            assert_eq!((event.process, event.kind), (Process::Client(3), EventType::Invoke), "{line}");
            assert_eq!((event.f.as_str(), event.value, event.error), ("cas", json!([1, 2]).into(), None), "{line}");
        }
    }

    #[test]
    fn other_lines_are_passed_over() {
        let text = "INFO  jepsen.core - 3 :invoke\n\nINFO  jepsen.util - Downloading etcd\njepsen.util - 3 retries\n\
                    \tat java.lang.Thread.run(Thread.java:748)\njepsen.util - :nemesis\t:info\t:start\tnil\n";
        let record = read(text).expect("there is an op");
        assert_eq!((record.events.len(), record.lines), (1, vec![6]));
        assert_eq!(record.events[0].process, Process::Nemesis);
        let none = read("INFO  jepsen.core - begins\n").expect_err("there is no op").to_string();
        assert!(none.starts_with("no line of it tells of an op"), "{none}");
    }

    #[test]
    fn reasons() {
        let told = |line: &str| {
            let event = one(line);
            let error = event.error.map(|error| (error.code.to_string(), error.text.to_string()));
            (Value::clone(&event.value), error)
        };
        let error = |code: &str, text: &str| Some((code.to_owned(), text.to_owned()));
        assert_eq!(told("jepsen.util - 3\t:info\t:cas\t:timed-out"), (json!(null), error("timed-out", "")));
        assert_eq!(told("jepsen.util - 3\t:fail\t:read\t:timed-out"), (json!(null), error("timed-out", "")));
        assert_eq!(told("jepsen.util - 3\t:ok\t:read\t:timed-out"), (json!("timed-out"), None));
        assert_eq!(told("jepsen.util - 3\t:info\t:cas\t[1 2]\t:timeout"), (json!([1, 2]), error("timeout", "")));
        assert_eq!(told("jepsen.util - 3\t:fail\t:cas\tnil\t[:a \"b\"]"), (json!(null), error("a", "b")));
        let in_words = "jepsen.util - 3\t:info\t:write\t4\tConnection refused (n1:2379)";
        assert_eq!(told(in_words), (json!(4), error("error", "Connection refused (n1:2379)")));
        assert_eq!(told("jepsen.util - 3\t:invoke\t:acquire"), (json!(null), None));
    }

    #[test]
    fn wrong_lines() {
        let error = |line: &str| read(&format!("other\n{line}\n")).expect_err("it is no op").to_string();
        assert_eq!(
            error("jepsen.util - 3\t:invoke\t:cas\t[1 2"),
            "line 2: not jepsen-log: a bracket or quote is not closed by the end of the line"
        );
        assert!(error("jepsen.util - 3\t:perhaps\t:cas\tnil").starts_with("line 2: no op: `:type` must be"));
        assert_eq!(error("jepsen.util - 3\t:ok\t:cas\t1x"), "line 2: not EDN: `1x` is no number");
    }
}
