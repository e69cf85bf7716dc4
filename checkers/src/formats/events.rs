//! The events of a history, one at a time.

use std::fmt;
use std::io::BufRead;

use super::atlasdb::AtlasDb;
use super::detect::detect_first;
use super::edn::EdnOps;
use super::error::Problem;
use super::jepsen_log::JepsenLog;
use super::leasehold::Jsonl;
use super::op::Ops;
use super::{Error, Format, Options};
use crate::history::{Event, Header, MAX_EVENTS};

/// An event and the line on which it begins.
pub(super) type Located = (usize, Event);

/// What each format knows to do.
pub(super) trait Source {
    /// The next event; `None` at the end.
    fn next_event(&mut self) -> Result<Option<Located>, Error>;

    /// Whether the end came in the middle of a line.
    fn truncated(&self) -> bool;
}

/// Reads the events of a history one at a time, so that memory does not grow with the file.
///
/// ```
/// use leasehold_checkers::formats::{Events, Options};
///
/// let log = "INFO  jepsen.util - 3\t:invoke\t:read\tnil\nINFO  jepsen.util - 3\t:ok\t:read\t4\n";
/// let mut events = Events::open(log.as_bytes(), &Options::default())?;
/// assert_eq!(events.format().word(), "jepsen-log");
/// while let Some(event) = events.next() {
///     println!("line {}: {:?}", events.line(), event?);
/// }
/// assert!(!events.truncated());
/// # Ok::<(), leasehold_checkers::formats::Error>(())
/// ```
pub struct Events<'r> {
    format: Format,
    header: Option<Header>,
    source: Box<dyn Source + 'r>,
    line: usize,
    count: usize,
    ended: bool,
}

impl<'r> Events<'r> {
    /// Begins to read, as far as to know the format and the header.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, is of no known format, or has a header that is wrong.
    pub fn open(reader: impl BufRead + 'r, options: &Options) -> Result<Self, Error> {
        match options.format {
            Some(format) => Self::of(format, reader, options),
            None => {
                let (format, reader) = detect_first(reader)?;
                Self::of(format, reader, options)
            }
        }
    }

    fn of(format: Format, reader: impl BufRead + 'r, options: &Options) -> Result<Self, Error> {
        let ops = Ops::new(options.keys);
        let mut header = None;
        let source: Box<dyn Source + 'r> = match format {
            Format::Leasehold => {
                let (found, lines) = Jsonl::open(reader)?;
                header = found;
                Box::new(lines)
            }
            Format::JepsenEdn => Box::new(EdnOps::new(reader, ops)),
            Format::Porcupine => Box::new(EdnOps::new(reader, ops.each_with_a_key())),
            Format::JepsenLog => Box::new(JepsenLog::new(reader, ops)),
            Format::AtlasDb => Box::new(AtlasDb::new(reader)),
        };
        Ok(Self { format, header, source, line: 0, count: 0, ended: false })
    }

    /// The format that is read.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// What was run, where the history says it.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// The line on which the latest event begins, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether the file ended in the middle of a line. It is known once all events are read.
    #[must_use]
    pub fn truncated(&self) -> bool {
        self.source.truncated()
    }

    fn advance(&mut self) -> Result<Option<Event>, Error> {
        let Some((line, event)) = self.source.next_event()? else { return Ok(None) };
        if self.count == MAX_EVENTS {
            return Err(Error::at(line, Problem::TooManyEvents));
        }
        self.line = line;
        self.count += 1;
        Ok(Some(event))
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Event, Error>;

    /// The next event. After an error there are no more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let event = self.advance().transpose();
        self.ended = !matches!(event, Some(Ok(_)));
        event
    }
}

impl fmt::Debug for Events<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("format", &self.format).field("line", &self.line).finish_non_exhaustive()
    }
}
