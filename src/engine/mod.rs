//! Runs a scenario against a cluster and records what happens.
//!
//! ```text
//! prepare the locks; registers begin without a value, in a cluster of the run's own
//! main phase    workers at their scripts · nemesis at its schedule · probes · watch
//! heal          every fault is taken back, the cluster recovers
//! final phase   every lock or register is read once through every node
//! ```
//!
//! Everything that happens is an event of the [`Recorder`], stamped on one clock.

mod believer;
mod events;
mod probes;
mod progress;
mod watching;
mod worker;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use leasehold_checkers::history::RunTime;
use leasehold_workloads::Workload;
use leasehold_workloads::service::{Connect, OpError};
use tokio::task::JoinSet;

use crate::NodeId;
use crate::cluster::Cluster;
use crate::nemesis::{Field, Nemesis, PlannedFault};
use crate::run::{Answers, Gates, Holders, Leadership, Ledger, Recorder, Stop, WorkerId, stop_signal};
use believer::Believer;
use worker::Client;

/// How long the cluster may take to serve again after everything is healed.
const RECOVERY_LIMIT: Duration = Duration::from_secs(20);

/// What the engine needs to know.
#[derive(Debug)]
pub struct Plan {
    /// What the clients do.
    pub workload: Workload,
    /// How long.
    pub duration: Duration,
    /// What the nemesis does.
    pub schedule: Vec<PlannedFault>,
    /// The source of everything random.
    pub seed: u64,
}

