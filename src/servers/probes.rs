//! What every server can be asked about itself, whatever its kind.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_checkers::history::vocabulary::{ClockValue, LeaderValue};

use crate::NodeId;
use crate::causes;
use crate::servers::Ability;

/// What a server holds, each key, lease and whatever else the servers agree on told in one line.
pub type Contents = BTreeSet<String>;

/// Servers that hold more are not asked for it.
pub(super) const MOST_CONTENTS: usize = 5_000;

/// Who leads, as one member sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderView {
    /// The leader; `None` where the member knows none.
    pub leader: Option<NodeId>,
    /// Its term, or epoch; a greater one means that there was an election.
    pub term: u64,
}

impl From<LeaderView> for LeaderValue {
    fn from(view: LeaderView) -> Self {
        Self { leader: view.leader.map(|node| node.to_string()), term: view.term }
    }
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No such node is in the cluster.
    #[error("{0} is no node of this cluster")]
    NoSuchNode(NodeId),
    /// No answer came in time.
    #[error("{node} did not answer within {} ms", within.as_millis())]
    Silent {
        /// The node.
        node: NodeId,
        /// For how long it was waited for.
        within: Duration,
    },
    /// The question failed.
    #[error("{node} did not answer: {why}")]
    Failed {
        /// The node.
        node: NodeId,
        /// Why, with the chain of causes.
        why: String,
    },
    /// The answer makes no sense.
    #[error("{node} gave an answer that makes no sense: {why}")]
    Nonsense {
        /// The node.
        node: NodeId,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody leads, so nobody can hand over.
    #[error("no node leads")]
    NoLeader,
    /// Servers of this kind cannot be asked for it.
    #[error("{0}")]
    NotOffered(&'static str),
}

impl ProbeError {
    pub(super) fn failed(node: NodeId, error: &dyn std::error::Error) -> Self {
        Self::Failed { node, why: causes::in_one_line(error) }
    }

    pub(super) fn nonsense(node: NodeId, error: &dyn std::error::Error) -> Self {
        Self::Nonsense { node, why: causes::in_one_line(error) }
    }
}

const NO_SNAPSHOTS: ProbeError = ProbeError::NotOffered(Ability::NO_SNAPSHOTS);

/// Asks the servers of one cluster about themselves, several times a second, over connections of its own.
#[async_trait]
pub trait Probes: std::fmt::Debug + Send + Sync {
    /// The nodes, in order.
    fn nodes(&self) -> Vec<NodeId>;

    /// Who leads, as this node sees it. A node that is cut off goes on naming whom it last knew.
    ///
    /// # Errors
    /// If it does not answer in time.
    async fn leader(&self, node: NodeId) -> Result<LeaderView, ProbeError>;

    /// What this node, or the service's own health check through it, says of its health.
    ///
    /// # Errors
    /// If it does not answer in time.
    async fn health(&self, node: NodeId) -> Result<bool, ProbeError>;

    /// How far this node's wall clock is from the harness's, as the process itself tells.
    ///
    /// # Errors
    /// If it does not answer in time.
    async fn clock(&self, node: NodeId) -> Result<ClockValue, ProbeError>;

    /// Has this node answer a question that takes the cluster's consensus.
    ///
    /// # Errors
    /// If it does not.
    async fn consensus(&self, node: NodeId) -> Result<(), ProbeError>;

    /// Asks the leader to hand over to this node, and returns once it has.
    ///
    /// # Errors
    /// If nobody leads, the leader refuses, or servers of this kind cannot be asked.
    async fn move_leader(&self, to: NodeId) -> Result<(), ProbeError>;

    /// The nodes of the cluster's members as this node knows them, in order.
    ///
    /// # Errors
    /// If it does not answer, or names a member that is none of the nodes.
    async fn members(&self, via: NodeId) -> Result<Vec<NodeId>, ProbeError>;

    /// Asks the cluster through the node `via` to let a member go. Nothing is done where it is none.
    ///
    /// # Errors
    /// If it refuses: it does where too few members would be left, or some do not answer.
    async fn remove_member(&self, via: NodeId, node: NodeId) -> Result<(), ProbeError>;

    /// Asks the cluster through the node `via` to take this one in as a new member, and returns the members of the cluster
    /// then. Nothing is done where it is one already, or where the service takes in whoever joins.
    ///
    /// # Errors
    /// If it refuses: it does while some members do not answer.
    async fn add_member(&self, via: NodeId, node: NodeId) -> Result<Vec<NodeId>, ProbeError>;

    /// What this node holds by itself: it asks nobody else. Two nodes that have carried out the same decisions hold the same.
    ///
    /// # Errors
    /// If it does not answer, or holds too much.
    async fn contents(&self, node: NodeId) -> Result<Contents, ProbeError>;

    /// Has the cluster give out its whole state through this node.
    ///
    /// # Errors
    /// If it does not, or servers of this kind cannot be asked.
    async fn snapshot(&self, _via: NodeId) -> Result<Vec<u8>, ProbeError> {
        Err(NO_SNAPSHOTS)
    }

    /// Has the cluster go back, through this node, to a state that it gave out.
    ///
    /// # Errors
    /// If it refuses, or servers of this kind cannot be asked.
    async fn restore(&self, _via: NodeId, _state: &[u8]) -> Result<(), ProbeError> {
        Err(NO_SNAPSHOTS)
    }

    /// Up to where in its log of decisions this node has put aside a snapshot.
    ///
    /// # Errors
    /// If it does not say, or servers of this kind cannot be asked.
    async fn snapshot_index(&self, _node: NodeId) -> Result<u64, ProbeError> {
        Err(NO_SNAPSHOTS)
    }
}
