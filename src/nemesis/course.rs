//! One fault from its beginning to its end, and what the history says of it.

use std::sync::Arc;
use std::time::Duration;

use leasehold_checkers::history::vocabulary::{FaultPhase, FaultValue};
use leasehold_checkers::history::{ErrorInfo, EventType, Process, RunTime};
use leasehold_workloads::script::Dice;
use serde_json::Value;

use super::{Aim, Condition, Course, Fault, FaultError, Field, Injection, Target, targets};
use crate::run::{Belief, Entry, Recorder, Stop, value_of};

/// One fault that is to come, or has come.
#[derive(Clone, Debug)]
pub(super) struct Occurrence {
    /// Its number in the run.
    pub number: u64,
    /// What.
    pub fault: Arc<dyn Fault>,
    /// Where.
    pub target: Target,
    /// What it waited for.
    pub when: Option<Condition>,
    /// For whose sake it comes.
    pub holder: Option<Belief>,
    /// When it is to begin, in the run and from the beginning of the schedule.
    pub due: Option<(RunTime, Duration)>,
    /// When it is taken back.
    pub ends: RunTime,
}

/// Injects a fault whose time has come, keeps it up, and heals it at its end or at `until`, whichever comes first.
pub(super) async fn run(
    occurrence: Occurrence,
    field: &Field,
    recorder: &Recorder,
    dice: &mut Dice,
    until: RunTime,
    stop: &mut Stop,
) {
    let clock = recorder.clock();
    let aim = targets::resolve(field, &occurrence.target, occurrence.holder.as_ref(), clock, dice).await;
    let aim = match aim {
        Ok(aim) => aim,
        Err(error) => return Log::new(recorder, &occurrence, Aim::default()).write_in_vain(error),
    };
    let mut injection = occurrence.fault.aimed(field, aim.clone());
    let log = Log::new(recorder, &occurrence, aim);
    log.write(EventType::Invoke, FaultPhase::Inject, Ok(Value::Null));
    log.write_result(FaultPhase::Inject, injection.inject().await);
    if occurrence.fault.package().course == Course::Lasts {
        tokio::select! {
            () = tokio::time::sleep_until(clock.at(occurrence.ends.min(until))) => {}
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
    occurrence: &'a Occurrence,
    aim: Aim,
    /// How much later than it was to begin it begins.
    late: Option<Duration>,
}

impl<'a> Log<'a> {
    /// The fault begins now.
    pub(super) fn new(recorder: &'a Recorder, occurrence: &'a Occurrence, aim: Aim) -> Self {
        let now = recorder.clock().now();
        Self { recorder, occurrence, aim, late: occurrence.due.map(|(due, _)| now.since(due)) }
    }

    /// Nothing came of it, so there is nothing to take back.
    pub(super) fn write_in_vain(&self, error: FaultError) {
        self.write(EventType::Invoke, FaultPhase::Inject, Ok(Value::Null));
        self.write_result(FaultPhase::Inject, Err(error));
        self.write(EventType::Invoke, FaultPhase::Heal, Ok(Value::Null));
        self.write_result(FaultPhase::Heal, Ok(Value::Null));
    }

    /// The end of a phase: `ok` with its proof, or `info` with the reason why there is none.
    pub(super) fn write_result(&self, phase: FaultPhase, result: Result<Value, FaultError>) {
        let kind = if result.is_ok() { EventType::Ok } else { EventType::Info };
        self.write(kind, phase, result);
    }

    pub(super) fn write(&self, kind: EventType, phase: FaultPhase, proof: Result<Value, FaultError>) {
        let occurrence = self.occurrence;
        let error = proof.as_ref().err().map(|error| {
            match &error {
                // It is as likely as not what was hoped for: a cure that nobody needed.
                FaultError::NeverCame(_) => tracing::info!("fault {}: {error}", occurrence.number),
                _ => tracing::warn!("fault {}: {error}", occurrence.number),
            }
            ErrorInfo { code: "fault".into(), text: error.to_string().into() }
        });
        let value = FaultValue {
            fault: occurrence.number,
            phase,
            target: occurrence.target.to_string(),
            nodes: self.aim.nodes.iter().map(ToString::to_string).collect(),
            clients: self.aim.clients.iter().map(|client| client.process).collect(),
            when: occurrence.when.map(|condition| condition.to_string()),
            due_ns: occurrence.due.map(|(_, due)| nanos(due)),
            late_ns: self.late.map(nanos),
            what: occurrence.fault.describe(),
            proof: proof.unwrap_or_default(),
        };
        self.recorder.record(Entry {
            process: Process::Nemesis,
            kind,
            f: occurrence.fault.package().name.to_owned(),
            key: None,
            value: value_of(&value),
            node: None,
            error,
        });
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
