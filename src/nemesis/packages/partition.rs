//! Drops packets between nodes, or between a client and the nodes, per directed link.

use serde::Deserialize;

use super::cut::{Cut, Link, between};
use crate::NodeId;
use crate::nemesis::package::{Aims, Course, Fault, Injection, Package, Setting, parse};
use crate::nemesis::targets::{Site, shuffled};
use crate::nemesis::{Aim, Field, Target};
use crate::sandbox::{LinkRule, Side};

pub(super) static PACKAGE: Package = Package {
    name: "partition",
    does: "drops packets between nodes, and clients still reach every node, if not said otherwise; or between one client \
           and the nodes",
    settings: &[
        Setting { name: "shape", says: "`isolate`, `one-way`, `deaf`, `halves`, `majority-ring` or `bridge`" },
        Setting {
            name: "from",
            says: "for `isolate`, `one-way` and `deaf`: the only ones cut off from, `nK` or `dc:NAME`",
        },
        Setting { name: "clients", says: "`true` cuts the clients off from the target, too" },
    ],
    proof: "packets dropped on the links that were cut, by the switch's own count",
    aims: Aims::AtTargetOrClient,
    course: Course::Lasts,
    needs: &[],
    colour: 0x00_80_7a,
    parse: parse::<Partition>,
};

/// Packets between nodes are dropped until the end.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Settings")]
pub(in crate::nemesis) struct Partition {
    shape: Shape,
    from: Option<Site>,
    clients: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    shape: Shape,
    from: Option<Site>,
    #[serde(default)]
    clients: bool,
}

impl TryFrom<Settings> for Partition {
    type Error = String;

    fn try_from(Settings { shape, from, clients }: Settings) -> Result<Self, String> {
        if from.is_some() && !shape.is_around_the_target() {
            return Err(format!("`from` is no setting of the shape `{}`", shape.word()));
        }
        Ok(Self { shape, from, clients })
    }
}

/// Which packets a partition drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Shape {
    /// All between the target and the other nodes.
    Isolate,
    /// Those from the target to the other nodes, not those back.
    OneWay,
    /// Those from the other nodes to the target, not those back.
    Deaf,
    /// All between two halves of the cluster; the target is in the smaller one.
    Halves,
    /// Each node hears a majority, and no two the same: the nodes stand in a ring, and each hears its neighbours only.
    MajorityRing,
    /// All between two halves of the cluster, but for the target, which stands between them and reaches both.
    Bridge,
}

impl Shape {
    fn word(self) -> &'static str {
        match self {
            Self::Isolate => "isolate",
            Self::OneWay => "one-way",
            Self::Deaf => "deaf",
            Self::Halves => "halves",
            Self::MajorityRing => "majority-ring",
            Self::Bridge => "bridge",
        }
    }

    /// Whether it is about the links of the target, and not about how the nodes hang together.
    fn is_around_the_target(self) -> bool {
        matches!(self, Self::Isolate | Self::OneWay | Self::Deaf)
    }
}

impl Partition {
    /// The target and all other nodes are cut off from each other.
    pub(super) fn isolation() -> Self {
        Self { shape: Shape::Isolate, from: None, clients: false }
    }

    /// The directed links that it cuts. `ring` is all nodes, by the run's dice.
    fn links(&self, aim: &Aim, from: Option<&[NodeId]>, ring: &[NodeId]) -> Vec<Link> {
        let inside = match self.shape {
            Shape::Halves => sides(&smaller_half(&aim.nodes, ring)),
            _ => aim.sides(),
        };
        let mut outside = sides(from.unwrap_or(ring));
        outside.retain(|side| !inside.contains(side));
        let mut links = match self.shape {
            Shape::MajorityRing => unheard_in(ring),
            Shape::Bridge => {
                let (left, right) = outside.split_at(outside.len() / 2);
                between(left, right)
            }
            Shape::Isolate | Shape::OneWay | Shape::Deaf | Shape::Halves => between(&inside, &outside),
        };
        if self.clients {
            links.extend(between(&inside, &[Side::Workers]));
        }
        match self.shape {
            Shape::OneWay => links.retain(|(from, _)| inside.contains(from)),
            Shape::Deaf => links.retain(|(_, to)| inside.contains(to)),
            _ => {}
        }
        links
    }
}

