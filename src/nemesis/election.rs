//! Moves the leadership to another node.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FaultError, Package, partition, wait};
use crate::NodeId;
use crate::cluster::{Cluster, Leader};
use crate::scenario::{ElectionMeans, PartitionShape};

pub(super) const PACKAGE: Package = Package {
    name: "election",
    does: "makes another node lead: the leader hands over, or is paused or cut off until another leads",
    settings: "how (move-leader, pause, cut)",
    proof: "another leader in a later term, as a majority of the nodes tells",
};

/// How long the others may take to elect a leader.
const LIMIT: Duration = Duration::from_secs(15);

pub(super) async fn inject(cluster: &Cluster, how: ElectionMeans, nodes: &[NodeId]) -> Result<Value, FaultError> {
    let [old] = nodes else { return Err(FaultError::NoTarget("an election needs one leader".to_owned())) };
    let before = wait::until(LIMIT, async || cluster.leader().await)
        .await
        .ok_or_else(|| FaultError::NoTarget("no node leads".to_owned()))?;
    match how {
        ElectionMeans::MoveLeader => {
            let next = successor(*old, &cluster.nodes())
                .ok_or_else(|| FaultError::NoTarget("a cluster of one has no other leader".to_owned()))?;
            cluster.move_leader(next).await?;
        }
        ElectionMeans::Pause => cluster.pause(*old)?,
        ElectionMeans::Cut => {
            partition::inject(cluster, PartitionShape::Isolate, nodes).await?;
        }
    }
    let after = new_leader(cluster, before).await;
    // A paused or cut-off leader has done its part as soon as another one leads.
    match how {
        ElectionMeans::MoveLeader => {}
        ElectionMeans::Pause => cluster.resume(*old)?,
        ElectionMeans::Cut => {
            partition::heal(cluster, PartitionShape::Isolate, nodes).await?;
        }
    }
    let after = after.ok_or_else(|| FaultError::DidNotBite(format!("{old} still leads")))?;
    Ok(json!({
        "before": { "leader": before.node.to_string(), "term": before.term },
        "after": { "leader": after.node.to_string(), "term": after.term },
    }))
}

async fn new_leader(cluster: &Cluster, before: Leader) -> Option<Leader> {
    let changed = |leader: &Leader| leader.node != before.node && leader.term > before.term;
    wait::until(LIMIT, async || cluster.leader().await.filter(changed)).await
}

/// The next node in turn.
fn successor(old: NodeId, all: &[NodeId]) -> Option<NodeId> {
    let place = all.iter().position(|&node| node == old)?;
    all.iter().copied().cycle().skip(place + 1).take(all.len() - 1).next()
}
