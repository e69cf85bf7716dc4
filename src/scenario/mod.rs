//! What to run: a TOML file turned into a typed [`Scenario`], or into an error that names the line.

mod error;
mod file;
mod kinds;
mod service;

use std::path::Path;
use std::time::Duration;

use leasehold_workloads::{Workload, scenarios};

use crate::NodeId;
use crate::clients::ClientSettings;
use crate::cluster::Topology;
use crate::nemesis::{Begins, FaultPlan, Site, Target};
use crate::servers::{ServerSettings, ServerSpec};

pub use error::{Place, ScenarioError};
pub use kinds::WorkloadKind;
pub use service::Service;

/// What to run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name: that of the file, without `.toml`.
    pub name: String,
    /// What it shows, in a sentence.
    pub summary: String,
    /// The service and the interface that the clients speak.
    pub service: Service,
    /// The servers, for example `etcd@3.4.23`.
    pub servers: ServerSpec,
    /// What the servers are told.
    pub settings: ServerSettings,
    /// What clients ask of the service in particular.
    pub clients: ClientSettings,
    /// Whether clients of ZooKeeper wait for locks by the client library's own recipe.
    pub library_lock: bool,
    /// How many servers.
    pub nodes: u8,
    /// How long the clients work before everything is healed and read once more.
    pub duration: Duration,
    /// How far each node's wall clock is from the machine's from its start on, in milliseconds; none for those after
    /// the last.
    pub clock_offsets_ms: Vec<i64>,
    /// Which node stands in which data centre.
    pub topology: Topology,
    /// What the clients do.
    pub workload: Workload,
    /// What the nemesis does.
    pub faults: Vec<FaultPlan>,
    /// Whether a split belief makes the run invalid.
    pub beliefs_must_exclude: bool,
    /// The text it was read from.
    pub text: String,
}

impl Scenario {
    /// The scenario of this name, or in the file at this path.
    ///
    /// # Errors
    /// If there is none, or if its text does not make a scenario.
    pub fn load(name_or_path: &str) -> Result<Self, ScenarioError> {
        if let Some(named) = scenarios::ALL.iter().find(|named| named.name == name_or_path) {
            return Self::parse(named.name, named.name, named.toml);
        }
        if !name_or_path.contains('/') && !name_or_path.ends_with(".toml") {
            return Err(ScenarioError::unknown(name_or_path));
        }
        let path = Path::new(name_or_path);
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Unreadable { path: path.to_owned(), source })?;
        let name = path.file_stem().map_or_else(|| "scenario".into(), std::ffi::OsStr::to_string_lossy);
        Self::parse(&name, name_or_path, &text)
    }

    /// A scenario of this name from its text; `origin` is what errors call the text.
    ///
    /// # Errors
    /// If the text does not make a scenario.
    pub fn parse(name: &str, origin: &str, text: &str) -> Result<Self, ScenarioError> {
        file::parse(name, origin, text)
    }

    /// The same scenario on so many nodes.
    ///
    /// # Errors
    /// If one of its faults aims at a node that is not among them, or if it says which node stands in which data centre.
    pub fn with_nodes(mut self, nodes: u8) -> Result<Self, ScenarioError> {
        if self.topology != Topology::default() && nodes != self.nodes {
            return Err(ScenarioError::TopologyGiven { scenario: self.name, nodes: self.nodes });
        }
        let missing = self.faults.iter().flat_map(named_nodes).find(|node| node.number() > nodes);
        if let Some(node) = missing {
            return Err(ScenarioError::NoSuchNode { scenario: self.name, node, nodes });
        }
        self.nodes = nodes;
        if let Workload::Canary(canary) = &mut self.workload {
            canary.nodes = usize::from(nodes);
        }
        Ok(self)
    }

    /// Whether nothing is done to the servers.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.faults.is_empty() && self.clock_offsets_ms.iter().all(|&offset_ms| offset_ms == 0)
    }

    /// The same scenario with nothing going wrong: its control.
    #[must_use]
    pub fn without_faults(mut self) -> Self {
        self.faults.clear();
        self.clock_offsets_ms.clear();
        self
    }
}

/// The nodes that a fault names by their numbers.
fn named_nodes(plan: &FaultPlan) -> Vec<NodeId> {
    let target = match plan.target {
        Target::Node(node) => Some(node),
        _ => None,
    };
    let condition = match plan.begins {
        Begins::When { condition, .. } => condition.node(),
        Begins::Every { .. } | Begins::Within { .. } => None,
    };
    let others = plan.fault.sites().into_iter().filter_map(|site| match site {
        Site::Node(node) => Some(node),
        Site::Dc(_) => None,
    });
    target.into_iter().chain(condition).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_that_comes_along_is_one() {
        for named in scenarios::ALL {
            let scenario = Scenario::load(named.name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(scenario.name, named.name);
            assert!(scenario.workload.workers() > 0);
        }
    }

    #[test]
    fn a_cluster_too_small_for_a_fault_is_refused() {
        let text = scenarios::ALL[0].toml.replace("target = \"leader\"", "target = \"n3\"");
        let scenario = || Scenario::parse("x", "x", &text).expect("it is one");
        assert!(scenario().with_nodes(3).is_ok());
        let error = scenario().with_nodes(2).expect_err("n3 is missing").to_string();
        assert!(error.contains("n3") && error.contains('2'), "{error}");
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        let error = Scenario::load("etcd-v2-early-expire").expect_err("there is none").to_string();
        assert!(error.contains("did you mean `etcd-v2-early-expiry`?"), "{error}");
    }
}
