//! What the clients ask, and what they make of the answers.

use leasehold_checkers::history::EventType;
use leasehold_checkers::history::vocabulary::f;
use serde_json::{Value, json};

use super::{Answer, Ask, Bug, RUN_MS, Request, Service, Step, Worker};

impl Service {
    pub(super) fn think(&mut self, worker: usize) {
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

    /// Most renewals ask for the TTL of before.
    fn other_ttl(&mut self) -> Option<u64> {
        let other = self.random.percent(15).then(|| self.random.of(1..25) * 100);
        other.filter(|_| self.rumours.is_none())
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

    pub(super) fn deliver(&mut self, request: &Request, answer: Answer) {
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

    pub(super) fn give_up(&mut self, request: &Request) {
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
}
