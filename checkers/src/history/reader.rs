//! Reads `history.jsonl`, and writes its lines.
//!
//! The reading is that of [`crate::formats`]; what is added here is that a history has a header.

use std::fs::File;
use std::io::BufRead;
use std::path::Path;

use serde::Serialize;

use super::{Event, Header, History};
use crate::formats::{Error, Events, Format, Options, PIECE_BYTES, Problem};

/// The longest line that is read, in bytes. The longest that the recorder writes are a few hundred.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// The greatest number of events that is read. Whoever wants them all has them in memory.
pub const MAX_EVENTS: usize = 10_000_000;

impl History {
    /// Reads a history from a file.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is not a history; the error names the file, the line and the reason.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        File::open(path)
            .map_err(Error::of_all)
            .and_then(|file| Self::from_reader(std::io::BufReader::with_capacity(PIECE_BYTES, file)))
            .map_err(|error| error.in_file(path))
    }

    /// Begins to read a history from a file: its header, and its events one at a time, so that they need not all be held.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is not a history; the error names the file, the line and the reason. Those of the events
    /// themselves do not name the file: see [`Error::in_file`].
    pub fn open(path: impl AsRef<Path>) -> Result<(Header, Events<'static>), Error> {
        let path = path.as_ref();
        File::open(path)
            .map_err(Error::of_all)
            .and_then(|file| with_header(std::io::BufReader::with_capacity(PIECE_BYTES, file)))
            .map_err(|error| error.in_file(path))
    }

    /// Reads a history from anything that can be read by lines.
    ///
    /// # Errors
    ///
    /// Where it cannot be read or is not a history; the error names the line and the reason.
    pub fn from_reader(reader: impl BufRead) -> Result<Self, Error> {
        let (header, mut events) = with_header(reader)?;
        let all = events.by_ref().collect::<Result<Vec<Event>, Error>>()?;
        Ok(Self { header, events: all, truncated: events.truncated() })
    }
}

/// The header of a history and its events, one at a time.
///
/// # Errors
///
/// Where it cannot be read, or its first line is no header.
fn with_header<'r>(reader: impl BufRead + 'r) -> Result<(Header, Events<'r>), Error> {
    let events = Events::open(reader, &Options { format: Some(Format::Leasehold), ..Options::default() })?;
    let header = events.header().cloned().ok_or_else(|| Error::at(1, Problem::MissingHeader))?;
    Ok((header, events))
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
