//! Who plays a role at the moment.

use std::fmt;
use std::future::ready;
use std::str::FromStr;
use std::time::Duration;

use leasehold_workloads::script::Dice;

use super::{Aim, FaultError, Field, wait};
use crate::NodeId;
use crate::cluster::Cluster;
use crate::run::{Belief, RunClock};

/// The role that a fault aims at; who plays it is found out when the fault begins.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The nodes of the data centre of this name.
    Dc(String),
    /// The client that believes to hold this lock; without one, any that holds any, by the run's dice.
    Holder(Option<String>),
    /// The node that such a client talks to.
    HolderNode(Option<String>),
}

/// Nodes that are named, and not found by their role.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Site {
    /// This node.
    Node(NodeId),
    /// The nodes of the data centre of this name.
    Dc(String),
}

/// What stands before the name of a data centre.
const DC: &str = "dc:";

impl Site {
    /// Its nodes.
    #[must_use]
    pub fn nodes(&self, cluster: &Cluster) -> Vec<NodeId> {
        match self {
            Self::Node(node) => vec![*node],
            Self::Dc(name) => cluster.topology().nodes_of(name).to_vec(),
        }
    }
}

impl FromStr for Site {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(DC) {
            Some(name) => Ok(Self::Dc(name.to_owned())),
            None => Ok(Self::Node(
                text.parse().map_err(|_| format!("`{text}` is no site: a node like `n1`, or `dc:NAME`"))?,
            )),
        }
    }
}

impl TryFrom<String> for Site {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "{node}"),
            Self::Dc(name) => write!(f, "{DC}{name}"),
        }
    }
}

/// The words for a target that is a node, but `nK`, `dc:NAME` and those with the name of a lock.
pub const TARGET_WORDS: [&str; 7] = ["leader", "follower", "one", "minority", "majority", "all", "holder-node"];

/// The word for a target that is a client.
pub const CLIENT_WORDS: [&str; 1] = ["holder"];

impl Target {
    /// Whether it is a client and no node.
    #[must_use]
    pub fn is_client(&self) -> bool {
        matches!(self, Self::Holder(_))
    }

    /// The lock whose holder it is about.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Holder(key) | Self::HolderNode(key) => key.as_deref(),
            _ => None,
        }
    }
}

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
            "holder" => Self::Holder(None),
            "holder-node" => Self::HolderNode(None),
            other => match other.split_once(':') {
                Some(("holder", key)) => Self::Holder(Some(key.to_owned())),
                Some(("holder-node", key)) => Self::HolderNode(Some(key.to_owned())),
                _ => match other.parse().map_err(|_| format!("unknown target `{other}`"))? {
                    Site::Node(node) => Self::Node(node),
                    Site::Dc(name) => Self::Dc(name),
                },
            },
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
            Self::Holder(None) => f.write_str("holder"),
            Self::Holder(Some(key)) => write!(f, "holder:{key}"),
            Self::HolderNode(None) => f.write_str("holder-node"),
            Self::HolderNode(Some(key)) => write!(f, "holder-node:{key}"),
            Self::Dc(name) => write!(f, "{DC}{name}"),
        }
    }
}

/// How long to look for a leader, or for a holder, before a fault that aims at one is given up.
const ROLE_LIMIT: Duration = Duration::from_secs(5);

/// Who plays the role now. `occasion` is the hold for whose sake the fault begins, if there is one: then its holder is
/// meant, and no other.
pub(super) async fn resolve(
    field: &Field,
    target: &Target,
    occasion: Option<&Belief>,
    clock: RunClock,
    dice: &mut Dice,
) -> Result<Aim, FaultError> {
    let aim = match target {
        Target::Holder(key) => Aim::at_client(&holder(field, key.as_deref(), occasion, clock, dice).await?),
        Target::HolderNode(key) => {
            Aim::at_nodes(vec![holder(field, key.as_deref(), occasion, clock, dice).await?.node])
        }
        target => Aim::at_nodes(nodes(&field.cluster, target, dice).await?),
    };
    Ok(Aim { seed: dice.seed(), ..aim })
}

async fn nodes(cluster: &Cluster, target: &Target, dice: &mut Dice) -> Result<Vec<NodeId>, FaultError> {
    let all = cluster.nodes();
    let minority = (all.len() - 1) / 2;
    Ok(match target {
        Target::All => all,
        Target::Node(node) => vec![*node],
        Target::Dc(name) => cluster.topology().nodes_of(name).to_vec(),
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
        Target::Holder(_) | Target::HolderNode(_) => Vec::new(),
    })
}

async fn leader(cluster: &Cluster) -> Result<NodeId, FaultError> {
    wait::until(ROLE_LIMIT, || cluster.leader())
        .await
        .map(|leader| leader.node)
        .ok_or_else(|| FaultError::NoTarget(format!("no node led for {} s", ROLE_LIMIT.as_secs())))
}

async fn holder(
    field: &Field,
    key: Option<&str>,
    occasion: Option<&Belief>,
    clock: RunClock,
    dice: &mut Dice,
) -> Result<Belief, FaultError> {
    if let Some(belief) = occasion {
        return Ok(belief.clone());
    }
    let held = || ready(Some(field.holders.at(clock.now(), key)).filter(|beliefs| !beliefs.is_empty()));
    let mut beliefs = wait::until(ROLE_LIMIT, held)
        .await
        .ok_or_else(|| FaultError::NoTarget(format!("nobody held a lock for {} s", ROLE_LIMIT.as_secs())))?;
    Ok(beliefs.swap_remove(dice.index(beliefs.len())))
}

/// All of the nodes, in any order.
pub(super) fn shuffled(nodes: &[NodeId], dice: &mut Dice) -> Vec<NodeId> {
    let mut rest = nodes.to_vec();
    (0..nodes.len()).map(|_| rest.swap_remove(dice.index(rest.len()))).collect()
}

/// So many of the nodes, each with the same chance.
fn pick(nodes: &[NodeId], count: usize, dice: &mut Dice) -> Vec<NodeId> {
    let mut picked = shuffled(nodes, dice);
    picked.truncate(count);
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

    #[test]
    fn a_target_is_called_by_the_word_that_it_is_read_from() {
        let words = ["n7", "holder:jobs/1", "holder-node:jobs/1"];
        for word in TARGET_WORDS.into_iter().chain(CLIENT_WORDS).chain(words) {
            assert_eq!(word.parse::<Target>().map(|target| target.to_string()), Ok(word.to_owned()));
        }
        for wrong in ["", "holders", "leader:jobs/1", "n0"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}
