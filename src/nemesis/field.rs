//! What faults act on.

use std::sync::Arc;

use leasehold_workloads::script::Dice;

use crate::NodeId;
use crate::cluster::Cluster;
use crate::run::{Answers, Belief, Gates, Holders, Leadership, WorkerId};
use crate::sandbox::{Port, Side};

/// What faults act on. Clones are the same field.
#[derive(Clone, Debug)]
pub struct Field {
    /// The servers.
    pub cluster: Arc<Cluster>,
    /// Who believes to hold what.
    pub holders: Holders,
    /// Who leads, by the latest answers of the probes.
    pub leadership: Leadership,
    /// Who gets no answers.
    pub answers: Answers,
    /// What stops the workers.
    pub gates: Gates,
}

/// What one fault acts on: who plays the role of its target at the moment when it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aim {
    /// The servers.
    pub nodes: Vec<NodeId>,
    /// The clients.
    pub clients: Vec<AimedClient>,
    /// What the fault's own dice start from.
    pub seed: u64,
}

/// A client that a fault acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AimedClient {
    /// The worker, which stays the same.
    pub worker: WorkerId,
    /// The process that it is when the fault begins.
    pub process: u64,
}

impl Aim {
    /// At these servers.
    #[must_use]
    pub fn at_nodes(nodes: Vec<NodeId>) -> Self {
        Self { nodes, ..Self::default() }
    }

    /// At the client that believes this.
    pub(super) fn at_client(belief: &Belief) -> Self {
        let client = AimedClient { worker: belief.worker, process: belief.process };
        Self { clients: vec![client], ..Self::default() }
    }

    /// Their ends of the links.
    #[must_use]
    pub fn sides(&self) -> Vec<Side> {
        let clients = self.clients.iter().map(|client| Port::Worker(client.worker.port()).into());
        self.nodes.iter().map(|&node| node.into()).chain(clients).collect()
    }

    /// Dice for whatever a fault leaves to chance.
    #[must_use]
    pub fn dice(&self) -> Dice {
        Dice::new(self.seed, 0)
    }
}
