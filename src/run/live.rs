//! Judges the run while it goes on.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use leasehold_checkers::history::{Event, Header};
use leasehold_checkers::live::{Judge, Reopened, Settling};
use leasehold_checkers::verdict::Judgement;

use super::Found;

/// How many operations may pass before what is new is told.
const EVERY: usize = 256;

/// A judge in a thread of its own, so that nobody waits for it.
#[derive(Debug)]
pub(super) struct LiveJudge {
    events: Sender<Event>,
    found: Arc<Mutex<Found>>,
    thread: JoinHandle<Result<Judgement, Reopened>>,
}

impl LiveJudge {
    pub(super) fn start(header: Header) -> io::Result<Self> {
        let (events, incoming) = channel();
        let found = Arc::new(Mutex::new(Found::default()));
        let told = Arc::clone(&found);
        let follow = move || {
            let judge = Judge::that_settles(header, Settling { every: EVERY, ..Settling::default() });
            follow(judge, &incoming, &told)
        };
        let thread = thread::Builder::new().name("judge".to_owned()).spawn(follow)?;
        Ok(Self { events, found, thread })
    }

    /// Hands on an event that is on disk. This never blocks.
    pub(super) fn tell(&self, event: Event) {
        // If the judge is gone, the history will be judged from the disk.
        let _ = self.events.send(event);
    }

    /// What is certainly broken so far.
    pub(super) fn found(&self) -> Found {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The judgement of all that was told; `None` where only the whole history can tell.
    pub(super) fn finish(self) -> Option<Judgement> {
        drop(self.events);
        self.thread.join().ok()?.ok()
    }
}

fn follow(mut judge: Judge, incoming: &Receiver<Event>, found: &Mutex<Found>) -> Result<Judgement, Reopened> {
    let mut told = 0;
    for event in incoming {
        judge.observe(&event);
        let now = judge.so_far();
        if now.len() != told {
            told = now.len();
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            let first = now.iter().min_by_key(|anomaly| (anomaly.at_ns, anomaly.kind));
            *found = Found { anomalies: told, first: first.map(|anomaly| anomaly.explanation.clone()) };
        }
    }
    judge.finish(false)
}
