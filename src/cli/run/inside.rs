//! The part of `leasehold run` that runs inside the sandbox.

use std::fs;
use std::io;
use std::sync::Arc;

use leasehold_checkers::history::{FORMAT_VERSION, Header, History};
use leasehold_checkers::verdict::{Judgement, Verdict};
use leasehold_workloads::service::Connect;
use nix::mount::{MsFlags, mount};
use tokio::signal::unix::{SignalKind, signal};

use super::super::connect::{connect_by, connect_to};
use super::super::replay::Told;
use super::super::terminal::{colour, note, say, width};
use super::super::{Exit, Failure, OrExit};
use super::Prepared;
use crate::clock;
use crate::cluster::{Clocks, Cluster, ClusterPlan, Disks};
use crate::disk;
use crate::engine::{self, EngineError, Plan, RunEnd};
use crate::nemesis::{Need, clock_rate_error_ppm};
use crate::report;
use crate::results::{Ending, RunFolder};
use crate::run::Recorder;
use crate::sandbox::{Captured, ControlGroups, Network, Sandbox};
use crate::scenario::Scenario;

/// The largest file of packets: minutes of an ordinary run, and little enough to be opened.
const MOST_PACKET_BYTES: u64 = 256 << 20;

/// Runs the scenario, judges what was recorded, and writes and tells the result.
pub(in crate::cli) fn run(sandbox: &Sandbox, groups: &ControlGroups, mut prepared: Prepared) -> Result<Exit, Failure> {
    let mut live = None;
    let ending = record(sandbox, groups, &prepared, &mut live);
    let recorded = prepared.folder.history().exists();
    prepared.run_file.ending = Some(match &ending {
        Ok(RunEnd::Completed) => Ending::Completed,
        Ok(RunEnd::Interrupted) => Ending::Interrupted,
        Err(failure) => Ending::Failed(failure.to_string()),
    });
    let noted = prepared.run_file.write(&prepared.folder).or_exit(Exit::Internal);
    // What was recorded is judged however the run ended.
    let judged = if recorded { judge(&prepared, live).map(Some) } else { Ok(None) };
    let ending = ending?;
    noted?;
    match (ending, judged?) {
        (RunEnd::Interrupted, _) => Ok(Exit::Interrupted),
        (RunEnd::Completed, Some(verdict)) => Ok(verdict.into()),
        (RunEnd::Completed, None) => Err(Failure::new(Exit::Internal, "the run left no history")),
    }
}

/// Runs the scenario, and leaves behind what was judged on the way.
fn record(
    sandbox: &Sandbox,
    groups: &ControlGroups,
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
    let capture = prepared.pcap.then(|| network.switch().capture(&packets, MOST_PACKET_BYTES)).transpose();
    let capture = capture.or_exit(Exit::Unavailable)?;
    let ending = runtime.block_on(drive(&network, groups, prepared, clocks, disks, live));
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
    prepared: &Prepared,
    clocks: Clocks,
    disks: Disks,
    live: &mut Option<Judgement>,
) -> Result<RunEnd, Failure> {
    let Prepared { scenario, server, deployment, seed, folder, .. } = prepared;
    let interrupted = interruption()?;
    tokio::pin!(interrupted);
    note(&format!("starting {} nodes of {}", scenario.nodes, server.label));
    let plan = ClusterPlan {
        deployment: deployment.clone(),
        clock_offsets_ms: scenario.clock_offsets_ms.clone(),
        topology: scenario.topology.clone(),
        clocks,
        disks,
    };
    let cluster = tokio::select! {
        cluster = Cluster::start(network, &plan, groups, folder) => Arc::new(cluster.or_exit(Exit::Unavailable)?),
        () = &mut interrupted => return Err(Failure::new(Exit::Interrupted, "interrupted before the cluster served")),
    };
    let connect = match &prepared.client {
        None => connect_to(scenario, &cluster),
        Some(program) => {
            let logs = folder.client_logs().or_exit(Exit::Unavailable)?;
            connect_by(program, logs, scenario, &cluster)
        }
    };
    let header = header(prepared, connect.as_ref());
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
    ending.map_err(|error| {
        let exit = match &error {
            EngineError::Prepare(_) => Exit::Unavailable,
            EngineError::History(_) => Exit::Internal,
        };
        Failure::new(exit, error)
    })
}

/// Completes when the user wants the run to end.
fn interruption() -> Result<impl Future<Output = ()>, Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).or_exit(Exit::Internal)?;
    let mut terminate = signal(SignalKind::terminate()).or_exit(Exit::Internal)?;
    let mut hang_up = signal(SignalKind::hangup()).or_exit(Exit::Internal)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        note("interrupted: ending the run and judging what was recorded");
    })
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

fn header(prepared: &Prepared, connect: &dyn Connect) -> Header {
    let Prepared { scenario, server, seed, start, .. } = prepared;
    Header {
        leasehold: FORMAT_VERSION,
        scenario: scenario.name.clone(),
        workload: scenario.workload.name().to_owned(),
        model: scenario.workload.model().to_owned(),
        service: scenario.service.name().to_owned(),
        servers: server.label.clone(),
        nodes: scenario.nodes,
        seed: *seed,
        clock: "CLOCK_MONOTONIC".to_owned(),
        start: start.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        command: prepared.command.clone(),
        contract: connect.contract(),
        clock_rate_error_ppm: clock_rate_error_ppm(&scenario.faults),
        beliefs_must_exclude: scenario.beliefs_must_exclude,
    }
}

/// Writes the verdict, and tells what comes of it with the history from the disk. The verdict is that of the live judge; where it
/// has none, the history is judged as `check` does, which gives the same bytes.
fn judge(prepared: &Prepared, live: Option<Judgement>) -> Result<Verdict, Failure> {
    let folder = &prepared.folder;
    let write =
        |judgement: &Judgement| folder.write("verdict.json", judgement.to_json().as_bytes()).or_exit(Exit::Internal);
    live.iter().try_for_each(write)?;
    let history = History::read(folder.history()).or_exit(Exit::Internal)?;
    let judgement = match live {
        Some(judgement) => judgement,
        None => {
            let judgement = leasehold_checkers::check(&history);
            write(&judgement)?;
            judgement
        }
    };
    // The verdict stands whatever becomes of its report, which can be written anew.
    if let Err(error) = report::write_all(&history, &judgement, folder.path()) {
        note(&format!("leasehold: {error}; `leasehold report` writes it anew"));
    }
    tell(prepared, &history, &judgement)?;
    Ok(judgement.verdict)
}

fn tell(prepared: &Prepared, history: &History, judgement: &Judgement) -> Result<(), Failure> {
    let replayed = prepared
        .original
        .as_ref()
        .map(|original| (original.name(), original.differences(&Told::of(history, judgement))));
    if prepared.json {
        let run = prepared.folder.path().display().to_string();
        let mut object = serde_json::to_value(judgement).or_exit(Exit::Internal)?;
        object["run"] = run.into();
        if let Some((name, differences)) = replayed {
            object["replay_of"] = name.into();
            object["differences"] = differences.into();
        }
        return say(&format!("{object}\n"));
    }
    say(&report::console(history, judgement, prepared.folder.path(), colour(&io::stdout()), width()))?;
    match replayed {
        None => Ok(()),
        Some((name, differences)) if differences.is_empty() => {
            say(&format!("replay    of {name}: nothing differs in what the faults did and in the verdict\n"))
        }
        Some((name, differences)) => {
            say(&format!("replay    of {name}; what differs:\n          {}\n", differences.join("\n          ")))
        }
    }
}
