//! The service's own queueing lock: wait in line, hold, unlock.

use std::time::Duration;

use leasehold_checkers::history::RunTime;

use crate::op::{Answer, Hold, Key, Op, Owner, Wait};
use crate::script::{Dice, Script, Step};
use crate::service::OpError;

/// The workload `lock-queue`: workers stand in line for one lock, each with a lease of its own length, and nobody
/// keeps a lease alive. A lease that is shorter than the wait ends while its owner stands in line.
#[derive(Clone, Debug, PartialEq)]
pub struct LockQueue {
    /// How many locks there are.
    pub keys: usize,
    /// The TTL of each worker's lease, one worker for each.
    pub ttls: Vec<Duration>,
    /// How long each holds the lock, on average.
    pub hold_for: Duration,
    /// How long each rests before it stands in line again, on average.
    pub retry_every: Duration,
}

impl LockQueue {
    /// The names of the locks.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        (1..=self.keys).map(|number| format!("queues/{number}")).collect()
    }

    /// What the worker with this number does.
    ///
    /// # Panics
    /// If there are no workers.
    #[must_use]
    pub fn script(&self, seed: u64, worker: u64) -> LockQueueScript {
        let keys = self.keys();
        let number = usize::try_from(worker).unwrap_or(usize::MAX);
        LockQueueScript {
            ttl: self.ttls[number % self.ttls.len()],
            hold_for: self.hold_for,
            retry_every: self.retry_every,
            key: keys[(number / self.ttls.len()) % keys.len()].clone(),
            dice: Dice::new(seed, worker),
            attempts: 0,
            state: State::Idle { until: RunTime::default() },
        }
    }
}

/// One worker of [`LockQueue`].
#[derive(Debug)]
pub struct LockQueueScript {
    ttl: Duration,
    hold_for: Duration,
    retry_every: Duration,
    key: Key,
    dice: Dice,
    attempts: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle { until: RunTime },
    Holding { hold: Hold, done_at: RunTime },
}

impl Script for LockQueueScript {
    fn next(&mut self, now: RunTime, process: u64) -> Step {
        match &self.state {
            State::Idle { until } if now < *until => Step::WaitUntil(*until),
            State::Idle { .. } => {
                self.attempts += 1;
                let owner = Owner { process, attempt: self.attempts };
                Step::Invoke(Op::Acquire { key: self.key.clone(), owner, ttl: self.ttl, wait: Wait::InQueue })
            }
            State::Holding { done_at, .. } if now < *done_at => Step::WaitUntil(*done_at),
            State::Holding { hold, .. } => Step::Invoke(Op::Release { hold: hold.clone() }),
        }
    }

    fn completed(&mut self, now: RunTime, op: &Op, result: &Result<Answer, OpError>) {
        self.state = match (op, result) {
            (Op::Acquire { key, owner, ttl, .. }, Ok(Answer::Acquired(grant))) => State::Holding {
                hold: Hold { key: key.clone(), owner: *owner, ttl: *ttl, grant: grant.clone() },
                done_at: now.after(self.dice.around(self.hold_for)),
            },
            _ => State::Idle { until: now.after(self.dice.around(self.retry_every)) },
        };
    }
}
