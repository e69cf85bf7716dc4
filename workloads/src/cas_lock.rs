//! The job guarded by a compare-and-swap: acquire, update the status (which renews), release; now and then a read.

use std::time::Duration;

use leasehold_checkers::history::RunTime;

use crate::op::{Answer, Hold, Key, Op, Owner, Renewal, Wait};
use crate::script::{Dice, Script, Step};
use crate::service::OpError;

/// The workload `cas-lock`: workers compete for a few job keys, and whoever wins runs the job for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct CasLock {
    /// How many workers compete.
    pub workers: usize,
    /// How many locks there are.
    pub keys: usize,
    /// The TTL of a hold.
    pub ttl: Duration,
    /// How often a holder renews.
    pub renew_every: Duration,
    /// How: by an update of its status, or of its lease alone.
    pub renewal: Renewal,
    /// How long a job runs, on average.
    pub hold_for: Duration,
    /// How long a loser waits before it tries again, on average.
    pub retry_every: Duration,
    /// The share of jobs that end without a release, so that only expiry frees the lock.
    pub abandon: f64,
    /// The share of idle turns in which a worker reads instead of trying to acquire.
    pub reads: f64,
    /// When the workers begin, since the start of the run.
    pub start: Duration,
}

impl CasLock {
    /// The names of the locks.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        (1..=self.keys).map(|number| format!("jobs/{number}")).collect()
    }

    /// What the worker with this number does.
    #[must_use]
    pub fn script(&self, seed: u64, worker: u64) -> CasLockScript {
        CasLockScript {
            settings: self.clone(),
            keys: self.keys(),
            dice: Dice::new(seed, worker),
            attempts: 0,
            state: State::Idle { until: RunTime::default().after(self.start) },
        }
    }
}

/// One worker of [`CasLock`].
#[derive(Debug)]
pub struct CasLockScript {
    settings: CasLock,
    keys: Vec<Key>,
    dice: Dice,
    attempts: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle { until: RunTime },
    Working { hold: Hold, next_update: RunTime, done_at: RunTime, abandons: bool },
}

impl CasLockScript {
    fn rest(&mut self, now: RunTime) {
        let until = now.after(self.dice.around(self.settings.retry_every));
        self.state = State::Idle { until };
    }

    fn try_something(&mut self, process: u64) -> Op {
        let key = self.keys[self.dice.index(self.keys.len())].clone();
        if self.dice.chance(self.settings.reads) {
            return Op::Read { key, linearizable: true };
        }
        self.attempts += 1;
        let owner = Owner { process, attempt: self.attempts };
        Op::Acquire { key, owner, ttl: self.settings.ttl, wait: Wait::Never }
    }

    fn start_work(&mut self, now: RunTime, hold: Hold) {
        self.state = State::Working {
            hold,
            next_update: now.after(self.settings.renew_every),
            done_at: now.after(self.dice.around(self.settings.hold_for)),
            abandons: self.dice.chance(self.settings.abandon),
        };
    }
}

impl Script for CasLockScript {
    fn next(&mut self, now: RunTime, process: u64) -> Step {
        match &mut self.state {
            State::Idle { until } if now < *until => Step::WaitUntil(*until),
            State::Idle { .. } => Step::Invoke(self.try_something(process)),
            State::Working { hold, next_update, done_at, abandons } => {
                let due = (*next_update).min(*done_at);
                if now < due {
                    Step::WaitUntil(due)
                } else if now < *done_at {
                    Step::Invoke(Op::Renew { hold: hold.clone(), how: self.settings.renewal })
                } else if *abandons {
                    self.rest(now);
                    self.next(now, process)
                } else {
                    Step::Invoke(Op::Release { hold: hold.clone() })
                }
            }
        }
    }

    fn completed(&mut self, now: RunTime, op: &Op, result: &Result<Answer, OpError>) {
        match (op, result) {
            (Op::Acquire { key, owner, ttl, .. }, Ok(Answer::Acquired(grant))) => {
                let hold = Hold { key: key.clone(), owner: *owner, ttl: *ttl, grant: grant.clone() };
                self.start_work(now, hold);
            }
            (Op::Renew { .. }, Ok(_)) => {
                if let State::Working { next_update, .. } = &mut self.state {
                    *next_update = now.after(self.settings.renew_every);
                }
            }
            _ => self.rest(now),
        }
    }

