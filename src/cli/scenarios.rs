//! `leasehold scenarios`.

use clap::Args;
use leasehold_workloads::scenarios::ALL;

use super::terminal::{lines, say};
use super::{Exit, Failure, OrExit};
use crate::scenario::{Scenario, ScenarioError, Service, WorkloadKind};

/// What to list.
#[derive(Debug, Args)]
pub(super) struct ScenariosArguments {
    /// The scenario to print; without it all are listed.
    name: Option<String>,
}

pub(super) fn scenarios(arguments: &ScenariosArguments) -> Result<Exit, Failure> {
    match &arguments.name {
        Some(name) => say(&load(name)?.text)?,
        None => say(&listing()?)?,
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

/// All of them, by service; of each service first those in which nothing is broken, the controls among them.
fn listing() -> Result<String, Failure> {
    let scenarios: Vec<Scenario> =
        ALL.iter().map(|named| Scenario::load(named.name)).collect::<Result<_, _>>().or_exit(Exit::Internal)?;
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
    text.push_str(&grid());
    text.push_str("\n`leasehold run NAME` runs one; `leasehold scenarios NAME` prints its text.\n");
    Ok(text)
}

/// Which workload runs on which service.
fn grid() -> String {
    const KIND: usize = 14;
    const SERVICE: usize = 11;
    let services: String = Service::ALL.iter().map(|service| format!("{:SERVICE$}", service.name())).collect();
    let mut text = format!("{}\n", format!("{:KIND$}{services}", "workload").trim_end());
    for kind in WorkloadKind::ALL {
        let runs = |service: &Service| if kind.why_not_on(*service).is_none() { "yes" } else { "-" };
        let cells: String = Service::ALL.iter().map(|service| format!("{:SERVICE$}", runs(service))).collect();
        text.push_str(&format!("{}\n", format!("{:KIND$}{cells}", kind.name()).trim_end()));
    }
    text
}

/// Its name, what it takes and what is done to the servers, and below what it shows.
fn entry(scenario: &Scenario) -> String {
    const NAME: usize = 34;
    const SUMMARY: usize = 100;
    let mut packages: Vec<&str> = Vec::new();
    for plan in &scenario.faults {
        let name = plan.fault.package().name;
        if !packages.contains(&name) {
            packages.push(name);
        }
    }
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
