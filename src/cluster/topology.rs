//! Which node stands in which data centre, and how far these are apart.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::NodeId;
use crate::sandbox::{LinkRule, Side};

/// Which node stands in which data centre, and how far these are apart. The default is one place without distances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The nodes of each data centre.
    pub dcs: BTreeMap<String, Vec<NodeId>>,
    /// What a packet and its answer take between two data centres, besides the machine's own time; nothing where it is not
    /// said. The names stand in the order of the alphabet.
    pub round_trips: BTreeMap<(String, String), Duration>,
    /// The data centre of the clients; without one they are equally near to all.
    pub clients: Option<String>,
}

impl Topology {
    /// The nodes of the data centre of this name; none where there is none.
    #[must_use]
    pub fn nodes_of(&self, dc: &str) -> &[NodeId] {
        self.dcs.get(dc).map_or(&[], Vec::as_slice)
    }

    /// The longest way there and back between two data centres.
    #[must_use]
    pub fn longest_round_trip(&self) -> Duration {
        self.round_trips.values().max().copied().unwrap_or_default()
    }

    /// What the distances ask of the links: half of the round trip each way.
    pub(super) fn rules(&self) -> Vec<(Side, Side, LinkRule)> {
        let mut rules = Vec::new();
        for ((one, two), round_trip) in &self.round_trips {
            for from in self.sides_in(one) {
                for to in self.sides_in(two) {
                    let rule = LinkRule::delayed(*round_trip / 2);
                    rules.extend([(from, to, rule.clone()), (to, from, rule)]);
                }
            }
        }
        rules
    }

    fn sides_in(&self, dc: &str) -> Vec<Side> {
        let clients = self.clients.iter().filter(|&clients| clients == dc).map(|_| Side::Workers);
        self.nodes_of(dc).iter().map(|&node| node.into()).chain(clients).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_lie_between_data_centres_and_between_clients_and_the_others() {
        let node = NodeId::new;
        let topology = Topology {
            dcs: [("east".to_owned(), vec![node(1), node(2)]), ("west".to_owned(), vec![node(3)])].into(),
            round_trips: [(("east".to_owned(), "west".to_owned()), Duration::from_millis(80))].into(),
            clients: Some("east".to_owned()),
        };
        let rules = topology.rules();
        let mut names: Vec<String> = rules.iter().map(|(from, to, _)| format!("{from} {to}")).collect();
        names.sort();
        assert_eq!(names, ["clients n3", "n1 n3", "n2 n3", "n3 clients", "n3 n1", "n3 n2"]);
        assert!(rules.iter().all(|(.., rule)| *rule == LinkRule::delayed(Duration::from_millis(40))));
        assert_eq!(topology.longest_round_trip(), Duration::from_millis(80));
        assert!(Topology::default().rules().is_empty());
    }
}
