//! The links between the clients and the servers, and where they are ours between the servers: what carries them, and what
//! faults ask of them.

use crate::attach::{RelayLayer, Relays};
use crate::sandbox::{self, LinkCounters, LinkRule, Side, Switch};

/// What carries all that goes over the links.
#[derive(Clone, Debug)]
pub(super) enum Links {
    /// The switch of our sandbox, packet by packet.
    Switch(Switch),
    /// A relay for each connection of ours. What goes on between the servers is out of its reach.
    Relays(Relays),
}

/// What one fault asks of the links, on top of what others ask. None that is lifted undoes another.
#[derive(Debug)]
pub enum LinkLayer {
    /// Of those in our sandbox.
    Switch(sandbox::LinkLayer),
    /// Of those of our relays.
    Relays(RelayLayer),
}

impl Links {
    pub(super) fn layer(&self) -> LinkLayer {
        match self {
            Self::Switch(switch) => LinkLayer::Switch(switch.layer()),
            Self::Relays(relays) => LinkLayer::Relays(relays.layer()),
        }
    }

    pub(super) fn counters(&self, from: Side, to: Side) -> LinkCounters {
        match self {
            Self::Switch(switch) => switch.counters(from, to),
            Self::Relays(relays) => relays.counters(from, to),
        }
    }
}

impl LinkLayer {
    /// Puts these rules, each for what the first side sends to the second, in the place of those that this layer had
    /// before. When the call returns, they are in force.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn lay<A: Into<Side>, B: Into<Side>>(&self, rules: impl IntoIterator<Item = (A, B, LinkRule)>) {
        match self {
            Self::Switch(layer) => layer.lay(rules),
            Self::Relays(layer) => {
                layer.lay(rules.into_iter().map(|(from, to, rule)| (from.into(), to.into(), rule)).collect());
            }
        }
    }

    /// Takes this layer away. What only it held back is delivered.
    pub fn lift(&self) {
        match self {
            Self::Switch(layer) => layer.lift(),
            Self::Relays(layer) => layer.lift(),
        }
    }
}
