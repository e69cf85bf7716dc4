//! Makes up stories: of a service that keeps its word, with a few answers changed, so that about half are still true.

use leasehold_checkers::history::EventType;

use super::random::Random;
use super::story::{Ask, Fault, Owner, Request, Story, Terms, Told, View, Watch};

/// How large stories are, and what happens in them.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub requests: u64,
    pub processes: u64,
    pub keys: u64,
    /// The longest pause between two things that happen, in steps.
    pub pause: u64,
    /// Of a hundred stories, in how many the service stops to serve for a while.
    pub outages: u64,
    /// How many answers are changed at most.
    pub changes: u64,
}

#[derive(Clone, Copy, Debug)]
enum Doing {
    Idle,
    Called { request: usize },
    Applied { request: usize, told: Told },
}

/// A lease that is there.
#[derive(Clone, Copy, Debug)]
struct Lease {
    owner: Owner,
    key: u8,
    due: u64,
    ttl: u64,
}

struct Teller<'r> {
    random: &'r mut Random,
    plan: Plan,
    terms: Terms,
    now: u64,
    requests: Vec<Request>,
    watches: Vec<Watch>,
    processes: Vec<(u64, Doing)>,
    next_process: u64,
    owners: Vec<(Owner, u8)>,
    holders: Vec<Option<Owner>>,
    closed_until: Vec<u64>,
    leases: Vec<Lease>,
    token: u64,
    /// From when until when nothing is served, and whether clients are told so.
    outage: Option<(u64, u64, bool)>,
}

/// What the service does, request by request; without faults and views.
pub fn tell(random: &mut Random, plan: Plan, terms: Terms) -> Story {
    let outage = random.percent(plan.outages).then(|| {
        let from = random.of(0..plan.requests * plan.pause / 2 + 1);
        (from, from + random.of(1..3 * plan.pause * plan.processes), random.percent(50))
    });
    let keys = usize::try_from(plan.keys).unwrap_or(1);
    let mut teller = Teller {
        random,
        plan,
        terms,
        now: 0,
        requests: Vec::new(),
        watches: Vec::new(),
        processes: (0..plan.processes).map(|process| (process, Doing::Idle)).collect(),
        next_process: plan.processes,
        owners: Vec::new(),
        holders: vec![None; keys],
        closed_until: vec![0; keys],
        leases: Vec::new(),
        token: 0,
        outage,
    };
    teller.run();
    teller.disturb();
    Story {
        terms: teller.terms,
        requests: teller.requests,
        watches: teller.watches,
        views: Vec::new(),
        runs: Vec::new(),
        faults: Vec::new(),
    }
}

