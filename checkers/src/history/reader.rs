//! Reads `history.jsonl`, and writes its lines.
//!
//! A history comes from a file that anybody may have edited or cut, so each line is taken for hostile: its length is
//! bounded, the nesting of its JSON is bounded (by `serde_json`), and each error says which line is wrong and why.
//!
//! A recorder that dies leaves a last line without its end. That line, and only that one, may be broken: it is left out
//! and [`History::truncated`] is set. JSON objects end in a brace, so no proper prefix of a line is a line in itself.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::{Event, FORMAT_VERSION, Header, History};

/// The longest line that is read, in bytes. The longest that the recorder writes are a few hundred.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// The greatest number of events that is read. A checker needs them all in memory.
pub const MAX_EVENTS: usize = 10_000_000;

/// Why a history could not be read.
#[derive(Debug)]
pub struct ReadError {
    /// The file; `None` where the history came from elsewhere.
    pub path: Option<PathBuf>,
    /// The line, counted from 1; `None` where the trouble is not in a line.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.problem)
    }
}

/// What can be wrong with a history.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file could not be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// There is nothing in it.
    #[error("the history is empty")]
    Empty,
    /// The first line is no header.
    #[error(
        "no header: the first line of a history must be an object with a field `leasehold` (the version of the format), \
         and histories without one are not read"
    )]
    MissingHeader,
    /// The history is of a version that this program does not know.
    #[error(
        "format version {found} is {}: this program reads version {FORMAT_VERSION}",
        if *found > u64::from(FORMAT_VERSION) { "newer than this program" } else { "unknown" }
    )]
    Version {
        /// The version that the header names.
        found: u64,
    },
    /// A line is longer than [`MAX_LINE_BYTES`].
    #[error("longer than {MAX_LINE_BYTES} bytes")]
    LineTooLong,
    /// There are more than [`MAX_EVENTS`] events.
    #[error("more than {MAX_EVENTS} events")]
    TooManyEvents,
    /// A line is empty.
    #[error("the line is empty")]
    EmptyLine,
    /// A line is not JSON.
    #[error("not JSON: {0}")]
    NotJson(serde_json::Error),
    /// A line is JSON, but one of its fields is missing, unknown or of the wrong type.
    #[error("wrong field: {0}")]
    WrongField(serde_json::Error),
}

impl History {
    /// Reads a history from a file.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is not a history; the error names the file, the line and the reason.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        File::open(path)
            .map_err(|error| ReadError { path: None, line: None, problem: error.into() })
            .and_then(|file| Self::from_reader(BufReader::new(file)))
            .map_err(|error| ReadError { path: Some(path.to_owned()), ..error })
    }

    /// Reads a history from anything that can be read by lines.
    ///
    /// # Errors
    ///
    /// Where it cannot be read or is not a history; the error names the line and the reason.
    pub fn from_reader(reader: impl BufRead) -> Result<Self, ReadError> {
        let mut lines = Lines { reader, number: 0 };
        let first = lines.next()?.ok_or(ReadError { path: None, line: None, problem: Problem::Empty })?;
        let header = parse_header(&first.bytes).map_err(|problem| first.error(problem))?;
        let mut events = Vec::new();
        while let Some(line) = lines.next()? {
            match parse(&line.bytes) {
                Ok(event) if events.len() < MAX_EVENTS => events.push(event),
                Ok(_) => return Err(line.error(Problem::TooManyEvents)),
                Err(Problem::NotJson(_)) if lines.at_end()? => return Ok(Self { header, events, truncated: true }),
                Err(problem) => return Err(line.error(problem)),
            }
        }
        Ok(Self { header, events, truncated: false })
    }
}

/// An event as a line of `history.jsonl`, without the line break.
#[must_use]
pub fn to_line(event: &Event) -> String {
    one_line(event)
}

/// A header as the first line of `history.jsonl`, without the line break.
#[must_use]
pub fn header_to_line(header: &Header) -> String {
    one_line(header)
}

fn one_line(line: &impl Serialize) -> String {
    serde_json::to_string(line)
        .expect("headers and events have string keys only, so they can always be written as JSON")
}

/// The lines of a file, each read into bounded memory.
struct Lines<R> {
    reader: R,
    number: usize,
}

/// One line without its line break.
struct Line {
    number: usize,
    bytes: Vec<u8>,
}

impl Line {
    fn error(&self, problem: Problem) -> ReadError {
        ReadError { path: None, line: Some(self.number), problem }
    }
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<Line>, ReadError> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut bytes);
        self.number += 1;
        let mut line = Line { number: self.number, bytes };
        match read {
            Err(error) => Err(line.error(error.into())),
            Ok(0) => Ok(None),
            Ok(length) if length > MAX_LINE_BYTES => Err(line.error(Problem::LineTooLong)),
            Ok(_) => {
                if line.bytes.ends_with(b"\n") {
                    line.bytes.pop();
                }
                Ok(Some(line))
            }
        }
    }

    /// Whether nothing follows the line that was read last.
    fn at_end(&mut self) -> Result<bool, ReadError> {
        let number = Some(self.number);
        self.reader.fill_buf().map(<[u8]>::is_empty).map_err(|error| ReadError {
            path: None,
            line: number,
            problem: error.into(),
        })
    }
}

