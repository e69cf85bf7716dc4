//! The data centres of a scenario.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::Source;
use crate::NodeId;
use crate::cluster::Topology;
use crate::scenario::ScenarioError;

/// Clients give an operation two seconds, and it may go to and fro several times.
const MAX_ROUND_TRIP_MS: u64 = 300;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopologyTable {
    dcs: BTreeMap<String, Spanned<Vec<String>>>,
    #[serde(default)]
    round_trips_ms: BTreeMap<String, Spanned<u64>>,
    clients: Option<Spanned<String>>,
}

/// Reads the table `[topology]` of a cluster of so many nodes.
pub(super) fn topology(
    source: &Source,
    table: Option<&Spanned<TopologyTable>>,
    nodes: u8,
) -> Result<Topology, ScenarioError> {
    let Some(table) = table else { return Ok(Topology::default()) };
    let (at, table) = (table.span(), table.get_ref());
    let mut dcs: BTreeMap<String, Vec<NodeId>> = BTreeMap::new();
    for (name, words) in &table.dcs {
        let wrong = |message: String| source.wrong(words.span(), message);
        if !is_a_name(name) {
            return Err(wrong(format!("`{name}` is no name of a data centre: use small letters and digits")));
        }
        for word in words.get_ref() {
            let node: NodeId = word.parse().map_err(|error: crate::node::NotANode| wrong(error.to_string()))?;
            if node.number() > nodes {
                return Err(wrong(format!("there is no node {node}: the cluster has {nodes}")));
            }
            if dcs.values().flatten().any(|&other| other == node) {
                return Err(wrong(format!("{node} stands in one data centre only")));
            }
            dcs.entry(name.clone()).or_default().push(node);
        }
    }
    if let Some(homeless) = NodeId::first(nodes).find(|node| !dcs.values().flatten().any(|other| other == node)) {
        return Err(source.wrong(at, format!("`dcs` says of no data centre that {homeless} stands there")));
    }
    let known = |name: &str| dcs.contains_key(name);
    let mut round_trips = BTreeMap::new();
    for (pair, millis) in &table.round_trips_ms {
        let wrong = |message: String| source.wrong(millis.span(), message);
        let (one, two) = pair
            .split_once('-')
            .filter(|&(one, two)| one != two && known(one) && known(two))
            .ok_or_else(|| wrong(format!("`{pair}` is no pair of data centres: it is written like `east-west`")))?;
        if *millis.get_ref() > MAX_ROUND_TRIP_MS {
            return Err(wrong(format!("a round trip takes at most {MAX_ROUND_TRIP_MS} ms")));
        }
        let pair = if one < two { (one, two) } else { (two, one) };
        if round_trips
            .insert((pair.0.to_owned(), pair.1.to_owned()), Duration::from_millis(*millis.get_ref()))
            .is_some()
        {
            return Err(wrong(format!("the round trip between `{one}` and `{two}` is said twice")));
        }
    }
    if let Some(clients) = table.clients.as_ref().filter(|clients| !known(clients.get_ref())) {
        return Err(
            source.wrong(clients.span(), format!("there is no data centre `{}` for clients", clients.get_ref()))
        );
    }
    Ok(Topology { dcs, round_trips, clients: table.clients.as_ref().map(|clients| clients.get_ref().clone()) })
}

fn is_a_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn parsed(topology: &str) -> Result<Topology, String> {
        let calm = Scenario::load("etcd-v3-calm").expect("it comes along").text;
        let text = format!("{calm}\n[topology]\n{topology}\n");
        Scenario::parse("x", "x", &text).map(|scenario| scenario.topology).map_err(|error| error.to_string())
    }

    #[test]
    fn data_centres_have_nodes_distances_and_perhaps_the_clients() {
        let text =
            "dcs = { east = ['n1', 'n2'], west = ['n3'] }\nround_trips_ms = { west-east = 80 }\nclients = 'east'";
        let topology = parsed(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(topology.nodes_of("west"), [NodeId::new(3)]);
        assert_eq!(topology.longest_round_trip(), Duration::from_millis(80));
        assert!(topology.round_trips.contains_key(&("east".to_owned(), "west".to_owned())));
        assert_eq!(topology.clients.as_deref(), Some("east"));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let dcs = "dcs = { east = ['n1', 'n2'], west = ['n3'] }";
        for (text, why) in [
            ("dcs = { east = ['n1', 'n2'] }".to_owned(), "n3 stands there"),
            ("dcs = { east = ['n1', 'n2', 'n3', 'n4'] }".to_owned(), "there is no node n4"),
            ("dcs = { east = ['n1', 'n2'], west = ['n2', 'n3'] }".to_owned(), "one data centre only"),
            ("dcs = { East = ['n1', 'n2', 'n3'] }".to_owned(), "no name of a data centre"),
            (format!("{dcs}\nround_trips_ms = {{ east-north = 5 }}"), "no pair of data centres"),
            (format!("{dcs}\nround_trips_ms = {{ east-west = 5, west-east = 5 }}"), "said twice"),
            (format!("{dcs}\nround_trips_ms = {{ east-west = 5000 }}"), "at most 300 ms"),
            (format!("{dcs}\nclients = 'north'"), "no data centre `north`"),
        ] {
            let error = parsed(&text).expect_err(&text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
