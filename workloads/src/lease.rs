//! The life of a lease: grant, renew at a rate, then give it back or let it run out and watch it go.

use std::time::Duration;

use leasehold_checkers::history::RunTime;

use crate::op::{Answer, Hold, Key, Op, Owner, Renewal, Wait};
use crate::script::{Dice, Script, Step};
use crate::service::OpError;

/// The workload `lease`: each worker has a key of its own, so that nothing but time ends a lease.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// How many workers there are, each with a key of its own.
    pub workers: usize,
    /// The TTL of a lease.
    pub ttl: Duration,
    /// How often a lease is renewed.
    pub renew_every: Duration,
    /// For how long it is renewed, on average.
    pub hold_for: Duration,
    /// How often its end is polled for once it is no longer renewed.
    pub poll_every: Duration,
    /// The share of leases that are left to run out; the others are given back.
    pub abandon: f64,
}

impl Lease {
    /// The names of the locks.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        (0..self.workers).map(|worker| key_of(worker as u64)).collect()
    }

    /// What the worker with this number does.
    #[must_use]
    pub fn script(&self, seed: u64, worker: u64) -> LeaseScript {
        let mut dice = Dice::new(seed, worker);
        let until = RunTime::default().after(dice.below(self.ttl));
        LeaseScript { settings: self.clone(), key: key_of(worker), dice, attempts: 0, state: State::Idle { until } }
    }
}

fn key_of(worker: u64) -> Key {
    format!("leases/{}", worker + 1)
}

/// One worker of [`Lease`].
#[derive(Debug)]
pub struct LeaseScript {
    settings: Lease,
    key: Key,
    dice: Dice,
    attempts: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle {
        until: RunTime,
    },
    Renewing {
        hold: Hold,
        next_renewal: RunTime,
        done_at: RunTime,
        abandons: bool,
    },
    /// The lease runs out; reads tell when it is gone.
    Watching {
        next_read: RunTime,
    },
}

impl LeaseScript {
    fn watch_from(&mut self, now: RunTime) {
        self.state = State::Watching { next_read: now.after(self.settings.poll_every) };
    }
}

impl Script for LeaseScript {
    fn next(&mut self, now: RunTime, process: u64) -> Step {
        match &mut self.state {
            State::Idle { until } if now < *until => Step::WaitUntil(*until),
            State::Idle { .. } => {
                self.attempts += 1;
                let owner = Owner { process, attempt: self.attempts };
                Step::Invoke(Op::Acquire { key: self.key.clone(), owner, ttl: self.settings.ttl, wait: Wait::Never })
            }
            State::Renewing { hold, next_renewal, done_at, abandons } => {
                let due = (*next_renewal).min(*done_at);
                if now < due {
                    Step::WaitUntil(due)
                } else if now < *done_at {
                    Step::Invoke(Op::Renew { hold: hold.clone(), how: Renewal::KeepAlive })
                } else if *abandons {
                    self.watch_from(now);
                    self.next(now, process)
                } else {
                    Step::Invoke(Op::Release { hold: hold.clone() })
                }
            }
            State::Watching { next_read } if now < *next_read => Step::WaitUntil(*next_read),
            State::Watching { .. } => Step::Invoke(Op::Read { key: self.key.clone(), linearizable: true }),
        }
    }

    fn completed(&mut self, now: RunTime, op: &Op, result: &Result<Answer, OpError>) {
        match (op, result) {
            (Op::Acquire { key, owner, ttl, .. }, Ok(Answer::Acquired(grant))) => {
                self.state = State::Renewing {
                    hold: Hold { key: key.clone(), owner: *owner, ttl: *ttl, grant: grant.clone() },
                    next_renewal: now.after(self.settings.renew_every),
                    done_at: now.after(self.dice.around(self.settings.hold_for)),
                    abandons: self.dice.chance(self.settings.abandon),
                };
            }
            (Op::Renew { .. }, Ok(_)) => {
                if let State::Renewing { next_renewal, .. } = &mut self.state {
                    *next_renewal = now.after(self.settings.renew_every);
                }
            }
            (Op::Release { .. }, Ok(_)) | (Op::Read { .. }, Ok(Answer::Holder(None))) => {
                let until = now.after(self.dice.around(self.settings.poll_every));
                self.state = State::Idle { until };
            }
            // The lease may still be there, held by a process that is no more: wait until it is gone.
            _ => self.watch_from(now),
        }
    }

    fn renews_at(&self) -> Option<RunTime> {
        match &self.state {
            State::Renewing { next_renewal, done_at, .. } if next_renewal < done_at => Some(*next_renewal),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Grant;

    fn settings() -> Lease {
        Lease {
            workers: 1,
            ttl: Duration::from_secs(3),
            renew_every: Duration::from_millis(500),
            hold_for: Duration::from_secs(2),
            poll_every: Duration::from_millis(100),
            abandon: 1.0,
        }
    }

    /// The next operation, and when it is due.
    fn next_op(script: &mut LeaseScript, mut now: RunTime) -> (RunTime, Op) {
        loop {
            match script.next(now, 3) {
                Step::WaitUntil(then) => now = then,
                Step::Invoke(op) => return (now, op),
            }
        }
    }

    #[test]
    fn an_abandoned_lease_is_read_until_it_is_gone_and_then_taken_anew() {
        let mut script = settings().script(1, 0);
        let (mut now, op) = next_op(&mut script, RunTime(0));
        let grant = Grant { ttl: Duration::from_secs(3), token: Some(1), lease: Some(1) };
        script.completed(now, &op, &Ok(Answer::Acquired(grant)));
        let mut renewals = 0;
        let read = loop {
            let (then, op) = next_op(&mut script, now);
            now = then;
            match &op {
                Op::Renew { .. } => {
                    renewals += 1;
                    script.completed(now, &op, &Ok(Answer::Renewed { ttl: Duration::from_secs(3) }));
                }
                Op::Read { .. } => break op,
                other => panic!("unexpected {other:?}"),
            }
        };
        assert!(renewals >= 1);
        script.completed(now, &read, &Ok(Answer::Holder(Some("p3.1".to_owned()))));
        let (now, again) = next_op(&mut script, now);
        assert!(matches!(again, Op::Read { .. }));
        script.completed(now, &again, &Ok(Answer::Holder(None)));
        let (_, acquire) = next_op(&mut script, now);
        assert!(matches!(acquire, Op::Acquire { owner: Owner { attempt: 2, .. }, .. }));
    }

    #[test]
    fn after_an_unknown_outcome_the_key_is_read_before_it_is_taken() {
        let mut script = settings().script(1, 0);
        let (now, op) = next_op(&mut script, RunTime(0));
        script.completed(now, &op, &Err(OpError::unknown("timeout", "")));
        assert!(matches!(next_op(&mut script, now).1, Op::Read { .. }));
    }
}
