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
//!
//! [`live::Judge`] takes the events one at a time, as they happen, and forgets what is settled; [`check`] feeds it a whole history.

mod beliefs;
pub mod checks;
pub mod context;
pub mod contract;
pub mod explain;
pub mod formats;
pub mod history;
pub mod holds;
pub mod linear;
pub mod live;
pub mod observations;
pub mod part;
mod second_hand;
mod servers;
pub mod verdict;

#[cfg(test)]
extern crate self as leasehold_checkers;
#[cfg(test)]
mod schema;
#[cfg(test)]
#[path = "../tests/support/script.rs"]
mod script;

use history::History;
use live::Judge;
use verdict::Judgement;

/// Judges a history by all checkers.
#[must_use]
pub fn check(history: &History) -> Judgement {
    // Who has the whole history has the room as well, and it is done in half the time.
    let mut judge = Judge::that_forgets_nothing(history.header.clone());
    history.events.iter().for_each(|event| judge.observe(event));
    judge.finish(history.truncated).expect("what forgets nothing is never surprised by the past")
}
