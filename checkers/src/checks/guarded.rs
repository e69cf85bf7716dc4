//! Writes that are guarded by fencing tokens, as they happen: a part of [`super::fencing`].

use std::collections::BTreeMap;

use crate::history::vocabulary::{Guard, code};
use crate::history::{Action, Op, Outcome, RunTime, Word, Work};

/// What was accepted under which token.
#[derive(Debug, Default)]
pub struct Guarded {
    /// How many writes were accepted.
    pub(super) accepted: usize,
    /// How many were refused because of their holds.
    pub(super) refused: usize,
    /// Writes under a token that was too small by then.
    pub(super) broken: Vec<TooOld>,
    /// By lock, and by who guards: greater and greater tokens, in the order in which it was certain that they had been seen.
    seen: BTreeMap<(Word, Guard), Vec<Seen>>,
}

/// A token that a guard had certainly seen by then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) token: u64,
    pub(super) at: RunTime,
    pub(super) process: u64,
    pub(super) op: usize,
}

/// A write that was accepted although a greater token had been seen before it was asked for.
#[derive(Clone, Debug)]
pub(super) struct TooOld {
    pub(super) key: Word,
    pub(super) newer: Seen,
    pub(super) write: Seen,
    pub(super) invoked: RunTime,
}

impl Guarded {
    /// Takes an op that has ended, in the order of the record.
    pub(crate) fn take(&mut self, op: &Op) {
        let Some(at) = op.ended else { return };
        match &op.action {
            // The service knows of its own grants. The harness's ledger knows of a token only when it was shown.
            Action::Acquire { granted: Some(granted), .. } => {
                if let Some(token) = granted.token {
                    self.note(op, Guard::Service, Seen { token, at, process: op.process, op: op.index });
                }
            }
            Action::Work(Work { guard: guard @ (Guard::Service | Guard::Token), token, .. }) => match op.outcome {
                Outcome::Ok => {
                    self.accepted += 1;
                    if let Some(token) = *token {
                        self.accept(op, *guard, Seen { token, at, process: op.process, op: op.index });
                    }
                }
                _ => self.refused += usize::from(op.failed_with(code::FENCED) || op.failed_with(code::NOT_HELD)),
            },
            _ => {}
        }
    }

    fn accept(&mut self, op: &Op, guard: Guard, write: Seen) {
        let seen = self.seen.get(&(op.key.clone(), guard)).map_or(&[][..], Vec::as_slice);
        let before = seen.partition_point(|seen| seen.at < op.invoked);
        if let Some(newer) = before.checked_sub(1).map(|last| seen[last]).filter(|newer| newer.token > write.token) {
            self.broken.push(TooOld { key: op.key.clone(), newer, write, invoked: op.invoked });
        }
        self.note(op, guard, write);
    }

    fn note(&mut self, op: &Op, guard: Guard, new: Seen) {
        let seen = self.seen.entry((op.key.clone(), guard)).or_default();
        if seen.last().is_none_or(|last| last.token < new.token) {
            seen.push(new);
        }
    }
}
