//! Faults: what the nemesis did, from injection to healing, with the proof that it bit.

use leasehold_checkers::context::JUST_ENDED;
use leasehold_checkers::history::vocabulary::{FaultPhase, FaultValue};
use leasehold_checkers::history::{EventType, FaultEvent, RunTime};
use serde_json::Value;

use crate::report::words;

/// Whether a fault took effect.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) enum Effect {
    /// It did, and this shows it.
    Bit(Value),
    /// It did not, as far as was seen.
    Missed,
    /// It was to come when this happened, and that never did.
    NotCalledFor(String),
    /// Its injection never came to an end, so nobody measured.
    Unmeasured,
}

/// A fault.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Fault {
    /// Its number in the schedule.
    pub number: u64,
    /// The kind of fault, for example `clock`.
    pub package: String,
    /// The role it aimed at.
    pub target: String,
    /// The nodes and clients it hit, in words.
    pub hit: Vec<String>,
    /// What it does, in words.
    pub what: String,
    /// When it began to be injected.
    pub from: RunTime,
    /// When it was healed for certain, or else the end of the run.
    pub until: RunTime,
    /// Whether it was healed.
    pub healed: bool,
    /// Whether it took effect.
    pub effect: Effect,
    /// What was measured when it was healed, over its whole time; null where nothing was.
    pub measured_at_end: Value,
}

impl Fault {
    /// What it does and where: `clock +9 s on n2`.
    pub(in crate::report) fn what_and_where(&self) -> String {
        let what = words::one_line(&self.what, 60);
        let what = if what.is_empty() { words::one_line(&self.package, 30) } else { what };
        let hit: Vec<String> = self.hit.iter().take(5).map(|name| words::one_line(name, 20)).collect();
        let place = if hit.is_empty() { words::one_line(&self.target, 30) } else { words::list(&hit) };
        if place.is_empty() || what.ends_with(&place) { what } else { format!("{what} on {place}") }
    }

    /// Whether it came to nothing.
    pub(in crate::report) fn missed(&self) -> bool {
        matches!(self.effect, Effect::Missed | Effect::NotCalledFor(_))
    }

    /// Whether it was active at this time or had just ended.
    pub(in crate::report) fn touches(&self, at: RunTime) -> bool {
        self.from <= at && at <= self.until.after(JUST_ENDED)
    }
}

/// Puts the events of each fault together.
pub(super) fn of(events: &[FaultEvent], end: RunTime) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for event in events {
        let is_same =
            |fault: &Fault| fault.number == event.value.fault && event.package == *fault.package && !fault.healed;
        let known = faults.iter().rposition(is_same);
        match (event.value.phase, event.kind, known) {
            (FaultPhase::Inject, EventType::Fail, Some(index)) => {
                faults.remove(index);
            }
            (FaultPhase::Inject, EventType::Fail, None) | (FaultPhase::Heal, _, None) => {}
            (FaultPhase::Inject, _, None) => faults.push(begun(event, end)),
            (FaultPhase::Inject, _, Some(index)) => learn(&mut faults[index], event.kind, &event.value),
            (FaultPhase::Heal, EventType::Ok, Some(index)) => {
                faults[index].until = event.time;
                faults[index].healed = true;
                faults[index].measured_at_end = event.value.proof.clone();
            }
            (FaultPhase::Heal, _, Some(_)) => {}
        }
    }
    faults.sort_by_key(|fault| (fault.from, fault.number));
    faults
}

fn begun(event: &FaultEvent, end: RunTime) -> Fault {
    let mut fault = Fault {
        number: event.value.fault,
        package: event.package.to_string(),
        target: event.value.target.clone(),
        hit: Vec::new(),
        what: String::new(),
        from: event.time,
        until: end,
        healed: false,
        effect: Effect::Unmeasured,
        measured_at_end: Value::Null,
    };
    learn(&mut fault, event.kind, &event.value);
    fault
}

/// The completion of an injection knows best what was hit; the invocation may have named only a role.
fn learn(fault: &mut Fault, kind: EventType, value: &FaultValue) {
    if value.hit().next().is_some() {
        fault.hit = value.hit().collect();
    }
    if !value.what.is_empty() {
        fault.what.clone_from(&value.what);
    }
    fault.effect = match kind {
        EventType::Ok => Effect::Bit(value.proof.clone()),
        EventType::Fail | EventType::Info => match (&value.when, value.due_ns) {
            (Some(condition), None) => Effect::NotCalledFor(condition.clone()),
            _ => Effect::Missed,
        },
        EventType::Invoke => return,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_that_waited_in_vain_was_not_called_for() {
        let effect = |due_ns: Value| {
            let value = json!({
                "fault": 3, "phase": "inject", "target": "all", "what": "kill", "when": "silence of 5000 ms", "due_ns": due_ns
            });
            let event = |kind| FaultEvent {
                time: RunTime(1),
                kind,
                package: "kill".into(),
                value: serde_json::from_value(value.clone()).expect("a fault"),
            };
            of(&[event(EventType::Invoke), event(EventType::Info)], RunTime(9)).swap_remove(0).effect
        };
        assert_eq!(effect(Value::Null), Effect::NotCalledFor("silence of 5000 ms".to_owned()));
        assert_eq!(effect(json!(7)), Effect::Missed, "its condition came true, and nothing came of it");
    }
}
