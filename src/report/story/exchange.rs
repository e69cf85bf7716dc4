//! What operations asked for and were told beyond what every operation has: values of registers, leases, pieces of work.

use leasehold_checkers::history::vocabulary::{AcquireValue, Piece, f};
use leasehold_checkers::history::{Action, Event, EventType, Json, Op, Outcome};
use serde_json::Value;

use crate::report::words::one_line;

const VALUE_MAX: usize = 40;

/// What operations came upon and made, by their index, as far as the operations themselves do not tell.
#[derive(Debug, Default)]
pub(super) struct Exchanges(Vec<Option<Box<Exchange>>>);

/// What an operation came upon, and what it made, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::report) struct Exchange {
    /// The value that was read, or that a swap expects; the lease of a lock; the piece of work.
    pub(in crate::report) found: Option<String>,
    /// The value that was written, or that a swap puts in the other's place; the version that a piece of work made or read.
    pub(in crate::report) made: Option<String>,
}

impl Exchanges {
    /// Takes what an event says, by which this op was asked or answered.
    pub(super) fn take(&mut self, op: &Op, event: &Event) {
        let exchange = match event.kind {
            EventType::Invoke => Exchange::asked(op, &event.value),
            EventType::Ok => Exchange::answered(op, &event.value),
            EventType::Fail | EventType::Info => return,
        };
        if exchange == Exchange::default() {
            return;
        }
        if self.0.len() <= op.index {
            self.0.resize_with(op.index + 1, || None);
        }
        let noted = self.0[op.index].get_or_insert_default();
        noted.made = exchange.made.or_else(|| noted.made.take());
        noted.found = exchange.found.filter(|found| noted.made.as_ref() != Some(found)).or_else(|| noted.found.take());
    }

    /// What was asked by an op, and answered.
    pub(super) fn of(&self, op: &Op) -> Exchange {
        let noted = || self.0.get(op.index).and_then(Option::as_deref).cloned();
        Exchange::of_work(op).or_else(noted).unwrap_or_default()
    }
}

impl Exchange {
    fn asked(op: &Op, value: &Json) -> Self {
        match op.action {
            Action::Register { writes: true, .. } => {}
            // What another tool's client asks is told as it stands there.
            Action::Other if !value.is_null() => return Self { found: None, made: Some(plain(&tree(value))) },
            _ => return Self::default(),
        }
        match (op.f.as_str(), tree(value)) {
            (f::WRITE, written) => Self { found: None, made: Some(plain(&written)) },
            (f::CAS, Value::Array(pair)) if pair.len() == 2 => {
                Self { found: Some(plain(&pair[0])), made: Some(plain(&pair[1])) }
            }
            _ => Self::default(),
        }
    }

    fn answered(op: &Op, value: &Json) -> Self {
        let found = match &op.action {
            Action::Register { writes: false, .. } => Some(plain(&tree(value))),
            Action::Other if !value.is_null() => Some(plain(&tree(value))),
            Action::Acquire { granted: Some(_), .. } => {
                value.read::<AcquireValue>().ok().and_then(|value| value.lease).map(|lease| lease.to_string())
            }
            _ => None,
        };
        Self { found, made: None }
    }

    fn of_work(op: &Op) -> Option<Self> {
        let Action::Work(work) = &op.action else { return None };
        let piece = match work.piece {
            Piece::Begin => "begin",
            Piece::Read => "read",
            Piece::Write => "write",
            Piece::End => "end",
        };
        let base = work.base.map_or_else(String::new, |base| format!(" over version {base}"));
        Some(Self {
            found: Some(format!("{piece}{base}")),
            made: work.version.map(|version| format!("version {version}")),
        })
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

/// The tree of a value, which is not kept beside its text: there may be millions.
fn tree(json: &Json) -> Value {
    json.read().unwrap_or_default()
}

/// A value of a register in words.
fn plain(value: &Value) -> String {
    if value.is_null() { "nothing".to_owned() } else { one_line(&value.to_string(), VALUE_MAX) }
}
