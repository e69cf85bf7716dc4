//! What a lock is for: work that must be done by one at a time.

use std::time::Duration;

use leasehold_checkers::history::RunTime;

use crate::op::{Answer, Guard, Hold, Key, Op, Owner, Piece, Renewal, Wait};
use crate::script::{Dice, Script, Step};
use crate::service::OpError;

/// The workloads `fenced-lock`, whose holders write to a guarded store, and `job`, whose holders do a job that must not run twice at
/// once and keep a ledger of it.
///
/// A holder works in the belief that it holds, as programs do: it looks at no clock, and stops when it is told that it lost the
/// lock. One that stood still does the piece of work that is due before it asks for more time, for in most programs these
/// are two threads.
#[derive(Clone, Debug, PartialEq)]
pub struct Guarded {
    /// What is done under the lock.
    pub duty: Duty,
    /// Who sees to it that only the holder does it.
    pub guard: Guard,
    /// How many workers compete.
    pub workers: usize,
    /// How many locks there are.
    pub keys: usize,
    /// The TTL of a hold.
    pub ttl: Duration,
    /// How often a holder renews.
    pub renew_every: Duration,
    /// How long the work takes, on average.
    pub hold_for: Duration,
    /// From one piece of work to the next.
    pub step_every: Duration,
    /// How long a loser waits before it tries again, on average.
    pub retry_every: Duration,
    /// What is done while another has the lock.
    pub wait: Wait,
}

/// What is done under a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Writes, one after another.
    Writes,
    /// A run of a job: its begin, then again and again a read and a write of what was read, and its end.
    Job,
}

impl Guarded {
    /// The names of the locks.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        (1..=self.keys).map(|number| format!("jobs/{number}")).collect()
    }

    /// What the worker with this number does.
    #[must_use]
    pub fn script(&self, seed: u64, worker: u64) -> GuardedScript {
        GuardedScript {
            settings: self.clone(),
            keys: self.keys(),
            dice: Dice::new(seed, worker),
            attempts: 0,
            state: State::Idle { until: RunTime::default() },
        }
    }
}

/// One worker of [`Guarded`].
#[derive(Debug)]
pub struct GuardedScript {
    settings: Guarded,
    keys: Vec<Key>,
    dice: Dice,
    attempts: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle {
        until: RunTime,
    },
    Working {
        hold: Hold,
        next_renewal: RunTime,
        /// What is done next, and when; `None` when all is done.
        next_piece: Option<(RunTime, Piece)>,
        /// What was read last.
        base: Option<u64>,
        done_at: RunTime,
    },
}

impl GuardedScript {
    fn rest(&mut self, now: RunTime) {
        self.state = State::Idle { until: now.after(self.dice.around(self.settings.retry_every)) };
    }

    fn begin(&mut self, now: RunTime, hold: Hold) {
        // One that stood in line has a lease that may have begun long before.
        let renews_in = if self.settings.wait == Wait::InQueue { Duration::ZERO } else { self.settings.renew_every };
        let first = match self.settings.duty {
            Duty::Writes => Piece::Write,
            Duty::Job => Piece::Begin,
        };
        self.state = State::Working {
            hold,
            next_renewal: now.after(renews_in),
            next_piece: Some((now, first)),
            base: None,
            done_at: now.after(self.dice.around(self.settings.hold_for)),
        };
    }

    /// What comes after a piece that was done at `now`.
    fn after(&self, piece: Piece, now: RunTime, done_at: RunTime) -> Option<(RunTime, Piece)> {
        let later = now.after(self.settings.step_every);
        match (self.settings.duty, piece) {
            (_, Piece::End) => None,
            // Where reading and writing lie apart, another's write may come between.
            (Duty::Job, Piece::Read) => Some((later, Piece::Write)),
            (Duty::Job, _) if now >= done_at => Some((now, Piece::End)),
            (Duty::Job, _) => Some((later, Piece::Read)),
            (Duty::Writes, _) => (now < done_at).then_some((later, Piece::Write)),
        }
    }
}

impl Script for GuardedScript {
    fn next(&mut self, now: RunTime, process: u64) -> Step {
        let guard = self.settings.guard;
        match &self.state {
            State::Idle { until } if now < *until => Step::WaitUntil(*until),
            State::Idle { .. } => {
                let key = self.keys[self.dice.index(self.keys.len())].clone();
                self.attempts += 1;
                let owner = Owner { process, attempt: self.attempts };
                Step::Invoke(Op::Acquire { key, owner, ttl: self.settings.ttl, wait: self.settings.wait })
            }
            State::Working { hold, next_renewal, next_piece, base, .. } => match *next_piece {
                Some((due, piece)) if due <= now => {
                    let base = base.filter(|_| piece == Piece::Write);
                    Step::Invoke(Op::Work { hold: hold.clone(), piece, base, guard })
                }
                Some(_) if *next_renewal <= now => {
                    Step::Invoke(Op::Renew { hold: hold.clone(), how: Renewal::KeepAlive })
                }
                Some((due, _)) => Step::WaitUntil(due.min(*next_renewal)),
                None => Step::Invoke(Op::Release { hold: hold.clone() }),
            },
        }
    }