impl Teller<'_> {
    fn run(&mut self) {
        for _ in 0..30 * self.plan.requests {
            self.now += self.random.of(0..self.plan.pause + 1);
            self.let_leases_end();
            let worker = self.random.of(0..self.plan.processes) as usize;
            let (_, doing) = self.processes[worker];
            let asks = (self.requests.len() as u64) < self.plan.requests;
            match doing {
                Doing::Idle if asks => self.call(worker),
                Doing::Idle if self.processes.iter().all(|(_, doing)| matches!(doing, Doing::Idle)) => return,
                Doing::Idle => {}
                Doing::Called { request } => self.apply(worker, request),
                Doing::Applied { request, told } => self.deliver(worker, request, told),
            }
        }
    }

    fn let_leases_end(&mut self) {
        let mut place = 0;
        while let Some(lease) = self.leases.get(place).copied() {
            let latest = self
                .terms
                .latest
                .map_or(u64::MAX, |(ttls, grace, _)| lease.due + u64::from(ttls - 1) * lease.ttl + grace);
            if self.now >= lease.due && (self.now >= latest || self.random.percent(40)) {
                self.leases.remove(place);
                self.let_go(lease.owner, lease.key, self.now.min(latest), false);
            } else {
                place += 1;
            }
        }
    }

    fn let_go(&mut self, owner: Owner, key: u8, at: u64, released: bool) {
        if self.holders[usize::from(key)] != Some(owner) {
            return;
        }
        self.holders[usize::from(key)] = None;
        if let (false, Some(delay)) = (released, self.terms.lock_delay) {
            self.closed_until[usize::from(key)] = at + delay;
        }
        if self.random.percent(50) {
            let at = at + self.random.of(0..4);
            self.watches.push(Watch { at, key, owner, word: if released { "released" } else { "deleted" } });
        }
    }

    fn call(&mut self, worker: usize) {
        let known = self.owners.len() as u64;
        let chance = self.random.of(0..100);
        let (key, ask) = match chance {
            0..35 => {
                let (owner, key) = (self.owners.len() as Owner, self.random.of(0..self.plan.keys) as u8);
                self.owners.push((owner, key));
                let ttl = self.random.of(1..7);
                (key, Ask::Acquire { owner, ttl, blocking: self.random.percent(20) })
            }
            35..65 if known > 0 => {
                let (owner, key) = self.owners[self.random.of(known.saturating_sub(3)..known) as usize];
                let ttl = self.random.percent(25).then(|| self.random.of(1..7));
                let renews = self.random.percent(60);
                (key, if renews { Ask::Renew { owner, ttl } } else { Ask::Release { owner } })
            }
            _ => (self.random.of(0..self.plan.keys) as u8, Ask::Read { linearizable: self.random.percent(85) }),
        };
        let (process, _) = self.processes[worker];
        let node = self.random.of(1..u64::from(self.terms.nodes) + 1) as u8;
        self.processes[worker].1 = Doing::Called { request: self.requests.len() };
        self.requests.push(Request { process, node, key, invoked: self.now, ended: None, ask, told: Told::Nothing });
    }

    fn apply(&mut self, worker: usize, request: usize) {
        if let Some((_, _, tells)) = self.outage.filter(|(from, until, _)| (*from..*until).contains(&self.now)) {
            match self.random.of(0..10) {
                0..2 if tells => self.deliver(worker, request, Told::Failed("refused")),
                2 => self.give_up(worker, request),
                _ => {}
            }
            return;
        }
        let lost = self.random.percent(12);
        if lost && self.random.percent(50) {
            return self.give_up(worker, request);
        }
        let Some(told) = self.serve(request) else { return };
        if lost {
            self.give_up(worker, request);
        } else if self.random.percent(20) {
            self.deliver(worker, request, told);
        } else {
            self.processes[worker].1 = Doing::Applied { request, told };
        }
    }

    fn deliver(&mut self, worker: usize, request: usize, told: Told) {
        self.requests[request].told = told;
        self.requests[request].ended = Some(self.now);
        self.processes[worker].1 = Doing::Idle;
    }

    fn give_up(&mut self, worker: usize, request: usize) {
        // Now and then the record ends before.
        if self.random.percent(80) {
            self.requests[request].ended = Some(self.now);
        }
        self.processes[worker] = (self.next_process, Doing::Idle);
        self.next_process += 1;
    }

    /// What a service that keeps its word answers now; `None` if the client has to wait.
    fn serve(&mut self, request: usize) -> Option<Told> {
        let Request { key, ask, .. } = self.requests[request];
        let holder = self.holders[usize::from(key)];
        let lease = |leases: &[Lease], owner| leases.iter().position(|lease| lease.owner == owner);
        Some(match ask {
            Ask::Acquire { owner, ttl, blocking } => {
                let closed = self.now < self.closed_until[usize::from(key)];
                if holder.is_some() || closed {
                    let tells = self.random.percent(70);
                    return (!blocking).then_some(Told::Held(holder.filter(|_| tells)));
                }
                if self.random.percent(4) {
                    return Some(Told::Failed("rejected"));
                }
                self.token += 1;
                self.holders[usize::from(key)] = Some(owner);
                self.leases.push(Lease { owner, key, due: self.now + ttl, ttl });
                Told::Acquired { ttl, token: Some(self.token).filter(|_| self.terms.fencing_tokens) }
            }
            Ask::Renew { owner, ttl } => match lease(&self.leases, owner) {
                Some(place) => {
                    let lease = &mut self.leases[place];
                    lease.ttl = ttl.unwrap_or(lease.ttl);
                    lease.due = self.now + lease.ttl;
                    Told::Renewed { ttl: lease.ttl }
                }
                None => Told::Failed(["expired", "not-held", "mismatch"][self.random.of(0..3) as usize]),
            },
            Ask::Release { owner } => match lease(&self.leases, owner) {
                Some(place) => {
                    self.leases.remove(place);
                    self.let_go(owner, key, self.now, true);
                    Told::Released
                }
                None if self.random.percent(30) => Told::Released,
                None => Told::Failed(["expired", "not-held"][self.random.of(0..2) as usize]),
            },
            Ask::Read { .. } => Told::Saw(holder),
        })
    }

    /// Changes a few answers into others that the same question may have.
    fn disturb(&mut self) {
        for _ in 0..self.random.of(0..self.plan.changes + 1) {
            if self.requests.is_empty() {
                return;
            }
            let place = self.random.of(0..self.requests.len() as u64) as usize;
            let request = self.requests[place].clone();
            if request.ended.is_none() {
                continue;
            }
            let of_key: Vec<Owner> =
                self.owners.iter().filter(|(_, key)| *key == request.key).map(|(owner, _)| *owner).collect();
            let some = of_key.get(self.random.of(0..of_key.len() as u64 + 1) as usize).copied();
            let ttl = self.random.of(1..7);
            let told = match (request.ask, request.told, self.random.of(0..4)) {
                // Whoever was given up on is replaced, so that it stays so.
                (_, Told::Nothing, _) => continue,
                (Ask::Acquire { .. }, _, 0) => Told::Held(some),
                (Ask::Acquire { .. }, _, 1) => Told::Failed("rejected"),
                (Ask::Acquire { .. }, _, _) => {
                    let token = self.random.percent(80).then(|| 1 + self.random.of(0..self.token + 1));
                    Told::Acquired { ttl, token: token.filter(|_| self.terms.fencing_tokens) }
                }
                (Ask::Renew { .. }, _, 0 | 1) => Told::Renewed { ttl },
                (Ask::Renew { .. }, _, 2) => Told::Failed("expired"),
                (Ask::Renew { .. }, _, _) => Told::Failed("not-held"),
                (Ask::Release { .. }, _, 0 | 1) => Told::Released,
                (Ask::Release { .. }, _, _) => Told::Failed("not-held"),
                (Ask::Read { .. }, _, _) => Told::Saw(some),
            };
            self.requests[place].told = told;
        }
    }
}

