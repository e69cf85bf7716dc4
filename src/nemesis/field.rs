//! What faults act on.

use std::sync::Arc;

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
}
