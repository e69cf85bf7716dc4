//! Runs of any length of a lock service that keeps its word, made one event at a time: ten clients, eight locks.
//!
//! Each client acquires a lock, is refused while another has it, renews it a few times, reads, and releases. Now and then
//! a request goes without an answer, and its process is retired. Three nodes tell who leads and how they are.

#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::BTreeMap;

use leasehold_checkers::history::vocabulary::{code, f};
use leasehold_checkers::history::{ErrorInfo, Event, EventType, Process, RunTime, Word};
use serde_json::{Value, json};

use super::random::Random;

const CLIENTS: u64 = 10;
const LOCKS: u64 = 8;
const TTL_MS: u64 = 2_000;
const US: u64 = 1_000;
const MS: u64 = 1_000 * US;

/// The events of a run of so many operations.
pub struct LongRun {
    random: Random,
    ops_left: usize,
    ops_open: usize,
    steps: BTreeMap<(u64, u64), Step>,
    number: u64,
    clients: Vec<Client>,
    /// Who has each lock, until when, and the last token.
    locks: Vec<Lock>,
    next_process: u64,
    tokens: u64,
    now: u64,
    /// Of this many thousand requests one is not answered.
    unanswered_per_mille: u64,
    ready: std::collections::VecDeque<Event>,
}

#[derive(Default)]
struct Lock {
    holder: Option<(String, u64)>,
}

struct Client {
    process: u64,
    attempts: u64,
    lock: u64,
    owner: Option<String>,
    renewals_left: u64,
}

#[derive(Clone)]
enum Ask {
    Acquire(String),
    Renew(String),
    Release(String),
    Read,
}

enum Step {
    Think(usize),
    Act(usize, Ask),
    Answer(usize, Ask, EventType, Value, Option<String>),
    Probe(u64),
}

impl LongRun {
    pub fn of(ops: usize, seed: u64, unanswered_per_mille: u64) -> Self {
        let client = |process| Client { process, attempts: 0, lock: 0, owner: None, renewals_left: 0 };
        let mut run = Self {
            random: Random(seed),
            ops_left: ops,
            ops_open: 0,
            steps: BTreeMap::new(),
            number: 0,
            clients: (0..CLIENTS).map(client).collect(),
            locks: (0..LOCKS).map(|_| Lock::default()).collect(),
            next_process: CLIENTS,
            tokens: 0,
            now: 0,
            unanswered_per_mille,
            ready: std::collections::VecDeque::new(),
        };
        for client in 0..CLIENTS {
            run.at(client * MS, Step::Think(client as usize));
        }
        for node in 0..3 {
            run.at(node * 60 * MS, Step::Probe(node));
        }
        run
    }

    fn at(&mut self, at: u64, step: Step) {
        self.number += 1;
        self.steps.insert((at, self.number), step);
    }

