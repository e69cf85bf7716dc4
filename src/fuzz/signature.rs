//! What stopped, as it is seen from outside.

use std::collections::BTreeSet;
use std::fmt;

use crate::NodeId;

/// The shape of what is seen in nothing that a server does.
pub(super) const HOLD_DIFFERENT_DATA: &str = "servers hold different data";

/// What stopped, of each server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The servers, in their order.
    pub nodes: Vec<NodeState>,
}

/// What a server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// Which.
    pub node: NodeId,
    /// How its process ended, if it has.
    pub ended: Option<String>,
    /// Whether it serves a write.
    pub writes: bool,
    /// Whether it serves a read.
    pub reads: bool,
    /// What its health check says.
    pub healthy: Option<bool>,
    /// What its log says of something that died.
    pub last_words: Vec<String>,
    /// Some of what it holds and another does not, where they go on to differ.
    pub holds_alone: Vec<String>,
}

impl NodeState {
    /// One that says it is well and serves nobody.
    #[cfg(test)]
    pub(super) fn silent(last_words: Vec<String>) -> Self {
        let node = NodeId::new(1);
        Self {
            node,
            ended: None,
            writes: false,
            reads: false,
            healthy: Some(true),
            last_words,
            holds_alone: Vec::new(),
        }
    }

    pub(super) fn is_well(&self) -> bool {
        self.ended.is_none() && self.writes && self.reads
    }
}

impl Signature {
    /// Whether all serve, and hold different data.
    #[must_use]
    pub fn is_of_data(&self) -> bool {
        self.shape() == HOLD_DIFFERENT_DATA
    }

    /// Its shape, whichever servers show it: by that two are compared.
    #[must_use]
    pub fn shape(&self) -> &'static str {
        let all = |is: fn(&NodeState) -> bool| self.nodes.iter().all(is);
        if self.nodes.iter().any(|node| node.ended.is_some()) {
            return "a server ended";
        }
        if all(NodeState::is_well) {
            return HOLD_DIFFERENT_DATA;
        }
        match (all(|node| !node.writes), all(|node| !node.reads)) {
            (true, true) => "no server serves anything",
            (true, false) => "no server serves writes",
            _ => "a server does not serve",
        }
    }

    /// What the logs say of something that died, without the numbers, which are others each time; where nothing died and servers hold
    /// different data, of which kinds these are.
    #[must_use]
    pub fn last_words(&self) -> BTreeSet<String> {
        let letters = |line: &String| line.chars().filter(|letter| letter.is_alphabetic()).collect();
        let kind = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
        let died = self.nodes.iter().flat_map(|node| &node.last_words).map(letters);
        died.chain(self.nodes.iter().flat_map(|node| &node.holds_alone).map(kind)).collect()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shape())?;
        for NodeState { node, ended, writes, reads, healthy, holds_alone, .. } in &self.nodes {
            let serves = |serves: &bool| if *serves { "yes" } else { "no" };
            let health = match healthy {
                Some(true) => "says that it is well",
                Some(false) => "says that it is not well",
                None => "says nothing of its health",
            };
            let ended = ended.as_ref().map(|how| format!(", ended: {how}")).unwrap_or_default();
            write!(f, "; {node}: writes {}, reads {}, {health}{ended}", serves(writes), serves(reads))?;
            for held in holds_alone {
                write!(f, ", has what another has not: {held}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well(number: u8) -> NodeState {
        NodeState { node: NodeId::new(number), writes: true, reads: true, ..NodeState::silent(Vec::new()) }
    }

    #[test]
    fn servers_that_all_serve_are_there_for_what_they_hold() {
        let other = NodeState { holds_alone: vec!["lease 7".to_owned()], ..well(2) };
        let signature = Signature { nodes: vec![well(1), other.clone()] };
        assert!(signature.is_of_data());
        assert!(signature.to_string().starts_with("servers hold different data; n1: writes yes"), "{signature}");
        assert!(
            signature
                .to_string()
                .ends_with("n2: writes yes, reads yes, says that it is well, has what another has not: lease 7")
        );
        let silent = Signature { nodes: vec![NodeState { writes: false, ..well(1) }, other.clone()] };
        assert_eq!((silent.shape(), silent.is_of_data()), ("a server does not serve", false));
        let ended = Signature { nodes: vec![NodeState { ended: Some("by signal 6".to_owned()), ..well(1) }, other] };
        assert_eq!(ended.shape(), "a server ended");
    }
}