fn parse_header(line: &[u8]) -> Result<Header, Problem> {
    let json: Value = parse(line)?;
    let version = json.get("leasehold").ok_or(Problem::MissingHeader)?;
    match version.as_u64() {
        Some(found) if found != u64::from(FORMAT_VERSION) => Err(Problem::Version { found }),
        _ => parse(line),
    }
}

/// Tells a line that is no JSON at all, as when it was cut, from one that is JSON with the wrong fields.
fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, Problem> {
    if line.trim_ascii().is_empty() {
        return Err(Problem::EmptyLine);
    }
    serde_json::from_slice(line).map_err(|error| match serde_json::from_slice::<IgnoredAny>(line) {
        Ok(_) => Problem::WrongField(error),
        Err(syntax) => Problem::NotJson(syntax),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::script;

    fn file() -> String {
        let history = script().acquire(1, "a", 0..100, 3_000).release(1, "a", 500..600).history();
        let events: String = history.events.iter().map(|event| to_line(event) + "\n").collect();
        header_to_line(&history.header) + "\n" + &events
    }

    #[track_caller]
    fn error(text: &str) -> String {
        History::from_reader(text.as_bytes()).expect_err("it is no history").to_string()
    }

    /// The same file with one line in the place of another.
    fn with_line(number: usize, line: &str) -> String {
        let file = file();
        let lines = (1..).zip(file.lines()).map(|(here, old)| if here == number { line } else { old });
        lines.map(|line| line.to_owned() + "\n").collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let history = script().acquire(1, "a", 0..100, 3_000).release(1, "a", 500..600).history();
        assert_eq!(History::from_reader(file().as_bytes()).expect("it is a history"), history);
    }

    #[test]
    fn a_last_line_without_its_line_break_is_whole() {
        let history = History::from_reader(file().trim_end().as_bytes()).expect("it is a history");
        assert_eq!((history.events.len(), history.truncated), (4, false));
    }

    #[test]
    fn a_last_line_that_was_cut_is_left_out() {
        let file = file();
        let history = History::from_reader(&file.as_bytes()[..file.len() - 3]).expect("it is a history");
        assert_eq!((history.events.len(), history.truncated), (3, true));
        let broken = History::from_reader(with_line(5, "{\"time\":1,\"pro").as_bytes()).expect("it is a history");
        assert_eq!((broken.events.len(), broken.truncated), (3, true));
    }

    #[test]
    fn a_cut_elsewhere_is_an_error() {
        assert!(error(&with_line(4, "{\"time\":1,\"pro")).starts_with("line 4: not JSON: EOF while parsing"));
    }

    #[test]
    fn a_whole_last_line_with_a_wrong_field_is_an_error() {
        let line = r#"{"time":600000000,"process":1,"type":"perhaps","f":"release"}"#;
        assert!(error(&with_line(5, line)).starts_with("line 5: wrong field: unknown variant `perhaps`"));
        assert!(error(&with_line(5, "{}")).starts_with("line 5: wrong field: missing field `time`"));
        assert!(error(&with_line(5, "")).starts_with("line 5: the line is empty"));
    }

    #[test]
    fn an_empty_file_and_one_without_a_header() {
        assert_eq!(error(""), "the history is empty");
        assert!(error("\n").starts_with("line 1: the line is empty"));
        assert!(error(&file().lines().skip(1).collect::<Vec<_>>().join("\n")).starts_with("line 1: no header"));
        assert!(error("{:process 0}").starts_with("line 1: not JSON"));
    }

    #[test]
    fn other_versions() {
        let version = |version: &str| file().replacen("\"leasehold\":1", &format!("\"leasehold\":{version}"), 1);
        assert_eq!(
            error(&version("2")),
            "line 1: format version 2 is newer than this program: this program reads version 1"
        );
        assert_eq!(error(&version("0")), "line 1: format version 0 is unknown: this program reads version 1");
        assert!(error(&version("\"one\"")).starts_with("line 1: wrong field: invalid type"));
        assert!(error("{\"leasehold\":1}\n").starts_with("line 1: wrong field: missing field `scenario`"));
    }

    #[test]
    fn an_unknown_promise_is_not_passed_over() {
        let file = file().replacen("\"early_slack_ms\":0", "\"early_slack_ms\":0,\"early_slack_percent\":50", 1);
        assert!(error(&file).starts_with("line 1: wrong field: unknown field `early_slack_percent`"));
    }

    #[test]
    fn a_file_that_is_not_there() {
        let error = History::read("/nowhere/history.jsonl").expect_err("there is no such file");
        assert!(error.to_string().starts_with("/nowhere/history.jsonl: cannot be read: "), "{error}");
    }
}
