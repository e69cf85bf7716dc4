//! Operations that no order explains: which they are, and what the register was around the answer that cannot be explained.

use leasehold_checkers::history::vocabulary::f;
use leasehold_checkers::history::{Op, Outcome};
use leasehold_checkers::verdict::Anomaly;

use super::Story;
use crate::report::words;

/// What a register was around an answer, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::report) struct States {
    /// What all that was answered before allows it to have been.
    pub(in crate::report) before: String,
    /// What it was by the answer.
    pub(in crate::report) told: String,
}

/// The operations that an anomaly names, in the order in which they were asked for.
pub(in crate::report) fn witness_of<'a>(story: &'a Story<'_>, anomaly: &Anomaly) -> Vec<&'a Op> {
    let mut ops: Vec<&Op> = anomaly.ops.iter().filter_map(|op| story.ops.get(*op)).collect();
    ops.sort_by_key(|op| op.invoked);
    ops
}

impl Story<'_> {
    /// What the register was before this op's answer, as the checker found, and by it.
    pub(in crate::report) fn states_around(&self, anomaly: &Anomaly, stuck: &Op) -> States {
        let known = anomaly.stuck.as_ref().map_or(&[][..], |stuck| &stuck.states_before);
        let known: Vec<String> = known.iter().map(|state| in_words(state)).collect();
        let before = match &known[..] {
            [] => "what it was before is not known".to_owned(),
            [only] => format!("it may have been {only}"),
            [some @ .., last] => format!("it may have been {} or {last}", some.join(", ")),
        };
        let exchange = self.exchange(stuck);
        let told = match (exchange.found, exchange.made) {
            (Some(old), Some(new)) if stuck.f == f::CAS && stuck.outcome == Outcome::Ok => {
                format!("it was {old}, and then {new}")
            }
            (Some(old), _) if stuck.outcome == Outcome::Ok => format!("it was {old}, and stayed so"),
            (_, Some(new)) if stuck.outcome == Outcome::Ok => format!("it was {new} from then on"),
            _ => "it says nothing of the value".to_owned(),
        };
        States { before, told }
    }
}

/// A state as the checker words it; a register without a value is `null` there.
fn in_words(state: &str) -> String {
    const STATE_MAX: usize = 40;
    if state == "null" { "nothing".to_owned() } else { words::one_line(state, STATE_MAX) }
}
