//! What operations asked for and were told beyond what every operation has: values of registers, leases, pieces of work.

use std::collections::HashMap;

use leasehold_checkers::history::vocabulary::{AcquireValue, Piece, f};
use leasehold_checkers::history::{Action, EventType, History, Json, Op, Outcome, Process};
use serde_json::Value;

use crate::report::words::one_line;

const VALUE_MAX: usize = 40;

/// Where in the record each operation was answered, by its index.
#[derive(Debug)]
pub(super) struct Answers(Vec<Option<usize>>);

/// What an operation came upon, and what it made, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::report) struct Exchange {
    /// The value that was read, or that a swap expects; the lease of a lock; the piece of work.
    pub(in crate::report) found: Option<String>,
    /// The value that was written, or that a swap puts in the other's place; the version that a piece of work made or read.
    pub(in crate::report) made: Option<String>,
}

impl Answers {
    pub(super) fn of(history: &History, ops: &[Op]) -> Self {
        let mut answers = vec![None; ops.len()];
        let mut under_way: HashMap<u64, usize> = HashMap::new();
        let mut coming = ops.iter().enumerate().peekable();
        for (index, (line, event)) in history.lines().enumerate() {
            let Process::Client(process) = event.process else { continue };
            if event.kind != EventType::Invoke {
                if let Some(op) = under_way.remove(&process) {
                    answers[op] = Some(index);
                }
            } else if let Some((op, _)) = coming.next_if(|(_, op)| op.line == line) {
                under_way.insert(process, op);
            }
        }
        Self(answers)
    }
}

impl Exchange {
    /// What was asked by an op of this history, and answered.
    pub(super) fn of(history: &History, answers: &Answers, op: &Op) -> Self {
        let answer = answers.0.get(op.index).copied().flatten().and_then(|at| history.events.get(at));
        let told = || answer.filter(|_| op.outcome == Outcome::Ok).map(|event| value(&event.value));
        match &op.action {
            Action::Register { .. } => {
                let asked = || asked_of(history, op).map(value);
                match op.f.as_str() {
                    f::WRITE => Self { found: None, made: asked().as_ref().map(plain) },
                    f::CAS => match asked() {
                        Some(Value::Array(pair)) if pair.len() == 2 => {
                            Self { found: Some(plain(&pair[0])), made: Some(plain(&pair[1])) }
                        }
                        _ => Self::default(),
                    },
                    _ => Self { found: told().as_ref().map(plain), made: None },
                }
            }
            Action::Acquire { granted: Some(_), .. } => {
                let value = answer.and_then(|event| event.value.read::<AcquireValue>().ok());
                Self { found: value.and_then(|value| value.lease).map(|lease| lease.to_string()), made: None }
            }
            Action::Work(work) => {
                let piece = match work.piece {
                    Piece::Begin => "begin",
                    Piece::Read => "read",
                    Piece::Write => "write",
                    Piece::End => "end",
                };
                let base = work.base.map_or_else(String::new, |base| format!(" over version {base}"));
                Self {
                    found: Some(format!("{piece}{base}")),
                    made: work.version.map(|version| format!("version {version}")),
                }
            }
            _ => Self::default(),
        }
    }

    /// What an operation on a register did, in a few words; its name alone where nothing is known of its values.
    pub(super) fn deed(&self, op: &Op) -> String {
        let text = match (&self.found, &self.made) {
            (Some(old), Some(new)) if op.f == f::CAS => format!("swap {old} for {new}"),
            (Some(found), _) => format!("{} {found}", op.f),
            (None, Some(made)) => format!("{} {made}", op.f),
            (None, None) => op.f.to_string(),
        };
        match op.outcome {
            Outcome::Ok => text,
            Outcome::Fail => format!("{text}, refused"),
            Outcome::Info | Outcome::Open => format!("{text}, not answered"),
        }
    }
}

fn asked_of<'a>(history: &'a History, op: &Op) -> Option<&'a Json> {
    const FIRST_EVENT: usize = 2;
    history.events.get(op.line.checked_sub(FIRST_EVENT)?).map(|event| &event.value)
}

/// The tree of a value, which is not kept beside its text: there may be millions.
fn value(json: &Json) -> Value {
    json.read().unwrap_or_default()
}

/// A value of a register in words.
fn plain(value: &Value) -> String {
    if value.is_null() { "nothing".to_owned() } else { one_line(&value.to_string(), VALUE_MAX) }
}
