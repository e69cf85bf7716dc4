//! Which nodes play a role at the moment.

use std::time::Duration;

use leasehold_workloads::script::Dice;

use super::{FaultError, PlannedFault, wait};
use crate::NodeId;
use crate::cluster::Cluster;
use crate::scenario::Target;

/// How long to look for a leader before a fault that aims at one is given up.
const LEADER_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn resolve(
    cluster: &Cluster,
    planned: &PlannedFault,
    dice: &mut Dice,
) -> Result<Vec<NodeId>, FaultError> {
    let all = cluster.nodes();
    let minority = (all.len() - 1) / 2;
    Ok(match planned.target {
        Target::All => all,
        Target::Node(node) => vec![node],
        Target::One => pick(&all, 1, dice),
        Target::Minority => pick(&all, minority, dice),
        Target::Majority => pick(&all, all.len() - minority, dice),
        Target::Leader => vec![leader(cluster).await?],
        Target::Follower => {
            let leader = leader(cluster).await?;
            let followers: Vec<NodeId> = all.into_iter().filter(|&node| node != leader).collect();
            if followers.is_empty() {
                return Err(FaultError::NoTarget("a cluster of one has no follower".to_owned()));
            }
            pick(&followers, 1, dice)
        }
    })
}

async fn leader(cluster: &Cluster) -> Result<NodeId, FaultError> {
    wait::until(LEADER_LIMIT, async || cluster.leader().await)
        .await
        .map(|leader| leader.node)
        .ok_or_else(|| FaultError::NoTarget(format!("no node led for {} s", LEADER_LIMIT.as_secs())))
}

/// So many of the nodes, each with the same chance.
fn pick(nodes: &[NodeId], count: usize, dice: &mut Dice) -> Vec<NodeId> {
    let mut rest = nodes.to_vec();
    let mut picked: Vec<NodeId> =
        (0..count.min(rest.len())).map(|_| rest.swap_remove(dice.index(rest.len()))).collect();
    picked.sort();
    picked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pick_has_the_right_size_and_no_node_twice() {
        let nodes: Vec<NodeId> = NodeId::first(5).collect();
        let mut dice = Dice::new(1, 1);
        for count in 0..=5 {
            let mut picked = pick(&nodes, count, &mut dice);
            picked.dedup();
            assert_eq!(picked.len(), count);
        }
    }
}
