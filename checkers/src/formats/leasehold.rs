//! Our own format: one JSON object a line, the first of which may be a header.

use std::io::BufRead;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::Error;
use super::error::Problem;
use super::events::{Located, Source};
use super::head::event_of_recorder;
use super::lexicon::Lexicon;
use super::lines::Lines;
use crate::history::{Event, FORMAT_VERSION, Header};

/// The lines after the header.
pub(super) struct Jsonl<R> {
    lines: Lines<R>,
    lexicon: Lexicon,
    /// The first line was read to see whether it is a header, and it is none.
    event_at_hand: bool,
    truncated: bool,
}

impl<R: BufRead> Jsonl<R> {
    /// Reads the header, if there is one.
    pub(super) fn open(reader: R) -> Result<(Option<Header>, Self), Error> {
        let mut lines = Lines::new(reader);
        if !lines.advance()? {
            return Err(Error::of_all(Problem::Empty));
        }
        let header = header(lines.line()).map_err(|problem| lines.error(problem))?;
        let event_at_hand = header.is_none();
        Ok((header, Self { lines, lexicon: Lexicon::default(), event_at_hand, truncated: false }))
    }
}

impl<R: BufRead> Source for Jsonl<R> {
    fn next_event(&mut self) -> Result<Option<Located>, Error> {
        if !std::mem::take(&mut self.event_at_hand) && !self.lines.advance()? {
            return Ok(None);
        }
        if let Some(event) = event_of_recorder(self.lines.line(), &mut self.lexicon) {
            return Ok(Some((self.lines.number(), event)));
        }
        match parse::<Event>(self.lines.line()) {
            Ok(event) => Ok(Some((self.lines.number(), event))),
            // JSON objects end in a brace, so no proper prefix of a line is a line in itself.
            Err(Problem::NotJson(_)) if self.lines.at_end()? => {
                self.truncated = true;
                Ok(None)
            }
            Err(problem) => Err(self.lines.error(problem)),
        }
    }

    fn truncated(&self) -> bool {
        self.truncated
    }
}

/// What tells a header from an event.
#[derive(Deserialize)]
struct Mark {
    leasehold: Option<Value>,
}

/// The header in the first line; `None` if the line is something else.
fn header(line: &[u8]) -> Result<Option<Header>, Problem> {
    match parse::<Mark>(line)?.leasehold.map(|version| version.as_u64()) {
        None => Ok(None),
        Some(Some(found)) if found != u64::from(FORMAT_VERSION) => Err(Problem::Version { found }),
        Some(_) => parse(line).map(Some),
    }
}

/// Tells a line that is no JSON at all, as when it was cut, from one that is JSON with the wrong fields.
pub(super) fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, Problem> {
    if line.trim_ascii().is_empty() {
        return Err(Problem::EmptyLine);
    }
    serde_json::from_slice(line).map_err(|error| match serde_json::from_slice::<IgnoredAny>(line) {
        Ok(_) => Problem::WrongField(error),
        Err(syntax) => Problem::NotJson(syntax),
    })
}
