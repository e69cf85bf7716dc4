//! Three servers that keep leases together, in steps of 10 ms.
//!
//! What a majority has agreed upon is one log. Each server has carried out some beginning of it. The leader of an epoch alone can add to it,
//! as long as it is in touch with another server that follows it; one that was deposed does not know that for a while. Everything else is
//! what `servers.rs` and `requests.rs` have.

mod clients;
mod requests;
mod servers;

use std::collections::BTreeMap;

use leasehold_checkers::contract::{LatestExpiry, SecondHand};
use leasehold_checkers::history::{EventType, History};

use super::random::Random;
use super::script::{Fault, Script, script};
use clients::{Client, Request};
use servers::Server;

/// Whose word a renewal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// That of the server at hand, which tells the leader later: ZooKeeper.
    FollowersAnswer,
    /// That of whoever takes itself for the leader: Consul.
    LeadersAnswer,
}

const STEP_MS: u64 = 10;
const RUN_MS: u64 = 16_000;
/// The leader asks its followers twice in this time whom they heard from, and ends sessions in buckets of it.
const TICK_MS: u64 = 100;
/// For how long servers that hear nothing of each other go on as before.
const OUT_OF_TOUCH_MS: u64 = 800;
/// How much longer anything may take that is done at once.
const BUSY_MS: u64 = 100;
const PATIENCE_MS: u64 = 1_500;

/// What was agreed upon.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Open(usize),
    Grant(usize),
    /// The lease is gone, and with it the lock if it had that; by its own client's wish or not.
    Close(usize, bool),
}

/// What a beginning of the log amounts to.
#[derive(Clone, Debug, Default)]
struct State {
    applied: usize,
    alive: Vec<usize>,
    holder: Option<usize>,
}

/// A lease, which is an acquisition's own.
#[derive(Clone, Debug)]
struct Lease {
    owner: String,
    ttl: u64,
    /// The server over which it was made.
    home: usize,
}

/// The one who leads an epoch, or believes so.
#[derive(Clone, Debug)]
struct Leader {
    node: usize,
    /// When each lease ends.
    ends: BTreeMap<usize, u64>,
    /// When it was last in touch with another server.
    in_touch: u64,
}

/// A run.
pub fn simulate(kind: Kind, seed: u64) -> History {
    let mut ensemble = Ensemble::new(kind, seed);
    while ensemble.now < RUN_MS {
        ensemble.step();
        ensemble.now += STEP_MS;
    }
    ensemble.script.expect("it is always put back").history()
}

struct Ensemble {
    kind: Kind,
    random: Random,
    now: u64,
    script: Option<Script>,
    log: Vec<Entry>,
    leases: Vec<Lease>,
    servers: Vec<Server>,
    leaders: BTreeMap<u64, Leader>,
    epoch: u64,
    elect_at: Option<u64>,
    /// Servers that a leader has never heard of, when it takes note of that.
    forgotten: Vec<(u64, usize)>,
    clients: Vec<Client>,
    pending: Vec<Request>,
    next_process: u64,
    lock_delay: u64,
    /// Messages take less than this.
    delay: u64,
    faults: Vec<Planned>,
    watched: usize,
}

/// What is done to a server, and when.
#[derive(Clone, Copy, Debug)]
struct Planned {
    package: &'static str,
    node: usize,
    from: u64,
    until: u64,
}

