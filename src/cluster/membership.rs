//! Who belongs to the cluster.

use futures_util::future::join_all;

use super::{Cluster, ClusterError};
use crate::NodeId;
use crate::servers::etcd::{self, ClusterState, EtcdOptions};
use crate::servers::{Launch, ProbeError};

impl Cluster {
    /// The nodes of the members, as each node tells that answers.
    pub async fn memberships(&self) -> Vec<(NodeId, Vec<NodeId>)> {
        let told =
            join_all(self.nodes().into_iter().map(|node| async move { (node, self.probes.members(node).await) }));
        let answers = told.await.into_iter().filter_map(|(node, members)| Some((node, members.ok()?)));
        answers.map(|(node, members)| (node, members.iter().map(|member| member.node).collect())).collect()
    }

    /// Asks the other nodes, one after the other, to let this one go. Nothing is to be done where it does not belong to
    /// them any more.
    ///
    /// # Errors
    /// The last refusal, if none does it.
    pub async fn remove_member(&self, node: NodeId) -> Result<(), ClusterError> {
        let mut outcome = Err(ClusterError::NobodyToAsk);
        for via in self.others(node) {
            outcome = self.remove_member_through(via, node).await.map_err(ClusterError::from);
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
            outcome = self.add_member_through(via, node).await.map_err(ClusterError::from);
            if outcome.is_ok() {
                break;
            }
        }
        self.member(node)?.set_command(self.command_of(node, &outcome?, ClusterState::Existing));
        Ok(())
    }

    /// Has a node's server take itself for a founder of the cluster when it starts without data, as at its first start.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn make_founder(&self, node: NodeId) -> Result<(), ClusterError> {
        self.member(node)?.set_command(self.command_of(node, &self.nodes(), ClusterState::New));
        Ok(())
    }

    fn command_of(&self, node: NodeId, members: &[NodeId], cluster_state: ClusterState) -> Launch {
        let addresses: Vec<_> = self.addresses.iter().copied().filter(|(node, _)| members.contains(node)).collect();
        let options = EtcdOptions { cluster_state, ..self.options.clone() };
        let data = self.members.iter().find(|member| member.node() == node).map(|member| member.data().path());
        etcd::command_line(&self.program, node, &addresses, data.expect("it is a node"), &options)
    }

    async fn remove_member_through(&self, via: NodeId, node: NodeId) -> Result<(), ProbeError> {
        let members = self.probes.members(via).await?;
        match members.iter().find(|member| member.node == node) {
            Some(member) => self.probes.remove_member(via, member.id).await,
            None => Ok(()),
        }
    }

    /// The nodes of all members then, the new one among them.
    async fn add_member_through(&self, via: NodeId, node: NodeId) -> Result<Vec<NodeId>, ProbeError> {
        let members = self.probes.members(via).await?;
        // An earlier request may have been carried out without an answer.
        if !members.iter().any(|member| member.node == node) {
            self.probes.add_member(via, node).await?;
        }
        let before = members.iter().map(|member| member.node).filter(|&member| member != node);
        Ok(before.chain([node]).collect())
    }

    fn others(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        self.nodes().into_iter().filter(move |&other| other != node)
    }
}
