//! `leasehold scenarios`.

use clap::Args;
use leasehold_workloads::scenarios::ALL;

use super::terminal::say;
use super::{Exit, Failure, OrExit};
use crate::scenario::{Scenario, ScenarioError};

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

fn listing() -> Result<String, Failure> {
    let width = ALL.iter().map(|named| named.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for named in ALL {
        let scenario = Scenario::load(named.name).or_exit(Exit::Internal)?;
        text.push_str(&format!("{:width$}  {}\n", scenario.name, scenario.summary));
        text.push_str(&format!(
            "{:width$}  {} nodes of {}, {} s of {}\n",
            "",
            scenario.nodes,
            scenario.servers,
            scenario.duration.as_secs(),
            scenario.workload.name()
        ));
    }
    text.push_str("\n`leasehold run NAME` runs one; `leasehold scenarios NAME` prints its text.\n");
    Ok(text)
}
