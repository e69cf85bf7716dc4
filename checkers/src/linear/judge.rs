//! The verdict on a whole history under a model: each key is decided by the procedure of the model.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value;

use super::aptness::is_about;
use super::locks::{self, LeaseTerms, LockModel};
use super::register::NullReads;
use super::{Budget, CallsError, Decision, Fails, Linearization, Witness, kv, register};
use crate::explain::{Count, lock};
use crate::history::Event;
use crate::part::Part;
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade, Judgement, Verdict};

/// The name under which the verdict stands among those of the checkers.
const NAME: &str = "linearizable";

/// What kind of thing the operations were about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// A register with reads, writes and compare-and-swap.
    CasRegister,
    /// A key-value store with get, put and append.
    Kv,
    /// A lock of some kind.
    Lock(LockModel),
}

impl FromStr for Model {
    type Err = locks::UnknownModel;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "cas-register" => Ok(Self::CasRegister),
            "kv" => Ok(Self::Kv),
            lock => LockModel::named(lock, LeaseTerms::default()).map(Self::Lock),
        }
    }
}

/// How the events are to be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// What a `fail` without a code means.
    pub fails: Fails,
    /// The value with which each register begins, where that is known.
    pub initial: Option<Value>,
    /// What a register's read that was answered with `null` says.
    pub nulls: NullReads,
}

/// The events do not make operations.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unreadable {
    /// Not those of a register or a key-value store.
    #[error(transparent)]
    Calls(#[from] CallsError),
    /// Not those of a lock.
    #[error(transparent)]
    Locks(#[from] locks::BadHistory),
}

/// Judges a history under a model. The same history gives the same judgement, unless time runs out.
///
/// # Errors
/// If the events do not make operations.
pub fn judge(events: &[Event], model: &Model, reading: &Reading, budget: &Budget<'_>) -> Result<Judgement, Unreadable> {
    judge_part(events, model, reading, budget, Part::WHOLE)
}

/// Judges a part of the keys of a history under a model; the events are those of all keys.
///
/// # Errors
/// If the events do not make operations.
pub fn judge_part(
    events: &[Event],
    model: &Model,
    reading: &Reading,
    budget: &Budget<'_>,
    part: Part,
) -> Result<Judgement, Unreadable> {
    let decisions = decide(events, model, reading, budget, part)?;
    let ops: usize = decisions.iter().map(|key| key.ops).sum();
    let anomalies: Vec<Anomaly> = decisions
        .iter()
        .filter_map(|key| match &key.decision {
            Decision::Broken(witness) => Some(anomaly(&key.name, witness)),
            Decision::Linearizable | Decision::Undecided { .. } => None,
        })
        .collect();
    let undecided = decisions.iter().find_map(|key| match &key.decision {
        Decision::Undecided { explained, reason } => Some((&key.name, explained, reason)),
        _ => None,
    });
    let (verdict, reason) = match (anomalies.len(), undecided) {
        (0, None) if !is_about(events, model) => {
            (Verdict::Unknown, "there is no operation that the model knows".to_owned())
        }
        // No answer, no contradiction: that is what the model says. Whether enough was asked is another question.
        (0, None) if ops == 0 => (
            Verdict::Valid,
            "no operation has an answer that could contradict another: nothing was put to the test".to_owned(),
        ),
        (0, None) => {
            let ordered = format!("{} on {} can be ordered", Count(ops, "op"), Count(decisions.len(), "key"));
            (Verdict::Valid, ordered + &because(&decisions))
        }
        (0, Some((key, explained, reason))) => {
            let reached = format!("{} of {} were explained", explained, lock(key));
            (Verdict::Unknown, format!("{reason}: {reached}"))
        }
        (broken, _) => (Verdict::Invalid, format!("{} of {} cannot be ordered", broken, Count(decisions.len(), "key"))),
    };
    let checkers = BTreeMap::from([(NAME.to_owned(), CheckerResult { verdict, reason })]);
    Ok(Judgement { verdict, anomalies, ops, checkers })
}

struct Key {
    name: String,
    ops: usize,
    decision: Decision,
    /// The leases that have to have run out for the answers to be explained.
    expired: Vec<locks::Expired>,
}

/// What had to happen unseen for the answers to be explained: leases that ran out.
fn because(keys: &[Key]) -> String {
    const MOST_TOLD: usize = 3;
    let expired = || keys.iter().flat_map(|key| &key.expired);
    let all = expired().count();
    if all == 0 {
        return String::new();
    }
    let told: Vec<String> = expired().take(MOST_TOLD).map(ToString::to_string).collect();
    let more = if all > MOST_TOLD { format!("; and {} more", all - MOST_TOLD) } else { String::new() };
    format!(" because {} may have run out: {}{more}", Count(all, "lease"), told.join("; "))
}

fn decide(
    events: &[Event],
    model: &Model,
    reading: &Reading,
    budget: &Budget<'_>,
    part: Part,
) -> Result<Vec<Key>, Unreadable> {
    let key = |name: String, ops: usize, decision: Decision| Key { name, ops, decision, expired: Vec::new() };
    Ok(match model {
        Model::CasRegister => {
            let registers = register::calls_by_key(events, &words(reading))?;
            registers
                .into_iter()
                .filter(|(name, _)| part.has(name))
                .map(|(name, history)| key(name, history.calls.len(), register::decide(&history, budget)))
                .collect()
        }
        Model::Kv => {
            let stores = kv::calls_by_key(events)?;
            let mine = stores.into_iter().filter(|(name, _)| part.has(name));
            mine.map(|(name, calls)| key(name, calls.len(), kv::decide(&calls, budget))).collect()
        }
        Model::Lock(model) => {
            let histories = locks::histories(events, model, reading.fails)?;
            histories
                .into_iter()
                .filter(|history| part.has(&history.key))
                .map(|history| {
                    let decision = locks::decide(model, &history, budget);
                    let is_valid = decision == Decision::Linearizable;
                    let expired = if is_valid { locks::expired(model, &history, budget) } else { Vec::new() };
                    Key { expired, ..key(history.key, history.calls.len(), decision) }
                })
                .collect()
        }
    })
}

/// One key's part of a history with an order of its operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linearized {
    /// The key.
    pub key: String,
    /// The order; `None` if there is none, or none was found within the budget.
    pub linearization: Option<Linearization>,
}