impl Fault for Partition {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        let from = self.from.as_ref().map(|site| format!(" from {site}")).unwrap_or_default();
        let clients = if self.clients { ", clients too" } else { "" };
        format!("partition ({}{from}{clients})", self.shape.word())
    }

    fn sites(&self) -> Vec<Site> {
        self.from.clone().into_iter().collect()
    }

    fn takes(&self, target: &Target) -> Result<(), String> {
        if target.is_client() && !self.shape.is_around_the_target() {
            return Err(format!("the shape `{}` is about nodes, and `{target}` is a client", self.shape.word()));
        }
        if target.is_client() && self.clients {
            return Err(format!("`clients` is about nodes, and `{target}` is a client"));
        }
        Ok(())
    }

    fn leaves_servers_alone(&self, target: &Target) -> bool {
        target.is_client()
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        let cluster = &field.cluster;
        let from = self.from.as_ref().map(|site| site.nodes(cluster));
        let ring = shuffled(&cluster.nodes(), &mut aim.dice());
        let links = self.links(&aim, from.as_deref(), &ring);
        Box::new(Cut::new(field, links, LinkRule::cut()))
    }
}

fn sides(nodes: &[NodeId]) -> Vec<Side> {
    nodes.iter().map(|&node| node.into()).collect()
}

/// The targets, filled up or cut down to just less than half of the nodes.
fn smaller_half(targets: &[NodeId], all: &[NodeId]) -> Vec<NodeId> {
    let others = all.iter().copied().filter(|node| !targets.contains(node));
    targets.iter().copied().chain(others).take(all.len() / 2).collect()
}

/// The links of a ring over which a node does not hear another: all but those from its neighbours, as near as a majority
/// that has the node in its middle.
fn unheard_in(ring: &[NodeId]) -> Vec<Link> {
    let (count, majority) = (ring.len(), ring.len() / 2 + 1);
    let mut links = Vec::new();
    for (place, &node) in ring.iter().enumerate() {
        let first = place + count - majority / 2;
        let heard: Vec<NodeId> = (first..first + majority).map(|place| ring[place % count]).collect();
        links.extend(ring.iter().filter(|other| !heard.contains(other)).map(|&other| (other.into(), node.into())));
    }
    links
}

#[cfg(test)]
mod tests {
    use super::super::cut::names;
    use super::*;
    use crate::nemesis::AimedClient;
    use crate::run::WorkerId;

    fn cut(settings: &str, targets: &[u8], from: Option<&[u8]>, nodes: u8) -> Vec<String> {
        let partition: Partition = toml::from_str(settings).expect("settings");
        let nodes_of = |numbers: &[u8]| numbers.iter().map(|&number| NodeId::new(number)).collect::<Vec<_>>();
        let ring: Vec<NodeId> = NodeId::first(nodes).collect();
        let aim = Aim::at_nodes(nodes_of(targets));
        let mut names = names(&partition.links(&aim, from.map(nodes_of).as_deref(), &ring));
        names.sort();
        names
    }

    #[test]
    fn isolation_cuts_both_directions_of_every_link_of_the_target() {
        assert_eq!(cut("shape = 'isolate'", &[2], None, 3), ["n1 to n2", "n2 to n1", "n2 to n3", "n3 to n2"]);
    }

    #[test]
    fn a_target_may_be_cut_off_from_some_only() {
        assert_eq!(
            cut("shape = 'isolate'\nfrom = 'dc:west'", &[1, 2], Some(&[5]), 5),
            ["n1 to n5", "n2 to n5", "n5 to n1", "n5 to n2"]
        );
        assert_eq!(cut("shape = 'one-way'\nfrom = 'n3'", &[1], Some(&[3]), 3), ["n1 to n3"]);
        let error = toml::from_str::<Partition>("shape = 'halves'\nfrom = 'n3'").expect_err("it has none");
        assert!(error.to_string().contains("`from` is no setting of the shape `halves`"), "{error}");
    }

