//! The part of `leasehold run` that runs inside the sandbox.

use std::fs;
use std::sync::Arc;

use leasehold_checkers::verdict::Judgement;
use nix::mount::{MsFlags, mount};

use super::super::connect::{connect_by, connect_to};
use super::super::terminal::note;
use super::super::{Exit, Failure, OrExit};
use super::OwnServers;
use super::conclusion::{conclude, header, interruption, of_engine};
use super::prepared::Prepared;
use crate::clock;
use crate::cluster::{Clocks, Cluster, ClusterPlan, Disks};
use crate::disk;
use crate::engine::{self, Plan, RunEnd};
use crate::nemesis::Need;
use crate::results::RunFolder;
use crate::run::Recorder;
use crate::sandbox::{Captured, ControlGroups, Network, Sandbox};
use crate::scenario::Scenario;

/// The largest file of packets: minutes of an ordinary run, and little enough to be opened.
const MOST_PACKET_BYTES: u64 = 256 << 20;

/// Runs the scenario on servers of the run's own, judges what was recorded, and writes and tells the result.
pub(in crate::cli) fn run(
    sandbox: &Sandbox,
    groups: &ControlGroups,
    own: &OwnServers,
    prepared: Prepared,
) -> Result<Exit, Failure> {
    let mut live = None;
    let ending = record(sandbox, groups, own, &prepared, &mut live);
    conclude(prepared, ending, live)
}

/// Runs the scenario, and leaves behind what was judged on the way.
fn record(
    sandbox: &Sandbox,
    groups: &ControlGroups,
    own: &OwnServers,
    prepared: &Prepared,
    live: &mut Option<Judgement>,
) -> Result<RunEnd, Failure> {
    let scenario = &prepared.scenario;
    let clocks = clocks_for(scenario)?;
    let disks = disks_for(scenario)?;
    mount_data(&prepared.folder)?;
    let network = sandbox.network(scenario.nodes).or_exit(Exit::Unavailable)?;
    network.switch().reseed(prepared.seed);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().or_exit(Exit::Internal)?;
    let packets = prepared.folder.packets();
    let capture = own.pcap.then(|| network.switch().capture(&packets, MOST_PACKET_BYTES)).transpose();
    let capture = capture.or_exit(Exit::Unavailable)?;
    let ending = runtime.block_on(drive(&network, groups, own, prepared, (clocks, disks), live));
    // Tasks that still wait for a server that is gone must not keep us.
    runtime.shutdown_background();
    if let Some(capture) = capture {
        note(&capture.finish().map_or_else(
            |error| format!("{} is not whole: {error}", packets.display()),
            |captured| format!("{} has {}", packets.display(), in_words(captured)),
        ));
    }
    ending
}

fn in_words(captured: Captured) -> String {
    let Captured { entries, missed, full_after, .. } = captured;
    let missed = if missed > 0 { format!("; {missed} came too fast to be written") } else { String::new() };
    let full = full_after
        .map(|after| format!("; it was full after {:.1} s, and has nothing of what came later", after.as_secs_f64()));
    format!("{entries} entries, two for each packet that arrived{missed}{}", full.unwrap_or_default())
}

async fn drive(
    network: &Network,
    groups: &ControlGroups,
    own: &OwnServers,
    prepared: &Prepared,
    (clocks, disks): (Clocks, Disks),
    live: &mut Option<Judgement>,
) -> Result<RunEnd, Failure> {
    let Prepared { scenario, label, seed, folder, .. } = prepared;
    let interrupted = interruption()?;
    tokio::pin!(interrupted);
    note(&format!("starting {} nodes of {}", scenario.nodes, label));
    let plan = ClusterPlan {
        deployment: own.deployment.clone(),
        clock_offsets_ms: scenario.clock_offsets_ms.clone(),
        topology: scenario.topology.clone(),
        clocks,
        disks,
    };
    let cluster = tokio::select! {
        cluster = Cluster::start(network, &plan, groups, folder) => Arc::new(cluster.or_exit(Exit::Unavailable)?),
        () = &mut interrupted => return Err(Failure::new(Exit::Interrupted, "interrupted before the cluster served")),
    };
    let connect = match &own.client {
        None => connect_to(scenario, &cluster),
        Some(program) => {
            let logs = folder.client_logs().or_exit(Exit::Unavailable)?;
            connect_by(program, logs, scenario, &cluster)
        }
    };
    let header = header(prepared, connect.contract());
    let recorder = Recorder::create(&folder.history(), &header).or_exit(Exit::Unavailable)?;
    note(&format!("{} for {} s, seed {seed}", scenario.name, scenario.duration.as_secs()));
    let plan = Plan {
        workload: scenario.workload.clone(),
        duration: scenario.duration,
        schedule: prepared.schedule.clone(),
        seed: *seed,
    };
    let ending = engine::run(plan, cluster, connect, recorder.clone(), interrupted).await;
    *live = recorder.close();
    of_engine(ending)
}

/// Clocks are hooked wherever that works, so that a run without faults differs from one with them in nothing else.
fn clocks_for(scenario: &Scenario) -> Result<Clocks, Failure> {
    let needed = needs(scenario, Need::ClockHook) || scenario.clock_offsets_ms.iter().any(|&offset_ms| offset_ms != 0);
    match clock::supported() {
        Ok(()) => Ok(Clocks::Hooked),
        Err(error) if needed => Err(Failure::new(Exit::Unavailable, error)),
        Err(_) => Ok(Clocks::Untouched),
    }
}

/// Disks are gated wherever that works, for the same reason.
fn disks_for(scenario: &Scenario) -> Result<Disks, Failure> {
    match disk::supported() {
        Ok(()) => Ok(Disks::Gated),
        Err(error) if needs(scenario, Need::DiskGate) => Err(Failure::new(Exit::Unavailable, error)),
        Err(_) => Ok(Disks::Untouched),
    }
}

fn needs(scenario: &Scenario, need: Need) -> bool {
    scenario.faults.iter().any(|plan| plan.fault.package().needs.contains(&need))
}

/// The servers' data lies in memory and vanishes with the sandbox, so that nothing of it stays behind however the run
/// ends.
pub(in crate::cli) fn mount_data(folder: &RunFolder) -> Result<(), Failure> {
    let data = folder.data();
    fs::create_dir_all(&data).or_exit(Exit::Unavailable)?;
    mount(Some("leasehold"), data.as_path(), Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0700"))
        .map_err(|error| {
            Failure::new(Exit::Unavailable, format!("cannot mount a memory file system for the servers' data: {error}"))
        })
}
