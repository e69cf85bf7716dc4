//! An end of a link.

use std::fmt;

use crate::NodeId;

/// A host of the sandbox, as an end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// The harness, with all its clients.
    Client,
    /// A node.
    Node(NodeId),
}

impl Port {
    /// The client, then `nodes` nodes.
    pub(super) fn all(nodes: u8) -> impl Iterator<Item = Port> + Clone {
        [Self::Client].into_iter().chain(NodeId::first(nodes).map(Self::Node))
    }

    /// Its place in [`Port::all`].
    pub(super) fn index(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Node(node) => usize::from(node.number()),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Node(node) => node.fmt(f),
        }
    }
}

impl From<NodeId> for Port {
    fn from(node: NodeId) -> Self {
        Self::Node(node)
    }
}
