//! Canaries: for each server a client of each kind, so that whatever stops is seen to stop, and where.

use std::time::Duration;

use leasehold_checkers::history::RunTime;

use crate::op::{Answer, Hold, Key, Op, Owner, RegisterOp, Renewal, Wait};
use crate::script::{Dice, Script, Step};
use crate::service::OpError;

/// The workload `canary`: to each server talk one client that only reads, one that only writes, one that only keeps a lock of its
/// own alive, and one that takes and gives back a lock for which all servers' clients compete.
///
/// They are kept apart because a request may change what the next one sees: a server that has lost touch with the others may answer
/// reads until the first write gets stuck in it. Servers that are **idle** are asked for no writes: their second client
/// reads as well, and their fourth looks at the lock of the third.
///
/// When it is time to **settle**, nobody writes or takes a lock any more, and each server's first client reads all registers there, one
/// after the other: whether all servers have the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Canary {
    /// How many servers there are.
    pub nodes: usize,
    /// How many of them, from the first on, are idle.
    pub idle: usize,
    /// The TTL of every hold.
    pub ttl: Duration,
    /// How often a lock is kept alive.
    pub renew_every: Duration,
    /// How long a client rests between two requests, on average.
    pub every: Duration,
    /// For how long the lock that is taken and given back is held, on average.
    pub hold_for: Duration,
    /// When the holders at idle servers crash, since the start of the run; never, if it is not said.
    pub crash_at: Option<Duration>,
    /// From when on nothing is written any more, since the start of the run; never, if it is not said.
    pub settle_at: Option<Duration>,
}

/// What one client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Reads what the server itself knows.
    Reader,
    /// Writes.
    Writer,
    /// Takes a lock once and keeps it alive.
    Keeper,
    /// Takes the common lock and gives it back.
    Taker,
    /// Reads who has the keeper's lock, as the server itself knows it.
    Onlooker,
}

const ROLES: [Role; 4] = [Role::Reader, Role::Writer, Role::Keeper, Role::Taker];

impl Canary {
    /// How many clients there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.nodes * ROLES.len()
    }

    /// The names of the locks: that of each keeper, and the common one.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        (0..self.nodes).map(kept).chain([TAKEN.to_owned()]).collect()
    }

    /// What the worker with this number does. The engine has workers take turns at the servers.
    #[must_use]
    pub fn script(&self, seed: u64, worker: u64) -> CanaryScript {
        let number = usize::try_from(worker).unwrap_or(usize::MAX);
        let (node, turn) = (number % self.nodes, number / self.nodes);
        let is_idle = node < self.idle;
        let role = match ROLES[turn % ROLES.len()] {
            Role::Writer if is_idle => Role::Reader,
            Role::Taker if is_idle => Role::Onlooker,
            role => role,
        };
        let mut dice = Dice::new(seed, worker);
        let until = RunTime::default().after(dice.below(self.every));
        CanaryScript {
            key: match role {
                Role::Reader | Role::Writer => register(node),
                Role::Keeper | Role::Onlooker => kept(node),
                Role::Taker => TAKEN.to_owned(),
            },
            crash_at: self.crash_at.filter(|_| is_idle).map(|at| RunTime::default().after(at)),
            settle_at: RunTime::default().after(self.settle_at.unwrap_or(Duration::MAX)),
            is_first: turn == 0,
            step: self.workers() as u64,
            next_value: worker + 1,
            settings: self.clone(),
            role,
            dice,
            attempts: 0,
            looked_at: 0,
            state: State::Idle { until },
        }
    }
}

const TAKEN: &str = "locks/taken";

/// The register that is written at a server.
fn register(node: usize) -> Key {
    format!("registers/{}", node + 1)
}

/// The lock that the keeper at a server holds.
fn kept(node: usize) -> Key {
    format!("locks/kept-{}", node + 1)
}

/// One client of [`Canary`].
#[derive(Debug)]
pub struct CanaryScript {
    settings: Canary,
    role: Role,
    key: Key,
    /// When it crashes, should it hold something.
    crash_at: Option<RunTime>,
    settle_at: RunTime,
    /// Whether it is the first at its server.
    is_first: bool,
    dice: Dice,
    attempts: u32,
    /// How many turns it had.
    looked_at: usize,
    /// No two clients write the same.
    next_value: u64,
    step: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle { until: RunTime },
    Holding { hold: Hold, next_renewal: RunTime, done_at: Option<RunTime> },
    Crashed,
}

