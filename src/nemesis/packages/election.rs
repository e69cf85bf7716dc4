//! Moves the leadership to another node.

mod back;

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::partition::Partition;
use super::pause::Pause;
use crate::NodeId;
use crate::cluster::{Cluster, Leader};
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, Setting, parse};
use crate::nemesis::{Aim, Field, wait};
use crate::servers::Ability;
use back::Back;

pub(super) static PACKAGE: Package = Package {
    name: "election",
    does: "makes another node lead: the leader hands over, or is paused or cut off until another leads; or has the one lead \
           again that led before",
    settings: &[Setting { name: "how", says: "`move-leader`, `pause`, `cut` or `back`" }],
    proof: "another leader in a later term, as a majority of the nodes tells",
    aims: Aims::AtLeader,
    course: Course::Instant,
    needs: &[],
    colour: 0x6b_7a_00,
    parse: parse::<Election>,
};

/// How long the others may take to elect a leader.
const LIMIT: Duration = Duration::from_secs(15);

/// The leadership moves to another node.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Election {
    how: Means,
}

/// How an election is brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Means {
    /// The leader hands over, asked by its own interface.
    MoveLeader,
    /// The leader is stopped until another leads.
    Pause,
    /// The leader is cut off until another leads.
    Cut,
    /// The one leads again that led before, asked or by force.
    Back,
}

impl Means {
    fn word(self) -> &'static str {
        match self {
            Self::MoveLeader => "move-leader",
            Self::Pause => "pause",
            Self::Cut => "cut",
            Self::Back => "back",
        }
    }
}

impl Fault for Election {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        format!("election ({})", self.how.word())
    }

    fn asks(&self) -> Option<Ability> {
        match self.how {
            Means::MoveLeader => Some(Ability::HandOver),
            Means::Back => Some(Ability::LeadAgain),
            Means::Pause | Means::Cut => None,
        }
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        let burden: Option<Box<dyn Injection>> = match self.how {
            Means::Back => return Box::new(Back::new(field)),
            Means::MoveLeader => None,
            Means::Pause => Some(Pause {}.aimed(field, aim.clone())),
            Means::Cut => Some(Partition::isolation().aimed(field, aim.clone())),
        };
        Box::new(Moving { field: field.clone(), leaders: aim.nodes, burden })
    }
}

struct Moving {
    field: Field,
    leaders: Vec<NodeId>,
    /// The fault that the leader suffers until another leads; without one it is asked.
    burden: Option<Box<dyn Injection>>,
}

#[async_trait]
impl Injection for Moving {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        let [old] = self.leaders[..] else {
            return Err(FaultError::NoTarget("an election needs one leader".to_owned()));
        };
        let before = wait::until(LIMIT, || cluster.leader())
            .await
            .ok_or_else(|| FaultError::NoTarget("no node leads".to_owned()))?;
        let after = match &mut self.burden {
            None => {
                let next = successor(old, &cluster.nodes())
                    .ok_or_else(|| FaultError::NoTarget("a cluster of one has no other leader".to_owned()))?;
                cluster.move_leader(next).await?;
                new_leader(cluster, before).await
            }
            Some(burden) => {
                // What it does is proven by the election.
                let burdened = burden.inject().await;
                let after = new_leader(cluster, before).await;
                burden.heal().await?;
                burdened?;
                after
            }
        };
        let after = after.ok_or_else(|| FaultError::DidNotBite(format!("{old} still leads")))?;
        Ok(proof(before, after))
    }

    /// An election is over once another node leads; there is nothing to take back.
    async fn heal(&mut self) -> Result<Value, FaultError> {
        Ok(Value::Null)
    }
}

fn proof(before: Leader, after: Leader) -> Value {
    json!({
        "before": { "leader": before.node.to_string(), "term": before.term },
        "after": { "leader": after.node.to_string(), "term": after.term },
    })
}

async fn new_leader(cluster: &Cluster, before: Leader) -> Option<Leader> {
    let changed = |leader: &Leader| leader.node != before.node && leader.term > before.term;
    wait::until(LIMIT, || async { cluster.leader().await.filter(changed) }).await
}

/// The next node in turn.
fn successor(old: NodeId, all: &[NodeId]) -> Option<NodeId> {
    let place = all.iter().position(|&node| node == old)?;
    all.iter().copied().cycle().skip(place + 1).take(all.len() - 1).next()
}
