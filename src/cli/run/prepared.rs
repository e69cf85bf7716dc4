//! What is settled before a run.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use super::super::replay::Original;
use super::super::{Exit, Failure, OrExit};
use super::RunArguments;
use crate::nemesis::PlannedFault;
use crate::results::{RunFile, RunFolder};
use crate::scenario::Scenario;

/// What is settled before a run.
pub(in crate::cli) struct Prepared {
    pub(in crate::cli) scenario: Scenario,
    /// The servers, for people.
    pub(in crate::cli) label: String,
    pub(in crate::cli) seed: u64,
    pub(super) schedule: Vec<PlannedFault>,
    pub(super) start: Timestamp,
    pub(in crate::cli) folder: RunFolder,
    pub(super) run_file: RunFile,
    /// The command that makes this run again.
    pub(super) command: Vec<String>,
    /// The run that this one replays.
    pub(super) original: Option<Original>,
    pub(super) json: bool,
}

impl Prepared {
    /// Makes the run's folder, and notes in it what is to be done.
    pub(super) fn new(
        arguments: &RunArguments,
        scenario: Scenario,
        label: String,
        seed: u64,
        schedule: Vec<PlannedFault>,
        start: Timestamp,
        command: Vec<String>,
    ) -> Result<Self, Failure> {
        let time = start.strftime("%Y%m%dT%H%M%SZ").to_string();
        let folder =
            RunFolder::create(arguments.out.as_deref(), &scenario.name, &time, seed).or_exit(Exit::Unavailable)?;
        let run_file = RunFile {
            leasehold: env!("CARGO_PKG_VERSION").to_owned(),
            command: std::env::args().collect(),
            scenario: scenario.name.clone(),
            servers: label.clone(),
            seed,
            seconds: Some(scenario.duration.as_secs()),
            start: start.to_string(),
            schedule: schedule.iter().map(ToString::to_string).collect(),
            ending: None,
        };
        run_file.write(&folder).or_exit(Exit::Unavailable)?;
        folder.write("scenario.toml", scenario.text.as_bytes()).or_exit(Exit::Unavailable)?;
        let json = arguments.json;
        Ok(Self { scenario, label, seed, schedule, start, folder, run_file, command, original: None, json })
    }
}

/// A seed that is short enough to be typed again.
pub(super) fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ (u64::from(std::process::id()) << 8)
}
