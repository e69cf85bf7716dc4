//! What is asked of the links, and what became of what they carried.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Relays;
use super::held::{Held, Piece};
use crate::sandbox::{LinkCounters, LinkRule, Port, Side};

/// From whom to whom.
pub(super) type Ends = (Port, Port);

/// What is asked of the links, in layers, and what was counted.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    /// Told of each change of the rules.
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    next_layer: u64,
    layers: BTreeMap<u64, Vec<(Side, Side, LinkRule)>>,
    counters: HashMap<Ends, LinkCounters>,
}

/// What a link does now, as far as a relay can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) is_cut: bool,
    pub(super) delay: Duration,
}

impl Default for Board {
    fn default() -> Self {
        Self { state: Mutex::default(), changes: watch::Sender::new(()) }
    }
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        // No change of the state can be interrupted by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(super) fn now(&self, ends: Ends) -> Now {
        self.state().now(ends)
    }

    /// Waits until these links let through what is sent over them now, one after the other.
    pub(super) async fn passed(&self, links: &[Ends]) {
        for &ends in links {
            let (asked, mut changes) = (Instant::now(), self.changes());
            while !self.now(ends).lets_through(asked) {
                let wake = async {
                    match self.now(ends).due(asked) {
                        Some(due) => tokio::time::sleep_until(due.into()).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = wake => {}
                    // The board is there as long as we are.
                    _ = changes.changed() => {}
                }
            }
        }
    }

    /// A piece has come in.
    pub(super) fn takes(&self, ends: Ends, held: &mut Held, bytes: &[u8]) {
        held.push(bytes);
        let mut state = self.state();
        let now = state.now(ends);
        let counters = state.counters.entry(ends).or_default();
        counters.arrived += 1;
        counters.dropped += u64::from(now.is_cut);
        counters.delayed += u64::from(!now.is_cut && !now.delay.is_zero());
    }

    /// A piece goes out.
    pub(super) fn gives(&self, ends: Ends, piece: &Piece) {
        let mut state = self.state();
        let is_slow = !state.now(ends).delay.is_zero();
        let counters = state.counters.entry(ends).or_default();
        counters.forwarded += 1;
        counters.forwarded_bytes += piece.bytes.len() as u64;
        if is_slow {
            counters.let_go += 1;
            counters.held_for += piece.arrived.elapsed();
        }
    }

    pub(super) fn counters(&self, from: Side, to: Side) -> LinkCounters {
        let state = self.state();
        let links = state.counters.iter().filter(|((sender, receiver), _)| from.is(*sender) && to.is(*receiver));
        links.fold(LinkCounters::default(), |sum, (_, &link)| sum + link)
    }
}

impl State {
    /// What all layers together ask of a link.
    fn now(&self, (from, to): Ends) -> Now {
        let rules = self.layers.values().flatten().filter(|(sender, receiver, _)| sender.is(from) && receiver.is(to));
        rules.fold(Now { is_cut: false, delay: Duration::ZERO }, |now, (.., rule)| Now {
            is_cut: now.is_cut || rule.drop,
            delay: now.delay.saturating_add(rule.delay),
        })
    }
}

impl Now {
    /// When what arrived then is to go; `None` while nobody knows.
    pub(super) fn due(self, arrived: Instant) -> Option<Instant> {
        if self.is_cut { None } else { arrived.checked_add(self.delay) }
    }

    fn lets_through(self, asked: Instant) -> bool {
        self.due(asked).is_some_and(|due| due <= Instant::now())
    }
}

/// What one fault asks of the links, on top of what others ask.
#[derive(Debug)]
pub struct RelayLayer {
    relays: Relays,
    number: u64,
}

impl RelayLayer {
    pub(super) fn new(relays: Relays) -> Self {
        let number = {
            let mut state = relays.0.board.state();
            state.next_layer += 1;
            state.next_layer
        };
        Self { relays, number }
    }

    /// Puts these rules, each for what the first side sends to the second, in the place of those that this layer had before. Of a
    /// rule a relay knows cuts and delays. When the call returns, nothing that is held goes out against them.
    pub fn lay(&self, rules: Vec<(Side, Side, LinkRule)>) {
        let board = &self.relays.0.board;
        board.state().layers.insert(self.number, rules);
        board.changes.send_replace(());
    }

    /// Takes this layer away. What only it held back is delivered.
    pub fn lift(&self) {
        let board = &self.relays.0.board;
        board.state().layers.remove(&self.number);
        board.changes.send_replace(());
    }
}