    fn completed(&mut self, now: RunTime, op: &Op, result: &Result<Answer, OpError>) {
        match (op, result) {
            (Op::Acquire { key, owner, ttl, .. }, Ok(Answer::Acquired(grant))) => {
                let hold = Hold { key: key.clone(), owner: *owner, ttl: *ttl, grant: grant.clone() };
                self.begin(now, hold);
            }
            (Op::Renew { .. }, Ok(_)) => {
                if let State::Working { next_renewal, .. } = &mut self.state {
                    *next_renewal = now.after(self.settings.renew_every);
                }
            }
            (Op::Work { piece, .. }, Ok(Answer::Worked { version })) => {
                let State::Working { done_at, .. } = self.state else { return };
                let next = self.after(*piece, now, done_at);
                if let State::Working { next_piece, base, .. } = &mut self.state {
                    *next_piece = next;
                    *base = version.filter(|_| *piece == Piece::Read);
                }
            }
            _ => self.rest(now),
        }
    }

    fn renews_at(&self) -> Option<RunTime> {
        match &self.state {
            State::Working { next_renewal, next_piece: Some(_), .. } => Some(*next_renewal),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Grant;

    fn settings(duty: Duty) -> Guarded {
        Guarded {
            duty,
            guard: Guard::Token,
            workers: 2,
            keys: 1,
            ttl: Duration::from_secs(3),
            renew_every: Duration::from_secs(1),
            hold_for: Duration::from_secs(4),
            step_every: Duration::from_millis(300),
            retry_every: Duration::from_millis(100),
            wait: Wait::Never,
        }
    }

    /// What the script does until it asks for a lock again, if all is answered in no time; it stands still at `frozen`, for ten
    /// seconds, and then a renewal is refused.
    fn one_hold(script: &mut GuardedScript, frozen: Option<RunTime>) -> Vec<String> {
        let mut now = RunTime(0);
        let mut version = 0;
        let mut done = Vec::new();
        let mut is_frozen = false;
        loop {
            match script.next(now, 7) {
                Step::WaitUntil(then) => {
                    now = then;
                    if frozen.is_some_and(|at| !is_frozen && now >= at) {
                        is_frozen = true;
                        now = now.after(Duration::from_secs(10));
                    }
                }
                Step::Invoke(op) => {
                    let (word, answer) = match &op {
                        Op::Acquire { .. } if !done.is_empty() => return done,
                        Op::Acquire { ttl, .. } => {
                            ("acquire", Ok(Answer::Acquired(Grant { ttl: *ttl, token: Some(1), lease: None })))
                        }
                        Op::Renew { .. } if is_frozen => ("lost", Err(OpError::failed("expired", "gone"))),
                        Op::Renew { hold, .. } => ("renew", Ok(Answer::Renewed { ttl: hold.ttl })),
                        Op::Release { .. } => ("release", Ok(Answer::Released)),
                        Op::Work { piece, base, .. } => {
                            assert_eq!(base.is_some(), *piece == Piece::Write && script.settings.duty == Duty::Job);
                            version += u64::from(*piece == Piece::Write);
                            let word = match piece {
                                Piece::Begin => "begin",
                                Piece::Read => "read",
                                Piece::Write => "write",
                                Piece::End => "end",
                            };
                            (word, Ok(Answer::Worked { version: Some(version) }))
                        }
                        other => panic!("unexpected {other:?}"),
                    };
                    script.completed(now, &op, &answer);
                    done.push(word.to_owned());
                }
            }
        }
    }

    #[test]
    fn a_job_begins_reads_and_writes_in_turn_and_ends_before_the_lock_is_given_back() {
        let done = one_hold(&mut settings(Duty::Job).script(1, 0), None);
        assert_eq!(done[..2], ["acquire", "begin"]);
        assert_eq!(done[done.len() - 2..], ["end", "release"]);
        let pieces: Vec<&String> = done[2..done.len() - 2].iter().filter(|word| *word != "renew").collect();
        assert!(pieces.len() >= 4 && pieces.len().is_multiple_of(2), "{done:?}");
        assert!(pieces.chunks(2).all(|pair| pair == ["read", "write"]), "{done:?}");
        assert!(done.contains(&"renew".to_owned()));
    }

    #[test]
    fn one_that_stood_still_works_on_until_it_is_told_that_it_lost_the_lock() {
        let in_the_middle = Some(RunTime(500_000_000));
        let long = Guarded { hold_for: Duration::from_secs(40), ..settings(Duty::Job) };
        let done = one_hold(&mut long.script(1, 0), in_the_middle);
        assert_eq!(done, ["acquire", "begin", "read", "write", "lost"]);
        // Where its time is over by then it does what is left.
        let done = one_hold(&mut settings(Duty::Job).script(1, 0), in_the_middle);
        assert_eq!(done, ["acquire", "begin", "read", "write", "end", "release"]);
    }

    #[test]
    fn the_holder_of_a_fenced_lock_writes() {
        let done = one_hold(&mut settings(Duty::Writes).script(1, 0), None);
        let others: Vec<&String> = done.iter().filter(|word| !["write", "renew"].contains(&word.as_str())).collect();
        assert_eq!(others, ["acquire", "release"]);
        assert!(done.iter().filter(|word| *word == "write").count() > 5);
    }

    #[test]
    fn whoever_is_fenced_stops() {
        let mut script = settings(Duty::Writes).script(1, 0);
        let Step::Invoke(acquire) = script.next(RunTime(0), 7) else { panic!("it tries at once") };
        let grant = Grant { ttl: Duration::from_secs(3), token: Some(1), lease: None };
        script.completed(RunTime(0), &acquire, &Ok(Answer::Acquired(grant)));
        let Step::Invoke(write) = script.next(RunTime(0), 7) else { panic!("it writes at once") };
        script.completed(RunTime(0), &write, &Err(OpError::failed("fenced", "")));
        assert!(matches!(script.next(RunTime(0), 7), Step::WaitUntil(_)));
        assert_eq!(script.renews_at(), None);
    }
}
