//! `leasehold poison SERVICE@VERSION --fuzz SECONDS`, and `--mutant FILE`, which sends a finding again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::connect::connect_to;
use super::super::run::{OwnServers, Prepared, in_its_place, inside};
use super::super::terminal::{note, say};
use super::super::{Exit, Failure, OrExit};
use super::PoisonArguments;
use super::plan::service;
use crate::cluster::{Clocks, Cluster, ClusterPlan, Disks};
use crate::fuzz::{Campaign, Compared, Finding, Kept, Subject, Tally};
use crate::packets::mutants::Grammar;
use crate::sandbox::{ControlGroups, Network, Sandbox};
use crate::scenario::Scenario;
use crate::servers::ServerSpec;

/// What is sent: mutants for so long, or a finding.
#[derive(Clone, Debug)]
enum Load {
    Fuzz(Duration),
    Finding(Finding),
}

pub(super) fn fuzz(arguments: &PoisonArguments, servers: &ServerSpec, seconds: u64) -> Result<Exit, Failure> {
    enter(arguments, servers, "fuzz", &Load::Fuzz(Duration::from_secs(seconds)))
}

pub(super) fn again(arguments: &PoisonArguments, servers: &ServerSpec, file: &Path) -> Result<Exit, Failure> {
    let finding = Finding::read(file).or_exit(Exit::Usage)?;
    enter(arguments, servers, "mutant", &Load::Finding(finding))
}

fn enter(arguments: &PoisonArguments, servers: &ServerSpec, name: &str, load: &Load) -> Result<Exit, Failure> {
    let scenario =
        Scenario::parse(&format!("poison-{name}"), "the scenario of the search", &scenario(servers, arguments));
    let scenario = scenario.or_exit(Exit::Usage)?;
    in_its_place(&arguments.as_run(), scenario, |sandbox, groups, own, prepared| {
        inside(sandbox, groups, own, &prepared, load)
    })
}

/// A cluster, and clients that can tell whether it serves.
fn scenario(servers: &ServerSpec, arguments: &PoisonArguments) -> String {
    let (service, particular) = service(servers, arguments.heap_mib);
    format!(
        "summary = \"Malformed messages.\"\nservice = \"{service}\"\nservers = \"{servers}\"\nseconds = 1\n\n{particular}\n\
         [workload]\nkind = \"register\"\nworkers = 1\nkeys = 1\nevery_ms = 1000\n"
    )
}

fn inside(
    sandbox: &Sandbox,
    groups: &ControlGroups,
    own: &OwnServers,
    prepared: &Prepared,
    load: &Load,
) -> Result<Exit, Failure> {
    inside::mount_data(&prepared.folder)?;
    let network = sandbox.network(prepared.scenario.nodes).or_exit(Exit::Unavailable)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().or_exit(Exit::Internal)?;
    let exit = runtime.block_on(send(&network, groups, own, prepared, load));
    runtime.shutdown_background();
    exit
}

async fn send(
    network: &Network,
    groups: &ControlGroups,
    own: &OwnServers,
    prepared: &Prepared,
    load: &Load,
) -> Result<Exit, Failure> {
    let Prepared { scenario, label, seed, folder, .. } = prepared;
    note(&format!("starting {} nodes of {}", scenario.nodes, label));
    let plan = ClusterPlan {
        deployment: own.deployment.clone(),
        clock_offsets_ms: Vec::new(),
        topology: scenario.topology.clone(),
        clocks: Clocks::Untouched,
        disks: Disks::Untouched,
    };
    let cluster = Cluster::start(network, &plan, groups, folder).await.or_exit(Exit::Unavailable)?;
    let cluster = Arc::new(cluster);
    let mut subject = Subject::new(Arc::clone(&cluster), connect_to(scenario, &cluster));
    let grammar = Grammar::of(scenario.service.software());
    match load {
        Load::Finding(finding) => {
            let wrong = || Failure::new(Exit::Usage, "the finding is of another service".to_owned());
            let sent = finding.sent(&grammar).ok_or_else(wrong)?;
            for one in &sent {
                say(&format!("to the {} of {}:\n{}", one.port, one.to, one.packet.annotated()))?;
            }
            let stopped = subject.stopped_by(&sent).await.or_exit(Exit::Unavailable)?;
            let (exit, told) = match stopped {
                Some(signature) => (Exit::Invalid, signature.to_string()),
                // What is only seen in what servers hold is not seen either where they do not tell.
                None if finding.is_of_data()
                    && subject.compared().await.or_exit(Exit::Unavailable)? != Compared::Same =>
                {
                    (Exit::Unknown, "everything serves, and what the servers hold could not be compared".to_owned())
                }
                None => (Exit::Valid, "everything serves".to_owned()),
            };
            say(&format!("{told}\n"))?;
            Ok(exit)
        }
        Load::Fuzz(lasts) => {
            let campaign = Campaign {
                subject,
                grammar,
                servers: scenario.servers.to_string(),
                seed: *seed,
                lasts: *lasts,
                folder: folder.path(),
                again: format!("leasehold poison {}", scenario.servers),
            };
            let tally = campaign.run(&|line| note(line)).await.or_exit(Exit::Unavailable)?;
            say(&in_words(&tally, folder.path(), *seed))?;
            Ok(if tally.findings.is_empty() { Exit::Valid } else { Exit::Invalid })
        }
    }
}

fn in_words(tally: &Tally, folder: &Path, seed: u64) -> String {
    let mutators: Vec<String> =
        tally.coverage.mutators.iter().map(|(mutator, count)| format!("{mutator} {count}")).collect();
    let mut text = format!(
        "sent      {} mutants in {:.0} s, {:.1} a second, {} answered, seed {seed}\ncovered   {} fields; {}\n",
        tally.sent,
        tally.sending.as_secs_f64(),
        tally.per_second(),
        tally.answered,
        tally.coverage.fields.len(),
        mutators.join(", ")
    );
    for Kept { finding, path, .. } in &tally.findings {
        text.push_str(&format!(
            "found     {}: {} messages, {} bytes changed, seen {} times of {}, {} more of the kind: {}\n",
            finding.shape,
            finding.mutants.len(),
            finding.bytes_changed,
            finding.replayed[0],
            finding.replayed[1],
            finding.kin.len(),
            path.display()
        ));
    }
    if tally.findings.is_empty() {
        text.push_str("found     nothing that stops a server or makes them hold different data\n");
    }
    text.push_str(&format!("compared  what the servers hold, {} times", tally.compared));
    if tally.not_compared > 0 {
        text.push_str(&format!("; {} times more one did not tell, or went on to change", tally.not_compared));
    }
    text.push('\n');
    if tally.left_out > 0 {
        text.push_str(&format!("left out  {} mutants of which it is known what they stop\n", tally.left_out));
    }
    if tally.not_replayed > 0 {
        text.push_str(&format!(
            "not again {} times something was seen that could not be shown again\n",
            tally.not_replayed
        ));
    }
    text.push_str(&format!(
        "kept      {}; what is found on a release without a public fix is for its maintainers first: see SECURITY.md\n",
        folder.display()
    ));
    text
}
