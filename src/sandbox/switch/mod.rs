//! The switch: every packet between two hosts passes through one thread of the harness, which forwards,
//! holds back or drops it.
//!
//! Links are directed: what n1 sends to n2 and what n2 sends to n1 obey rules of their own. Everything a
//! rule did is counted, and the counters are the proof that a fault took effect.
//!
//! The thread alone owns the links. Whoever wants to change or read them sends it a piece of work and waits
//! for it to be done, which happens between two batches of packets. So a call that has returned is in
//! force: no packet passes a link after the call that cut it, and no lock stands between packets.

mod engine;
mod frame;
mod link;
mod links;
mod port;
mod timer;
mod wire;

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::{fmt, io};

use nix::sys::eventfd::{EfdFlags, EventFd};

pub use link::{LinkCounters, LinkRule};
pub use port::Port;

use links::Links;
pub(super) use wire::Wire;

/// A piece of work for the thread of the switch.
type Work = Box<dyn FnOnce(&mut Links) + Send>;

/// A handle on the switch. Clones are handles on the same switch.
#[derive(Clone)]
pub struct Switch {
    work: Sender<Work>,
    doorbell: Arc<EventFd>,
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
        Ok(Self { work, doorbell, nodes })
    }

    /// Sets the rule for what `from` sends to `to`. When the call returns, it holds for every packet that
    /// has not arrived yet, those that the link is holding back included.
    ///
    /// # Panics
    /// If the network has no such node.
    pub fn set(&self, from: Port, to: Port, rule: LinkRule) {
        self.set_all([(from, to, rule)]);
    }

    /// Sets many rules at once: no packet sees some of them and not the others.
    ///
    /// # Panics
    /// If the network has no such node.
    pub fn set_all(&self, rules: impl IntoIterator<Item = (Port, Port, LinkRule)>) {
        let rules: Vec<_> =
            rules.into_iter().map(|(from, to, rule)| (self.known(from), self.known(to), rule)).collect();
        self.ask(move |links| {
            for (from, to, rule) in rules {
                links.at(from, to).set(rule);
            }
        });
    }

    /// The rule for what `from` sends to `to`.
    ///
    /// # Panics
    /// If the network has no such node.
    #[must_use]
    pub fn rule(&self, from: Port, to: Port) -> LinkRule {
        let (from, to) = (self.known(from), self.known(to));
        self.ask(move |links| links.at(from, to).rule())
    }

    /// What became of the packets that `from` has sent to `to` so far.
    ///
    /// # Panics
    /// If the network has no such node.
    #[must_use]
    pub fn counters(&self, from: Port, to: Port) -> LinkCounters {
        let (from, to) = (self.known(from), self.known(to));
        self.ask(move |links| links.at(from, to).counters())
    }

    /// Packets that were for no host of the sandbox, and went nowhere.
    #[must_use]
    pub fn strays(&self) -> u64 {
        self.ask(|links| links.strays())
    }

    /// Has every link forward at once again. What the links hold back is delivered.
    pub fn heal_all(&self) {
        self.ask(Links::heal_all);
    }

    /// All hosts: the client, then the nodes in order.
    pub fn ports(&self) -> impl Iterator<Item = Port> + Clone {
        Port::all(self.nodes)
    }

    fn known(&self, port: Port) -> Port {
        assert!(
            port.index() <= usize::from(self.nodes),
            "{port} is no host of this sandbox, which has {} nodes",
            self.nodes
        );
        port
    }

    /// Has the thread do some work on the links, and waits for the result. The wait is that for one batch
    /// of packets.
    fn ask<R: Send + 'static>(&self, work: impl FnOnce(&mut Links) -> R + Send + 'static) -> R {
        let (done, answer) = mpsc::sync_channel(1);
        let work: Work = Box::new(move |links| {
            // The asker waits for it, so it is there to receive it.
            let _ = done.send(work(links));
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
