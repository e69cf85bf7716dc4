//! Which calls may pass, and what came of those that had to wait.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::filter::Kind;
use super::listener::{Call, Event, Listener};
use super::{Arrival, DiskError};

/// What a barrier does to the calls that come to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Calls that make data durable wait until the barrier is taken down.
    Hold,
    /// They wait for this long. The times of several barriers add up.
    Delay(Duration),
    /// Calls that write at a place in a file, or ask for room there, fail with `ENOSPC`.
    Refuse,
}

impl Rule {
    fn concerns(self, kind: Kind) -> bool {
        match self {
            Self::Hold | Self::Delay(_) => kind == Kind::Sync,
            Self::Refuse => kind == Kind::Write,
        }
    }
}

/// A barrier that stands, to be taken down by whoever put it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Barrier(u64);

/// What a barrier has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many calls came to it, or waited already when it was put up.
    pub calls: u64,
    /// How many of them wait at present.
    pub waiting: u64,
    /// How long the longest wait before it was, or is so far.
    pub longest: Duration,
    /// How long the shortest wait of a call was that came to it and went on while it stood.
    pub shortest: Option<Duration>,
}

/// What stands between one server and its disk, across its restarts.
#[derive(Debug, Default)]
pub struct Gate {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The last number given out.
    numbers: u64,
    standing: BTreeMap<Barrier, Standing>,
    processes: BTreeMap<u64, Process>,
}

#[derive(Debug)]
struct Standing {
    rule: Rule,
    since: Instant,
    tally: Tally,
}

/// A process of the server. For a moment there are two: one that ends, and its successor.
#[derive(Debug)]
struct Process {
    /// Tells its thread that the barriers have changed.
    bell: Arc<EventFd>,
    /// In the order in which they came.
    waiting: Vec<Waiting>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    call: Call,
    since: Instant,
}

impl Gate {
    /// Guards a process that was started with the other part of [`super::filtered`], until its end.
    ///
    /// # Errors
    /// If its listener did not arrive, or no thread is to be had. Then the process hangs at its first call.
    pub fn guard(&self, arrival: Arrival) -> Result<(), DiskError> {
        let listener = arrival.receive()?;
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| DiskError { step: "make a bell", source: errno.into() })?;
        let bell = Arc::new(bell);
        let mut state = locked(&self.state);
        let number = state.next_number();
        state.processes.insert(number, Process { bell: Arc::clone(&bell), waiting: Vec::new() });
        let gate = Arc::clone(&self.state);
        thread::Builder::new()
            .name("disk gate".to_owned())
            .spawn(move || {
                if let Err(error) = stand_guard(&gate, number, &listener, &bell) {
                    tracing::warn!("nobody guards a server's disk any more, and it will fail: {error}");
                }
                locked(&gate).processes.remove(&number);
            })
            .map_err(DiskError::at("start a thread"))?;
        Ok(())
    }

    /// Puts up a barrier. What waits already waits for this one too.
    #[must_use]
    pub fn put_up(&self, rule: Rule) -> Barrier {
        let mut state = locked(&self.state);
        let barrier = Barrier(state.next_number());
        let waiting = state.waiting().filter(|waiting| rule.concerns(waiting.call.kind)).count();
        let tally = Tally { calls: waiting as u64, ..Tally::default() };
        state.standing.insert(barrier, Standing { rule, since: Instant::now(), tally });
        state.ring();
        barrier
    }

    /// What a barrier that stands has done so far.
    #[must_use]
    pub fn tally(&self, barrier: Barrier) -> Option<Tally> {
        locked(&self.state).tally(barrier)
    }

    /// Takes a barrier down. What no other barrier holds goes on, in the order in which it came.
    pub fn take_down(&self, barrier: Barrier) -> Option<Tally> {
        let mut state = locked(&self.state);
        let tally = state.tally(barrier);
        state.standing.remove(&barrier);
        state.ring();
        tally
    }
}

