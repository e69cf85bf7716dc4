//! What faults act on.

use std::sync::Arc;

use leasehold_workloads::script::Dice;

use crate::NodeId;
use crate::cluster::Cluster;

/// What faults act on. Clones are the same field.
#[derive(Clone, Debug)]
pub struct Field {
    /// The servers.
    pub cluster: Arc<Cluster>,
}

/// What one fault acts on: who plays the role of its target at the moment when it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aim {
    /// The servers.
    pub nodes: Vec<NodeId>,
    /// What the fault's own dice start from.
    pub seed: u64,
}

impl Aim {
    /// Dice for whatever a fault leaves to chance.
    #[must_use]
    pub fn dice(&self) -> Dice {
        Dice::new(self.seed, 0)
    }
}
