//! Who belongs to a cluster, and how that is changed.

use reqwest::Method;
use serde::Deserialize;

use super::ConsulProbes;
use super::launch::server_id;
use super::probes::CONSENSUS;
use crate::NodeId;
use crate::servers::{ProbeError, Probes};

/// What `/operator/raft/configuration` tells.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    servers: Vec<Peer>,
}

#[derive(Deserialize)]
struct Peer {
    #[serde(rename = "ID")]
    id: String,
    /// One that has just joined follows, and has no vote yet.
    #[serde(rename = "Voter")]
    voter: bool,
}

impl ConsulProbes {
    /// The servers with a vote, as this one knows them, in order.
    pub(super) async fn told_members(&self, via: NodeId) -> Result<Vec<NodeId>, ProbeError> {
        let answer = self.ask(via, Method::GET, "operator/raft/configuration?stale", CONSENSUS).await?;
        voters(&answer, &self.nodes()).map_err(|why| ProbeError::Nonsense { node: via, why })
    }

    /// Removes a server from Raft, as `consul operator raft remove-peer` does. It stays in the catalog, and with it the
    /// sessions that were made through it: to take a node out of the catalog (`consul leave`) ends them, whatever their TTL.
    pub(super) async fn let_go(&self, via: NodeId, node: NodeId) -> Result<(), ProbeError> {
        if !self.told_members(via).await?.contains(&node) {
            return Ok(());
        }
        let peer = format!("operator/raft/peer?id={}", server_id(node));
        self.ask(via, Method::DELETE, &peer, CONSENSUS).await.map(drop)
    }

    /// Nobody need be asked: the leader takes in a server that joins the gossip, and gives it a vote once it was well for a
    /// moment.
    pub(super) async fn with(&self, via: NodeId, node: NodeId) -> Result<Vec<NodeId>, ProbeError> {
        let mut members = self.told_members(via).await?;
        if !members.contains(&node) {
            members.push(node);
            members.sort_unstable();
        }
        Ok(members)
    }
}

fn voters(answer: &[u8], known: &[NodeId]) -> Result<Vec<NodeId>, String> {
    let told: Configuration = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let voters = told.servers.into_iter().filter(|peer| peer.voter);
    let mut nodes = voters
        .map(|peer| {
            let node = known.iter().copied().find(|node| server_id(*node) == peer.id);
            node.ok_or_else(|| format!("the server {} is none of our nodes", peer.id))
        })
        .collect::<Result<Vec<_>, _>>()?;
    nodes.sort_unstable();
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_those_with_a_vote() {
        let known: Vec<_> = NodeId::first(3).collect();
        let peer = |node, voter| format!(r#"{{"ID":"{}","Node":"x","Voter":{voter}}}"#, server_id(node));
        let told = format!(
            r#"{{"Servers":[{},{},{}],"Index":7}}"#,
            peer(known[2], true),
            peer(known[1], false),
            peer(known[0], true)
        );
        assert_eq!(voters(told.as_bytes(), &known), Ok(vec![known[0], known[2]]));
        let stranger = format!(r#"{{"Servers":[{}]}}"#, peer(NodeId::new(9), true));
        for hostile in ["", "{}", r#"{"Servers":null}"#, &stranger] {
            assert!(voters(hostile.as_bytes(), &known).is_err(), "{hostile}");
        }
    }
}
