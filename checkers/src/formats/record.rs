//! All events of a history at once.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use super::atlasdb::tokens_as_owners;
use super::{Error, Events, Format, Options, PIECE_BYTES};
use crate::history::{Event, Header, History, RunTime};

/// A history as it stood in its file, whatever its format.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What was run; foreign formats do not say it, and our own may leave it out.
    pub header: Option<Header>,
    /// All events, in the order of the file.
    pub events: Vec<Event>,
    /// For each event the line on which it begins, counted from 1.
    pub lines: Vec<u32>,
    /// Whether the file ended in the middle of a line, which is left out.
    pub truncated: bool,
    /// The format of the file.
    pub format: Format,
}

impl Record {
    /// Reads a history from a file.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is no history; the error names the file, the line and the reason.
    pub fn read(path: impl AsRef<Path>, options: &Options) -> Result<Self, Error> {
        let path = path.as_ref();
        File::open(path)
            .map_err(Error::of_all)
            .and_then(|file| Self::from_reader(BufReader::with_capacity(PIECE_BYTES, file), options))
            .map_err(|error| error.in_file(path))
    }

    /// Reads a history from anything.
    ///
    /// # Errors
    ///
    /// Where it cannot be read or is no history; the error names the line and the reason.
    pub fn from_reader(reader: impl BufRead, options: &Options) -> Result<Self, Error> {
        let mut from = Events::open(reader, options)?;
        let mut events = Vec::new();
        let mut lines = Vec::new();
        while let Some(event) = from.next() {
            events.push(event?);
            lines.push(u32::try_from(from.line()).unwrap_or(u32::MAX));
        }
        Ok(Self { header: from.header().cloned(), events, lines, truncated: from.truncated(), format: from.format() })
    }

    /// The history for judgement: with its own header, or with this one where it has none.
    #[must_use]
    pub fn into_history(self, otherwise: impl FnOnce() -> Header) -> History {
        let header = self.header.unwrap_or_else(otherwise);
        History { header, events: self.events, truncated: self.truncated }
    }

    /// Of AtlasDB's lock test: makes each token the owner of a lease, for the model `lease-lock`. Refusals and grants within
    /// a grant are left out, as `docs/formats.md` says. Other histories stay as they are.
    pub fn tokens_as_owners(&mut self) {
        if self.format == Format::AtlasDb {
            tokens_as_owners(&mut self.events);
        }
    }

    /// The first event that is stamped earlier than the one before it, by index.
    ///
    /// Jepsen's older histories are in the order in which events were put on record, and each was stamped a little earlier.
    /// Knossos goes by the order and takes no notice of the times.
    #[must_use]
    pub fn goes_back_at(&self) -> Option<usize> {
        self.events.windows(2).position(|pair| pair[1].time < pair[0].time).map(|before| before + 1)
    }

    /// Lets each event be later than the one before it, by a nanosecond where it was stamped no later, for models that care for the
    /// order only.
    ///
    /// ```
    /// use leasehold_checkers::formats::{Options, Record};
    ///
    /// let ops = "{:process 0 :type :invoke :f :read :time 90} {:process 1 :type :invoke :f :read :time 70}";
    /// let mut record = Record::from_reader(ops.as_bytes(), &Options::default())?;
    /// assert_eq!(record.goes_back_at(), Some(1));
    /// record.stamp_by_order();
    /// assert_eq!(record.goes_back_at(), None);
    /// # Ok::<(), leasehold_checkers::formats::Error>(())
    /// ```
    pub fn stamp_by_order(&mut self) {
        let mut earliest = RunTime(0);
        for event in &mut self.events {
            event.time = event.time.max(earliest);
            earliest = RunTime(event.time.0.saturating_add(1));
        }
    }

    /// Lets no event be earlier than the one before it, for models that care for lengths of time too, and says by how much times
    /// were moved at most. Events that come out at the same time count as concurrent, which never accuses anybody; a
    /// lease may seem to have begun later than it did by what is returned, and has to be granted that much less.
    pub fn raise_times(&mut self) -> Duration {
        let mut latest = RunTime(0);
        let mut most = Duration::ZERO;
        for event in &mut self.events {
            most = most.max(latest.since(event.time));
            latest = latest.max(event.time);
            event.time = latest;
        }
        most
    }
}
