//! Whether the record keeps to the assumptions on which all other checkers rest: see [`Flaw`].

use std::collections::BTreeMap;

use crate::explain::Count;
use crate::history::{Flaw, FlawKind, History, Ops, RunTime, Surroundings};
use crate::verdict::{CheckerResult, Verdict};

/// The name of this checker.
pub const NAME: &str = "well-formed";

/// Says `unknown` where the record breaks an assumption, and which one, and where.
#[must_use]
pub fn check(history: &History, ops: &Ops, surroundings: &Surroundings) -> CheckerResult {
    let mut flaws: BTreeMap<usize, String> = BTreeMap::new();
    for flaw in times_that_go_back(history).iter().chain(&ops.flaws).chain(&surroundings.flaws) {
        flaws.entry(flaw.line).or_insert_with(|| flaw.to_string());
    }
    match flaws.first_key_value() {
        None => CheckerResult { verdict: Verdict::Valid, reason: what_was_read(history) },
        Some((_, first)) => {
            let others = match flaws.len() - 1 {
                0 => String::new(),
                more => format!(", and {} more with a flaw", Count(more, "line")),
            };
            CheckerResult { verdict: Verdict::Unknown, reason: format!("{first}{others}") }
        }
    }
}

fn times_that_go_back(history: &History) -> Vec<Flaw> {
    let mut now = RunTime::default();
    let mut flaws = Vec::new();
    for (line, event) in history.lines() {
        if event.time < now {
            flaws.push(Flaw { line, kind: FlawKind::TimeGoesBack { from: now, to: event.time } });
        }
        now = now.max(event.time);
    }
    flaws
}

fn what_was_read(history: &History) -> String {
    let events = Count(history.events.len(), "event");
    if history.truncated {
        format!("{events}; the file ends in the middle of a line, which is left out")
    } else {
        format!("{events}")
    }
}