/// The probes of who leads: each node every so many steps, until some time, with gaps and elections here and there.
pub fn views(random: &mut Random, terms: &Terms, every: u64, until: u64, calm: bool) -> Vec<View> {
    let mut views = Vec::new();
    let (mut term, mut leader) = (1, Some(1));
    let gaps: Vec<(u8, u64, u64)> = (0..if calm { 0 } else { random.of(0..3) })
        .map(|_| {
            let from = random.of(0..until);
            (random.of(1..u64::from(terms.nodes) + 1) as u8, from, from + random.of(1..until / 2 + 2))
        })
        .collect();
    for at in (0..until).step_by(usize::try_from(every.max(1)).unwrap_or(1)) {
        if !calm && random.percent(4) {
            term += random.of(0..2);
            leader = random.percent(70).then(|| random.of(1..u64::from(terms.nodes) + 1) as u8);
        }
        for node in 1..=terms.nodes {
            let silent = gaps.iter().any(|(of, from, to)| *of == node && (*from..*to).contains(&at));
            if !silent {
                let late = random.of(0..every.max(1));
                views.push(View { at: at + late, node, leader, term });
            }
        }
    }
    views
}

/// When the servers' processes were seen to run: at irregular times, and perhaps not at all for long.
pub fn runs(random: &mut Random, terms: &Terms, every: u64, until: u64) -> Vec<(u64, u8)> {
    let mut runs = Vec::new();
    for node in 1..=terms.nodes {
        let mut at = random.of(0..every);
        while at < until {
            runs.push((at, node));
            at += if random.percent(80) { random.of(1..every + 1) } else { random.of(1..4 * every) };
        }
    }
    runs
}

/// The faults: begun, perhaps confirmed, perhaps healed, perhaps healed again.
pub fn faults(random: &mut Random, until: u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    for number in 1..=[0, 0, 1, 1, 2][random.of(0..5) as usize] {
        let package = match random.of(0..100) {
            ..35 => "clock",
            35..55 => "snapshot",
            _ => "pause",
        };
        let node = [None, Some(1), Some(2), Some(3)][random.of(0..4) as usize];
        let mut at = random.of(0..until);
        let mut tell = |at: u64, begins: bool, kind: EventType| {
            faults.push(Fault { at, number, package, node, begins, kind });
        };
        tell(at, true, EventType::Invoke);
        at += random.of(0..3);
        match random.of(0..10) {
            0 => tell(at, true, EventType::Fail),
            1 => tell(at, true, EventType::Info),
            2 => {}
            _ => tell(at, true, EventType::Ok),
        }
        at += random.of(0..until / 3 + 1);
        for _ in 0..[0, 1, 1, 1, 2][random.of(0..5) as usize] {
            tell(at, false, EventType::Invoke);
            at += random.of(0..2);
            tell(at, false, if random.percent(85) { EventType::Ok } else { EventType::Info });
        }
    }
    faults
}
