//! One fault from its beginning to its end, and what the history says of it.

use leasehold_checkers::history::vocabulary::{FaultPhase, FaultValue};
use leasehold_checkers::history::{ErrorInfo, EventType, Process, RunTime};
use leasehold_workloads::script::Dice;
use serde_json::Value;

use super::{Aim, FaultError, Field, Injection, PlannedFault, targets};
use crate::run::{Entry, Recorder, Stop, value_of};

/// Waits for the fault's time, injects it, keeps it up, and heals it at its end or at `until`, whichever comes first.
pub(super) async fn run(
    planned: PlannedFault,
    field: Field,
    recorder: Recorder,
    mut dice: Dice,
    until: RunTime,
    mut stop: Stop,
) {
    let clock = recorder.clock();
    tokio::select! {
        () = tokio::time::sleep_until(clock.at(planned.begins)) => {}
        () = stop.requested() => return,
    }
    let (log, mut injection) = match targets::resolve(&field, &planned.target, &mut dice).await {
        Ok(aim) => (Log::new(&recorder, &planned, aim.clone()), planned.fault.aimed(&field, aim)),
        Err(error) => {
            let log = Log::new(&recorder, &planned, Aim::default());
            log.write(EventType::Invoke, FaultPhase::Inject, Ok(Value::Null));
            log.write_result(FaultPhase::Inject, Err(error));
            log.write(EventType::Invoke, FaultPhase::Heal, Ok(Value::Null));
            log.write_result(FaultPhase::Heal, Ok(Value::Null));
            return;
        }
    };
    log.write(EventType::Invoke, FaultPhase::Inject, Ok(Value::Null));
    log.write_result(FaultPhase::Inject, injection.inject().await);
    if !planned.is_instant() {
        tokio::select! {
            () = tokio::time::sleep_until(clock.at(planned.ends.min(until))) => {}
            () = kept_up(injection.as_mut()) => {}
            () = stop.requested() => return,
        }
    }
    log.write(EventType::Invoke, FaultPhase::Heal, Ok(Value::Null));
    log.write_result(FaultPhase::Heal, injection.heal().await);
}

/// Never done: a fault that has nothing more to move stays as it is until its time is over.
async fn kept_up(injection: &mut dyn Injection) {
    injection.keep_up().await;
    std::future::pending::<()>().await;
}

/// Writes what becomes of one fault.
pub(super) struct Log<'a> {
    recorder: &'a Recorder,
    planned: &'a PlannedFault,
    aim: Aim,
}

impl<'a> Log<'a> {
    pub(super) fn new(recorder: &'a Recorder, planned: &'a PlannedFault, aim: Aim) -> Self {
        Self { recorder, planned, aim }
    }

    /// The end of a phase: `ok` with its proof, or `info` with the reason why there is none.
    pub(super) fn write_result(&self, phase: FaultPhase, result: Result<Value, FaultError>) {
        let kind = if result.is_ok() { EventType::Ok } else { EventType::Info };
        self.write(kind, phase, result);
    }

    pub(super) fn write(&self, kind: EventType, phase: FaultPhase, proof: Result<Value, FaultError>) {
        let planned = self.planned;
        let error = proof.as_ref().err().map(|error| {
            tracing::warn!("fault {}: {error}", planned.number);
            ErrorInfo { code: "fault".to_owned(), text: error.to_string() }
        });
        let value = FaultValue {
            fault: planned.number,
            phase,
            target: planned.target.to_string(),
            nodes: self.aim.nodes.iter().map(ToString::to_string).collect(),
            what: planned.fault.describe(),
            proof: proof.unwrap_or_default(),
        };
        self.recorder.record(Entry {
            process: Process::Nemesis,
            kind,
            f: planned.fault.package().name.to_owned(),
            key: None,
            value: value_of(&value),
            node: None,
            error,
        });
    }
}
