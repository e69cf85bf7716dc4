//! An end of a link.

use std::fmt;

use crate::NodeId;

/// A host of the sandbox, as an end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// The harness itself: its probes, and whatever else has no address of its own.
    Client,
    /// A node.
    Node(NodeId),
    /// The client that is this worker of the harness, counted from 0. All workers live on the client's host, each with an
    /// address of its own.
    Worker(u16),
}

impl Port {
    /// The place of its wire: the client's, which the workers share, then the nodes'.
    pub(super) fn wire(self) -> usize {
        match self {
            Self::Client | Self::Worker(_) => 0,
            Self::Node(node) => usize::from(node.number()),
        }
    }

    /// A number that no other port has.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Client => 0,
            Self::Node(node) => u32::from(node.number()),
            Self::Worker(worker) => 1 << 16 | u32::from(worker),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Node(node) => node.fmt(f),
            Self::Worker(worker) => write!(f, "w{worker}"),
        }
    }
}

impl From<NodeId> for Port {
    fn from(node: NodeId) -> Self {
        Self::Node(node)
    }
}

/// One end of the links that a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// One host.
    One(Port),
    /// Every worker.
    Workers,
}

impl Side {
    pub(crate) fn is(self, port: Port) -> bool {
        match self {
            Self::One(one) => one == port,
            Self::Workers => matches!(port, Port::Worker(_)),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(port) => port.fmt(f),
            Self::Workers => f.write_str("clients"),
        }
    }
}

impl From<Port> for Side {
    fn from(port: Port) -> Self {
        Self::One(port)
    }
}

impl From<NodeId> for Side {
    fn from(node: NodeId) -> Self {
        Self::One(Port::Node(node))
    }
}
