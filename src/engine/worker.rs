//! One worker: runs its script against the service, one operation at a time.

use std::sync::Arc;
use std::time::Duration;

use leasehold_checkers::history::RunTime;
use leasehold_workloads::op::{Answer, Op, Wait};
use leasehold_workloads::script::{Script, Step};
use leasehold_workloads::service::{Certainty, Connect, LockService, OpError};

use super::believer::Believer;
use super::events::{asks_the_service, completion, invocation};
use crate::NodeId;
use crate::run::{Gate, Ledger, Recorder, Stop};

/// How long an operation may take before its outcome counts as unknown.
const OP_LIMIT: Duration = Duration::from_secs(2);
/// The same for one that stands in a queue.
const QUEUE_LIMIT: Duration = Duration::from_secs(60);

/// Asks one server on behalf of one process after the other, and records what was asked and answered.
pub(super) struct Client {
    connect: Arc<dyn Connect>,
    recorder: Recorder,
    node: NodeId,
    worker: u64,
    process: u64,
    /// The distance from a retired process's number to its successor's.
    stride: u64,
    connection: Box<dyn LockService>,
    /// What may make it stand still.
    gate: Gate,
    /// Where it does what the locks guard.
    ledger: Ledger,
}

impl Client {
    /// The client that is this worker. Its first process has the worker's number.
    pub(super) fn new(connect: Arc<dyn Connect>, recorder: Recorder, node: NodeId, worker: u64, stride: u64) -> Self {
        let connection = connect.connect(worker, node.index());
        let (gate, ledger) = (Gate::default(), Ledger::default());
        Self { connect, recorder, node, worker, process: worker, stride, connection, gate, ledger }
    }

    /// The same client, at work with others on this ledger.
    pub(super) fn at_work_on(self, ledger: Ledger) -> Self {
        Self { ledger, ..self }
    }

    /// The same client with this gate.
    pub(super) fn behind(self, gate: Gate) -> Self {
        Self { gate, ..self }
    }

    /// Carries out one operation; its outcome is unknown if it takes longer than `limit` or the run stops first. The time
    /// for which the client stands still does not count: an answer that came meanwhile it sees when it goes on.
    pub(super) async fn perform(&mut self, op: &Op, limit: Duration, stop: &mut Stop) -> Result<Answer, OpError> {
        let ready = tokio::select! {
            ready = self.connection.ready() => ready,
            () = stop.requested_and_patience_over() => Err(OpError::failed("stopped", "the run ended first")),
        };
        self.recorder.record(invocation(self.process, self.node, op));
        if let Op::Work { hold, piece, guard, .. } = op
            && !asks_the_service(op)
        {
            let record = |result: &Result<_, _>| {
                self.recorder.record(completion(self.process, self.node, op, result));
            };
            return self.ledger.take(hold, *piece, *guard, record);
        }
        let result = tokio::select! {
            biased;
            result = async { ready?; self.connection.perform(op).await } => result,
            () = self.gate.awake_for(limit) => Err(OpError::timeout(limit)),
            () = stop.requested_and_patience_over() => Err(OpError::unknown("stopped", "the run ended first")),
        };
        self.recorder.record(completion(self.process, self.node, op, &result));
        if matches!(&result, Err(error) if error.certainty == Certainty::Unknown) {
            self.retire();
        }
        result
    }

    /// The process ends; its connection is closed, so that nothing more is sent on its behalf.
    fn retire(&mut self) {
        self.process += self.stride;
        self.connection = self.connect.connect(self.worker, self.node.index());
    }
}

/// Runs a script until the run stops or its time is over, and tells what it believes to hold.
pub(super) async fn work(
    mut client: Client,
    mut script: Box<dyn Script>,
    believer: Believer,
    until: RunTime,
    mut stop: Stop,
) {
    let clock = client.recorder.clock();
    while !stop.is_requested() && clock.now() < until {
        match script.next(clock.now(), client.process) {
            Step::WaitUntil(then) => {
                tokio::select! {
                    () = tokio::time::sleep_until(clock.at(then.min(until))) => {}
                    () = stop.requested() => {}
                }
            }
            Step::Invoke(op) => {
                // Whoever still stands in a queue when the time is over waits no longer than others do.
                let limit = limit_of(&op).min(until.since(clock.now()) + OP_LIMIT);
                let (process, asked) = (client.process, clock.now());
                believer.asks(&op, asked);
                let result = client.perform(&op, limit, &mut stop).await;
                let now = clock.now();
                script.completed(now, &op, &result);
                believer.learns(process, &op, (asked, now), &result, script.renews_at());
            }
        }
    }
}

fn limit_of(op: &Op) -> Duration {
    match op {
        Op::Acquire { wait: Wait::InQueue, .. } => QUEUE_LIMIT,
        _ => OP_LIMIT,
    }
}

/// Reads everything once through one node. The record of what is left when all faults are healed.
pub(super) async fn read_all(mut client: Client, reads: &[Op], mut stop: Stop) {
    for read in reads {
        if stop.is_requested() {
            return;
        }
        // Whatever comes back stands in the history; there is nobody else to tell.
        let _ = client.perform(read, OP_LIMIT, &mut stop).await;
    }
}
