//! The service's own lock, or election, in which workers wait: stand in line, hold and renew, let go.

use std::time::Duration;

use leasehold_checkers::history::RunTime;

use crate::op::{Answer, Hold, Key, Op, Owner, Renewal, Wait};
use crate::script::{Dice, Script, Step};
use crate::service::OpError;

/// The workloads `mutex`, `election` and `semaphore`: each worker stands in line for one lock, holds it for a while, and stands in line
/// anew.
///
/// Whoever renews does so as soon as it is told that it holds, for its lease may have begun long before. Where nobody renews, a
/// lease that is shorter than the wait ends while its owner stands in line.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutex {
    /// What the locks are called, before their numbers.
    pub prefix: &'static str,
    /// How many locks there are.
    pub keys: usize,
    /// The TTL of each worker's lease, one for each worker. Workers take turns at the locks.
    pub ttls: Vec<Duration>,
    /// How often a holder renews, and how; `None` where nobody does.
    pub renewal: Option<(Duration, Renewal)>,
    /// How long each holds the lock, on average.
    pub hold_for: Duration,
    /// The share of holds that are left to run out instead of given back.
    pub abandon: f64,
    /// The share of idle turns in which a worker reads who holds instead of standing in line.
    pub reads: f64,
    /// How long each rests before it stands in line again, on average.
    pub retry_every: Duration,
}

impl Mutex {
    /// The names of the locks.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        (1..=self.keys).map(|number| format!("{}/{number}", self.prefix)).collect()
    }

    /// What the worker with this number does.
    ///
    /// # Panics
    /// If there are no locks, or no such worker.
    #[must_use]
    pub fn script(&self, seed: u64, worker: u64) -> MutexScript {
        let number = usize::try_from(worker).unwrap_or(usize::MAX);
        MutexScript {
            ttl: self.ttls[number],
            renewal: self.renewal,
            hold_for: self.hold_for,
            abandon: self.abandon,
            reads: self.reads,
            retry_every: self.retry_every,
            key: self.keys()[number % self.keys].clone(),
            dice: Dice::new(seed, worker),
            attempts: 0,
            state: State::Idle { until: RunTime::default() },
        }
    }
}

/// One worker of [`Mutex`].
#[derive(Debug)]
pub struct MutexScript {
    ttl: Duration,
    renewal: Option<(Duration, Renewal)>,
    hold_for: Duration,
    abandon: f64,
    reads: f64,
    retry_every: Duration,
    key: Key,
    dice: Dice,
    attempts: u32,
    state: State,
}

impl MutexScript {
    fn rest(&mut self, now: RunTime) {
        self.state = State::Idle { until: now.after(self.dice.around(self.retry_every)) };
    }
}

#[derive(Debug)]
enum State {
    Idle { until: RunTime },
    Holding { hold: Hold, next_renewal: Option<RunTime>, done_at: RunTime, abandons: bool },
}

impl Script for MutexScript {
    fn next(&mut self, now: RunTime, process: u64) -> Step {
        match &self.state {
            State::Idle { until } if now < *until => Step::WaitUntil(*until),
            State::Idle { .. } if self.reads > 0.0 && self.dice.chance(self.reads) => {
                Step::Invoke(Op::Read { key: self.key.clone(), linearizable: true })
            }
            State::Idle { .. } => {
                self.attempts += 1;
                let owner = Owner { process, attempt: self.attempts };
                Step::Invoke(Op::Acquire { key: self.key.clone(), owner, ttl: self.ttl, wait: Wait::InQueue })
            }
            State::Holding { hold, next_renewal, done_at, abandons } => {
                let due = next_renewal.map_or(*done_at, |renewal| renewal.min(*done_at));
                match self.renewal {
                    _ if now < due => Step::WaitUntil(due),
                    Some((_, how)) if now < *done_at => Step::Invoke(Op::Renew { hold: hold.clone(), how }),
                    _ if *abandons => {
                        self.rest(now);
                        self.next(now, process)
                    }
                    _ => Step::Invoke(Op::Release { hold: hold.clone() }),
                }
            }
        }
    }

    fn completed(&mut self, now: RunTime, op: &Op, result: &Result<Answer, OpError>) {
        match (op, result, &mut self.state) {
            (Op::Acquire { key, owner, ttl, .. }, Ok(Answer::Acquired(grant)), _) => {
                self.state = State::Holding {
                    hold: Hold { key: key.clone(), owner: *owner, ttl: *ttl, grant: grant.clone() },
                    next_renewal: self.renewal.map(|_| now),
                    done_at: now.after(self.dice.around(self.hold_for)),
                    abandons: self.abandon > 0.0 && self.dice.chance(self.abandon),
                };
            }
            (Op::Renew { .. }, Ok(_), State::Holding { next_renewal, .. }) => {
                *next_renewal = self.renewal.map(|(every, _)| now.after(every));
            }
            _ => self.rest(now),
        }
    }

