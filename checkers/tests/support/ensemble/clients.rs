//! What the clients ask, and how that stands in the record.

use leasehold_checkers::history::EventType;
use leasehold_checkers::history::vocabulary::{code, f};
use serde_json::{Value, json};

use super::{Ensemble, Lease, PATIENCE_MS, RUN_MS, Random};

/// One client, which talks to one server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    process: u64,
    node: usize,
    rests_until: u64,
    waits: bool,
    /// The lease that it believes to hold the lock by.
    holds: Option<usize>,
    renews: u64,
    attempts: u64,
}

impl Client {
    pub(super) fn new(number: u64, random: &mut Random) -> Self {
        let (node, renews) = (random.of(0..3) as usize, random.of(40..95));
        Self { process: number, node, rests_until: 3_000 + number * 50, waits: false, holds: None, renews, attempts: 0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Acquire(usize),
    Renew(usize),
    Release(usize),
    Read,
}

/// What a server says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Granted(u64),
    Held(Option<usize>),
    Renewed,
    Released,
    Saw(Option<usize>),
    Failed(&'static str),
    Nothing,
}

/// A request on its way, at a server, or answered.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) client: usize,
    pub(super) process: u64,
    pub(super) node: usize,
    pub(super) ask: Ask,
    pub(super) arrives: u64,
    /// What is said, when, and up to where the server at hand must have carried out the log by then.
    pub(super) answer: Option<(Told, usize, Option<u64>)>,
    pub(super) gives_up: u64,
    pub(super) given_up: bool,
}

impl Request {
    pub(super) fn in_words(
        &self,
        leases: &[Lease],
        kind: EventType,
        told: &Told,
    ) -> (&'static str, Value, Option<&'static str>) {
        let owner = |lease: usize| leases[lease].owner.as_str();
        let (f, mut value) = match self.ask {
            Ask::Acquire(lease) => (f::ACQUIRE, json!({ "owner": owner(lease), "ttl_ms": leases[lease].ttl })),
            Ask::Renew(lease) => (f::RENEW, json!({ "owner": owner(lease) })),
            Ask::Release(lease) => (f::RELEASE, json!({ "owner": owner(lease) })),
            Ask::Read => (f::READ, json!({ "linearizable": true })),
        };
        if kind == EventType::Invoke {
            return (f, value, None);
        }
        let mut code = None;
        match (*told, self.ask) {
            (Told::Granted(token), _) => value["token"] = json!(token),
            (Told::Held(holder), _) => {
                value = json!({ "owner": value["owner"], "holder": holder.map(owner) });
                code = Some(code::HELD);
            }
            (Told::Renewed, Ask::Renew(lease)) => value["ttl_ms"] = json!(leases[lease].ttl),
            (Told::Saw(holder), _) => value["owner"] = json!(holder.map(owner)),
            (Told::Failed(why), _) => (value, code) = (Value::Null, Some(why)),
            (Told::Nothing, _) => (value, code) = (Value::Null, Some("timeout")),
            (Told::Renewed | Told::Released, _) => {}
        }
        (f, value, code)
    }
}

impl Ensemble {
    /// Each client that has nothing under way asks something.
    pub(super) fn ask(&mut self) {
        for client in 0..self.clients.len() {
            let Client { process, node, rests_until, waits, holds, attempts, .. } = self.clients[client].clone();
            if waits || self.now < rests_until || self.now > RUN_MS - 2_000 {
                continue;
            }
            let chance = self.random.of(0..100);
            let ask = match holds {
                Some(lease) if chance < 75 => Ask::Renew(lease),
                Some(lease) if chance < 85 => Ask::Release(lease),
                // Left to run out.
                Some(_) if chance < 90 => {
                    self.clients[client].holds = None;
                    continue;
                }
                _ if chance.is_multiple_of(3) => Ask::Read,
                Some(_) => continue,
                None => {
                    let ttl = self.random.of(6..25) * 100;
                    self.clients[client].attempts += 1;
                    self.leases.push(Lease { owner: format!("p{process}.{attempts}"), ttl, home: node });
                    Ask::Acquire(self.leases.len() - 1)
                }
            };
            let (arrives, gives_up) = (self.soon(), self.now + PATIENCE_MS);
            let request = Request { client, process, node, ask, arrives, answer: None, gives_up, given_up: false };
            self.record(&request, EventType::Invoke, &Told::Nothing);
            self.clients[client].waits = true;
            self.pending.push(request);
        }
    }

    /// Tells a client, which makes up its mind what to do next.
    pub(super) fn deliver(&mut self, request: &Request, told: &Told) {
        let kind = match told {
            Told::Nothing => EventType::Info,
            Told::Failed(_) | Told::Held(_) => EventType::Fail,
            _ => EventType::Ok,
        };
        self.record(request, kind, told);
        let rests = match (request.ask, kind) {
            (Ask::Acquire(lease) | Ask::Renew(lease), EventType::Ok) => {
                self.clients[request.client].holds = Some(lease);
                self.leases[lease].ttl * self.clients[request.client].renews / 100
            }
            (Ask::Read, _) => self.random.of(20..150),
            _ => {
                self.clients[request.client].holds = None;
                self.random.of(50..400)
            }
        };
        let early = self.random.of(0..rests / 2 + 1);
        let client = &mut self.clients[request.client];
        (client.waits, client.rests_until) = (false, self.now + rests - early);
        if kind == EventType::Info {
            (client.process, client.holds) = (self.next_process, None);
            self.next_process += 1;
        }
    }
}