/// Spells out an order of each key's operations. It decides anew: [`judge`] does not pay for it.
///
/// # Errors
/// If the events do not make operations.
pub fn linearize(
    events: &[Event],
    model: &Model,
    reading: &Reading,
    budget: &Budget<'_>,
) -> Result<Vec<Linearized>, Unreadable> {
    Ok(match model {
        Model::CasRegister => {
            let registers = register::calls_by_key(events, &words(reading))?;
            let linearize =
                |(key, history): (String, _)| Linearized { key, linearization: register::linearize(&history, budget) };
            registers.into_iter().map(linearize).collect()
        }
        Model::Kv => {
            let keys = kv::calls_by_key(events)?;
            let linearize =
                |(key, calls): (String, Vec<_>)| Linearized { key, linearization: kv::linearize(&calls, budget) };
            keys.into_iter().map(linearize).collect()
        }
        Model::Lock(model) => {
            let histories = locks::histories(events, model, reading.fails)?;
            let linearized = |history: locks::LockHistory| Linearized {
                linearization: locks::linearize(model, &history, budget),
                key: history.key,
            };
            histories.into_iter().map(linearized).collect()
        }
    })
}

fn words(reading: &Reading) -> register::Words {
    register::Words { initial: reading.initial.clone(), fails: reading.fails, null_reads: reading.nulls }
}

fn anomaly(key: &str, witness: &Witness) -> Anomaly {
    Anomaly {
        kind: AnomalyKind::Nonlinearizable,
        grade: Grade::Proven,
        key: key.to_owned(),
        ops: witness.ops.clone(),
        at_ns: 0,
        margin_ns: 0,
        lease_gone_for_ns: None,
        signature: None,
        stuck: Some(witness.stuck()),
        faults: Vec::new(),
        leaders: Vec::new(),
        explanation: witness.explanation.clone(),
    }
}
