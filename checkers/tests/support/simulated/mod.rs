//! A lock service in virtual time that keeps its word, unless a named bug is switched on.
//!
//! Requests and answers travel for random times, are lost, and arrive after their client has given up. Leases end late
//! by random times, and anew after elections; the machine stalls, nodes pause. In some runs a renewal is answered by one server and kept
//! by another, who hears of it a moment later, or never. Everything that the service does is known, so each accusation can
//! be held against the truth.

#![allow(dead_code, unreachable_pub, missing_docs)]

mod clients;
mod leases;
mod locks;
mod rumours;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use leasehold_checkers::contract::{LatestExpiry, Patience, SecondHand};
use leasehold_checkers::history::{EventType, History};
use serde_json::Value;

use super::random::Random;
use super::script::{Fault, Script, script};

/// What the service does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Leases end before their time.
    ExpireEarly,
    /// A lock that is held is given to another as well.
    GrantTwice,
    /// A waiter whose lease has run out is told that it has the lock.
    LockOnDeadLease,
    /// A renewal of a lease that is gone is confirmed.
    ConfirmDeadRenewal,
    /// Leases do not end.
    NeverExpire,
    /// A client that is to be refused is told that it has the lock.
    PhantomGrant,
    /// A client that is given the lock is told that it was refused.
    LostGrant,
    /// A lock that was given is forgotten, and its token with it, while its lease lives on.
    ForgetGrant,
    /// Linearizable reads show holders of before.
    StaleRead,
    /// Tokens do not grow.
    TokensFall,
    /// The lock-delay is not kept.
    ForgetLockDelay,
    /// From some time on nothing is served, while the nodes still tell who leads.
    StopServing,
    /// A lock that becomes free is refused to everybody.
    NeverFree,
}

/// Stands among the wronged for the cluster as a whole.
pub const CLUSTER: &str = "*";

/// A run of the service.
#[derive(Debug)]
pub struct Simulated {
    pub history: History,
    /// The owners that the bug touched.
    pub wronged: BTreeSet<String>,
    /// The owners by their acquisitions' indices.
    pub owners: Vec<Option<String>>,
}

const GRACE_MS: u64 = 1_000;
/// Where renewals are passed on: word of one is under way for less than this, and a server out of touch answers for as long.
const PASSED_ON: SecondHand = SecondHand { known_within_ms: 300, out_of_touch_for_ms: 800 };
/// A correct service ends a lease within its grace, less a stall that is too short to be noticed.
const LATEST_MS: u64 = 450;
const RUN_MS: u64 = 9_000;

#[derive(Clone, Debug)]
enum Ask {
    Acquire {
        owner: String,
        ttl: u64,
        blocking: bool,
    },
    /// A plain keep-alive, or an update of the value that only the holder may make.
    Renew {
        owner: String,
        update: bool,
        ttl: Option<u64>,
    },
    Release {
        owner: String,
    },
    Read {
        linearizable: bool,
    },
}

#[derive(Clone, Debug)]
struct Request {
    op: usize,
    process: u64,
    worker: usize,
    key: usize,
    ask: Ask,
    asked_at: u64,
}

