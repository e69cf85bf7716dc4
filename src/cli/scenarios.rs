//! `leasehold scenarios`.

use clap::Args;
use leasehold_workloads::scenarios::ALL;

use super::terminal::say;
use super::{Exit, Failure, OrExit};
use crate::scenario::Scenario;

/// What to list.
#[derive(Debug, Args)]
pub(super) struct ScenariosArguments {
    /// Print the text of this scenario, to be used as the beginning of your own.
    name: Option<String>,
}

pub(super) fn scenarios(arguments: &ScenariosArguments) -> Result<Exit, Failure> {
    match &arguments.name {
        Some(name) => say(&Scenario::load(name).or_exit(Exit::Usage)?.text)?,
        None => say(&listing()?)?,
    }
    Ok(Exit::Valid)
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
