//! `leasehold scenarios`.

use clap::Args;
use leasehold_workloads::scenarios::ALL;
use serde_json::{Value, json};

use super::terminal::{lines, say};
use super::{Exit, Failure, OrExit};
use crate::scenario::{Scenario, ScenarioError, Service, WorkloadKind};

/// What to list.
#[derive(Debug, Args)]
pub(super) struct ScenariosArguments {
    /// The scenario to print; without it all are listed.
    name: Option<String>,
    /// Print one JSON object on stdout: all scenarios, and what runs where.
    #[arg(long, conflicts_with = "name")]
    json: bool,
}

pub(super) fn scenarios(arguments: &ScenariosArguments) -> Result<Exit, Failure> {
    match &arguments.name {
        Some(name) => say(&load(name)?.text)?,
        None if arguments.json => say(&format!("{}\n", in_json(&all()?)))?,
        None => say(&listing(&all()?))?,
    }
    Ok(Exit::Valid)
}

/// The scenario of this name or in this file. A wrong name is wrong usage; what is wrong with a file is bad input.
pub(super) fn load(name_or_path: &str) -> Result<Scenario, Failure> {
    Scenario::load(name_or_path).map_err(|error| {
        let exit = match &error {
            ScenarioError::Unknown { .. } | ScenarioError::NoSuchNode { .. } | ScenarioError::TopologyGiven { .. } => {
                Exit::Usage
            }
            ScenarioError::Unreadable { .. } | ScenarioError::Wrong { .. } => Exit::BadInput,
        };
        Failure::new(exit, error)
    })
}

/// All that come with the program.
fn all() -> Result<Vec<Scenario>, Failure> {
    ALL.iter().map(|named| Scenario::load(named.name)).collect::<Result<_, _>>().or_exit(Exit::Internal)
}

/// All of them, by service; of each service first those in which nothing is broken, the controls among them.
fn listing(scenarios: &[Scenario]) -> String {
    let mut groups: Vec<(String, String)> = Vec::new();
    for is_calm in [true, false] {
        for scenario in scenarios.iter().filter(|scenario| scenario.is_calm() == is_calm) {
            let what = if is_calm { "nothing is broken" } else { "with faults" };
            let heading = format!("{}, {what}", scenario.service.name());
            let entry = entry(scenario);
            match groups.iter_mut().find(|(known, _)| *known == heading) {
                Some((_, entries)) => entries.push_str(&entry),
                None => groups.push((heading, entry)),
            }
        }
    }
    groups.sort();
    let mut text: String = groups.iter().map(|(heading, entries)| format!("{heading}\n{entries}\n")).collect();
    text.push_str(&grid(scenarios));
    text.push_str("\n`leasehold run NAME` runs one; `leasehold scenarios NAME` prints its text.\n");
    text
}

/// Which workload runs on which service, and which scenarios show it there; or why it does not.
fn grid(scenarios: &[Scenario]) -> String {
    const KIND: usize = 13;
    const SERVICE: usize = 11;
    const NAMES: usize = 90;
    let mut text = "what runs where, and what shows it\n\n".to_owned();
    for kind in WorkloadKind::ALL {
        let mut label = kind.name();
        for service in Service::ALL {
            let names: Vec<&str> = showing(scenarios, kind, service).collect();
            let cell = match kind.why_not_on(service) {
                Some(reason) => format!("no: {reason}"),
                None if names.is_empty() => "yes, in a scenario of your own".to_owned(),
                None => names.join(", "),
            };
            for (line, service) in
                lines(&cell, NAMES).iter().zip([service.name()].into_iter().chain(std::iter::repeat("")))
            {
                text.push_str(&format!("{label:KIND$}{service:SERVICE$}{line}\n"));
                label = "";
            }
        }
    }
    text
}

/// The scenarios of this workload on this service.
fn showing(scenarios: &[Scenario], kind: WorkloadKind, service: Service) -> impl Iterator<Item = &str> {
    let of_both = move |scenario: &&Scenario| scenario.service == service && scenario.workload.name() == kind.name();
    scenarios.iter().filter(of_both).map(|scenario| scenario.name.as_str())
}

/// The same for programs: all scenarios, and for each workload and service which of them show it.
fn in_json(scenarios: &[Scenario]) -> Value {
    let all: Vec<Value> = scenarios
        .iter()
        .map(|scenario| {
            json!({
                "name": scenario.name,
                "summary": scenario.summary,
                "service": scenario.service.name(),
                "servers": scenario.servers.to_string(),
                "nodes": scenario.nodes,
                "seconds": scenario.duration.as_secs(),
                "workload": scenario.workload.name(),
                "faults": packages(scenario),
            })
        })
        .collect();
    let mut grid = Vec::new();
    for kind in WorkloadKind::ALL {
        for service in Service::ALL {
            let why_not = kind.why_not_on(service);
            let names: Vec<&str> = showing(scenarios, kind, service).collect();
            grid.push(json!({
                "workload": kind.name(),
                "service": service.name(),
                "runs": why_not.is_none(),
                "why_not": why_not,
                "scenarios": names,
            }));
        }
    }
    json!({ "scenarios": all, "grid": grid })
}

/// Its name, what it takes and what is done to the servers, and below what it shows.
fn entry(scenario: &Scenario) -> String {
    const NAME: usize = 34;
    const SUMMARY: usize = 100;
    let packages = packages(scenario);
    let faults = if packages.is_empty() { String::new() } else { format!("; {}", packages.join(", ")) };
    let mut text = format!(
        "  {:NAME$} {:>2} s, {} × {}, {}{faults}\n",
        scenario.name,
        scenario.duration.as_secs(),
        scenario.nodes,
        scenario.servers,
        scenario.workload.name(),
    );
    for line in lines(&scenario.summary, SUMMARY) {
        text.push_str(&format!("      {line}\n"));
    }
    text
}

/// The kinds of its faults, each once.
fn packages(scenario: &Scenario) -> Vec<&'static str> {
    let mut packages: Vec<&str> = Vec::new();
    for plan in &scenario.faults {
        let name = plan.fault.package().name;
        if !packages.contains(&name) {
            packages.push(name);
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_workload_that_a_service_offers_is_shown_there_by_a_scenario_or_named_as_free_to_use() {
        let scenarios = all().unwrap_or_else(|_| panic!("they come with the program"));
        let grid = in_json(&scenarios);
        let cells = grid["grid"].as_array().expect("a list");
        assert_eq!(cells.len(), WorkloadKind::ALL.len() * Service::ALL.len());
        let shown: usize = cells.iter().map(|cell| cell["scenarios"].as_array().expect("a list").len()).sum();
        assert_eq!(shown, scenarios.len());
        for cell in cells {
            assert_eq!(cell["runs"], cell["why_not"].is_null(), "{cell}");
            assert!(cell["runs"] == true || cell["scenarios"] == json!([]), "{cell}");
        }
        let text = super::grid(&scenarios);
        assert!(text.contains("semaphore    etcd-v2    no: the v2 API has no recipe for one\n"), "{text}");
        assert!(text.contains("consul     consul-semaphore-calm, consul-semaphore-leader-change\n"), "{text}");
    }
}
