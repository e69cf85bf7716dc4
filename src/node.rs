//! The name of a server of the cluster under test.

use std::fmt;
use std::str::FromStr;

/// A server of the cluster under test: `n1`, `n2`, … in the order in which the scenario counts them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u8);

impl NodeId {
    /// The node with this number, counted from 1.
    ///
    /// # Panics
    /// If `number` is 0: no node has that number.
    #[must_use]
    pub fn new(number: u8) -> Self {
        assert!(number > 0, "nodes are counted from 1");
        Self(number)
    }

    /// The nodes `n1` to `n<count>`.
    pub fn first(count: u8) -> impl DoubleEndedIterator<Item = NodeId> + Clone {
        (1..=count).map(NodeId)
    }

    /// Its place among the nodes, counted from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0) - 1
    }

    /// Its number, counted from 1.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not the name of a node.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no node: nodes are called n1, n2, …")]
pub struct NotANode(String);

impl FromStr for NodeId {
    type Err = NotANode;

    fn from_str(text: &str) -> Result<Self, NotANode> {
        text.strip_prefix('n')
            .and_then(|number| number.parse().ok())
            .filter(|&number| number > 0)
            .map(Self)
            .ok_or_else(|| NotANode(text.to_owned()))
    }
}
