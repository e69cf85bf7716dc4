//! Whether the record keeps to the assumptions on which all other checkers rest: see [`Flaw`].

use std::collections::BTreeMap;

use crate::explain::Count;
use crate::history::{Flaw, FlawKind, History, LEASE_LOCK, Ops, RunTime, Surroundings};
use crate::verdict::{CheckerResult, Verdict};

/// The name of this checker.
pub const NAME: &str = "well-formed";

/// Says `unknown` where the record breaks an assumption, and which one, and where.
#[must_use]
pub fn check(history: &History, ops: &Ops, surroundings: &Surroundings) -> CheckerResult {
    let mut flaws: BTreeMap<usize, String> = BTreeMap::new();
    let model = unknown_model(history);
    for flaw in model.iter().chain(&times_that_go_back(history)).chain(&ops.flaws).chain(&surroundings.flaws) {
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

fn unknown_model(history: &History) -> Option<Flaw> {
    let model = history.header.model.clone();
    (model != LEASE_LOCK).then_some(Flaw { line: 1, kind: FlawKind::UnknownModel { model } })
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

#[cfg(test)]
mod tests {
    use crate::history::History;
    use crate::script::{ms, script};
    use crate::verdict::{Judgement, Verdict};

    fn reason(judgement: &Judgement) -> &str {
        &judgement.checkers["well-formed"].reason
    }

    /// Two holders at once, so that there is something to keep silent about.
    fn guilty() -> History {
        script().acquire(1, "a", 0..100, 3_000).acquire(2, "b", 200..300, 3_000).history()
    }

    #[test]
    fn nothing_is_judged_where_the_record_is_flawed() {
        let mut history = guilty();
        assert_eq!(crate::check(&history).verdict, Verdict::Invalid);
        history.events[2].time = ms(50);
        let judgement = crate::check(&history);
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert_eq!(judgement.anomalies, []);
        assert_eq!(reason(&judgement), "line 4: time goes back from 0.100 s to 0.050 s");
        assert!(judgement.checkers["double-acquisition"].reason.starts_with("not judged: line 4: time goes back"));
    }

    #[test]
    fn the_first_flaw_is_named_and_the_others_are_counted() {
        let mut history = guilty();
        history.events.extend(guilty().events);
        let judgement = crate::check(&history);
        assert_eq!(reason(&judgement), "line 6: time goes back from 0.300 s to 0.000 s, and 3 lines more with a flaw");
    }

    #[test]
    fn a_model_that_is_not_known_is_not_judged() {
        let mut history = guilty();
        history.header.model = "semaphore:2".to_owned();
        let judgement = crate::check(&history);
        assert_eq!((judgement.verdict, judgement.anomalies.len()), (Verdict::Unknown, 0));
        assert_eq!(reason(&judgement), "line 1: the model `semaphore:2` is not known: `lease-lock` is");
    }

    #[test]
    fn a_cut_history_says_so() {
        let history = History { truncated: true, ..guilty() };
        assert_eq!(
            reason(&crate::check(&history)),
            "4 events; the file ends in the middle of a line, which is left out"
        );
    }
}