impl Ensemble {
    fn new(kind: Kind, seed: u64) -> Self {
        let mut random = Random(seed);
        let lock_delay = if kind == Kind::LeadersAnswer && random.percent(40) { random.of(200..1_500) } else { 0 };
        let mut script = script().contract(|contract| {
            contract.second_hand = Some(match kind {
                Kind::FollowersAnswer => SecondHand {
                    known_within_ms: TICK_MS + BUSY_MS,
                    out_of_touch_for_ms: OUT_OF_TOUCH_MS + 2 * TICK_MS + BUSY_MS,
                },
                Kind::LeadersAnswer => {
                    SecondHand { known_within_ms: BUSY_MS, out_of_touch_for_ms: OUT_OF_TOUCH_MS + 2 * BUSY_MS }
                }
            });
            contract.ends_with_its_server = kind == Kind::LeadersAnswer;
            contract.lock_delay_ms = (lock_delay > 0).then_some(lock_delay);
            let ttls = if kind == Kind::LeadersAnswer { 2 } else { 1 };
            let grace_ms = 2 * TICK_MS + 300;
            contract.latest_expiry = Some(LatestExpiry { ttls, grace_ms, restarts_at_leader_change: true });
        });
        let mut from = random.of(500..3_000);
        let mut faults = Vec::new();
        for number in 1..=random.of(0..5) {
            let package = ["pause", "partition", "kill"][random.of(0..3) as usize];
            let (node, lasts) = (random.of(0..3) as usize, random.of(100..4_000));
            let planned = Planned { package, node, from, until: from + lasts };
            let name = format!("n{}", node + 1);
            // In place a moment after it was begun, and gone a moment before that is told.
            let fault = Fault(number, package, package, &name);
            script = script.fault(fault, from - 10..from + 10, Some(from + lasts - 10..from + lasts + 10));
            faults.push(planned);
            // Some come together.
            from += if random.percent(40) { random.of(20..500) } else { lasts + random.of(0..3_000) };
        }
        let servers = (0..3).map(|_| Server::new(&mut random)).collect();
        let clients = (0..random.of(2..5)).map(|number| Client::new(number, &mut random)).collect::<Vec<_>>();
        let delay = [10, 40, 150][random.of(0..3) as usize];
        let watched = random.of(0..3) as usize;
        Self {
            kind,
            now: 0,
            script: Some(script),
            log: Vec::new(),
            leases: Vec::new(),
            servers,
            leaders: BTreeMap::new(),
            epoch: 4,
            elect_at: None,
            forgotten: Vec::new(),
            next_process: clients.len() as u64,
            clients,
            pending: Vec::new(),
            lock_delay,
            delay,
            faults,
            watched,
            random,
        }
    }

    fn step(&mut self) {
        self.disturb();
        self.carry_on();
        self.serve();
        self.expire();
        self.notice();
        self.elect();
        self.forget();
        self.probe();
        self.ask();
    }

    fn tell(&mut self, what: impl FnOnce(Script) -> Script) {
        self.script = self.script.take().map(what);
    }

    fn soon(&mut self) -> u64 {
        let delay = self.delay;
        self.now + self.random.of(0..delay)
    }

    /// Each node is asked every 200 ms who leads, and answers unless it stands still.
    fn probe(&mut self) {
        let now = self.now;
        for node in 0..3 {
            if now % 200 == node as u64 * 60 && self.servers[node].runs() {
                let (leader, epoch) = match self.servers[node].epoch {
                    Some(epoch) => (self.leaders.get(&epoch).map(|leader| leader.node), epoch),
                    None => (None, self.servers[node].last_epoch),
                };
                let leader = leader.map(|leader| format!("n{}", leader + 1));
                self.tell(|script| script.leader(now, &format!("n{}", node + 1), leader.as_deref(), epoch));
            }
        }
    }

    /// What all that was agreed upon amounts to.
    fn agreed(&self) -> State {
        let mut state = State::default();
        state.carry_out(&self.log);
        state
    }

    fn record(&mut self, request: &Request, kind: EventType, told: &clients::Told) {
        let (f, value, code) = request.in_words(&self.leases, kind, told);
        let (now, process, node) = (self.now, request.process, format!("n{}", request.node + 1));
        self.tell(|script| script.client(now, process, kind, f, value, code).at_node(&node));
    }
}

impl State {
    /// Carries the rest of the log out, and gives what was lost by it.
    fn carry_out(&mut self, log: &[Entry]) -> Vec<(usize, bool)> {
        let mut lost = Vec::new();
        for entry in &log[self.applied..] {
            match *entry {
                Entry::Open(lease) => self.alive.push(lease),
                Entry::Grant(lease) => self.holder = Some(lease),
                Entry::Close(lease, wished) => {
                    self.alive.retain(|alive| *alive != lease);
                    if self.holder == Some(lease) {
                        self.holder = None;
                        lost.push((lease, wished));
                    }
                }
            }
        }
        self.applied = log.len();
        lost
    }
}
