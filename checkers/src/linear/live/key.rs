//! One register or one key of a store.

use super::register::LiveRegister;
use crate::linear::kv::{self, KvAction};
use crate::linear::pairs::{CallsError, Paired};
use crate::linear::register::Words;
use crate::linear::{Budget, Call, Decision, Witness};

#[derive(Debug)]
pub(super) enum Key {
    Register(Box<LiveRegister>),
    Store(Store),
}

/// The operations on a key of a store.
#[derive(Debug, Default)]
pub(super) struct Store {
    calls: Vec<Call<KvAction>>,
    /// Those under way.
    under_way: Vec<Call<KvAction>>,
    bytes: usize,
    /// How many there were when they were last decided.
    decided: usize,
    given_up: bool,
}

/// How many operations on a key of a store are not decided before the end.
const FEW: usize = 64;

const TOO_LONG: &str = "the operations on a key do not fit into the memory";

impl Key {
    pub(super) fn store() -> Self {
        Self::Store(Store::default())
    }

    /// Notes an operation that may happen from now on.
    pub(super) fn begins(&mut self, paired: &Paired<'_>, words: &Words) -> Result<(), CallsError> {
        match self {
            Self::Register(register) => {
                let may_do = register.understood(paired, words)?;
                in_time(register.line.called(paired.op, may_do, paired.begun.time), paired)
            }
            Self::Store(store) => {
                store.under_way.extend(kv::call(paired)?);
                Ok(())
            }
        }
    }

    /// Notes how an operation ended.
    pub(super) fn ends(&mut self, paired: &Paired<'_>, words: &Words) -> Result<(), CallsError> {
        match self {
            Self::Register(register) => {
                let did = register.understood(paired, words)?;
                let at = paired.ended.map_or(paired.begun.time, |event| event.time);
                in_time(register.line.ended(paired.op, did, at), paired)
            }
            Self::Store(store) => {
                store.under_way.retain(|call| call.op != paired.op);
                if let Some(call) = kv::call(paired)? {
                    store.bytes += 2 * size_of::<Call<KvAction>>() + 2 * call.action.string().len();
                    store.calls.push(call);
                }
                Ok(())
            }
        }
    }

    /// Places what can be placed; the witness where that shows a contradiction.
    pub(super) fn settle(&mut self, budget: &Budget<'_>) -> Option<Witness> {
        match self {
            Self::Register(register) => register.settle(budget),
            Self::Store(store) => {
                store.given_up |= store.bytes > budget.memory_bytes / 2;
                if store.given_up {
                    store.calls = Vec::new();
                } else if store.calls.len() >= FEW.max(2 * store.decided) {
                    store.decided = store.calls.len();
                    if let Decision::Broken(witness) = store.decide(budget) {
                        return Some(witness);
                    }
                }
                None
            }
        }
    }

    pub(super) fn now(&mut self, budget: &Budget<'_>) -> Decision {
        match self {
            Self::Register(register) => register.now(budget),
            Self::Store(store) if store.given_up => Decision::Undecided { explained: 0, reason: TOO_LONG.to_owned() },
            Self::Store(store) => store.decide(budget),
        }
    }

    #[cfg(test)]
    pub(super) fn judges_by_log(&self) -> bool {
        matches!(self, Self::Register(register) if register.judges_by_log())
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        match self {
            Self::Register(register) => register.kept(),
            Self::Store(store) => (store.calls.len(), 0),
        }
    }

    pub(super) fn given_up(&self) -> Option<&str> {
        match self {
            Self::Register(register) => register.given_up(),
            Self::Store(store) => store.given_up.then_some(TOO_LONG),
        }
    }
}

fn in_time(goes_on: bool, paired: &Paired<'_>) -> Result<(), CallsError> {
    if goes_on { Ok(()) } else { Err(CallsError::TimeGoesBack { event: paired.place }) }
}

impl Store {
    /// The verdict so far. What is under way may have happened.
    fn decide(&self, budget: &Budget<'_>) -> Decision {
        let budget = Budget { out_of_time: budget.out_of_time, memory_bytes: budget.memory_bytes / 2 };
        let mut calls = [&self.calls[..], &self.under_way].concat();
        calls.sort_by_key(|call| call.op);
        kv::decide(&calls, &budget)
    }
}
