//! A lock that clients try to take and give back.

use super::{Load, Object, Random, simulate};
use crate::linear::Call;

/// What a client did with a lock, with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockStep {
    /// It asked for the lock.
    Acquire {
        /// Whether it was granted.
        granted: bool,
    },
    /// It gave it back.
    Release,
}

/// A lock that clients try to take, or wait for, and give back.
#[derive(Clone, Copy, Debug)]
pub struct LockWorkload {
    /// How many do how much.
    pub load: Load,
    /// Whether clients wait for the lock. Otherwise they are refused while another holds it.
    pub blocking: bool,
}

impl LockWorkload {
    /// Its history. In a broken one, a refusal or a release in the last fifth is turned into a grant.
    #[must_use]
    pub fn calls(&self) -> Vec<Call<LockStep>> {
        let mut random = Random::new(self.load.seed);
        let clients = self.load.clients;
        let mut lock = Lock { holder: None, wants_release: vec![false; clients], blocking: self.blocking };
        let mut calls = simulate(&mut lock, &self.load, &mut random);
        if self.load.broken {
            let late = calls.len() - calls.len() / 5;
            let refused = LockStep::Acquire { granted: false };
            let answered = |call: &Call<LockStep>| call.returned.is_some();
            let wrong = (late..calls.len())
                .find(|&call| answered(&calls[call]) && calls[call].action == refused)
                .or_else(|| (late..calls.len()).find(|&call| answered(&calls[call])));
            if let Some(wrong) = wrong {
                calls[wrong].action = LockStep::Acquire { granted: true };
            }
        }
        calls
    }
}

struct Lock {
    holder: Option<usize>,
    /// Which clients were granted the lock, or may have been.
    wants_release: Vec<bool>,
    blocking: bool,
}

impl Object for Lock {
    type Asked = LockStep;
    type Told = LockStep;

    fn ask(&mut self, client: usize, _: &mut Random) -> Option<LockStep> {
        if self.wants_release[client] {
            return Some(LockStep::Release);
        }
        let must_wait = self.blocking && self.holder.is_some();
        (!must_wait).then_some(LockStep::Acquire { granted: true })
    }

    fn apply(&mut self, client: usize, asked: LockStep) -> LockStep {
        match asked {
            LockStep::Release => {
                self.wants_release[client] = false;
                self.holder = None;
                LockStep::Release
            }
            LockStep::Acquire { .. } => {
                let granted = self.holder.is_none();
                if granted {
                    self.holder = Some(client);
                    self.wants_release[client] = true;
                }
                LockStep::Acquire { granted }
            }
        }
    }

    fn record(&self, asked: LockStep, told: Option<LockStep>) -> Option<LockStep> {
        told.or(Some(asked))
    }
}
