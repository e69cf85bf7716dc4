//! Writes the history as it happens.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_checkers::history::{ErrorInfo, Event, EventType, Header, Process, RunTime, Word};
use leasehold_checkers::verdict::Judgement;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;

use super::live::LiveJudge;
use super::{RunClock, Tally};

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
    /// Who judges the events; `None` once the record is closed.
    judge: Option<LiveJudge>,
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
        let judge = Some(LiveJudge::start(header.clone())?);
        let state = State { file, tally: Tally::default(), failure: None, judge };
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
        if state.failure.is_none() && state.judge.is_some() {
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
            match line_of(&event).and_then(|line| state.file.write_all(line.as_bytes())) {
                Ok(()) => {
                    if let Some(judge) = &state.judge {
                        judge.tell(event);
                    }
                }
                Err(failure) => {
                    state.failure = Some(failure);
                    self.0.broken.notify_one();
                }
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
        let state = self.state();
        let found = state.judge.as_ref().map(LiveJudge::found).unwrap_or_default();
        Tally { found, ..state.tally.clone() }
    }

    /// Closes the record: no event is written any more. Gives the judgement of what was written; `None` where only the whole
    /// history can tell, and where the record broke off in the middle.
    #[must_use]
    pub fn close(&self) -> Option<Judgement> {
        let (judge, is_broken) = {
            let mut state = self.state();
            (state.judge.take()?, state.failure.is_some())
        };
        judge.finish().filter(|_| !is_broken)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not cost us the rest of the history.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_checkers::contract::Contract;
    use leasehold_checkers::history::vocabulary::{AcquireValue, f};
    use leasehold_checkers::history::{FORMAT_VERSION, History};
    use leasehold_checkers::verdict::Verdict;

    fn header() -> Header {
        Header {
            leasehold: FORMAT_VERSION,
            scenario: "test".to_owned(),
            workload: "cas-lock".to_owned(),
            model: "lease-lock".to_owned(),
            service: "etcd-v3".to_owned(),
            servers: "etcd 3.5.30".to_owned(),
            nodes: 3,
            seed: 1,
            clock: "CLOCK_MONOTONIC".to_owned(),
            start: "2026-11-21T22:00:00Z".to_owned(),
            command: Vec::new(),
            contract: Contract {
                service: "etcd-v3".to_owned(),
                early_slack_ms: 0,
                latest_expiry: None,
                counts_from_request: false,
                second_hand: None,
                ends_with_its_server: false,
                fencing_tokens: false,
                lock_delay_ms: None,
                patience: leasehold_checkers::contract::Patience::default(),
                source: "test".to_owned(),
            },
            clock_rate_error_ppm: 0,
            beliefs_must_exclude: false,
        }
    }

    fn acquires(recorder: &Recorder, process: u64) {
        let value =
            AcquireValue { owner: format!("p{process}"), ttl_ms: 60_000, token: None, lease: None, blocking: false };
        for kind in [EventType::Invoke, EventType::Ok] {
            recorder.record(Entry {
                process: Process::Client(process),
                kind,
                f: f::ACQUIRE.to_owned(),
                key: Some("jobs/7".to_owned()),
                value: value_of(&value),
                node: None,
                error: None,
            });
        }
    }

    #[test]
    fn what_is_judged_on_the_way_is_what_stands_on_the_disk() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("history.jsonl");
        let recorder = Recorder::create(&path, &header()).expect("the file can be made");
        acquires(&recorder, 1);
        acquires(&recorder, 2);
        let live = recorder.close().expect("nothing spoke of the past");
        assert_eq!(live.verdict, Verdict::Invalid);
        acquires(&recorder, 3);
        assert_eq!(recorder.close(), None);
        let stored = leasehold_checkers::check(&History::read(&path).expect("it was written"));
        assert_eq!(live.to_json(), stored.to_json());
    }
}
