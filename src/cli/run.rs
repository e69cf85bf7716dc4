//! `leasehold run`.

mod attach_arguments;
mod attached;
mod conclusion;
pub(super) mod inside;
mod prepared;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::replay::Original;
use super::scenarios::load;
use super::terminal::note;
use super::{Exit, Failure, OrExit};
use crate::causes;
use crate::clients::Program;
use crate::nemesis::{Need, schedule};
use crate::sandbox::{self, ControlGroups, Controller, Sandbox};
use crate::scenario::Scenario;
use crate::servers::{Deployment, FetchOptions, ServerBinary, ServerSpec, Software, fetch};
use attach_arguments::AttachArguments;
pub(super) use prepared::Prepared;
use prepared::any_seed;

pub(super) const EXAMPLES: &str = "\
Examples:
  leasehold run etcd-v3-leader-pause --servers etcd@3.4.23   on another version
  leasehold run etcd-v3-leader-pause --no-faults             the same with nothing broken
  leasehold run ./mine.toml --server-bin etcd=./bin/etcd     a scenario and a server of your own
  leasehold run etcd-v3-leader-change --client ./my-locks    a lock library of your own
  leasehold run etcd-v3-frozen-holder --endpoints etcd=http://10.0.0.1:2379,http://10.0.0.2:2379

The exit code is the verdict: see `leasehold --help`.";

/// What to run.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// A scenario by name (`leasehold scenarios` lists them), or a TOML file by its path.
    scenario: String,
    /// Other servers than the scenario's, for example `etcd@3.5.30` (`leasehold fetch` lists them).
    #[arg(long, value_name = "SERVICE@VERSION")]
    pub(super) servers: Option<ServerSpec>,
    /// A server program of your own, for example `etcd=/usr/bin/etcd`.
    /// For ZooKeeper, the folder of its jars.
    #[arg(long, value_name = "SERVICE=PATH", conflicts_with = "servers", value_parser = own_servers)]
    pub(super) server_bin: Option<(Software, PathBuf)>,
    /// A lock client of your own: a program that is asked line by line (docs/own-client.md).
    #[arg(long, value_name = "PROGRAM", conflicts_with = "endpoints")]
    client: Option<PathBuf>,
    /// How many servers, 1 to 9 [default: as the scenario says].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(super) nodes: Option<u8>,
    /// How long the clients work, in seconds [default: as the scenario says].
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// The source of everything random; the same seed makes the same choices [default: another one each time].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Break nothing: the control of the experiment.
    #[arg(long)]
    no_faults: bool,
    /// The folder for this run's record and report [default: results/SCENARIO/TIME-SEED].
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Copy all packets between the servers and their clients to `packets.pcapng`, up to 256 MiB.
    #[arg(long)]
    pcap: bool,
    /// Print the verdict as one JSON object instead of words.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) attach: AttachArguments,
    /// What to type, but for the seed, where it was another verb that made the scenario.
    #[arg(skip)]
    again: Option<Vec<String>>,
}

impl RunArguments {
    /// The arguments of a verb that makes a scenario of its own: what that does not say.
    pub(super) fn of_another_verb(
        again: Vec<String>,
        servers: Option<ServerSpec>,
        seed: Option<u64>,
        out: Option<PathBuf>,
        json: bool,
    ) -> Self {
        Self {
            scenario: String::new(),
            servers,
            server_bin: None,
            client: None,
            nodes: None,
            seconds: None,
            seed,
            no_faults: false,
            out,
            pcap: false,
            json,
            attach: AttachArguments::default(),
            again: Some(again),
        }
    }
}

pub(super) fn own_servers(text: &str) -> Result<(Software, PathBuf), String> {
    let named = text.split_once('=').filter(|(_, path)| !path.is_empty());
    let software = named.and_then(|(name, path)| Some((Software::named(name)?, path.into())));
    software.ok_or_else(|| "expected SERVICE=PATH with `etcd`, `consul` or `zookeeper` for SERVICE".to_owned())
}

/// What a run needs that starts its servers itself.
pub(super) struct OwnServers {
    pub(super) deployment: Deployment,
    /// The client program in place of our own adapter.
    client: Option<PathBuf>,
    /// Whether all packets are copied to a file.
    pcap: bool,
}

pub(super) fn run(arguments: &RunArguments) -> Result<Exit, Failure> {
    run_scenario(arguments, load(&arguments.scenario)?, None)
}

/// Runs a scenario in place of the one that the arguments name; `original` is the run that is to be done again.
pub(super) fn run_scenario(
    arguments: &RunArguments,
    scenario: Scenario,
    original: Option<Original>,
) -> Result<Exit, Failure> {
    if let Some(endpoints) = arguments.attach.endpoints()? {
        return attached::run(arguments, scenario, &endpoints, original);
    }
    enter(prepare(arguments, scenario, original)?, inside::run)
}

/// Has something done in the sandbox with the cluster of a scenario, in place of a run.
pub(super) fn in_its_place(
    arguments: &RunArguments,
    scenario: Scenario,
    work: impl FnOnce(&Sandbox, &ControlGroups, &OwnServers, Prepared) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    enter(prepare(arguments, scenario, None)?, work)
}

fn enter(
    (prepared, own, groups): (Prepared, OwnServers, ControlGroups),
    work: impl FnOnce(&Sandbox, &ControlGroups, &OwnServers, Prepared) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let data = prepared.folder.data();
    // The process is cloned here, so until then it must have one thread only. The groups stay with this one, which outlives
    // all that will be in them.
    let outcome = sandbox::enter(|sandbox| match work(&sandbox, &groups, &own, prepared) {
        Ok(exit) => exit.code(),
        Err(failure) => super::terminal::report(&failure).code(),
    });
    // Seen from here it is empty: what the servers wrote went with the sandbox. Where it was not made there is none.
    let _ = std::fs::remove_dir(data);
    drop(groups);
    outcome.or_exit(Exit::Unavailable)?.end_like_it()
}

