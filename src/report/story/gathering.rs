//! What is kept of a history, which comes one event at a time.
//!
//! A client's events become its operations and are needed no more. Nobody who tells the story of a run holds it twice.

use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::thread;

use leasehold_checkers::history::{Event, Header, History, Ops, Pairing, Process, RunTime, Surroundings};

use super::exchange::Exchanges;

/// What has come so far.
#[derive(Debug)]
pub(super) struct Gathering {
    pairing: Pairing,
    exchanges: Exchanges,
    /// The header, and the events that are no client's.
    others: History,
    line: usize,
    begin: Option<RunTime>,
    end: RunTime,
}

/// All that was to be kept.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) ops: Ops,
    pub(super) exchanges: Exchanges,
    pub(super) others: History,
    pub(super) surroundings: Surroundings,
    pub(super) end: RunTime,
}

/// Takes events while the next ones are being read.
pub(super) fn in_step<E: Send>(
    mut gathering: Gathering,
    events: impl Iterator<Item = Result<Event, E>>,
) -> Result<Gathering, E> {
    const PIECE: usize = 4_096;
    const PIECES_WAITING: usize = 4;
    let (give, take) = sync_channel::<Vec<Event>>(PIECES_WAITING);
    thread::scope(|scope| {
        let gathered = scope.spawn(move || {
            take.iter().flatten().for_each(|event| gathering.take(&event));
            gathering
        });
        let mut piece = Vec::with_capacity(PIECE);
        for event in events {
            piece.push(event?);
            if piece.len() == PIECE {
                // Nobody takes them any more where that thread has panicked, which is told below.
                let _ = give.send(std::mem::replace(&mut piece, Vec::with_capacity(PIECE)));
            }
        }
        let _ = give.send(piece);
        drop(give);
        Ok(gathered.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

impl Gathering {
    pub(super) fn of(header: Header) -> Self {
        Self {
            pairing: Pairing::of(&header),
            exchanges: Exchanges::default(),
            others: History::new(header, Vec::new()),
            line: 1,
            begin: None,
            end: RunTime::default(),
        }
    }

    pub(super) fn take(&mut self, event: &Event) {
        self.line += 1;
        self.begin.get_or_insert(event.time);
        self.end = self.end.max(event.time);
        let Process::Client(process) = event.process else {
            self.others.events.push(event.clone());
            return;
        };
        // What breaks the record's form is the checkers' to tell.
        if let Ok(index) = self.pairing.take(self.line, process, event) {
            self.exchanges.take(&self.pairing.ops[index], event);
        }
    }

    /// All of it; `truncated` says whether the record ended in the middle of a line.
    pub(super) fn finish(self, truncated: bool) -> Gathered {
        let others = History { truncated, ..self.others };
        let surroundings = Surroundings { begin: self.begin, ..Surroundings::of(&others) };
        Gathered { ops: self.pairing.ops, exchanges: self.exchanges, others, surroundings, end: self.end }
    }
}
