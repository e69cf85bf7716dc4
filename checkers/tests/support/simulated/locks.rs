//! What the service does with each request.

use leasehold_checkers::history::EventType;
use leasehold_checkers::history::vocabulary::{code, f};
use serde_json::{Value, json};

use super::{Answer, Ask, Bug, CLUSTER, Lease, RUN_MS, Request, Service, Step};

impl Service {
    fn answer(&mut self, request: Request, kind: EventType, value: Value, code: Option<&'static str>) {
        if !self.random.percent(self.loss) {
            let travels = self.random.of(0..self.delay);
            self.at(self.now + travels, Step::Deliver(request, Answer { kind, value, code }));
        }
    }

    pub(super) fn serve(&mut self, request: Request) {
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

    fn grant(&mut self, request: Request, owner: &str, ttl: u64) {
        self.tokens += 1;
        let mut token = self.tokens;
        if self.bug == Some(Bug::TokensFall) && self.random.percent(30) {
            token = token.saturating_sub(self.random.of(1..4));
            self.wronged.insert(owner.to_owned());
        }
        self.set_holder(request.key, Some(owner.to_owned()));
        if self.bug == Some(Bug::ForgetGrant) && self.random.percent(30) {
            let at = self.now + self.random.of(1..1_500);
            self.at(at, Step::Forget { owner: owner.to_owned(), token });
        }
        if self.bug == Some(Bug::LostGrant) && self.random.percent(30) {
            self.wronged.insert(owner.to_owned());
            return self.answer(request, EventType::Fail, Value::Null, Some("rejected"));
        }
        self.answer(request, EventType::Ok, json!({ "owner": owner, "ttl_ms": ttl, "token": token }), None);
    }

    /// The state from before a grant is put back, as far as that grant goes.
    pub(super) fn forget(&mut self, owner: &str, token: u64) {
        let Some(key) = self.locks.iter().position(|lock| lock.holder.as_deref() == Some(owner)) else { return };
        self.wronged.insert(owner.to_owned());
        self.set_holder(key, None);
        // Only the last grant of all takes the count back: before another there may be one that is remembered.
        if self.tokens == token {
            self.tokens -= 1;
        }
        self.next_in_queue(key);
    }

    pub(super) fn set_holder(&mut self, key: usize, holder: Option<String>) {
        let lock = &mut self.locks[key];
        lock.past.push(lock.holder.take());
        lock.holder = holder;
    }

    pub(super) fn next_in_queue(&mut self, key: usize) {
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

    /// A node is asked who leads, and again 200 ms later, or when it has answered.
    pub(super) fn probe(&mut self, node: usize) {
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
