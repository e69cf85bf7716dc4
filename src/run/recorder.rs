//! Writes the history as it happens.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_checkers::history::{ErrorInfo, Event, EventType, Header, Process, RunTime, Word};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;

use super::RunClock;

/// Stamps events and appends them to the history file, each in one write, so that a killed run loses none but the line
/// it was writing. The stamp is taken under the same lock as the write: the file's order is the order of its times.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: RunClock,
    state: Mutex<State>,
    broken: Notify,
}

#[derive(Debug)]
struct State {
    file: File,
    tally: Tally,
    failure: Option<io::Error>,
}

/// What has been recorded so far, for the progress line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Client operations that happened.
    pub ok: u64,
    /// Those that certainly did not.
    pub fail: u64,
    /// Those of unknown outcome.
    pub info: u64,
}

/// What is recorded, all but the time.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who.
    pub process: Process,
    /// Which end, and how it ended.
    pub kind: EventType,
    /// The operation.
    pub f: String,
    /// The lock.
    pub key: Option<String>,
    /// What it is about.
    pub value: Value,
    /// The server.
    pub node: Option<String>,
    /// Why it did not end in `ok`.
    pub error: Option<ErrorInfo>,
}

impl Recorder {
    /// A recorder that writes to a new file, with this header first. The run's clock starts here.
    ///
    /// # Errors
    /// If the file cannot be made or written.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let mut file = File::options().write(true).create_new(true).open(path)?;
        file.write_all(line_of(header)?.as_bytes())?;
        let state = State { file, tally: Tally::default(), failure: None };
        Ok(Self(Arc::new(Shared { clock: RunClock::start(), state: Mutex::new(state), broken: Notify::new() })))
    }

    /// The clock that stamps the events.
    #[must_use]
    pub fn clock(&self) -> RunClock {
        self.0.clock
    }

    /// Appends an event, stamped now, and returns the stamp. A failure to write is kept for [`Recorder::take_failure`]; no
    /// event after it is written, so that the file has no hole.
    pub fn record(&self, entry: Entry) -> RunTime {
        let mut state = self.state();
        let time = self.0.clock.now();
        state.tally.count(&entry);
        if state.failure.is_none() {
            let event = Event {
                time,
                process: entry.process,
                kind: entry.kind,
                f: entry.f.into(),
                key: entry.key.map(Word::from),
                value: entry.value.into(),
                node: entry.node.map(Word::from),
                error: entry.error,
            };
            if let Err(failure) = line_of(&event).and_then(|line| state.file.write_all(line.as_bytes())) {
                state.failure = Some(failure);
                self.0.broken.notify_one();
            }
        }
        time
    }

    /// Waits until the history cannot be written any more. Never returns while it can.
    pub async fn broken(&self) {
        self.0.broken.notified().await;
    }

    /// Why the history could not be written to its end, if so.
    #[must_use]
    pub fn take_failure(&self) -> Option<io::Error> {
        self.state().failure.take()
    }

    /// What has been recorded so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.state().tally
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not cost us the rest of the history.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    fn count(&mut self, entry: &Entry) {
        let Process::Client(_) = entry.process else { return };
        match entry.kind {
            EventType::Invoke => {}
            EventType::Ok => self.ok += 1,
            EventType::Fail => self.fail += 1,
            EventType::Info => self.info += 1,
        }
    }
}

/// What an event is about, as it stands in the record.
///
/// # Panics
/// Never with the types of the history's vocabulary: their keys are field names.
#[must_use]
pub fn value_of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("the vocabulary has string keys only, so it can always be written as JSON")
}

fn line_of(value: &impl Serialize) -> io::Result<String> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    Ok(line)
}