#[derive(Clone, Debug)]
struct Answer {
    kind: EventType,
    value: Value,
    code: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum Step {
    Think(usize),
    Arrive(Request),
    Deliver(Request, Answer),
    GiveUp(Request),
    Expire {
        owner: String,
        generation: u64,
    },
    /// Word of a renewal that was answered in this term.
    Word {
        owner: String,
        term: u64,
    },
    Probe(usize),
    Election,
    /// A lock-delay may be over.
    Open(usize),
    /// A grant is forgotten, if it still stands.
    Forget {
        owner: String,
        token: u64,
    },
}

#[derive(Clone, Debug)]
struct Lease {
    key: usize,
    life: u64,
    ttl: u64,
    generation: u64,
    alive: bool,
}

#[derive(Clone, Debug, Default)]
struct Lock {
    holder: Option<String>,
    queue: VecDeque<Request>,
    past: Vec<Option<String>>,
    closed_until: u64,
    stuck: bool,
}

/// A client, or the companion that keeps a client's lease alive.
#[derive(Clone, Debug)]
struct Worker {
    process: u64,
    companion_of: Option<usize>,
    /// The lock and the owner that it last asked for, and whether it believes to hold it.
    wants: Option<(usize, String)>,
    holds: bool,
    waiting_for: Option<usize>,
}

pub fn simulate(seed: u64, bug: Option<Bug>) -> Simulated {
    Service::new(seed, bug).run()
}

struct Service {
    random: Random,
    bug: Option<Bug>,
    now: u64,
    steps: BTreeMap<(u64, u64), Step>,
    step_number: u64,
    script: Option<Script>,
    locks: Vec<Lock>,
    leases: BTreeMap<String, Lease>,
    workers: Vec<Worker>,
    next_process: u64,
    next_op: usize,
    tokens: u64,
    term: u64,
    leader: usize,
    /// When nothing at all runs, and when only the servers stand still.
    stalls: Vec<(u64, u64)>,
    pauses: Vec<(u64, u64)>,
    /// Whether the servers still say who leads while they can do nothing else, as with a frozen disk.
    answers_while_paused: bool,
    restarts: bool,
    /// After how many of its TTLs a lease ends.
    ttls: u32,
    rate_ppm: i64,
    delay: u64,
    loss: u64,
    slack: u64,
    /// Whether a TTL counts from some instant after the request, however late it takes effect.
    counts_from_request: bool,
    /// Decides what becomes of the renewals that are passed on; `None` where they are not.
    rumours: Option<Random>,
    lock_delay: u64,
    stops_at: u64,
    wronged: BTreeSet<String>,
    owners: Vec<Option<String>>,
}

impl Service {
    fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut random = Random(seed);
        let rate_error_ppm = if random.percent(30) { random.of(1..400_000) } else { 0 };
        let slack = if random.percent(20) { random.of(1..600) } else { 0 };
        let bounded = random.percent(80);
        let restarts = random.percent(90);
        let ttls = if random.percent(20) { 2 } else { 1 };
        let mut rumours = Random(seed ^ 0x5e55_1011);
        let rumours = rumours.percent(25).then_some(rumours);
        let counts_from_request = random.percent(30) && rumours.is_none();
        let script = script()
            .contract(|contract| contract.second_hand = rumours.is_some().then_some(PASSED_ON))
            .header(|header| header.clock_rate_error_ppm = rate_error_ppm)
            .contract(|contract| contract.early_slack_ms = slack)
            .contract(|contract| contract.counts_from_request = counts_from_request)
            .contract(|contract| {
                let latest = LatestExpiry { ttls, grace_ms: GRACE_MS, restarts_at_leader_change: restarts };
                contract.latest_expiry = bounded.then_some(latest);
            });
        let error = i64::try_from(rate_error_ppm).unwrap_or(0);
        let rate_ppm = i64::try_from(random.of(0..2 * rate_error_ppm + 1)).unwrap_or(0) - error;
        let answers_while_paused = random.percent(50);
        let elections = if random.percent(50) { random.of(1..4) } else { 0 };
        let stalls = (0..if random.percent(30) { random.of(1..3) } else { 0 })
            .map(|_| {
                let from = random.of(100..RUN_MS);
                (from, from + random.of(600..3_000))
            })
            .collect();
        let pauses: Vec<(u64, u64)> = (0..if random.percent(30) { random.of(1..3) } else { 0 })
            .map(|number| {
                let from = 500 + number * 5_000 + random.of(0..1_500);
                (from, from + random.of(200..2_500))
            })
            .collect();
        let delay = [5, 50, 200, 800, 2_500][random.of(0..5) as usize];
        let loss = [0, 5, 20][random.of(0..3) as usize];
        let lock_delay = if random.percent(30) { random.of(1..1_500) } else { 0 };
        let stops_at = random.of(1_000..5_000);
        // A network that loses nothing and is fast gives no excuse for a request without an answer.
        let serves_within = if loss == 0 && delay <= 50 { 2_000 } else { Patience::default().op_ms };
        let script = script.contract(|contract| {
            contract.lock_delay_ms = (lock_delay > 0).then_some(lock_delay);
            contract.patience = Patience {
                op_ms: serves_within,
                cluster_ms: serves_within,
                lock_ms: 250,
                recovery_ms: 500,
                ..Patience::default()
            };
        });
        let mut service = Self {
            random,
            bug,
            now: 0,
            steps: BTreeMap::new(),
            step_number: 0,
            script: Some(script),
            locks: vec![Lock::default(); 2],
            leases: BTreeMap::new(),
            workers: Vec::new(),
            next_process: 0,
            next_op: 0,
            tokens: 0,
            term: 5,
            leader: 0,
            stalls,
            pauses,
            answers_while_paused,
            restarts,
            ttls,
            rate_ppm,
            delay,
            loss,
            slack,
            counts_from_request,
            rumours,
            lock_delay,
            stops_at,
            wronged: BTreeSet::new(),
            owners: Vec::new(),
        };
        service.populate(elections);
        service
    }

