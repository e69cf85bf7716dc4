//! `leasehold doctor`.

use super::terminal::say;
use super::{Exit, Failure, OrExit};
use crate::causes;
use crate::clock;
use crate::disk;
use crate::sandbox::probe::{Probe, probe};
use crate::servers::{Availability, FetchOptions, known};

pub(super) fn doctor() -> Result<Exit, Failure> {
    let findings = probe().or_exit(Exit::Internal)?;
    let mut text = String::new();
    for probe in findings.probes.iter().chain([&clock_hook(), &disk_gate(), &servers()]) {
        // What fails and can be done without is no failure.
        let failure = if findings.blames(probe) { "FAIL" } else { "no" };
        text.push_str(&lines_of(probe, failure));
    }
    text.push_str(&match findings.medium {
        Some(medium) => format!("\nRuns work here: {}, over {medium}.\n", findings.mode),
        None => "\nRuns on servers of their own do not work here; see FAIL above.\n".to_owned(),
    });
    say(&text)?;
    Ok(if findings.usable() { Exit::Valid } else { Exit::Unavailable })
}

fn clock_hook() -> Probe {
    Probe {
        name: "clock of a single process",
        needed_for: "the fault `clock`",
        outcome: clock::supported()
            .map(|()| "moved and read back".to_owned())
            .map_err(|error| causes::in_one_line(&error)),
        remedy: None,
    }
}

fn disk_gate() -> Probe {
    Probe {
        name: "disk of a single process",
        needed_for: "the fault `disk`",
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

fn servers() -> Probe {
    let here = FetchOptions::from_environment().map(|options| {
        let servers = known(&options).into_iter().filter(|server| server.availability != Availability::OutOfReach);
        servers.map(|server| server.spec.to_string()).collect::<Vec<_>>()
    });
    Probe {
        name: "servers",
        needed_for: "runs without `--server-bin`",
        outcome: match here {
            Ok(servers) if servers.is_empty() => Err("none is here and none can be downloaded".to_owned()),
            Ok(servers) => Ok(servers.join(", ")),
            Err(error) => Err(causes::in_one_line(&error)),
        },
        remedy: Some("a program of your own: `--server-bin etcd=PATH`".to_owned()),
    }
}

fn lines_of(probe: &Probe, failure: &str) -> String {
    let name = probe.name;
    match &probe.outcome {
        Ok(seen) => format!("ok    {name:34} {seen}\n"),
        Err(cause) => {
            let remedy = probe.remedy.as_ref().map(|remedy| format!("      to mend it: {remedy}\n"));
            let needed_for = probe.needed_for;
            format!("{failure:4}  {name:34} {cause}\n      needed for: {needed_for}\n{}", remedy.unwrap_or_default())
        }
    }
}
