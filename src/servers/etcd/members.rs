//! Who belongs to a cluster, and how that is changed.

use std::net::Ipv4Addr;

use super::{EtcdProbes, PEER_PORT, url};
use crate::NodeId;
use crate::servers::{ProbeError, Probes};

/// A member, as another one tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The number that the cluster gave it.
    pub id: u64,
    /// Where it runs.
    pub node: NodeId,
    /// Whether it has been seen since it was added.
    pub started: bool,
}

impl EtcdProbes {
    /// The members of the cluster as this node knows them, in the order of their nodes.
    ///
    /// # Errors
    /// If it does not answer, or names a member that is none of the nodes.
    pub async fn members(&self, node: NodeId) -> Result<Vec<Member>, ProbeError> {
        let client = self.client(node).await?;
        let list = async { client.cluster_client().member_list().await };
        let list = self.bounded(node, super::probes::CONSENSUS, list).await?;
        let mut members = list.members().iter().map(|told| self.member(node, told)).collect::<Result<Vec<_>, _>>()?;
        members.sort_by_key(|member| member.node);
        Ok(members)
    }

    /// Asks the cluster through this node to let a member go.
    ///
    /// # Errors
    /// If it refuses: it does where too few members would be left, or some do not answer.
    pub async fn remove_member(&self, via: NodeId, id: u64) -> Result<(), ProbeError> {
        let client = self.client(via).await?;
        let removed = async { client.cluster_client().member_remove(id).await };
        self.bounded(via, super::probes::CONSENSUS, removed).await.map(drop)
    }

    /// Asks the cluster through this node to take a new member in, that is to run on `node`.
    ///
    /// # Errors
    /// If it refuses: it does while some members do not answer.
    pub async fn add_member(&self, via: NodeId, node: NodeId) -> Result<(), ProbeError> {
        let peer_url = url(self.address(node)?, PEER_PORT);
        let client = self.client(via).await?;
        let added = async { client.cluster_client().member_add([peer_url], None).await };
        self.bounded(via, super::probes::CONSENSUS, added).await.map(drop)
    }

    fn member(&self, source: NodeId, told: &etcd_client::Member) -> Result<Member, ProbeError> {
        let node = told.peer_urls().iter().find_map(|peer_url| {
            let is_its_own = |address: &Ipv4Addr| url(*address, PEER_PORT) == *peer_url;
            self.nodes().into_iter().find(|node| self.address(*node).is_ok_and(|address| is_its_own(&address)))
        });
        let node = node.ok_or_else(|| ProbeError::Nonsense {
            node: source,
            why: format!("member {:x} runs on none of our nodes", told.id()),
        })?;
        // A member tells its name when it starts.
        Ok(Member { id: told.id(), node, started: !told.name().is_empty() })
    }
}
