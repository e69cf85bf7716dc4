//! Key-value stores with get, put and append, one key at a time.
//!
//! Three procedures, each exact:
//!
//! 1. Without appends a key is a [register]: a put is a write, a get is a read.
//! 2. Where each get can be read as a sequence of what was put and appended, the order is told by the gets, and the key
//!    is a register with unique values: see `told`. That takes O(n log n) in the length of the history, at any
//!    concurrency.
//! 3. Otherwise all orders are searched, within the budget.

mod calls;
mod general;
#[cfg(test)]
mod tests;
mod told;

pub(super) use calls::call;
pub use calls::calls_by_key;

use std::collections::HashMap;

use crate::linear::register::{self, Initial, RegisterAction, RegisterHistory, Values};
use crate::linear::{Budget, Call, Decision, Happening, Linearization};
use told::Told;

/// What an operation on a key did, with its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KvAction {
    /// It got this. A key that was never written has the empty string.
    Get(String),
    /// It put this.
    Put(String),
    /// It appended this.
    Append(String),
}

impl KvAction {
    /// What it got, put or appended.
    #[must_use]
    pub fn string(&self) -> &str {
        let (Self::Get(string) | Self::Put(string) | Self::Append(string)) = self;
        string
    }
}

/// Decides whether some order of the operations on one key explains all answers.
#[must_use]
pub fn decide(calls: &[Call<KvAction>], budget: &Budget<'_>) -> Decision {
    if !has_appends(calls) {
        return reworded(register::decide(&as_register(calls), budget), calls);
    }
    match told::told(calls) {
        Told::Register(history) => reworded(register::decide(&history, budget), calls),
        Told::Contradiction(witness) => Decision::Broken(witness),
        Told::Nothing => general::decide(calls, budget),
    }
}

/// An order that explains all answers; `None` where there is none, or the budget ends first.
#[must_use]
pub fn linearize(calls: &[Call<KvAction>], budget: &Budget<'_>) -> Option<Linearization> {
    let of_register = |history: &RegisterHistory| {
        let places: HashMap<usize, usize> = calls.iter().enumerate().map(|(place, call)| (call.op, place)).collect();
        let steps = register::linearize(history, budget)?.steps;
        let ops = steps.into_iter().filter_map(|step| match step.happening {
            Happening::Op(op) => places.get(&op).copied(),
            Happening::Expiry { .. } => None,
        });
        Some(ops.collect())
    };
    let order: Vec<usize> = if has_appends(calls) {
        match told::told(calls) {
            Told::Register(history) => of_register(&history)?,
            Told::Contradiction(_) => return None,
            Told::Nothing => general::find_order(calls, budget)?,
        }
    } else {
        of_register(&as_register(calls))?
    };
    let mut linearization = Linearization::default();
    let mut state = String::new();
    for call in order.into_iter().map(|place| &calls[place]) {
        match &call.action {
            KvAction::Get(_) => {}
            KvAction::Put(value) => state.clone_from(value),
            KvAction::Append(value) => state += value,
        }
        linearization.take_effect(call, deed(call), quoted(&state));
    }
    Some(linearization)
}

fn has_appends(calls: &[Call<KvAction>]) -> bool {
    calls.iter().any(|call| matches!(call.action, KvAction::Append(_)))
}

fn as_register(calls: &[Call<KvAction>]) -> RegisterHistory {
    let mut values = Values::default();
    let initial = Initial::Known(values.intern_as("", quoted));
    let as_register = |call: &Call<KvAction>| {
        let value = values.intern_as(call.action.string(), quoted);
        let action = match &call.action {
            KvAction::Get(_) => RegisterAction::Read(value),
            KvAction::Put(_) | KvAction::Append(_) => RegisterAction::Write(value),
        };
        Call { op: call.op, process: call.process, called: call.called, returned: call.returned, action }
    };
    RegisterHistory { calls: calls.iter().map(as_register).collect(), initial, values }
}

/// A register's decision in the words of a key-value store.
fn reworded(decision: Decision, calls: &[Call<KvAction>]) -> Decision {
    let Decision::Broken(mut witness) = decision else { return decision };
    witness.explanation = explained(calls, witness.stuck_at, &witness.ops, &witness.states_before);
    Decision::Broken(witness)
}

fn explained(calls: &[Call<KvAction>], stuck: usize, ops: &[usize], states_before: &[String]) -> String {
    let describe = |op: usize| calls.iter().find(|call| call.op == op).map(described).unwrap_or_default();
    let others: Vec<String> = ops.iter().filter(|&&op| op != stuck).map(|&op| describe(op)).collect();
    register::witness::sentence(&describe(stuck), &others, "the value", states_before)
}

fn described(call: &Call<KvAction>) -> String {
    format!("{} (op {})", deed(call), call.op)
}

fn deed(call: &Call<KvAction>) -> String {
    let (did, asked, value) = match &call.action {
        KvAction::Get(value) => ("got", "asked for", value),
        KvAction::Put(value) => ("put", "asked to put", value),
        KvAction::Append(value) => ("appended", "asked to append", value),
    };
    let verb = if call.returned.is_some() { did } else { asked };
    format!("process {} {verb} {}", call.process, quoted(value))
}

/// A string in quotes; of a long one, its end.
fn quoted(value: &str) -> String {
    const SHOWN: usize = 40;
    match value.char_indices().rev().nth(SHOWN) {
        Some((cut, character)) => format!("\"...{}\"", &value[cut + character.len_utf8()..]),
        None => format!("\"{value}\""),
    }
}