    fn renews_at(&self) -> Option<RunTime> {
        match &self.state {
            State::Working { next_update, done_at, .. } if next_update < done_at => Some(*next_update),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Grant;

    fn settings() -> CasLock {
        CasLock {
            workers: 2,
            keys: 2,
            ttl: Duration::from_secs(10),
            renew_every: Duration::from_secs(3),
            hold_for: Duration::from_secs(8),
            retry_every: Duration::from_millis(100),
            abandon: 0.0,
            reads: 0.0,
            renewal: Renewal::StatusUpdate,
            start: Duration::ZERO,
        }
    }

    /// Runs a script against a service that says yes to everything in no time, for `seconds` of virtual time.
    fn run(script: &mut impl Script, seconds: u64) -> Vec<(RunTime, Op)> {
        let mut now = RunTime::default();
        let mut done = Vec::new();
        while now < RunTime(seconds * 1_000_000_000) {
            match script.next(now, 7) {
                Step::WaitUntil(then) => now = then,
                Step::Invoke(op) => {
                    let answer = match &op {
                        Op::Acquire { ttl, .. } => Answer::Acquired(Grant { ttl: *ttl, token: Some(1), lease: None }),
                        Op::Renew { hold, .. } => Answer::Renewed { ttl: hold.ttl },
                        Op::Release { .. } => Answer::Released,
                        Op::Read { .. } => Answer::Holder(None),
                        other => panic!("unexpected {other:?}"),
                    };
                    script.completed(now, &op, &Ok(answer));
                    done.push((now, op));
                }
            }
        }
        done
    }

    #[test]
    fn a_holder_updates_its_status_and_releases() {
        let done = run(&mut settings().script(1, 0), 60);
        let kinds: Vec<&str> = done
            .iter()
            .map(|(_, op)| match op {
                Op::Acquire { .. } => "acquire",
                Op::Renew { .. } => "renew",
                Op::Release { .. } => "release",
                Op::Read { .. } => "read",
                other => panic!("unexpected {other:?}"),
            })
            .collect();
        assert_eq!(kinds[0], "acquire");
        assert!(kinds.contains(&"renew"));
        let acquired = kinds.iter().filter(|&&kind| kind == "acquire").count();
        let released = kinds.iter().filter(|&&kind| kind == "release").count();
        assert!(acquired - released <= 1 && released > 3, "{kinds:?}");
    }

    #[test]
    fn nobody_begins_before_the_start() {
        let settings = CasLock { start: Duration::from_secs(5), renewal: Renewal::KeepAlive, ..settings() };
        let done = run(&mut settings.script(1, 0), 60);
        assert_eq!(done[0].0, RunTime(5_000_000_000));
        assert!(done.iter().any(|(_, op)| matches!(op, Op::Renew { how: Renewal::KeepAlive, .. })));
    }

    #[test]
    fn one_who_abandons_never_releases() {
        let mut settings = settings();
        settings.abandon = 1.0;
        let done = run(&mut settings.script(1, 0), 60);
        assert!(!done.iter().any(|(_, op)| matches!(op, Op::Release { .. })));
    }

    #[test]
    fn every_acquisition_has_an_owner_of_its_own() {
        let done = run(&mut settings().script(1, 0), 120);
        let mut owners: Vec<Owner> = done
            .iter()
            .filter_map(|(_, op)| match op {
                Op::Acquire { owner, .. } => Some(*owner),
                _ => None,
            })
            .collect();
        let all = owners.len();
        owners.dedup();
        assert!(all > 5);
        assert_eq!(owners.len(), all);
    }

    #[test]
    fn the_seed_decides() {
        let run = |seed| run(&mut settings().script(seed, 0), 60);
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }

    #[test]
    fn a_lost_lock_sends_the_worker_back_to_idle() {
        let mut script = settings().script(1, 0);
        let Step::Invoke(acquire) = script.next(RunTime(0), 7) else { panic!("idle workers try at once") };
        let grant = Grant { ttl: Duration::from_secs(10), token: None, lease: None };
        script.completed(RunTime(0), &acquire, &Ok(Answer::Acquired(grant)));
        let Step::WaitUntil(then) = script.next(RunTime(0), 7) else { panic!("nothing is due yet") };
        assert_eq!(script.renews_at(), Some(then));
        let Step::Invoke(renew) = script.next(then, 7) else { panic!("the update is due") };
        script.completed(then, &renew, &Err(OpError::failed("expired", "gone")));
        assert!(matches!(script.next(then, 7), Step::WaitUntil(_)));
        assert!(matches!(script.state, State::Idle { .. }));
        assert_eq!(script.renews_at(), None);
    }
}
