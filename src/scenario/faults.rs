//! The faults that a scenario can ask for.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::NodeId;

/// One kind of fault with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The wall clock of a process is moved by this much, and back at the end.
    Clock {
        /// By how much, in milliseconds; negative for back.
        offset_ms: i64,
    },
    /// The leadership moves to another node.
    Election {
        /// By what means.
        how: ElectionMeans,
    },
    /// A process stops, and goes on at the end.
    Pause,
    /// A process is killed, and started again at the end.
    Kill,
    /// Packets between nodes are dropped until the end.
    Partition {
        /// Which.
        shape: PartitionShape,
    },
}

impl Fault {
    /// The package's name in scenarios and histories.
    #[must_use]
    pub fn package(&self) -> &'static str {
        match self {
            Self::Clock { .. } => "clock",
            Self::Election { .. } => "election",
            Self::Pause => "pause",
            Self::Kill => "kill",
            Self::Partition { .. } => "partition",
        }
    }

    /// Whether it is over as soon as it is done.
    #[must_use]
    pub fn is_instant(&self) -> bool {
        match self {
            Self::Election { .. } => true,
            Self::Clock { .. } | Self::Pause | Self::Kill | Self::Partition { .. } => false,
        }
    }
}

/// How an election is brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ElectionMeans {
    /// The leader hands over, asked by its own interface.
    MoveLeader,
    /// The leader is stopped until another leads.
    Pause,
    /// The leader is cut off until another leads.
    Cut,
}

impl ElectionMeans {
    /// Its word in scenarios.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::MoveLeader => "move-leader",
            Self::Pause => "pause",
            Self::Cut => "cut",
        }
    }
}

/// Which packets a partition drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionShape {
    /// All between the target and the other nodes. Clients still reach it.
    Isolate,
    /// All between two halves of the cluster; the target is in the smaller one.
    Halves,
    /// Those from the target to the other nodes, not those back.
    OneWay,
}

impl PartitionShape {
    /// Its word in scenarios.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Isolate => "isolate",
            Self::Halves => "halves",
            Self::OneWay => "one-way",
        }
    }
}

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

/// A fault with its target and its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// What.
    pub fault: Fault,
    /// Where.
    pub target: Target,
    /// When first, since the start of the run.
    pub at: Duration,
    /// For how long each time.
    pub lasts: Duration,
    /// How many times.
    pub times: u32,
    /// From one beginning to the next.
    pub every: Duration,
    /// Each beginning is put off by less than this, by the run's dice.
    pub jitter: Duration,
}