/// Why a run broke off. What was recorded until then is on disk.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The locks could not be put into their state of rest.
    #[error("the cluster runs, but the locks cannot be prepared")]
    Prepare(#[source] OpError),
    /// The history cannot be written.
    #[error("the history cannot be written any more; what was written before is whole")]
    History(#[source] io::Error),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// It ran its whole length.
    Completed,
    /// It was interrupted.
    Interrupted,
}

/// Runs the plan to its end, until `interrupted` completes, or until the history cannot be written.
///
/// # Errors
/// If the locks cannot be prepared or the history cannot be written.
pub async fn run(
    plan: Plan,
    cluster: Arc<Cluster>,
    connect: Arc<dyn Connect>,
    recorder: Recorder,
    interrupted: impl Future<Output = ()>,
) -> Result<RunEnd, EngineError> {
    let (stopper, stop) = stop_signal();
    let phases = phases(plan, cluster, connect, recorder.clone(), stop);
    tokio::pin!(phases, interrupted);
    let end = tokio::select! {
        result = &mut phases => result.map(|()| RunEnd::Completed),
        () = &mut interrupted => {
            stopper.request();
            phases.await.map(|()| RunEnd::Interrupted)
        }
        () = recorder.broken() => {
            stopper.request();
            phases.await.map(|()| RunEnd::Completed)
        }
    };
    match recorder.take_failure() {
        Some(failure) => Err(EngineError::History(failure)),
        None => end,
    }
}

async fn phases(
    plan: Plan,
    cluster: Arc<Cluster>,
    connect: Arc<dyn Connect>,
    recorder: Recorder,
    stop: Stop,
) -> Result<(), EngineError> {
    let locks = plan.workload.locks();
    connect.prepare(&locks).await.map_err(EngineError::Prepare)?;

    let field = Field {
        cluster: Arc::clone(&cluster),
        holders: Holders::default(),
        leadership: Leadership::default(),
        answers: Answers::default(),
        gates: Gates::of(plan.workload.workers()),
    };
    let (background_stopper, background_stop) = stop_signal();
    let background = background(&plan, &field, &connect, &recorder, &background_stop);

    let nemesis = Nemesis::new(field.clone(), recorder.clone(), plan.seed);
    nemesis.record_resting_clocks(&plan.schedule).await;
    let until = recorder.clock().now().after(plan.duration);
    let workers = start_workers(&plan, &field, &connect, &recorder, until, &stop);
    let break_things = async {
        nemesis.run(plan.schedule, until, &stop).await;
        // If the run stops, faults stay; but nobody may wait for a worker for ever.
        field.gates.unlock();
    };
    tokio::join!(join_all(workers), break_things);

    if !stop.is_requested() {
        if let Err(error) = cluster.wait_ready(RECOVERY_LIMIT).await {
            tracing::warn!("after all faults were healed: {error}");
        }
        join_all(start_final_reads(&plan.workload, &cluster, &connect, &recorder, &stop)).await;
    }
    background_stopper.request();
    join_all(background).await;
    Ok(())
}

fn background(plan: &Plan, field: &Field, connect: &Arc<dyn Connect>, recorder: &Recorder, stop: &Stop) -> JoinSet<()> {
    let Field { cluster, leadership, .. } = field;
    let mut tasks = JoinSet::new();
    for node in cluster.nodes() {
        tasks.spawn(probes::leader(Arc::clone(cluster), recorder.clone(), leadership.clone(), node, stop.clone()));
        tasks.spawn(probes::health_and_clock(Arc::clone(cluster), recorder.clone(), node, stop.clone()));
    }
    tasks.spawn(probes::host_clock(recorder.clone(), stop.clone()));
    tasks.spawn(probes::network(Arc::clone(cluster), recorder.clone(), stop.clone()));
    let (nodes, locks) = (cluster.nodes(), plan.workload.locks());
    if !locks.is_empty() {
        tasks.spawn(watching::watch(Arc::clone(connect), recorder.clone(), nodes, locks, stop.clone()));
    }
    tasks.spawn(progress::show(recorder.clone(), leadership.clone(), plan.duration, stop.clone()));
    tasks
}

fn start_workers(
    plan: &Plan,
    field: &Field,
    connect: &Arc<dyn Connect>,
    recorder: &Recorder,
    until: RunTime,
    stop: &Stop,
) -> JoinSet<()> {
    let nodes = field.cluster.nodes();
    let stride = stride(&plan.workload, &nodes);
    let ledger = Ledger::default();
    let mut tasks = JoinSet::new();
    for worker in 0..plan.workload.workers() as u64 {
        let node = nodes[usize::try_from(worker).unwrap_or(0) % nodes.len()];
        let gate = field.gates.gate(WorkerId(worker));
        let beside = Arc::clone(connect);
        gate.accompanied_by(move |still| beside.stand(worker, still));
        let client = Client::new(Arc::clone(connect), recorder.clone(), node, worker, stride);
        let client = client.behind(gate.clone()).at_work_on(ledger.clone());
        let script = plan.workload.script(plan.seed, worker);
        let believer = Believer::new(field.holders.clone(), field.answers.clone(), WorkerId(worker), node);
        tasks.spawn(gate.behind(worker::work(client, script, believer, until, stop.clone())));
    }
    tasks
}

/// Every node is asked by a process of its own; their numbers follow those of the workers.
fn start_final_reads(
    workload: &Workload,
    cluster: &Cluster,
    connect: &Arc<dyn Connect>,
    recorder: &Recorder,
    stop: &Stop,
) -> JoinSet<()> {
    let nodes = cluster.nodes();
    let stride = stride(workload, &nodes);
    let mut tasks = JoinSet::new();
    for (reader, &node) in (workload.workers() as u64..).zip(&nodes) {
        let client = Client::new(Arc::clone(connect), recorder.clone(), node, reader, stride);
        let (reads, stop) = (workload.final_reads(), stop.clone());
        tasks.spawn(async move { worker::read_all(client, &reads, stop).await });
    }
    tasks
}

/// The distance between the numbers of a process and its successor: there are this many processes at a time.
fn stride(workload: &Workload, nodes: &[NodeId]) -> u64 {
    (workload.workers() + nodes.len()) as u64
}

/// Waits for all tasks. A panic in one of them is a broken invariant and goes on here.
async fn join_all(mut tasks: JoinSet<()>) {
    while let Some(result) = tasks.join_next().await {
        if let Err(error) = result
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}