/// Takes notices and lets calls go on, until the process has ended.
fn stand_guard(gate: &Mutex<State>, number: u64, listener: &Listener, bell: &EventFd) -> io::Result<()> {
    loop {
        let next = locked(gate).let_pass(number, listener);
        match listener.wait(bell.as_fd(), next)? {
            Event::Over => return Ok(()),
            Event::Called => {
                if let Some(call) = listener.receive()? {
                    locked(gate).arrived(number, call, Instant::now());
                }
            }
            // It tells how often it rang, which does not matter.
            Event::Look => drop(bell.read()),
        }
    }
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn ring(&self) {
        for process in self.processes.values() {
            // It can only be full if it rang before, and then its thread will look anyway.
            let _ = process.bell.write(1);
        }
    }

    fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.processes.values().flat_map(|process| &process.waiting)
    }

    fn arrived(&mut self, number: u64, call: Call, now: Instant) {
        let Some(process) = self.processes.get_mut(&number) else { return };
        // A thread makes one call at a time: what else is noted of it was taken back by a signal. As a rule the same call is
        // then made anew, and that is still the same wait.
        let taken_back = process.waiting.extract_if(.., |waiting| waiting.call.thread == call.thread).last();
        let made_anew = taken_back.filter(|earlier| earlier.call.kind == call.kind);
        process.waiting.push(Waiting { call, since: made_anew.map_or(now, |earlier| earlier.since) });
        if made_anew.is_none() {
            let concerned = self.standing.values_mut().filter(|standing| standing.rule.concerns(call.kind));
            concerned.for_each(|standing| standing.tally.calls += 1);
        }
    }

    /// Answers what need not wait any more, and tells when to look again.
    fn let_pass(&mut self, number: u64, listener: &Listener) -> Option<Duration> {
        let now = Instant::now();
        let (delay, refuses) = (self.delay(), self.refuses());
        let process = self.processes.get_mut(&number)?;
        let due = |waiting: &Waiting| match waiting.call.kind {
            Kind::Write => Some(waiting.since),
            Kind::Sync => Some(waiting.since + delay?),
        };
        for waiting in process.waiting.extract_if(.., |waiting| due(waiting).is_some_and(|due| due <= now)) {
            match waiting.call.kind {
                Kind::Write if refuses => listener.refuse(waiting.call.id, Errno::ENOSPC),
                _ => listener.go_on(waiting.call.id),
            }
            let concerned = self.standing.values_mut().filter(|standing| standing.rule.concerns(waiting.call.kind));
            concerned.for_each(|standing| standing.passed(waiting, now));
        }
        process.waiting.iter().filter_map(due).min().map(|due| due.duration_since(now))
    }

    /// How long a call that makes data durable has to wait; `None` for as long as a barrier holds it.
    fn delay(&self) -> Option<Duration> {
        self.standing.values().try_fold(Duration::ZERO, |sum, standing| match standing.rule {
            Rule::Hold => None,
            Rule::Delay(delay) => Some(sum + delay),
            Rule::Refuse => Some(sum),
        })
    }

    fn refuses(&self) -> bool {
        self.standing.values().any(|standing| standing.rule == Rule::Refuse)
    }

    fn tally(&self, barrier: Barrier) -> Option<Tally> {
        let standing = self.standing.get(&barrier)?;
        let now = Instant::now();
        let waiting = || self.waiting().filter(|waiting| standing.rule.concerns(waiting.call.kind));
        let longest = waiting().map(|waiting| now.duration_since(waiting.since.max(standing.since))).max();
        Some(Tally {
            waiting: waiting().count() as u64,
            longest: standing.tally.longest.max(longest.unwrap_or_default()),
            ..standing.tally
        })
    }
}

impl Standing {
    fn passed(&mut self, waiting: Waiting, now: Instant) {
        let waited = now.duration_since(waiting.since.max(self.since));
        self.tally.longest = self.tally.longest.max(waited);
        if waiting.since >= self.since {
            self.tally.shortest = Some(self.tally.shortest.map_or(waited, |shortest| shortest.min(waited)));
        }
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // What a panic left half done is at worst a number that is off by one.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