    fn after(&mut self, us: std::ops::Range<u64>, step: Step) {
        let at = self.now + self.random.of(us) * US;
        self.at(at, step);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Think(client) => self.think(client),
            Step::Act(client, ask) => self.act(client, ask),
            Step::Answer(client, ask, kind, value, error) => self.answer(client, &ask, kind, value, error),
            Step::Probe(node) => self.probe(node),
        }
    }

    fn think(&mut self, client: usize) {
        if self.ops_left == 0 {
            return;
        }
        self.ops_left -= 1;
        self.ops_open += 1;
        let chance = self.random.of(0..100);
        let lock = self.random.of(0..LOCKS);
        let me = &mut self.clients[client];
        let ask = match &me.owner {
            _ if chance < 10 => Ask::Read,
            Some(owner) if me.renewals_left > 0 => {
                me.renewals_left -= 1;
                Ask::Renew(owner.clone())
            }
            Some(owner) => Ask::Release(owner.clone()),
            None => {
                me.attempts += 1;
                me.lock = lock;
                Ask::Acquire(format!("p{}.{}", me.process, me.attempts))
            }
        };
        let asked = match &ask {
            Ask::Acquire(owner) => json!({ "owner": owner, "ttl_ms": TTL_MS }),
            Ask::Renew(owner) | Ask::Release(owner) => json!({ "owner": owner }),
            Ask::Read => json!({ "linearizable": true }),
        };
        self.record(client, &ask, EventType::Invoke, asked, None);
        self.after(200..1_000, Step::Act(client, ask));
    }

    fn act(&mut self, client: usize, ask: Ask) {
        let now = self.now;
        let lock = &mut self.locks[self.clients[client].lock as usize];
        if lock.holder.as_ref().is_some_and(|(_, until)| *until <= now) {
            lock.holder = None;
        }
        let holder = lock.holder.as_ref().map(|(owner, _)| owner.clone());
        let (kind, value, error) = match &ask {
            Ask::Acquire(owner) => match holder {
                None => {
                    lock.holder = Some((owner.clone(), now + TTL_MS * MS));
                    self.tokens += 1;
                    (EventType::Ok, json!({ "owner": owner, "ttl_ms": TTL_MS, "token": self.tokens }), None)
                }
                Some(holder) => {
                    let told = json!({ "owner": owner, "holder": holder });
                    (EventType::Fail, told, Some(code::HELD.to_owned()))
                }
            },
            Ask::Renew(owner) | Ask::Release(owner) if holder.as_ref() != Some(owner) => {
                (EventType::Fail, Value::Null, Some(code::EXPIRED.to_owned()))
            }
            Ask::Renew(owner) => {
                lock.holder = Some((owner.clone(), now + TTL_MS * MS));
                (EventType::Ok, json!({ "owner": owner, "ttl_ms": TTL_MS }), None)
            }
            Ask::Release(owner) => {
                lock.holder = None;
                (EventType::Ok, json!({ "owner": owner }), None)
            }
            Ask::Read => (EventType::Ok, json!({ "linearizable": true, "owner": holder }), None),
        };
        if self.random.of(0..1_000) < self.unanswered_per_mille {
            let gone = Step::Answer(client, ask, EventType::Info, Value::Null, Some("timeout".to_owned()));
            self.after(400_000..400_001, gone);
        } else {
            self.after(200..1_000, Step::Answer(client, ask, kind, value, error));
        }
    }

    fn answer(&mut self, client: usize, ask: &Ask, kind: EventType, value: Value, error: Option<String>) {
        self.ops_open -= 1;
        self.record(client, ask, kind, value, error);
        let renewals = self.random.of(0..6);
        let me = &mut self.clients[client];
        match (ask, kind) {
            (_, EventType::Info) => {
                me.process = self.next_process;
                self.next_process += 1;
                (me.attempts, me.owner) = (0, None);
            }
            (Ask::Acquire(owner), EventType::Ok) => {
                (me.owner, me.renewals_left) = (Some(owner.clone()), renewals);
            }
            (Ask::Renew(_), EventType::Fail) | (Ask::Release(_), _) => me.owner = None,
            _ => {}
        }
        self.after(1_000..60_000, Step::Think(client));
    }

    fn record(&mut self, client: usize, ask: &Ask, kind: EventType, value: Value, error: Option<String>) {
        let me = &self.clients[client];
        let name = match ask {
            Ask::Acquire(_) => f::ACQUIRE,
            Ask::Renew(_) => f::RENEW,
            Ask::Release(_) => f::RELEASE,
            Ask::Read => f::READ,
        };
        self.ready.push_back(Event {
            time: RunTime(self.now),
            process: Process::Client(me.process),
            kind,
            f: name.into(),
            key: Some(Word::from(format!("jobs/{}", me.lock))),
            value: value.into(),
            node: Some(Word::from(format!("n{}", client % 3 + 1))),
            error: error.map(|code| ErrorInfo { code: code.into(), text: "the server said so".into() }),
        });
    }

    fn probe(&mut self, node: u64) {
        if self.ops_left == 0 {
            return;
        }
        let mut tell = |f: &str, value: Value| {
            self.ready.push_back(Event {
                time: RunTime(self.now),
                process: Process::Probe,
                kind: EventType::Ok,
                f: f.into(),
                key: None,
                value: value.into(),
                node: Some(Word::from(format!("n{}", node + 1))),
                error: None,
            });
        };
        tell(f::LEADER, json!({ "leader": "n1", "term": 5 }));
        if self.now / MS % 1_000 < 200 {
            tell(f::HEALTH, json!({ "healthy": true }));
            tell(f::CLOCK, json!({ "offset_ns": 0, "uncertainty_ns": 1_000_000 }));
        }
        let next = self.now + 200 * MS;
        self.at(next, Step::Probe(node));
    }
}

impl Iterator for LongRun {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() {
            let ((at, _), step) = self.steps.pop_first()?;
            self.now = at;
            self.take(step);
        }
        self.ready.pop_front()
    }
}
