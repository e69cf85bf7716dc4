//! A register that clients read, write and swap.

use super::{Load, Object, Random, simulate};
use crate::linear::register::{Initial, RegisterAction, RegisterHistory, ValueId, Values};

/// Which values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// So many, again and again.
    Few(u32),
    /// Each once.
    Unique,
}

/// A register that clients read, write and swap.
#[derive(Clone, Copy, Debug)]
pub struct RegisterWorkload {
    /// How many do how much.
    pub load: Load,
    /// Which values are written.
    pub domain: Domain,
    /// Whether a swap that found another value than it expected is recorded. It is left out otherwise.
    pub records_failed_swaps: bool,
}

impl RegisterWorkload {
    /// Its history. A third of the operations are reads, a third writes, a third swaps. A broken one has a read of a
    /// value that was overwritten long before, or of one that nobody writes where all values are overwritten often.
    #[must_use]
    pub fn history(&self) -> RegisterHistory {
        let mut random = Random::new(self.load.seed);
        let mut object = Register {
            domain: self.domain,
            records_failed_swaps: self.records_failed_swaps,
            value: 0,
            next: 1,
            last_seen: vec![0; self.load.clients],
        };
        let mut calls = simulate(&mut object, &self.load, &mut random);
        let mut count = match self.domain {
            Domain::Few(values) => values + 1,
            Domain::Unique => object.next,
        };
        if self.load.broken {
            let late = calls.len() - calls.len() / 5;
            let stale = match self.domain {
                Domain::Few(_) => count,
                Domain::Unique => 0,
            };
            count = count.max(stale + 1);
            let wrong = calls[late..]
                .iter_mut()
                .find(|call| call.returned.is_some() && matches!(call.action, RegisterAction::Read(_)));
            if let Some(call) = wrong {
                call.action = RegisterAction::Read(ValueId(stale));
            }
        }
        RegisterHistory { calls, initial: Initial::Known(ValueId(0)), values: Values::numbers(count) }
    }
}

struct Register {
    domain: Domain,
    records_failed_swaps: bool,
    value: u32,
    /// The next unique value.
    next: u32,
    last_seen: Vec<u32>,
}

impl Register {
    fn value_to_write(&mut self, random: &mut Random) -> u32 {
        match self.domain {
            Domain::Few(values) => 1 + random.below(u64::from(values)) as u32,
            Domain::Unique => {
                self.next += 1;
                self.next - 1
            }
        }
    }
}

impl Object for Register {
    type Asked = RegisterAction;
    type Told = RegisterAction;

    fn ask(&mut self, client: usize, random: &mut Random) -> Option<RegisterAction> {
        Some(match random.below(3) {
            0 => RegisterAction::Read(ValueId(0)),
            1 => RegisterAction::Write(ValueId(self.value_to_write(random))),
            _ => {
                let expected = match self.domain {
                    Domain::Few(values) => 1 + random.below(u64::from(values)) as u32,
                    Domain::Unique => self.last_seen[client],
                };
                RegisterAction::Cas { expected: ValueId(expected), new: ValueId(self.value_to_write(random)) }
            }
        })
    }

    fn apply(&mut self, client: usize, asked: RegisterAction) -> RegisterAction {
        let told = match asked {
            RegisterAction::Read(_) => RegisterAction::Read(ValueId(self.value)),
            RegisterAction::Write(value) => {
                self.value = value.0;
                asked
            }
            RegisterAction::Cas { expected, new } if expected.0 == self.value => {
                self.value = new.0;
                asked
            }
            RegisterAction::Cas { expected, .. } | RegisterAction::CasFailed { expected } => {
                RegisterAction::CasFailed { expected }
            }
        };
        self.last_seen[client] = self.value;
        told
    }

    fn record(&self, asked: RegisterAction, told: Option<RegisterAction>) -> Option<RegisterAction> {
        match (asked, told) {
            (_, Some(RegisterAction::CasFailed { .. })) if !self.records_failed_swaps => None,
            (_, Some(told)) => Some(told),
            (RegisterAction::Read(_), None) => None,
            (_, None) => Some(asked),
        }
    }
}