impl CanaryScript {
    /// What it does in its turn; `None` once it rests for good.
    fn turn(&mut self, now: RunTime, process: u64) -> Option<Op> {
        let settles = self.settle_at <= now;
        if settles && !self.is_first {
            return None;
        }
        let key = if settles { register(self.looked_at % self.settings.nodes) } else { self.key.clone() };
        self.looked_at += 1;
        Some(match self.role {
            Role::Reader => Op::Register { key, op: RegisterOp::Read { linearizable: false } },
            Role::Onlooker => Op::Read { key, linearizable: false },
            Role::Writer => {
                let value = self.next_value;
                self.next_value += self.step;
                Op::Register { key, op: RegisterOp::Write { value } }
            }
            Role::Keeper | Role::Taker => {
                self.attempts += 1;
                let owner = Owner { process, attempt: self.attempts };
                Op::Acquire { key, owner, ttl: self.settings.ttl, wait: Wait::Never }
            }
        })
    }

    fn has_crashed(&self, now: RunTime) -> bool {
        self.crash_at.is_some_and(|at| at <= now) && self.role == Role::Keeper
    }
}

impl Script for CanaryScript {
    fn next(&mut self, now: RunTime, process: u64) -> Step {
        if self.has_crashed(now) {
            self.state = State::Crashed;
        }
        match &self.state {
            State::Crashed => Step::WaitUntil(RunTime(u64::MAX)),
            State::Idle { until } if now < *until => Step::WaitUntil(*until),
            State::Idle { .. } => self.turn(now, process).map_or(Step::WaitUntil(RunTime(u64::MAX)), Step::Invoke),
            State::Holding { hold, done_at: Some(done_at), .. } if *done_at <= now => {
                Step::Invoke(Op::Release { hold: hold.clone() })
            }
            State::Holding { hold, next_renewal, .. } if *next_renewal <= now => {
                Step::Invoke(Op::Renew { hold: hold.clone(), how: Renewal::KeepAlive })
            }
            State::Holding { next_renewal, done_at, .. } => {
                let ends = [*done_at, self.crash_at.filter(|_| self.role == Role::Keeper)];
                Step::WaitUntil(ends.into_iter().flatten().fold(*next_renewal, RunTime::min))
            }
        }
    }

    fn completed(&mut self, now: RunTime, op: &Op, result: &Result<Answer, OpError>) {
        match (op, result, &mut self.state) {
            (Op::Acquire { key, owner, ttl, .. }, Ok(Answer::Acquired(grant)), _) => {
                let hold = Hold { key: key.clone(), owner: *owner, ttl: *ttl, grant: grant.clone() };
                let is_kept = self.role == Role::Keeper;
                let done_at = (!is_kept).then(|| now.after(self.dice.around(self.settings.hold_for)));
                self.state = State::Holding { hold, next_renewal: now.after(self.settings.renew_every), done_at };
            }
            (Op::Renew { .. }, Ok(_), State::Holding { next_renewal, .. }) => {
                *next_renewal = now.after(self.settings.renew_every);
            }
            _ => self.state = State::Idle { until: now.after(self.dice.around(self.settings.every)) },
        }
    }

