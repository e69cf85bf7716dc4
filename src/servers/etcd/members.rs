//! Who belongs to a cluster, and how that is changed.

use std::net::Ipv4Addr;

use super::{EtcdProbes, PEER_PORT, url};
use crate::NodeId;
use crate::servers::{ProbeError, Probes};

/// A member, as another one tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The number that the cluster gave it.
    id: u64,
    /// Where it runs.
    pub(super) node: NodeId,
}

impl EtcdProbes {
    /// The members as this node knows them, in the order of their nodes.
    pub(super) async fn told_members(&self, via: NodeId) -> Result<Vec<Member>, ProbeError> {
        let client = self.client(via).await?;
        let list = async { client.cluster_client().member_list().await };
        let list = self.bounded(via, super::probes::CONSENSUS, list).await?;
        let mut members = list.members().iter().map(|told| self.member(via, told)).collect::<Result<Vec<_>, _>>()?;
        members.sort_by_key(|member| member.node);
        Ok(members)
    }

    pub(super) async fn let_go(&self, via: NodeId, node: NodeId) -> Result<(), ProbeError> {
        let members = self.told_members(via).await?;
        let Some(member) = members.iter().find(|member| member.node == node) else { return Ok(()) };
        let client = self.client(via).await?;
        let removed = async { client.cluster_client().member_remove(member.id).await };
        self.bounded(via, super::probes::CONSENSUS, removed).await.map(drop)
    }

    pub(super) async fn take_in(&self, via: NodeId, node: NodeId) -> Result<Vec<NodeId>, ProbeError> {
        let mut members: Vec<_> = self.told_members(via).await?.iter().map(|member| member.node).collect();
        // An earlier request may have been carried out without an answer.
        if !members.contains(&node) {
            let peer_url = url(self.address(node)?, PEER_PORT);
            let client = self.client(via).await?;
            let added = async { client.cluster_client().member_add([peer_url], None).await };
            self.bounded(via, super::probes::CONSENSUS, added).await?;
            members.push(node);
        }
        Ok(members)
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
        Ok(Member { id: told.id(), node })
    }
}
