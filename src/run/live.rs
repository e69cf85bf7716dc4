//! Judges the run while it goes on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use leasehold_checkers::history::{Event, Header};
use leasehold_checkers::live::{Judge, Reopened, Settling};
use leasehold_checkers::verdict::Judgement;

/// How many operations may pass before what is new is told.
const EVERY: usize = 256;

/// A judge in a thread of its own, so that nobody waits for it.
#[derive(Debug)]
pub(super) struct LiveJudge {
    events: Sender<Event>,
    found: Arc<AtomicUsize>,
    thread: JoinHandle<Result<Judgement, Reopened>>,
}

impl LiveJudge {
    pub(super) fn start(header: Header) -> io::Result<Self> {
        let (events, incoming) = channel();
        let found = Arc::new(AtomicUsize::new(0));
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

    /// How many anomalies are certain so far.
    pub(super) fn found(&self) -> usize {
        self.found.load(Ordering::Relaxed)
    }

    /// The judgement of all that was told; `None` where only the whole history can tell.
    pub(super) fn finish(self) -> Option<Judgement> {
        drop(self.events);
        self.thread.join().ok()?.ok()
    }
}

fn follow(mut judge: Judge, incoming: &Receiver<Event>, found: &AtomicUsize) -> Result<Judgement, Reopened> {
    for event in incoming {
        judge.observe(&event);
        found.store(judge.so_far().len(), Ordering::Relaxed);
    }
    judge.finish(false)
}
