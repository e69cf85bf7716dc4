//! A lock service in virtual time that keeps its word, unless a named bug is switched on.
//!
//! Requests and answers travel for random times, are lost, and arrive after their client has given up. Leases end late
//! by random times, and anew after elections; the machine stalls, nodes pause. In some runs a renewal is answered by one server and kept
//! by another, who hears of it a moment later, or never. Everything that the service does is known, so each accusation can
//! be held against the truth.

#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use leasehold_checkers::contract::{LatestExpiry, Patience, SecondHand};
use leasehold_checkers::history::vocabulary::{code, f};
use leasehold_checkers::history::{EventType, History};
use serde_json::{Value, json};

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
            contract.patience =
                Patience { op_ms: serves_within, cluster_ms: serves_within, lock_ms: 250, recovery_ms: 500 };
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
            Step::Arrive(_) | Step::Expire { .. } | Step::Election | Step::Open(_) => true,
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
        }
    }

    fn think(&mut self, worker: usize) {
        if self.now > RUN_MS {
            return;
        }
        let me = self.workers[worker].clone();
        let ask = match me.companion_of {
            Some(main) => self.workers[main].wants.clone().filter(|_| self.random.percent(60)).map(|(key, owner)| {
                let ask = match self.random.of(0..100) {
                    0..3 => Ask::Release { owner },
                    3..25 => Ask::Renew { owner, update: true, ttl: self.other_ttl() },
                    _ => Ask::Renew { owner, update: false, ttl: self.other_ttl() },
                };
                (key, ask)
            }),
            None => Some(self.choose(&me)),
        };
        let pause = self.random.of(1..400);
        match ask {
            Some((key, ask)) => self.ask(worker, key, ask),
            None => self.at(self.now + pause, Step::Think(worker)),
        }
    }

    fn choose(&mut self, me: &Worker) -> (usize, Ask) {
        let chance = self.random.of(0..100);
        match &me.wants {
            Some((key, owner)) if me.holds && chance < 45 => {
                (*key, Ask::Renew { owner: owner.clone(), update: chance < 10, ttl: self.other_ttl() })
            }
            Some((key, owner)) if me.holds && chance < 65 => (*key, Ask::Release { owner: owner.clone() }),
            Some((key, owner)) if chance < 5 => (*key, Ask::Release { owner: owner.clone() }),
            _ if chance < 80 => {
                let key = self.random.of(0..2) as usize;
                let owner = format!("p{}.{}", me.process, self.next_op);
                let ttl = self.random.of(1..25) * 100;
                // Whoever waits in vain for a lock that is never free may always have been given it after all.
                let waits = if self.bug == Some(Bug::NeverFree) { 3 } else { 40 };
                (key, Ask::Acquire { owner, ttl, blocking: self.random.percent(waits) })
            }
            _ => (self.random.of(0..2) as usize, Ask::Read { linearizable: self.random.percent(70) }),
        }
    }

    fn ask(&mut self, worker: usize, key: usize, ask: Ask) {
        let me = &mut self.workers[worker];
        let request = Request { op: self.next_op, process: me.process, worker, key, ask, asked_at: self.now };
        me.waiting_for = Some(self.next_op);
        if let Ask::Acquire { owner, .. } = &request.ask {
            me.wants = Some((key, owner.clone()));
            me.holds = false;
            self.owners.push(Some(owner.clone()));
        } else {
            self.owners.push(None);
        }
        self.next_op += 1;
        let (name, value) = match &request.ask {
            Ask::Acquire { owner, ttl, blocking } => {
                (f::ACQUIRE, json!({ "owner": owner, "ttl_ms": ttl, "blocking": blocking }))
            }
            Ask::Renew { owner, ttl, .. } => (f::RENEW, json!({ "owner": owner, "ttl_ms": ttl })),
            Ask::Release { owner } => (f::RELEASE, json!({ "owner": owner })),
            Ask::Read { linearizable } => (f::READ, json!({ "linearizable": linearizable })),
        };
        self.record(&request, EventType::Invoke, name, value, None);
        let patience = self.random.of(50..4_000);
        self.at(self.now + patience, Step::GiveUp(request.clone()));
        if !self.random.percent(self.loss) {
            let travels = self.random.of(0..self.delay);
            self.at(self.now + travels, Step::Arrive(request));
        }
    }

    fn record(&mut self, request: &Request, kind: EventType, name: &str, value: Value, code: Option<&str>) {
        let key = format!("lock/{}", request.key);
        let now = self.now;
        let node = format!("n{}", request.worker % 3 + 1);
        self.tell(|script| script.on(&key).client(now, request.process, kind, name, value, code).at_node(&node));
    }

    fn answer(&mut self, request: Request, kind: EventType, value: Value, code: Option<&'static str>) {
        if !self.random.percent(self.loss) {
            let travels = self.random.of(0..self.delay);
            self.at(self.now + travels, Step::Deliver(request, Answer { kind, value, code }));
        }
    }

    fn deliver(&mut self, request: &Request, answer: Answer) {
        if self.workers[request.worker].waiting_for != Some(request.op) {
            return;
        }
        self.workers[request.worker].waiting_for = None;
        let name = self.name(&request.ask);
        let worker = &mut self.workers[request.worker];
        match (&request.ask, answer.kind) {
            (Ask::Acquire { .. }, kind) => worker.holds = kind == EventType::Ok,
            (Ask::Release { .. }, _) | (Ask::Renew { .. }, EventType::Fail) => worker.holds = false,
            _ => {}
        }
        self.record(request, answer.kind, name, answer.value, answer.code);
        let rest = self.random.of(0..500);
        self.at(self.now + rest, Step::Think(request.worker));
    }

    fn give_up(&mut self, request: &Request) {
        if self.workers[request.worker].waiting_for == Some(request.op) {
            let name = self.name(&request.ask);
            self.record(request, EventType::Info, name, Value::Null, Some("timeout"));
            let worker = &mut self.workers[request.worker];
            worker.waiting_for = None;
            worker.process = self.next_process;
            self.next_process += 1;
            let rest = self.random.of(0..500);
            self.at(self.now + rest, Step::Think(request.worker));
        }
    }

    fn name(&self, ask: &Ask) -> &'static str {
        match ask {
            Ask::Acquire { .. } => f::ACQUIRE,
            Ask::Renew { .. } => f::RENEW,
            Ask::Release { .. } => f::RELEASE,
            Ask::Read { .. } => f::READ,
        }
    }

    fn serve(&mut self, request: Request) {
        if self.bug == Some(Bug::StopServing) && self.now >= self.stops_at {
            self.wronged.insert(CLUSTER.to_owned());
            return;
        }
        match request.ask.clone() {
            Ask::Acquire { owner, ttl, blocking } => self.acquire(request, &owner, ttl, blocking),
            Ask::Renew { owner, update, ttl } => self.renew(request, &owner, update, ttl),
            Ask::Release { owner } => self.release(request, &owner),
            Ask::Read { linearizable } => {
                let wrong = self.bug == Some(Bug::StaleRead) && linearizable && self.random.percent(30);
                let lock = &self.locks[request.key];
                let seen = if linearizable && !wrong || lock.past.is_empty() {
                    lock.holder.clone()
                } else {
                    lock.past[self.random.of(0..lock.past.len() as u64) as usize].clone()
                };
                if wrong {
                    self.wronged.extend(seen.clone().into_iter().chain(self.locks[request.key].holder.clone()));
                }
                self.answer(request, EventType::Ok, json!({ "linearizable": linearizable, "owner": seen }), None);
            }
        }
    }

    fn acquire(&mut self, request: Request, owner: &str, ttl: u64, blocking: bool) {
        let holder = self.locks[request.key].holder.clone();
        let twice = self.bug == Some(Bug::GrantTwice) && !blocking && holder.is_some() && self.random.percent(30);
        if let (Some(holder), true) = (&holder, twice) {
            self.wronged.extend([holder.clone(), owner.to_owned()]);
        }
        let lock = &self.locks[request.key];
        let waits = holder.is_some() || !lock.queue.is_empty() || lock.stuck || self.now < lock.closed_until;
        if self.bug == Some(Bug::PhantomGrant) && waits && !blocking && self.random.percent(30) {
            self.wronged.insert(owner.to_owned());
            self.tokens += 1;
            let value = json!({ "owner": owner, "ttl_ms": ttl, "token": self.tokens });
            return self.answer(request, EventType::Ok, value, None);
        }
        if waits && !blocking && !twice {
            let value = json!({ "owner": owner, "holder": holder });
            self.answer(request, EventType::Fail, value, Some(code::HELD));
            return;
        }
        let life = self.life(ttl);
        self.leases.insert(owner.to_owned(), Lease { key: request.key, life, ttl, generation: 0, alive: true });
        self.prolong(owner, request.asked_at);
        if waits && !twice {
            self.locks[request.key].queue.push_back(request);
        } else {
            self.grant(request, owner, ttl);
        }
    }

    /// How long a TTL lasts: the service's clock runs at its own rate, and it may end a lease early by its slack.
    fn life(&mut self, ttl: u64) -> u64 {
        let life = self.by_its_clock(ttl * u64::from(self.ttls));
        life.saturating_sub(if self.slack > 0 { self.random.of(0..self.slack + 1) } else { 0 })
    }

    /// How long something lasts that is so long by the service's clock.
    fn by_its_clock(&self, long: u64) -> u64 {
        let by_its_clock = i128::from(long) * 1_000_000;
        if self.rate_ppm >= 0 {
            div_up(by_its_clock, 1_000_000 + self.rate_ppm)
        } else {
            u64::try_from(by_its_clock / i128::from(1_000_000 + self.rate_ppm)).unwrap_or(u64::MAX)
        }
    }

    /// Most renewals ask for the TTL of before.
    fn other_ttl(&mut self) -> Option<u64> {
        let other = self.random.percent(15).then(|| self.random.of(1..25) * 100);
        other.filter(|_| self.rumours.is_none())
    }

    fn grant(&mut self, request: Request, owner: &str, ttl: u64) {
        self.tokens += 1;
        let mut token = self.tokens;
        if self.bug == Some(Bug::TokensFall) && self.random.percent(30) {
            token = token.saturating_sub(self.random.of(1..4));
            self.wronged.insert(owner.to_owned());
        }
        self.set_holder(request.key, Some(owner.to_owned()));
        if self.bug == Some(Bug::LostGrant) && self.random.percent(30) {
            self.wronged.insert(owner.to_owned());
            return self.answer(request, EventType::Fail, Value::Null, Some("rejected"));
        }
        self.answer(request, EventType::Ok, json!({ "owner": owner, "ttl_ms": ttl, "token": token }), None);
    }

    fn set_holder(&mut self, key: usize, holder: Option<String>) {
        let lock = &mut self.locks[key];
        lock.past.push(lock.holder.take());
        lock.holder = holder;
    }

    /// Lets a lease live on from now, or from an instant after it was asked for, and ends it when its time has come, or
    /// somewhat later.
    fn prolong(&mut self, owner: &str, asked_at: u64) {
        let now = self.now;
        let from = if self.counts_from_request { self.random.of(asked_at..now + 1) } else { now };
        let Some(lease) = self.leases.get_mut(owner) else { return };
        lease.generation += 1;
        let (generation, mut due) = (lease.generation, (from + lease.life).max(now));
        let late = self.random.of(0..LATEST_MS);
        if self.bug == Some(Bug::ExpireEarly) && self.random.percent(30) {
            due = now + self.random.of(0..due - now + 1) / 2;
            self.wronged.insert(owner.to_owned());
            self.at(due, Step::Expire { owner: owner.to_owned(), generation });
        } else if self.bug == Some(Bug::NeverExpire) && self.random.percent(50) {
            self.wronged.insert(owner.to_owned());
        } else {
            // What falls due while everything stands still is ended within its time afterwards.
            let standing =
                self.stalls.iter().chain(&self.pauses).filter(|(from, until)| (*from..*until).contains(&due));
            let awake = standing.map(|(_, until)| *until).max().unwrap_or(due);
            self.at(awake + late, Step::Expire { owner: owner.to_owned(), generation });
        }
    }

    fn expire(&mut self, owner: &str, generation: u64) {
        if self.leases.get(owner).is_some_and(|lease| lease.alive && lease.generation == generation) {
            let word = if self.random.percent(50) { f::EXPIRED } else { f::DELETED };
            self.end(owner, word, false);
        }
    }

    /// Ends a lease and frees its lock.
    fn end(&mut self, owner: &str, word: &str, released: bool) {
        let Some(lease) = self.leases.get_mut(owner) else { return };
        lease.alive = false;
        let key = lease.key;
        if !self.random.percent(20) {
            let late = self.random.of(0..self.delay);
            let at = self.now + late;
            self.tell(|script| script.on(&format!("lock/{key}")).watch(at, word, owner));
        }
        if self.locks[key].holder.as_deref() == Some(owner) {
            self.set_holder(key, None);
            self.close(key, owner, released);
        }
        self.next_in_queue(key);
    }

    /// A lock that was lost without a release stays closed for the lock-delay.
    fn close(&mut self, key: usize, owner: &str, released: bool) {
        if self.bug == Some(Bug::NeverFree) && self.random.percent(50) {
            self.locks[key].stuck = true;
            self.wronged.insert(CLUSTER.to_owned());
        }
        if self.lock_delay > 0 && !released {
            if self.bug == Some(Bug::ForgetLockDelay) && self.random.percent(50) {
                self.wronged.insert(owner.to_owned());
                return;
            }
            let closed_until = self.now + self.by_its_clock(self.lock_delay);
            self.locks[key].closed_until = closed_until;
            self.at(closed_until, Step::Open(key));
        }
    }

    fn next_in_queue(&mut self, key: usize) {
        if self.locks[key].stuck || self.now < self.locks[key].closed_until {
            return;
        }
        while self.locks[key].holder.is_none() {
            let Some(request) = self.locks[key].queue.pop_front() else { return };
            let Ask::Acquire { owner, ttl, .. } = request.ask.clone() else { return };
            if self.leases.get(&owner).is_some_and(|lease| lease.alive) {
                self.grant(request, &owner, ttl);
            } else if self.bug == Some(Bug::LockOnDeadLease) {
                self.wronged.insert(owner.clone());
                self.tokens += 1;
                let value = json!({ "owner": owner, "ttl_ms": ttl, "token": self.tokens });
                self.answer(request, EventType::Ok, value, None);
            } else {
                self.answer(request, EventType::Fail, Value::Null, Some("session-expired"));
            }
        }
    }

    fn renew(&mut self, request: Request, owner: &str, update: bool, ttl: Option<u64>) {
        let Some(lease) = self.leases.get(owner).cloned() else {
            return self.answer(request, EventType::Fail, Value::Null, Some(code::EXPIRED));
        };
        let holds = self.locks[lease.key].holder.as_deref() == Some(owner);
        if self.rumours.is_some() && self.answers_from_memory(&lease, update) {
            self.pass_on(owner);
            self.answer(request, EventType::Ok, json!({ "owner": owner, "ttl_ms": lease.ttl }), None);
        } else if lease.alive && update && !holds {
            self.answer(request, EventType::Fail, Value::Null, Some(code::NOT_HELD));
        } else if lease.alive {
            let ttl = ttl.unwrap_or(lease.ttl);
            let life = self.life(ttl);
            self.leases.entry(owner.to_owned()).and_modify(|lease| (lease.ttl, lease.life) = (ttl, life));
            self.prolong(owner, request.asked_at);
            self.answer(request, EventType::Ok, json!({ "owner": owner, "ttl_ms": ttl }), None);
        } else if self.bug == Some(Bug::ConfirmDeadRenewal) {
            self.wronged.insert(owner.to_owned());
            self.answer(request, EventType::Ok, json!({ "owner": owner, "ttl_ms": lease.ttl }), None);
        } else {
            let code = if update { code::NOT_HELD } else { code::EXPIRED };
            self.answer(request, EventType::Fail, Value::Null, Some(code));
        }
    }

    /// Whether a server that does not keep the leases says yes to a keep-alive: of those that stand, and for a while also of others if it
    /// was cut off.
    fn answers_from_memory(&mut self, lease: &Lease, update: bool) -> bool {
        let out_of_touch = self.is_disturbed(self.now.saturating_sub(PASSED_ON.out_of_touch_for_ms), self.now);
        let Some(rumours) = &mut self.rumours else { return false };
        !update && (lease.alive || out_of_touch && rumours.percent(50))
    }

    /// Sends word of a renewal to whoever keeps the leases. A pause may swallow it.
    fn pass_on(&mut self, owner: &str) {
        let Some(rumours) = &mut self.rumours else { return };
        let arrives = self.now + rumours.of(0..PASSED_ON.known_within_ms);
        let is_lost = rumours.percent(70);
        if !(is_lost && self.is_disturbed(self.now, arrives)) {
            self.at(arrives, Step::Word { owner: owner.to_owned(), term: self.term });
        }
    }

    /// A leader that came into office since has given the lease its full time already.
    fn hear(&mut self, owner: &str, term: u64) {
        let is_alive = self.leases.get(owner).is_some_and(|lease| lease.alive);
        if is_alive && !(self.restarts && term != self.term) {
            self.prolong(owner, self.now);
        }
    }

    fn is_disturbed(&self, from: u64, until: u64) -> bool {
        self.pauses.iter().any(|(begin, end)| *begin <= until && from <= *end)
    }

    fn release(&mut self, request: Request, owner: &str) {
        let alive = self.leases.get(owner).is_some_and(|lease| lease.alive);
        if alive {
            let word = if self.random.percent(50) { f::RELEASED } else { f::DELETED };
            self.end(owner, word, true);
        }
        if alive || self.random.percent(30) {
            self.answer(request, EventType::Ok, json!({ "owner": owner }), None);
        } else {
            self.answer(request, EventType::Fail, Value::Null, Some(code::EXPIRED));
        }
    }

    fn elect(&mut self) {
        self.term += 1;
        self.leader = self.random.of(0..3) as usize;
        if !self.restarts {
            return;
        }
        let alive: Vec<String> =
            self.leases.iter().filter(|(_, lease)| lease.alive).map(|(owner, _)| owner.clone()).collect();
        for owner in alive {
            self.prolong(&owner, self.now);
        }
    }

    /// A node is asked who leads, and again 200 ms later, or when it has answered.
    fn probe(&mut self, node: usize) {
        if self.now > RUN_MS {
            return;
        }
        let late = self.random.of(0..100);
        let leader = format!("n{}", self.leader + 1);
        let (at, term) = (self.now + late, self.term);
        self.tell(|script| script.leader(at, &format!("n{}", node + 1), Some(&leader), term));
        let next = self.now + 200;
        self.at(next, Step::Probe(node));
    }
}

fn div_up(number: i128, by: i64) -> u64 {
    let by = i128::from(by);
    u64::try_from((number + by - 1) / by).unwrap_or(u64::MAX)
}
