//! Drops packets between nodes, per directed link.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FaultError, Package, wait};
use crate::NodeId;
use crate::cluster::Cluster;
use crate::scenario::PartitionShape;

pub(super) const PACKAGE: Package = Package {
    name: "partition",
    does: "drops packets between nodes; clients still reach every node",
    settings: "shape (isolate, halves, one-way), target, lasts_ms",
    proof: "packets dropped on the links that were cut, by the switch's own count",
};

/// Nodes send heartbeats many times a second, so a cut link drops its first packet well within this time.
const BITE_LIMIT: Duration = Duration::from_secs(3);

/// A directed link.
type Link = (NodeId, NodeId);

pub(super) async fn inject(cluster: &Cluster, shape: PartitionShape, targets: &[NodeId]) -> Result<Value, FaultError> {
    let links = links(shape, targets, &cluster.nodes());
    if links.is_empty() {
        return Err(FaultError::NoTarget("there is no link to cut".to_owned()));
    }
    let before = dropped(cluster, &links);
    for &(from, to) in &links {
        cluster.cut(from, to);
    }
    wait::until(BITE_LIMIT, async || (dropped(cluster, &links) > before).then_some(()))
        .await
        .ok_or_else(|| FaultError::DidNotBite("no packet was sent on the links that were cut".to_owned()))?;
    Ok(json!({ "links_cut": names(&links), "dropped": dropped(cluster, &links) - before }))
}

pub(super) async fn heal(cluster: &Cluster, shape: PartitionShape, targets: &[NodeId]) -> Result<Value, FaultError> {
    let links = links(shape, targets, &cluster.nodes());
    let dropped = dropped(cluster, &links);
    for &(from, to) in &links {
        cluster.join(from, to);
    }
    Ok(json!({ "links_healed": names(&links), "dropped_in_all": dropped }))
}

/// The directed links that a shape cuts.
fn links(shape: PartitionShape, targets: &[NodeId], all: &[NodeId]) -> Vec<Link> {
    let inside: Vec<NodeId> = match shape {
        PartitionShape::Isolate | PartitionShape::OneWay => targets.to_vec(),
        PartitionShape::Halves => smaller_half(targets, all),
    };
    let outside = all.iter().copied().filter(|node| !inside.contains(node));
    outside
        .flat_map(|other| inside.iter().map(move |&node| (node, other)))
        .flat_map(|(node, other)| match shape {
            PartitionShape::OneWay => vec![(node, other)],
            PartitionShape::Isolate | PartitionShape::Halves => vec![(node, other), (other, node)],
        })
        .collect()
}

/// The targets, filled up or cut down to just less than half of the nodes.
fn smaller_half(targets: &[NodeId], all: &[NodeId]) -> Vec<NodeId> {
    let others = all.iter().copied().filter(|node| !targets.contains(node));
    targets.iter().copied().chain(others).take(all.len() / 2).collect()
}

fn dropped(cluster: &Cluster, links: &[Link]) -> u64 {
    links.iter().map(|&(from, to)| cluster.dropped(from, to)).sum()
}

fn names(links: &[Link]) -> Vec<String> {
    links.iter().map(|(from, to)| format!("{from} to {to}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(shape: PartitionShape, targets: &[u8], nodes: u8) -> Vec<String> {
        let all: Vec<NodeId> = NodeId::first(nodes).collect();
        let targets: Vec<NodeId> = targets.iter().map(|&number| NodeId::new(number)).collect();
        let mut names = names(&links(shape, &targets, &all));
        names.sort();
        names
    }

    #[test]
    fn isolation_cuts_both_directions_of_every_link_of_the_target() {
        assert_eq!(cut(PartitionShape::Isolate, &[2], 3), ["n1 to n2", "n2 to n1", "n2 to n3", "n3 to n2"]);
    }

    #[test]
    fn one_way_cuts_what_the_target_sends() {
        assert_eq!(cut(PartitionShape::OneWay, &[2], 3), ["n2 to n1", "n2 to n3"]);
    }

    #[test]
    fn halves_put_the_target_into_the_smaller_one() {
        assert_eq!(
            cut(PartitionShape::Halves, &[4], 4),
            ["n1 to n2", "n1 to n3", "n2 to n1", "n2 to n4", "n3 to n1", "n3 to n4", "n4 to n2", "n4 to n3"]
        );
        assert_eq!(cut(PartitionShape::Halves, &[2], 3), cut(PartitionShape::Isolate, &[2], 3));
    }
}