fn prepare(
    arguments: &RunArguments,
    scenario: Scenario,
    original: Option<Original>,
) -> Result<(Prepared, OwnServers, ControlGroups), Failure> {
    let scenario = adjusted(scenario, arguments)?;
    let client = arguments.client.as_deref().map(|path| client_for(&scenario, path)).transpose()?;
    let groups = groups_for(&scenario)?;
    let server = server_of(arguments, &scenario)?;
    let longest_round_trip = scenario.topology.longest_round_trip();
    let deployment = Deployment::new(scenario.service.software(), &server, longest_round_trip, scenario.settings);
    let deployment = deployment.or_exit(Exit::Unavailable)?;
    for ability in scenario.faults.iter().filter_map(|plan| plan.fault.asks()) {
        deployment.offers(ability).or_exit(Exit::Usage)?;
    }
    let seed = arguments.seed.unwrap_or_else(any_seed);
    let schedule = Original::schedule_of(original.as_ref(), schedule(&scenario.faults, seed));
    let servers = match (&arguments.server_bin, &arguments.servers) {
        (Some((software, path)), _) => ("--server-bin", format!("{software}={}", path.display())),
        (None, spec) => ("--servers", spec.as_ref().unwrap_or(&scenario.servers).to_string()),
    };
    let command = command_again(arguments, vec![servers], seed);
    let prepared = Prepared::new(arguments, scenario, server.label, seed, schedule, Timestamp::now(), command)?;
    let own = OwnServers { deployment, client, pcap: arguments.pcap };
    Ok((Prepared { original, ..prepared }, own, groups))
}

/// The control groups that the scenario's faults need. Without faults that need them there are none.
fn groups_for(scenario: &Scenario) -> Result<ControlGroups, Failure> {
    if let Err(error) = sandbox::sweep() {
        tracing::warn!("cannot remove the control groups that an earlier run has left: {error}");
    }
    let mut controllers = Vec::new();
    for need in scenario.faults.iter().flat_map(|plan| plan.fault.package().needs) {
        let controller = match need {
            Need::CpuGroup => Controller::Cpu,
            Need::MemoryGroup => Controller::Memory,
            Need::ClockHook | Need::DiskGate => continue,
        };
        match controller.available() {
            Err(_) if need.instead().is_some() => {}
            Err(error) => {
                let remedy = error.remedy();
                return Err(Failure::new(Exit::Unavailable, format!("{}: {remedy}", causes::in_one_line(&error))));
            }
            Ok(()) => controllers.push(controller),
        }
    }
    ControlGroups::create(&controllers).or_exit(Exit::Unavailable)
}

/// What to type to make this run again: on these servers, and with what chance has settled this time.
fn command_again(arguments: &RunArguments, servers: Vec<(&str, String)>, seed: u64) -> Vec<String> {
    if let Some(again) = &arguments.again {
        return again.iter().cloned().chain(["--seed".to_owned(), seed.to_string()]).collect();
    }
    let mut words = vec!["leasehold".to_owned(), "run".to_owned(), arguments.scenario.clone()];
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    for (name, value) in servers {
        option(name, value);
    }
    if let Some(client) = &arguments.client {
        option("--client", client.display().to_string());
    }
    if let Some(nodes) = arguments.nodes {
        option("--nodes", nodes.to_string());
    }
    if let Some(seconds) = arguments.seconds {
        option("--seconds", seconds.to_string());
    }
    option("--seed", seed.to_string());
    if arguments.no_faults {
        words.push("--no-faults".to_owned());
    }
    words
}

/// The scenario with what the arguments say in place of what it says.
fn adjusted(mut scenario: Scenario, arguments: &RunArguments) -> Result<Scenario, Failure> {
    if let Some(nodes) = arguments.nodes {
        scenario = scenario.with_nodes(nodes).or_exit(Exit::Usage)?;
    }
    if let Some(seconds) = arguments.seconds {
        scenario.duration = Duration::from_secs(seconds);
    }
    Ok(if arguments.no_faults { scenario.without_faults() } else { scenario })
}

/// The client program at this place, for a scenario that asks for nothing but locks.
fn client_for(scenario: &Scenario, path: &Path) -> Result<PathBuf, Failure> {
    if scenario.workload.asks_beyond_locks() {
        let message = format!(
            "{} has clients do what --client cannot ask a program for: they use registers, or write under the service's own guard. \
             Choose a scenario about locks: `leasehold scenarios` lists them",
            scenario.name
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    Program::at(path).or_exit(Exit::Unavailable)
}

fn server_of(arguments: &RunArguments, scenario: &Scenario) -> Result<ServerBinary, Failure> {
    let needed = scenario.service.software();
    if let Some((software, path)) = &arguments.server_bin {
        if *software != needed {
            let message = format!("{} is about {needed}, and --server-bin gives {software}", scenario.name);
            return Err(Failure::new(Exit::Usage, message));
        }
        return ServerBinary::own(needed, path).or_exit(Exit::Unavailable);
    }
    let spec = arguments.servers.as_ref().unwrap_or(&scenario.servers);
    if spec.service != needed.name() {
        let message =
            format!("{} is about {needed}, and {spec} is none; `leasehold fetch` lists those that are", scenario.name);
        return Err(Failure::new(Exit::Usage, message));
    }
    let options = FetchOptions::from_environment().or_exit(Exit::Unavailable)?;
    fetch(spec, &options, &mut |step| note(step)).or_exit(Exit::Unavailable)
}
