//! Drops packets between nodes, per directed link.

use std::future::ready;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::NodeId;
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, Setting, parse};
use crate::nemesis::{Aim, Field, wait};
use crate::sandbox::{Layer, LinkRule, Side};

pub(super) static PACKAGE: Package = Package {
    name: "partition",
    does: "drops packets between nodes; clients still reach every node",
    settings: &[Setting { name: "shape", says: "`isolate`, `halves` or `one-way`" }],
    proof: "packets dropped on the links that were cut, by the switch's own count",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[],
    colour: 0x00_80_7a,
    parse: parse::<Partition>,
};

/// Nodes send heartbeats many times a second, so a cut link drops its first packet well within this time.
const BITE_LIMIT: Duration = Duration::from_secs(3);

/// Packets between nodes are dropped until the end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::nemesis) struct Partition {
    pub(in crate::nemesis) shape: Shape,
}

/// Which packets a partition drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::nemesis) enum Shape {
    /// All between the target and the other nodes. Clients still reach it.
    Isolate,
    /// All between two halves of the cluster; the target is in the smaller one.
    Halves,
    /// Those from the target to the other nodes, not those back.
    OneWay,
}

impl Shape {
    fn word(self) -> &'static str {
        match self {
            Self::Isolate => "isolate",
            Self::Halves => "halves",
            Self::OneWay => "one-way",
        }
    }
}

impl Fault for Partition {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        format!("partition ({})", self.shape.word())
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        let links = links(self.shape, &aim.nodes, &field.cluster.nodes());
        let links = links.into_iter().map(|(from, to)| (from.into(), to.into())).collect();
        Box::new(Cut { field: field.clone(), links, layer: field.cluster.layer(), before: 0 })
    }
}

/// A directed link.
type Link = (NodeId, NodeId);

struct Cut {
    field: Field,
    links: Vec<(Side, Side)>,
    layer: Layer,
    before: u64,
}

#[async_trait]
impl Injection for Cut {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        if self.links.is_empty() {
            return Err(FaultError::NoTarget("there is no link to cut".to_owned()));
        }
        self.before = self.dropped_in_all();
        self.layer.lay(self.links.iter().map(|&(from, to)| (from, to, LinkRule::cut())));
        wait::until(BITE_LIMIT, || ready((self.dropped() > 0).then_some(())))
            .await
            .ok_or_else(|| FaultError::DidNotBite("no packet was sent on the links that were cut".to_owned()))?;
        Ok(json!({ "links_cut": names(&self.links), "dropped": self.dropped() }))
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let dropped = self.dropped();
        self.layer.lift();
        Ok(json!({ "links_healed": names(&self.links), "dropped": dropped }))
    }
}

impl Cut {
    fn dropped(&self) -> u64 {
        self.dropped_in_all() - self.before
    }

    fn dropped_in_all(&self) -> u64 {
        self.field.cluster.counters(&self.links).dropped
    }
}

/// The directed links that a shape cuts.
fn links(shape: Shape, targets: &[NodeId], all: &[NodeId]) -> Vec<Link> {
    let inside: Vec<NodeId> = match shape {
        Shape::Isolate | Shape::OneWay => targets.to_vec(),
        Shape::Halves => smaller_half(targets, all),
    };
    let outside = all.iter().copied().filter(|node| !inside.contains(node));
    outside
        .flat_map(|other| inside.iter().map(move |&node| (node, other)))
        .flat_map(|(node, other)| match shape {
            Shape::OneWay => vec![(node, other)],
            Shape::Isolate | Shape::Halves => vec![(node, other), (other, node)],
        })
        .collect()
}

/// The targets, filled up or cut down to just less than half of the nodes.
fn smaller_half(targets: &[NodeId], all: &[NodeId]) -> Vec<NodeId> {
    let others = all.iter().copied().filter(|node| !targets.contains(node));
    targets.iter().copied().chain(others).take(all.len() / 2).collect()
}

fn names(links: &[(Side, Side)]) -> Vec<String> {
    links.iter().map(|(from, to)| format!("{from} to {to}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(shape: Shape, targets: &[u8], nodes: u8) -> Vec<String> {
        let all: Vec<NodeId> = NodeId::first(nodes).collect();
        let targets: Vec<NodeId> = targets.iter().map(|&number| NodeId::new(number)).collect();
        let links: Vec<_> = links(shape, &targets, &all).iter().map(|&(from, to)| (from.into(), to.into())).collect();
        let mut names = names(&links);
        names.sort();
        names
    }

    #[test]
    fn isolation_cuts_both_directions_of_every_link_of_the_target() {
        assert_eq!(cut(Shape::Isolate, &[2], 3), ["n1 to n2", "n2 to n1", "n2 to n3", "n3 to n2"]);
    }

    #[test]
    fn one_way_cuts_what_the_target_sends() {
        assert_eq!(cut(Shape::OneWay, &[2], 3), ["n2 to n1", "n2 to n3"]);
    }

    #[test]
    fn halves_put_the_target_into_the_smaller_one() {
        assert_eq!(
            cut(Shape::Halves, &[4], 4),
            ["n1 to n2", "n1 to n3", "n2 to n1", "n2 to n4", "n3 to n1", "n3 to n4", "n4 to n2", "n4 to n3"]
        );
        assert_eq!(cut(Shape::Halves, &[2], 3), cut(Shape::Isolate, &[2], 3));
    }
}