    fn populate(&mut self, elections: u64) {
        for worker in 0..self.random.of(2..6) as usize {
            let companion_of = (worker % 2 == 1).then(|| worker - 1);
            self.workers.push(Worker {
                process: self.next_process,
                companion_of,
                wants: None,
                holds: false,
                waiting_for: None,
            });
            self.next_process += 1;
            let at = self.random.of(0..500);
            self.at(at, Step::Think(worker));
        }
        let probed = if self.random.percent(60) { 3 } else { 0 };
        for node in 0..probed {
            self.at(node * 60, Step::Probe(node as usize));
        }
        for _ in 0..elections {
            let at = self.random.of(500..RUN_MS);
            self.at(at, Step::Election);
        }
    }

    fn run(mut self) -> Simulated {
        for (number, (from, until)) in (1..).zip(self.pauses.clone()) {
            self.tell(|script| {
                script.fault(Fault(number, "pause", "pause", "n1"), from..from + 5, Some(until..until + 5))
            });
        }
        while let Some(((at, _), step)) = self.steps.pop_first() {
            self.now = at;
            if at > RUN_MS + 3_000 {
                break;
            }
            self.take(step);
        }
        Simulated { history: self.script.unwrap_or_else(script).history(), wronged: self.wronged, owners: self.owners }
    }

    /// Adds to the history.
    fn tell(&mut self, what: impl FnOnce(Script) -> Script) {
        self.script = self.script.take().map(what);
    }

    /// Puts a step on the list: later, where the machine or the servers stand still.
    fn at(&mut self, mut at: u64, step: Step) {
        let on_server = match step {
            Step::Arrive(_) | Step::Expire { .. } | Step::Election | Step::Open(_) | Step::Forget { .. } => true,
            Step::Word { .. } => true,
            Step::Probe(_) => !self.answers_while_paused,
            Step::Think(_) | Step::Deliver(..) | Step::GiveUp(_) => false,
        };
        for _ in 0..2 {
            for (from, until) in &self.stalls {
                at = if (*from..*until).contains(&at) { *until } else { at };
            }
            for (from, until) in self.pauses.iter().filter(|_| on_server) {
                at = if (*from..*until).contains(&at) { *until } else { at };
            }
        }
        self.step_number += 1;
        self.steps.insert((at, self.step_number), step);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Think(worker) => self.think(worker),
            Step::Arrive(request) => self.serve(request),
            Step::Deliver(request, answer) => self.deliver(&request, answer),
            Step::GiveUp(request) => self.give_up(&request),
            Step::Expire { owner, generation } => self.expire(&owner, generation),
            Step::Word { owner, term } => self.hear(&owner, term),
            Step::Probe(node) => self.probe(node),
            Step::Election => self.elect(),
            Step::Open(key) => self.next_in_queue(key),
            Step::Forget { owner, token } => self.forget(&owner, token),
        }
    }
}
