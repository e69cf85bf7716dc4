//! Which nodes play a role at the moment.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use leasehold_workloads::script::Dice;

use super::{Aim, FaultError, Field, wait};
use crate::NodeId;
use crate::cluster::Cluster;

/// The role that a fault aims at; which nodes play it is found out when the fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The node that leads.
    Leader,
    /// A node that does not lead, by the run's dice.
    Follower,
    /// Any node, by the run's dice.
    One,
    /// The most nodes that are not a majority, by the run's dice.
    Minority,
    /// The fewest nodes that are a majority, by the run's dice.
    Majority,
    /// Every node.
    All,
    /// This node.
    Node(NodeId),
}

/// The words for a target but `nK`.
pub const TARGET_WORDS: [&str; 6] = ["leader", "follower", "one", "minority", "majority", "all"];

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "leader" => Self::Leader,
            "follower" => Self::Follower,
            "one" => Self::One,
            "minority" => Self::Minority,
            "majority" => Self::Majority,
            "all" => Self::All,
            node => Self::Node(node.parse().map_err(|_| format!("unknown target `{node}`"))?),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => f.write_str("leader"),
            Self::Follower => f.write_str("follower"),
            Self::One => f.write_str("one"),
            Self::Minority => f.write_str("minority"),
            Self::Majority => f.write_str("majority"),
            Self::All => f.write_str("all"),
            Self::Node(node) => write!(f, "{node}"),
        }
    }
}

/// How long to look for a leader before a fault that aims at one is given up.
const LEADER_LIMIT: Duration = Duration::from_secs(5);

/// Who plays the role now.
pub(super) async fn resolve(field: &Field, target: Target, dice: &mut Dice) -> Result<Aim, FaultError> {
    Ok(Aim { nodes: nodes(&field.cluster, target, dice).await? })
}

async fn nodes(cluster: &Cluster, target: Target, dice: &mut Dice) -> Result<Vec<NodeId>, FaultError> {
    let all = cluster.nodes();
    let minority = (all.len() - 1) / 2;
    Ok(match target {
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
    wait::until(LEADER_LIMIT, || cluster.leader())
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