    fn renews_at(&self) -> Option<RunTime> {
        match &self.state {
            State::Holding { next_renewal, done_at, .. } => next_renewal.filter(|renewal| renewal < done_at),
            State::Idle { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Grant;

    fn settings() -> Mutex {
        Mutex {
            prefix: "mutexes",
            keys: 2,
            ttls: vec![Duration::from_secs(3); 4],
            renewal: Some((Duration::from_secs(1), Renewal::KeepAlive)),
            hold_for: Duration::from_secs(4),
            abandon: 0.0,
            reads: 0.0,
            retry_every: Duration::from_millis(100),
        }
    }

    /// Acquires, and gives the instant of the grant.
    fn granted(script: &mut MutexScript) -> RunTime {
        let Step::Invoke(op) = script.next(RunTime(0), 7) else { panic!("it stands in line at once") };
        let Op::Acquire { wait: Wait::InQueue, .. } = &op else { panic!("unexpected {op:?}") };
        // It waited for longer than its TTL.
        let now = RunTime(5_000_000_000);
        let grant = Grant { ttl: Duration::from_secs(3), token: Some(1), lease: Some(1) };
        script.completed(now, &op, &Ok(Answer::Acquired(grant)));
        now
    }

    #[test]
    fn a_holder_renews_at_once_and_then_at_its_rate_and_lets_go() {
        let mut script = settings().script(1, 0);
        let mut now = granted(&mut script);
        assert_eq!(script.renews_at(), Some(now));
        let mut renewals = Vec::new();
        loop {
            match script.next(now, 7) {
                Step::WaitUntil(then) => now = then,
                Step::Invoke(op @ Op::Renew { .. }) => {
                    renewals.push(now);
                    script.completed(now, &op, &Ok(Answer::Renewed { ttl: Duration::from_secs(3) }));
                }
                Step::Invoke(op) => {
                    assert!(matches!(op, Op::Release { .. }), "{op:?}");
                    break;
                }
            }
        }
        assert!(renewals.len() >= 2);
        assert_eq!(renewals[0], RunTime(5_000_000_000));
        assert!(renewals.windows(2).all(|pair| pair[1].since(pair[0]) == Duration::from_secs(1)));
    }

    #[test]
    fn whoever_does_not_renew_only_lets_go() {
        let mut script = Mutex { renewal: None, ..settings() }.script(1, 0);
        let now = granted(&mut script);
        assert_eq!(script.renews_at(), None);
        let Step::WaitUntil(then) = script.next(now, 7) else { panic!("it holds for a while") };
        assert!(matches!(script.next(then, 7), Step::Invoke(Op::Release { .. })));
    }

    #[test]
    fn one_that_abandons_its_lock_lets_it_run_out_and_stands_in_line_again() {
        let mut script = Mutex { renewal: None, abandon: 1.0, ..settings() }.script(1, 0);
        let now = granted(&mut script);
        let Step::WaitUntil(done_at) = script.next(now, 7) else { panic!("it holds for a while") };
        let Step::WaitUntil(then) = script.next(done_at, 7) else { panic!("it rests without a word") };
        assert!(matches!(script.next(then, 7), Step::Invoke(Op::Acquire { owner: Owner { attempt: 2, .. }, .. })));
    }

    #[test]
    fn a_lost_lock_sends_the_worker_back_into_the_line() {
        let mut script = settings().script(1, 0);
        let now = granted(&mut script);
        let Step::Invoke(renew) = script.next(now, 7) else { panic!("a renewal is due") };
        script.completed(now, &renew, &Err(OpError::failed("expired", "gone")));
        assert_eq!(script.renews_at(), None);
        let Step::WaitUntil(then) = script.next(now, 7) else { panic!("it rests") };
        assert!(matches!(script.next(then, 7), Step::Invoke(Op::Acquire { owner: Owner { attempt: 2, .. }, .. })));
    }

    #[test]
    fn one_that_reads_stands_in_line_after_a_rest() {
        let mut script = Mutex { reads: 1.0, ..settings() }.script(1, 0);
        let Step::Invoke(read) = script.next(RunTime(0), 7) else { panic!("it reads at once") };
        assert_eq!(read, Op::Read { key: "mutexes/1".to_owned(), linearizable: true });
        script.completed(RunTime(0), &read, &Ok(Answer::Holder(None)));
        assert!(matches!(script.next(RunTime(0), 7), Step::WaitUntil(_)));
    }

    #[test]
    fn workers_take_turns_at_the_locks() {
        let key_of = |worker| settings().script(1, worker).key;
        assert_eq!([key_of(0), key_of(1), key_of(2)], ["mutexes/1", "mutexes/2", "mutexes/1"]);
    }
}
