//! Checkers for the histories of distributed locks and leases.
//!
//! A history is the record of what clients asked a lock service and what it answered, all on one clock. Each checker
//! is a pure function from a history to a verdict: no I/O (but for the readers), no clock, no randomness, so the same
//! history gives the same bytes each time.
//!
//! A correct service is never accused: what cannot be proven is `unknown`, or an anomaly of grade `possible`, which
//! does not make a verdict `invalid`. Each checker states its assumptions in its own documentation.
//!
//! ```no_run
//! use leasehold_checkers::history::History;
//!
//! let history = History::read("results/latest/history.jsonl")?;
//! let judgement = leasehold_checkers::check(&history);
//! print!("{}", judgement.to_json());
//! # Ok::<(), leasehold_checkers::formats::Error>(())
//! ```
//!
//! The flow, each step a module:
//!
//! ```text
//! history (file -> events -> ops) -> holds (grants: cores, windows; observations, beliefs)
//!                                 -> context (faults, leaders)   -> checks -> verdict
//! ```

mod beliefs;
pub mod checks;
pub mod context;
pub mod contract;
pub mod explain;
pub mod formats;
pub mod history;
pub mod holds;
pub mod linear;
pub mod observations;
pub mod verdict;

#[cfg(test)]
extern crate self as leasehold_checkers;
#[cfg(test)]
#[path = "../tests/support/script.rs"]
mod script;

use std::collections::BTreeMap;

use checks::{
    Run, activity, clock, double_acquisition, fencing, lock_delay, lockup, lost_grant, overdue_expiry, phantom_grant,
    premature_expiry, split_belief, stale_read, stats, well_formed,
};
use history::{History, Ops, Surroundings};
use verdict::{Anomaly, CheckerResult, Judgement, Verdict};

/// A checker that takes the record's form for granted.
type Checker = fn(&Run<'_>) -> (CheckerResult, Vec<Anomaly>);

const CHECKERS: [(&str, Checker); 13] = [
    (activity::NAME, activity::check),
    (premature_expiry::NAME, premature_expiry::check),
    (double_acquisition::NAME, double_acquisition::check),
    (split_belief::NAME, split_belief::check),
    (overdue_expiry::NAME, overdue_expiry::check),
    (phantom_grant::NAME, phantom_grant::check),
    (lost_grant::NAME, lost_grant::check),
    (fencing::NAME, fencing::check),
    (lock_delay::NAME, lock_delay::check),
    (stale_read::NAME, stale_read::check),
    (lockup::NAME, lockup::check),
    (stats::NAME, stats::check),
    (clock::NAME, clock::check),
];

/// Judges a history by all checkers.
#[must_use]
pub fn check(history: &History) -> Judgement {
    let ops = Ops::of(history);
    let surroundings = Surroundings::of(history);
    let form = well_formed::check(history, &ops, &surroundings);
    let (mut checkers, anomalies) = match form.verdict {
        Verdict::Valid => judged(&Run::of(history, &ops, &surroundings)),
        Verdict::Unknown | Verdict::Invalid => (not_judged(&form), Vec::new()),
    };
    checkers.insert(well_formed::NAME.to_owned(), form);
    Judgement {
        verdict: checkers.values().map(|result| result.verdict).fold(Verdict::Valid, Verdict::merge),
        anomalies,
        ops: ops.all.len(),
        checkers,
    }
}

fn judged(run: &Run<'_>) -> (BTreeMap<String, CheckerResult>, Vec<Anomaly>) {
    let mut checkers = BTreeMap::new();
    let mut anomalies = Vec::new();
    for (name, checker) in CHECKERS {
        let (result, found) = checker(run);
        checkers.insert(name.to_owned(), result);
        anomalies.extend(found);
    }
    anomalies.sort_by(|a, b| (a.kind, a.at_ns, &a.ops, &a.key).cmp(&(b.kind, b.at_ns, &b.ops, &b.key)));
    (checkers, anomalies)
}

/// A record that breaks an assumption could make any checker accuse a correct service.
fn not_judged(form: &CheckerResult) -> BTreeMap<String, CheckerResult> {
    let reason = format!("not judged: {}", form.reason);
    let result = CheckerResult { verdict: Verdict::Unknown, reason };
    CHECKERS.iter().map(|(name, _)| ((*name).to_owned(), result.clone())).collect()
}
