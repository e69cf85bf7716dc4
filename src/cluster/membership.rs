//! Who belongs to the cluster.

use futures_util::future::join_all;

use super::{Cluster, ClusterError};
use crate::NodeId;
use crate::servers::{Launch, Part, Place};

impl Cluster {
    /// The nodes of the members, as each node tells that answers.
    pub async fn memberships(&self) -> Vec<(NodeId, Vec<NodeId>)> {
        let told =
            join_all(self.nodes().into_iter().map(|node| async move { (node, self.probes.members(node).await) }));
        told.await.into_iter().filter_map(|(node, members)| Some((node, members.ok()?))).collect()
    }

    /// Asks the other nodes, one after the other, to let this one go. Nothing is to be done where it does not belong to
    /// them any more.
    ///
    /// # Errors
    /// The last refusal, if none does it.
    pub async fn remove_member(&self, node: NodeId) -> Result<(), ClusterError> {
        let mut outcome = Err(ClusterError::NobodyToAsk);
        for via in self.others(node) {
            outcome = self.probes.remove_member(via, node).await.map_err(ClusterError::from);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// Asks the other nodes, one after the other, to take this one in as a new member, and has its server join them when it
    /// starts next. Its data must be gone by then.
    ///
    /// # Errors
    /// The last refusal, if none does it.
    pub async fn add_member(&self, node: NodeId) -> Result<(), ClusterError> {
        let mut outcome = Err(ClusterError::NobodyToAsk);
        for via in self.others(node) {
            outcome = self.probes.add_member(via, node).await.map_err(ClusterError::from);
            if outcome.is_ok() {
                break;
            }
        }
        let launch = self.launch_among(node, &outcome?, Part::Joins)?;
        self.member(node)?.set_command(launch);
        Ok(())
    }

    /// Has a node's server take itself for a founder of the cluster when it starts without data, as at its first start.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn make_founder(&self, node: NodeId) -> Result<(), ClusterError> {
        let launch = self.launch_among(node, &self.nodes(), Part::Founds)?;
        self.member(node)?.set_command(launch);
        Ok(())
    }

    /// Has a node's server take itself for all there is of the cluster when it starts next, with the data that it has.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn make_alone(&self, node: NodeId) -> Result<(), ClusterError> {
        let launch = self.launch_among(node, &[node], Part::Alone)?;
        self.member(node)?.set_command(launch);
        Ok(())
    }

    fn launch_among(&self, node: NodeId, members: &[NodeId], part: Part) -> Result<Launch, ClusterError> {
        let own = self.own(node)?;
        let members: Vec<_> = own.addresses.iter().copied().filter(|(node, _)| members.contains(node)).collect();
        let data = self.member(node)?.data().path();
        Ok(own.deployment.launch(&Place { node, members: &members, data, part }))
    }

    fn others(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        self.nodes().into_iter().filter(move |&other| other != node)
    }
}
