//! The switch: every packet between two hosts passes through one thread of the harness, which forwards,
//! holds back or drops it.
//!
//! Links are directed: what n1 sends to n2 and what n2 sends to n1 obey rules of their own. Rules lie over the links in
//! layers, one for each fault, so that faults overlap and heal without undoing each other. Everything a
//! rule did is counted, and the counters are the proof that a fault took effect.
//!
//! The thread alone owns the links. Whoever wants to change or read them sends it a piece of work and waits
//! for it to be done, which happens between two batches of packets. So a call that has returned is in
//! force: no packet passes a link after the call that cut it, and no lock stands between packets.

mod capture;
mod counters;
mod engine;
mod frame;
mod link;
mod link_layer;
mod links;
mod port;
mod rule;
mod spoil;
mod timer;
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::{fmt, io};

use nix::sys::eventfd::{EfdFlags, EventFd};

pub use capture::{Capture, Captured};
pub use counters::LinkCounters;
pub use link_layer::LinkLayer;
pub use port::{Port, Side};
pub use rule::{Jitter, LinkRule, Spread};
pub use spoil::{Budget, Change, Damage, FindPlaces, Place, Places, Spoil, SpoilNotes};

use crate::NodeId;
use capture::Tap;
use links::Links;
pub(super) use wire::Wire;

/// What the thread of the switch owns, and others have it change.
struct Board {
    links: Links,
    /// Sees all packets, as long as anybody wants to.
    tap: Option<Tap>,
}

/// A piece of work for the thread of the switch.
type Work = Box<dyn FnOnce(&mut Board) + Send>;

/// A handle on the switch. Clones are handles on the same switch.
#[derive(Clone)]
pub struct Switch {
    work: Sender<Work>,
    doorbell: Arc<EventFd>,
    layers: Arc<AtomicU64>,
    nodes: u8,
}

impl Switch {
    /// Starts the thread. It runs until the process ends.
    pub(super) fn start(wires: Vec<Wire>) -> io::Result<Self> {
        let doorbell = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let (work, queue) = mpsc::channel();
        // The client has a wire as well.
        let nodes = u8::try_from(wires.len() - 1).unwrap_or(u8::MAX);
        engine::start(wires, queue, Arc::clone(&doorbell))?;
        Ok(Self { work, doorbell, layers: Arc::default(), nodes })
    }

    /// A layer of its own for whoever asks, with nothing in it yet.
    #[must_use]
    pub fn layer(&self) -> LinkLayer {
        LinkLayer::new(self.clone(), self.layers.fetch_add(1, Ordering::Relaxed))
    }

    /// Has every link roll the dice that belong to this seed.
    pub fn reseed(&self, seed: u64) {
        self.ask(move |board| board.links.reseed(seed));
    }

    /// What all layers together ask of the link from `from` to `to`.
    #[must_use]
    pub fn rule(&self, from: Port, to: Port) -> LinkRule {
        self.ask(move |board| board.links.rule((from, to)))
    }

    /// What became of the packets that `from` has sent to `to` so far.
    ///
    /// # Panics
    /// If the network has no such node.
    #[must_use]
    pub fn counters(&self, from: impl Into<Side>, to: impl Into<Side>) -> LinkCounters {
        let (from, to) = (self.known(from.into()), self.known(to.into()));
        self.ask(move |board| board.links.counters(from, to))
    }

    /// Packets that were for no host of the sandbox, and went nowhere.
    #[must_use]
    pub fn strays(&self) -> u64 {
        self.ask(|board| board.links.strays())
    }

    /// Begins to copy all packets to a new file of at most so many bytes.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn capture(&self, path: &Path, most_bytes: u64) -> io::Result<Capture> {
        Capture::start(self, path, most_bytes)
    }

    /// All hosts, in the order of their wires.
    fn hosts(&self) -> impl Iterator<Item = Port> {
        [Port::Client].into_iter().chain(NodeId::first(self.nodes).map(Port::Node))
    }

    fn known(&self, side: Side) -> Side {
        if let Side::One(Port::Node(node)) = side {
            assert!(node.number() <= self.nodes, "{node} is no host of this sandbox, which has {} nodes", self.nodes);
        }
        side
    }

    /// Has the thread do some work, and waits for the result. The wait is that for one batch
    /// of packets.
    fn ask<R: Send + 'static>(&self, work: impl FnOnce(&mut Board) -> R + Send + 'static) -> R {
        let (done, answer) = mpsc::sync_channel(1);
        let work: Work = Box::new(move |board| {
            // The asker waits for it, so it is there to receive it.
            let _ = done.send(work(board));
        });
        // A switch that has failed ends the process, so there is one as long as there is anybody to ask.
        self.work.send(work).expect("the switch runs as long as the process");
        self.doorbell.write(1).expect("a doorbell is rung less than 2^64 times");
        answer.recv().expect("the switch runs as long as the process")
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}