    fn renews_at(&self) -> Option<RunTime> {
        match &self.state {
            State::Holding { next_renewal, done_at, .. } => {
                Some(*next_renewal).filter(|renewal| done_at.is_none_or(|done_at| *renewal < done_at))
            }
            State::Idle { .. } | State::Crashed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Grant;

    fn settings() -> Canary {
        Canary {
            nodes: 3,
            idle: 1,
            ttl: Duration::from_secs(4),
            renew_every: Duration::from_secs(1),
            every: Duration::from_millis(400),
            hold_for: Duration::from_millis(500),
            crash_at: Some(Duration::from_secs(10)),
            settle_at: None,
        }
    }

    const SOON: RunTime = RunTime(1_000_000_000);

    fn first_op(worker: u64) -> Op {
        match settings().script(1, worker).next(SOON, worker) {
            Step::Invoke(op) => op,
            Step::WaitUntil(then) => panic!("it rests until {then}"),
        }
    }

    #[test]
    fn each_server_has_a_client_of_each_kind_and_an_idle_one_is_asked_for_no_writes() {
        let is_write = |op: &Op| matches!(op, Op::Register { op: RegisterOp::Write { .. }, .. });
        let is_local = |op: &Op| {
            matches!(
                op,
                Op::Register { op: RegisterOp::Read { linearizable: false }, .. }
                    | Op::Read { linearizable: false, .. }
            )
        };
        let kinds = |node: u64| {
            let ops: Vec<Op> = (0..4).map(|turn| first_op(turn * 3 + node)).collect();
            (ops.iter().filter(|op| is_local(op)).count(), ops.iter().filter(|op| is_write(op)).count())
        };
        assert_eq!(kinds(0), (3, 0));
        assert_eq!((kinds(1), kinds(2)), ((1, 1), (1, 1)));
        assert!(matches!(first_op(6), Op::Acquire { key, .. } if key == "locks/kept-1"));
        assert!(matches!(first_op(10), Op::Acquire { key, .. } if key == "locks/taken"));
        assert!(matches!(first_op(9), Op::Read { key, .. } if key == "locks/kept-1"));
    }

    fn holding(worker: u64) -> CanaryScript {
        let mut script = settings().script(1, worker);
        let Step::Invoke(op) = script.next(SOON, worker) else { panic!("its turn has come") };
        let grant = Grant { ttl: Duration::from_secs(4), token: None, lease: None };
        script.completed(SOON, &op, &Ok(Answer::Acquired(grant)));
        script
    }

    /// What it does until it rests for ever: the names of its ops.
    fn deeds(mut script: CanaryScript, until: RunTime) -> Vec<&'static str> {
        let mut now = SOON;
        let mut deeds = Vec::new();
        while now < until {
            match script.next(now, 7) {
                Step::WaitUntil(then) => now = then,
                Step::Invoke(op @ Op::Renew { .. }) => {
                    deeds.push("renew");
                    script.completed(now, &op, &Ok(Answer::Renewed { ttl: Duration::from_secs(4) }));
                }
                Step::Invoke(op) => {
                    deeds.push(if matches!(op, Op::Release { .. }) { "release" } else { "other" });
                    script.completed(now, &op, &Ok(Answer::Released));
                }
            }
            if deeds.last() == Some(&"release") {
                break;
            }
        }
        deeds
    }

    #[test]
    fn a_keeper_renews_and_crashes_without_a_word_where_that_is_asked_for() {
        let until = RunTime(30_000_000_000);
        assert_eq!(deeds(holding(6), until), ["renew"; 8]);
        assert_eq!(deeds(holding(7), until).len(), 28);
    }

    #[test]
    fn a_taker_gives_back() {
        assert_eq!(deeds(holding(10), RunTime(30_000_000_000)), ["release"]);
    }

    #[test]
    fn when_it_settles_only_each_first_client_asks_and_it_asks_for_everything() {
        let settings = Canary { settle_at: Some(Duration::from_secs(5)), ..settings() };
        let mut now = RunTime(6_000_000_000);
        for worker in 3..12 {
            assert_eq!(settings.script(1, worker).next(now, worker), Step::WaitUntil(RunTime(u64::MAX)), "{worker}");
        }
        let mut script = settings.script(1, 1);
        let mut keys = Vec::new();
        while keys.len() < 6 {
            match script.next(now, 1) {
                Step::WaitUntil(then) => now = then,
                Step::Invoke(op @ Op::Register { op: RegisterOp::Read { linearizable: false }, .. }) => {
                    keys.push(op.key().clone());
                    script.completed(now, &op, &Ok(Answer::Value(None)));
                }
                Step::Invoke(op) => panic!("{op:?}"),
            }
        }
        let all = ["registers/1", "registers/2", "registers/3"];
        assert_eq!(keys, [all, all].concat());
        // Who holds something gives it back.
        let mut taker = holding(10);
        taker.settle_at = RunTime::default();
        assert_eq!(deeds(taker, RunTime(30_000_000_000)), ["release"]);
    }

    #[test]
    fn no_value_is_written_twice() {
        let mut values = Vec::new();
        for worker in [4, 5] {
            let mut script = settings().script(1, worker);
            for turn in 1..50_u64 {
                let now = RunTime(turn * 1_000_000_000);
                let Step::Invoke(op) = script.next(now, worker) else { panic!("its turn has come") };
                let Op::Register { op: RegisterOp::Write { value }, .. } = op else { panic!("{op:?}") };
                values.push(value);
                script.completed(now, &op, &Ok(Answer::Written));
            }
        }
        let all = values.len();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), all);
    }
}
