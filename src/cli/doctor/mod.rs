//! `leasehold doctor`: what this machine can inject, found out by doing it.

mod table;

use std::io;

use clap::Args;
use serde::Serialize;

use super::terminal::{colour, say, width};
use super::{Exit, Failure, OrExit};
use crate::causes;
use crate::clock;
use crate::disk;
use crate::nemesis::{Need, PACKAGES, Package};
use crate::sandbox;
use crate::sandbox::probe::{CPU_GROUPS, Findings, MEMORY_GROUPS, Probe, probe};
use crate::servers::{Availability, FetchOptions, known};

/// What to tell.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Print what was found as one JSON object instead of words.
    #[arg(long)]
    json: bool,
}

pub(super) fn doctor(arguments: &DoctorArguments) -> Result<Exit, Failure> {
    let diagnosis = diagnose()?;
    if arguments.json {
        let object = serde_json::to_value(&diagnosis).or_exit(Exit::Internal)?;
        say(&format!("{object}\n"))?;
    } else {
        say(&table::of(&diagnosis, colour(&io::stdout()), width()))?;
    }
    Ok(if diagnosis.runs { Exit::Valid } else { Exit::Unavailable })
}

/// What this machine can and cannot do.
#[derive(Debug, Serialize)]
struct Diagnosis {
    /// Whether there can be runs on servers of their own.
    runs: bool,
    /// Where a sandbox would have its rights from, and what its network would be made of, in words.
    sandbox: String,
    machine: Vec<Row>,
    faults: Vec<Row>,
    servers: Vec<Server>,
}

/// One thing that this machine can do, or cannot.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    name: &'static str,
    possible: Possible,
    /// What was seen, or the cause why it is not possible.
    why: String,
    /// What to change so that it is, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Possible {
    Yes,
    /// By other means than the best.
    #[serde(rename = "partly")]
    Instead,
    /// Not there, and nothing that is always needed.
    #[serde(rename = "not-needed")]
    Without,
    No,
}

/// A server, and where it would come from.
#[derive(Debug, Serialize)]
struct Server {
    name: String,
    state: &'static str,
    runs_here: bool,
}

/// Everything that was tried.
struct Trials {
    findings: Findings,
    clock: Probe,
    disk: Probe,
}

fn diagnose() -> Result<Diagnosis, Failure> {
    if let Err(error) = sandbox::sweep() {
        tracing::warn!("cannot remove the control groups that an earlier run has left: {error}");
    }
    let trials = Trials { findings: probe().or_exit(Exit::Internal)?, clock: clock_hook(), disk: disk_gate() };
    let Trials { findings, clock, disk } = &trials;
    let sandbox = match findings.medium {
        Some(medium) => format!("{}, over {medium}", findings.mode),
        None => "none".to_owned(),
    };
    Ok(Diagnosis {
        runs: findings.usable(),
        sandbox,
        machine: findings.probes.iter().chain([clock, disk]).map(|probe| of_machine(findings, probe)).collect(),
        faults: PACKAGES.iter().map(|package| of_fault(package, &trials)).collect(),
        servers: servers()?,
    })
}

fn clock_hook() -> Probe {
    Probe {
        name: "clock of a single process",
        needed_for: "faults of clocks",
        outcome: clock::supported()
            .map(|()| "a clock was moved, for one process alone, and read back".to_owned())
            .map_err(|error| causes::in_one_line(&error)),
        remedy: None,
    }
}

fn disk_gate() -> Probe {
    Probe {
        name: "disk of a single process",
        needed_for: "faults of disks",
        outcome: disk::supported()
            .map(|()| "a sync was held up and let go".to_owned())
            .map_err(|error| causes::in_one_line(&error)),
        remedy: Some(
            "Linux 5.5 or later with seccomp, and in a container no profile that forbids it \
             (`--security-opt seccomp=unconfined`)"
                .to_owned(),
        ),
    }
}

fn of_machine(findings: &Findings, probe: &Probe) -> Row {
    let name = probe.name;
    match &probe.outcome {
        Ok(seen) => Row { name, possible: Possible::Yes, why: seen.clone(), change: None },
        // What fails and can be done without is no failure.
        Err(cause) => Row {
            name,
            possible: if findings.blames(probe) { Possible::No } else { Possible::Without },
            why: format!("{cause}; needed for {}", probe.needed_for),
            change: probe.remedy.clone(),
        },
    }
}

