//! `leasehold replay`.

mod differences;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser};
use leasehold_checkers::history::vocabulary::FaultPhase;
use leasehold_checkers::history::{EventType, History, Surroundings};

use super::poison::PoisonArguments;
use super::run::{self, RunArguments};
use super::{Exit, Failure, OrExit};
use crate::nemesis::{PlannedFault, replayed};
use crate::results::RunFolder;
use crate::scenario::Scenario;
use crate::servers::ServerSpec;

pub(super) use differences::Told;

pub(super) const EXAMPLES: &str = "\
Examples:
  leasehold replay results/latest                            the same faults on the same servers
  leasehold replay results/latest --servers etcd@3.5.30      the same faults on another version; of a run that was
                                                             attached to a cluster of your own, on servers of ours

Scenario, seed, nodes and length are those of the run. Faults that waited for a condition come at the times at which they
came then; who plays the role of a target is found out anew. The exit code is the verdict: see `leasehold --help`.";

/// What to do again.
#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    /// The folder of a run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Other servers than those of the run, for example `etcd@3.5.30` (`leasehold fetch` lists them).
    #[arg(long, value_name = "SERVICE@VERSION")]
    servers: Option<ServerSpec>,
    /// The folder for the record and report of the replay [default: results/SCENARIO/TIME-SEED].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the verdict as one JSON object instead of words.
    #[arg(long)]
    json: bool,
}

/// A run that is done again.
pub(super) struct Original {
    /// What it is called.
    name: String,
    /// When the faults that waited for a condition came, by their numbers: so long after the schedule began.
    came: BTreeMap<u64, Duration>,
    /// What is compared.
    told: Told,
}

impl Original {
    /// The schedule; where a run is done again, with what waits for a condition at the times at which it came then.
    pub(super) fn schedule_of(original: Option<&Self>, schedule: Vec<PlannedFault>) -> Vec<PlannedFault> {
        match original {
            None => schedule,
            Some(original) => replayed(schedule, &original.came),
        }
    }

    /// In what the replay differs from it.
    pub(super) fn differences(&self, now: &Told) -> Vec<String> {
        differences::between(&self.told, now)
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

pub(super) fn replay(arguments: &ReplayArguments) -> Result<Exit, Failure> {
    let path = RunFolder::history_in(&arguments.run);
    if !path.exists() {
        let text = format!("{} holds no run: there is no {}", arguments.run.display(), path.display());
        return Err(Failure::new(Exit::BadInput, text));
    }
    let history = History::read(&path).or_exit(Exit::BadInput)?;
    let mut command = command_of(&history)?;
    command.servers_from(arguments)?;
    let scenario = scenario_of(&arguments.run, &history)?;
    let original = Original {
        name: arguments.run.display().to_string(),
        came: came(&history),
        told: Told::of(&history, &leasehold_checkers::check(&history)),
    };
    run::run_scenario(&command, scenario, Some(original))
}

/// The arguments by which the run can be made again, as its record names them.
fn command_of(history: &History) -> Result<RunArguments, Failure> {
    #[derive(Parser)]
    #[command(no_binary_name = true)]
    struct Command {
        #[command(flatten)]
        run: RunArguments,
    }
    #[derive(Parser)]
    #[command(no_binary_name = true)]
    struct Poison {
        #[command(flatten)]
        poison: PoisonArguments,
    }
    let [program, verb, rest @ ..] = &history.header.command[..] else {
        return Err(Failure::new(Exit::BadInput, "the record does not say how the run was made"));
    };
    let parsed = match (program.as_str(), verb.as_str()) {
        ("leasehold", "run") => Command::try_parse_from(rest).map(|command| command.run),
        ("leasehold", "poison") => Poison::try_parse_from(rest).map(|command| command.poison.as_run()),
        _ => return Err(Failure::new(Exit::BadInput, "the record is none of `leasehold run` or `leasehold poison`")),
    };
    parsed.map_err(|error| Failure::new(Exit::BadInput, format!("the record's command is not understood: {error}")))
}

impl RunArguments {
    fn servers_from(&mut self, arguments: &ReplayArguments) -> Result<(), Failure> {
        if arguments.servers.is_some() {
            self.servers.clone_from(&arguments.servers);
            self.server_bin = None;
            // What was seen on a cluster of the user's own is done again on as many servers of ours.
            if let Some(endpoints) = std::mem::take(&mut self.attach).endpoints()? {
                self.nodes = u8::try_from(endpoints.servers.len()).ok();
            }
        }
        self.out.clone_from(&arguments.out);
        self.json = arguments.json;
        Ok(())
    }
}

/// The scenario as it was then: its text lies beside the record.
fn scenario_of(folder: &Path, history: &History) -> Result<Scenario, Failure> {
    let path = folder.join("scenario.toml");
    let text = fs::read_to_string(&path)
        .map_err(|error| Failure::new(Exit::BadInput, format!("cannot read {}: {error}", path.display())))?;
    Scenario::parse(&history.header.scenario, &path.display().to_string(), &text).or_exit(Exit::BadInput)
}

fn came(history: &History) -> BTreeMap<u64, Duration> {
    let begun = |event: &&leasehold_checkers::history::FaultEvent| {
        event.kind == EventType::Invoke && event.value.phase == FaultPhase::Inject && event.value.when.is_some()
    };
    let faults = Surroundings::of(history).faults;
    let begun = faults.iter().filter(begun);
    begun.filter_map(|event| Some((event.value.fault, Duration::from_nanos(event.value.due_ns?)))).collect()
}
