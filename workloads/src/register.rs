//! Registers of the store itself: reads, writes and compare-and-swap, so that a checker can look for an order that explains them.

use std::time::Duration;

use leasehold_checkers::history::RunTime;

use crate::op::{Answer, Key, Op, RegisterOp};
use crate::script::{Dice, Script, Step};
use crate::service::OpError;

/// The workload `register`: workers read, write and swap a few registers. No value is written twice in a run, so that each read
/// tells which write it saw; and a swap asks for what its worker has just read, so that most succeed.
#[derive(Clone, Debug, PartialEq)]
pub struct Register {
    /// How many workers there are.
    pub workers: usize,
    /// How many registers.
    pub keys: usize,
    /// How long a worker rests between two turns, on average.
    pub every: Duration,
    /// The share of turns in which a worker reads; in the others it writes.
    pub reads: f64,
    /// The share of reads that are followed by a swap of what was read.
    pub cas: f64,
}

impl Register {
    /// The names of the registers.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        (1..=self.keys).map(|number| format!("registers/{number}")).collect()
    }

    /// What the worker with this number does.
    #[must_use]
    pub fn script(&self, seed: u64, worker: u64) -> RegisterScript {
        let mut dice = Dice::new(seed, worker);
        let until = RunTime::default().after(dice.below(self.every));
        RegisterScript {
            settings: self.clone(),
            keys: self.keys(),
            dice,
            next_value: worker + 1,
            state: State::Idle { until },
        }
    }
}

/// One worker of [`Register`].
#[derive(Debug)]
pub struct RegisterScript {
    settings: Register,
    keys: Vec<Key>,
    dice: Dice,
    /// Workers count in steps of their number, so that no two write the same.
    next_value: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle {
        until: RunTime,
    },
    /// A swap of what was read is next.
    Swapping {
        key: Key,
        old: Option<u64>,
    },
}

impl RegisterScript {
    fn value(&mut self) -> u64 {
        let value = self.next_value;
        self.next_value += self.settings.workers as u64;
        value
    }

    fn turn(&mut self) -> Op {
        let key = self.keys[self.dice.index(self.keys.len())].clone();
        let op = if self.dice.chance(self.settings.reads) {
            RegisterOp::Read { linearizable: true }
        } else {
            RegisterOp::Write { value: self.value() }
        };
        Op::Register { key, op }
    }
}

impl Script for RegisterScript {
    fn next(&mut self, now: RunTime, _process: u64) -> Step {
        match &self.state {
            State::Idle { until } if now < *until => Step::WaitUntil(*until),
            State::Idle { .. } => Step::Invoke(self.turn()),
            State::Swapping { key, old } => {
                let (key, old) = (key.clone(), *old);
                let new = self.value();
                Step::Invoke(Op::Register { key, op: RegisterOp::Cas { old, new } })
            }
        }
    }

    fn completed(&mut self, now: RunTime, op: &Op, result: &Result<Answer, OpError>) {
        self.state = match (op, result) {
            (Op::Register { key, op: RegisterOp::Read { .. } }, Ok(Answer::Value(seen)))
                if self.dice.chance(self.settings.cas) =>
            {
                State::Swapping { key: key.clone(), old: *seen }
            }
            _ => State::Idle { until: now.after(self.dice.around(self.settings.every)) },
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn settings() -> Register {
        Register { workers: 3, keys: 2, every: Duration::from_millis(10), reads: 0.5, cas: 0.5 }
    }

    /// Runs all workers in turns on registers that do what they are told, for `turns` turns each.
    fn run(seed: u64, turns: usize) -> Vec<(u64, Op, bool)> {
        let settings = settings();
        let mut scripts: Vec<_> = (0..settings.workers as u64).map(|worker| settings.script(seed, worker)).collect();
        let mut registers: BTreeMap<Key, u64> = BTreeMap::new();
        let mut done = Vec::new();
        let mut now = RunTime::default();
        for _ in 0..turns {
            for (worker, script) in (0..).zip(&mut scripts) {
                now = now.after(Duration::from_millis(20));
                let op = match script.next(now, worker) {
                    Step::Invoke(op) => op,
                    Step::WaitUntil(then) => panic!("nobody rests for 60 ms: {then}"),
                };
                let Op::Register { key, op: asked } = &op else { panic!("unexpected {op:?}") };
                let has = registers.get(key).copied();
                let result = match *asked {
                    RegisterOp::Read { .. } => Ok(Answer::Value(has)),
                    RegisterOp::Cas { old, .. } if old != has => Err(OpError::failed("mismatch", "")),
                    RegisterOp::Write { value: new } | RegisterOp::Cas { new, .. } => {
                        registers.insert(key.clone(), new);
                        Ok(Answer::Written)
                    }
                };
                script.completed(now, &op, &result);
                done.push((worker, op, result.is_ok()));
            }
        }
        done
    }

    fn register_ops(done: &[(u64, Op, bool)]) -> impl Iterator<Item = (RegisterOp, bool)> + '_ {
        done.iter().filter_map(|(_, op, ok)| match op {
            Op::Register { op, .. } => Some((*op, *ok)),
            _ => None,
        })
    }

    #[test]
    fn no_value_is_written_twice() {
        let done = run(1, 500);
        let written: Vec<u64> = register_ops(&done)
            .filter_map(|(op, _)| match op {
                RegisterOp::Write { value } | RegisterOp::Cas { new: value, .. } => Some(value),
                RegisterOp::Read { .. } => None,
            })
            .collect();
        assert!(written.len() > 500);
        assert_eq!(written.iter().collect::<BTreeSet<_>>().len(), written.len());
    }

    #[test]
    fn all_kinds_are_tried_and_swaps_both_succeed_and_fail() {
        let done = run(2, 500);
        let count = |wanted: fn(RegisterOp) -> bool, ok| {
            register_ops(&done).filter(|(op, was_ok)| wanted(*op) && *was_ok == ok).count()
        };
        assert!(count(|op| matches!(op, RegisterOp::Read { linearizable: true }), true) > 300);
        assert!(count(|op| matches!(op, RegisterOp::Write { .. }), true) > 300);
        assert!(count(|op| matches!(op, RegisterOp::Cas { .. }), true) > 50);
        assert!(count(|op| matches!(op, RegisterOp::Cas { .. }), false) > 20);
    }

    #[test]
    fn a_swap_asks_for_what_was_just_read() {
        let mut settings = settings();
        settings.cas = 1.0;
        settings.reads = 1.0;
        let mut script = settings.script(3, 0);
        let Step::WaitUntil(then) = script.next(RunTime::default(), 0) else { panic!("workers begin apart") };
        let Step::Invoke(read) = script.next(then, 0) else { panic!("its turn has come") };
        script.completed(then, &read, &Ok(Answer::Value(Some(42))));
        let Step::Invoke(swap) = script.next(then, 0) else { panic!("a swap follows at once") };
        assert_eq!(swap, Op::Register { key: read.key().clone(), op: RegisterOp::Cas { old: Some(42), new: 1 } });
        // After that, whatever came of it, the worker rests.
        script.completed(then, &swap, &Err(OpError::unknown("timeout", "")));
        assert!(matches!(script.next(then, 3), Step::WaitUntil(_)));
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(run(5, 50), run(5, 50));
        assert_ne!(run(5, 50), run(6, 50));
    }
}