    #[test]
    fn clients_are_cut_off_where_that_is_asked_for() {
        assert_eq!(
            cut("shape = 'isolate'\nclients = true", &[2], None, 2),
            ["clients to n2", "n1 to n2", "n2 to clients", "n2 to n1"]
        );
        assert_eq!(cut("shape = 'one-way'\nclients = true", &[2], None, 2), ["n2 to clients", "n2 to n1"]);
    }

    #[test]
    fn one_way_cuts_what_the_target_sends() {
        assert_eq!(cut("shape = 'one-way'", &[2], None, 3), ["n2 to n1", "n2 to n3"]);
    }

    #[test]
    fn the_deaf_are_not_heard_from_and_still_speak() {
        assert_eq!(cut("shape = 'deaf'", &[2], None, 3), ["n1 to n2", "n3 to n2"]);
        assert_eq!(cut("shape = 'deaf'\nclients = true", &[2], None, 2), ["clients to n2", "n1 to n2"]);
    }

    #[test]
    fn a_client_is_cut_off_from_the_nodes_and_nobody_else() {
        let client = AimedClient { worker: WorkerId(4), process: 11 };
        let aim = Aim { clients: vec![client], ..Aim::default() };
        let nodes: Vec<NodeId> = NodeId::first(2).collect();
        let cut = |settings: &str| {
            let partition: Partition = toml::from_str(settings).expect("settings");
            partition.takes(&Target::Holder(None)).map(|()| names(&partition.links(&aim, None, &nodes)))
        };
        assert_eq!(cut("shape = 'one-way'"), Ok(vec!["w4 to n1".to_owned(), "w4 to n2".to_owned()]));
        assert_eq!(cut("shape = 'deaf'"), Ok(vec!["n1 to w4".to_owned(), "n2 to w4".to_owned()]));
        assert_eq!(cut("shape = 'isolate'").map(|links| links.len()), Ok(4));
        for wrong in ["shape = 'halves'", "shape = 'bridge'", "shape = 'isolate'\nclients = true"] {
            assert!(cut(wrong).is_err_and(|error| error.contains("`holder` is a client")), "{wrong}");
        }
    }

    #[test]
    fn halves_put_the_target_into_the_smaller_one() {
        assert_eq!(
            cut("shape = 'halves'", &[4], None, 4),
            ["n1 to n2", "n1 to n3", "n2 to n1", "n2 to n4", "n3 to n1", "n3 to n4", "n4 to n2", "n4 to n3"]
        );
        assert_eq!(cut("shape = 'halves'", &[2], None, 3), cut("shape = 'isolate'", &[2], None, 3));
    }

    #[test]
    fn a_bridge_reaches_both_halves_that_do_not_reach_each_other() {
        assert_eq!(cut("shape = 'bridge'", &[2], None, 3), ["n1 to n3", "n3 to n1"]);
        let five = cut("shape = 'bridge'", &[3], None, 5);
        assert_eq!(five.len(), 8);
        assert!(five.iter().all(|link| !link.contains("n3")), "{five:?}");
    }

    #[test]
    fn in_a_ring_each_hears_a_majority_and_no_two_the_same() {
        for (nodes, heard_by_each) in [(3, 2), (4, 3), (5, 3), (7, 4)] {
            let cut = cut("shape = 'majority-ring'", &[1], None, nodes);
            let heard = |node: u8| -> Vec<u8> {
                (1..=nodes).filter(|other| !cut.contains(&format!("n{other} to n{node}"))).collect()
            };
            let mut majorities: Vec<_> = (1..=nodes).map(heard).collect();
            assert!(majorities.iter().all(|majority| majority.len() == heard_by_each), "{majorities:?}");
            majorities.sort();
            majorities.dedup();
            assert_eq!(majorities.len(), usize::from(nodes));
        }
        assert_eq!(cut("shape = 'majority-ring'", &[1], None, 5).len(), 10);
    }
}