/// A fault is possible where all is granted that its package needs.
fn of_fault(package: &Package, trials: &Trials) -> Row {
    let name = package.name;
    if !trials.findings.usable() {
        let why = "there can be no runs on servers of their own".to_owned();
        return Row { name, possible: Possible::No, why, change: None };
    }
    let lacking = package.needs.iter().filter_map(|&need| {
        let probe = probe_of(need, trials);
        Some((need, probe.outcome.as_ref().err()?, probe.remedy.clone()))
    });
    // What it cannot do without comes first.
    match lacking.min_by_key(|(need, ..)| need.instead().is_some()) {
        None => Row { name, possible: Possible::Yes, why: seen_of(package, trials), change: None },
        Some((need, cause, change)) => match need.instead() {
            None => Row { name, possible: Possible::No, why: cause.clone(), change },
            Some(instead) => Row { name, possible: Possible::Instead, why: format!("by {instead}: {cause}"), change },
        },
    }
}

/// What showed that a fault is possible.
fn seen_of(package: &Package, trials: &Trials) -> String {
    let seen = package.needs.iter().filter_map(|&need| probe_of(need, trials).outcome.clone().ok());
    let seen: Vec<String> = seen.collect();
    if seen.is_empty() { "needs nothing more than a run".to_owned() } else { seen.join("; ") }
}

fn probe_of(need: Need, trials: &Trials) -> &Probe {
    let name = match need {
        Need::ClockHook => return &trials.clock,
        Need::DiskGate => return &trials.disk,
        Need::CpuGroup => CPU_GROUPS,
        Need::MemoryGroup => MEMORY_GROUPS,
    };
    trials.findings.probes.iter().find(|probe| probe.name == name).expect("all probes are tried")
}

fn servers() -> Result<Vec<Server>, Failure> {
    let options = FetchOptions::from_environment().or_exit(Exit::Unavailable)?;
    let servers = known(&options).into_iter().map(|server| Server {
        name: server.spec.to_string(),
        state: server.availability.in_words(),
        runs_here: server.availability != Availability::OutOfReach,
    });
    Ok(servers.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemesis::package;
    use crate::sandbox::{Medium, Mode};

    fn findings(medium: Option<Medium>, groups: Result<&str, &str>) -> Findings {
        let probe = |name| Probe {
            name,
            needed_for: "x",
            outcome: groups.map(str::to_owned).map_err(str::to_owned),
            remedy: Some("run as root".to_owned()),
        };
        Findings { mode: Mode::User, medium, probes: vec![probe(CPU_GROUPS), probe(MEMORY_GROUPS)] }
    }

    /// What was tried on a machine where the clock and the disk of a process come out like this.
    fn trials(findings: Findings, process: Result<&str, &str>) -> Trials {
        let probe = |name| Probe {
            name,
            needed_for: "x",
            outcome: process.map(str::to_owned).map_err(str::to_owned),
            remedy: None,
        };
        Trials { findings, clock: probe("clock"), disk: probe("disk") }
    }

    fn possible(name: &str, trials: &Trials) -> Row {
        of_fault(package(name).expect("a package"), trials)
    }

    #[test]
    fn a_fault_is_possible_by_what_its_package_needs() {
        let all = trials(findings(Some(Medium::Veth), Ok("limited")), Ok("moved"));
        let nothing = trials(findings(Some(Medium::Veth), Err("no group")), Err("not x86_64"));
        for package in PACKAGES {
            assert_eq!(of_fault(package, &all).possible, Possible::Yes, "{}", package.name);
            let lacks = of_fault(package, &nothing);
            assert_eq!(lacks.possible == Possible::Yes, package.needs.is_empty(), "{}", package.name);
        }
        assert_eq!(possible("clock-drift", &nothing).why, "not x86_64");
        let starved = possible("out-of-memory", &nothing);
        assert_eq!((starved.possible, starved.change.as_deref()), (Possible::No, Some("run as root")));
        assert_eq!(possible("slow-cpu", &nothing).possible, Possible::Instead);
    }

    #[test]
    fn without_a_sandbox_no_fault_is_possible() {
        let nowhere = trials(findings(None, Ok("limited")), Ok("moved"));
        assert!(PACKAGES.iter().all(|package| of_fault(package, &nowhere).possible == Possible::No));
    }
}
