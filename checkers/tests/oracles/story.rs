//! A tiny history as data: what was asked and told, so that parts of it can be left out.

use leasehold_checkers::contract::{LatestExpiry, Patience, SecondHand};
use leasehold_checkers::history::vocabulary::f;
use leasehold_checkers::history::{
    ErrorInfo, Event, EventType, Header, History, Process, RunTime, header_to_line, to_line,
};
use serde_json::{Value, json};

#[path = "../support/script.rs"]
mod script;

/// One lock's owner: a name that one acquisition uses.
pub type Owner = u8;

/// A tiny history. All times are in steps.
#[derive(Clone, Debug)]
pub struct Story {
    pub terms: Terms,
    pub requests: Vec<Request>,
    pub watches: Vec<Watch>,
    pub views: Vec<View>,
    /// When which server's process was seen to run.
    pub runs: Vec<(u64, u8)>,
    pub faults: Vec<Fault>,
}

/// What the run declares and the contract promises, in steps.
#[derive(Clone, Debug)]
pub struct Terms {
    pub step_ms: u64,
    pub nodes: u8,
    pub rate_error_ppm: u64,
    pub slack: u64,
    /// How many TTLs a lease may live, the grace, and whether a new leader starts leases anew.
    pub latest: Option<(u32, u64, bool)>,
    pub counts_from_request: bool,
    pub ends_with_its_server: bool,
    /// Within what time a renewal is known to whoever keeps the leases, and for how long a server out of touch answers.
    pub second_hand: Option<(u64, u64)>,
    pub fencing_tokens: bool,
    pub lock_delay: Option<u64>,
    /// Patience with an op, the cluster, a lock, and the recovery.
    pub patience: [u64; 4],
}

#[derive(Clone, Debug)]
pub struct Request {
    pub process: u64,
    pub node: u8,
    pub key: u8,
    pub invoked: u64,
    /// When it was answered or given up; `None` where the history ends before.
    pub ended: Option<u64>,
    pub ask: Ask,
    pub told: Told,
}

#[derive(Clone, Copy, Debug)]
pub enum Ask {
    Acquire { owner: Owner, ttl: u64, blocking: bool },
    Renew { owner: Owner, ttl: Option<u64> },
    Release { owner: Owner },
    Read { linearizable: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Acquired {
        ttl: u64,
        token: Option<u64>,
    },
    Renewed {
        ttl: u64,
    },
    Released,
    Saw(Option<Owner>),
    /// Refused, because of that owner where the service told.
    Held(Option<Owner>),
    Failed(&'static str),
    Nothing,
}

#[derive(Clone, Copy, Debug)]
pub struct Watch {
    pub at: u64,
    pub key: u8,
    pub owner: Owner,
    pub word: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct View {
    pub at: u64,
    pub node: u8,
    pub leader: Option<u8>,
    pub term: u64,
}

/// An event of the nemesis.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub at: u64,
    pub number: u64,
    pub package: &'static str,
    /// The server that it hits, if it hits one.
    pub node: Option<u8>,
    pub begins: bool,
    pub kind: EventType,
}

pub fn name(owner: Owner) -> String {
    format!("o{owner}")
}

impl Story {
    fn header(&self) -> Header {
        let Terms { step_ms, latest, patience, .. } = self.terms;
        let mut header = script::header();
        header.nodes = self.terms.nodes;
        header.clock_rate_error_ppm = self.terms.rate_error_ppm;
        let contract = &mut header.contract;
        contract.early_slack_ms = self.terms.slack * step_ms;
        contract.latest_expiry = latest.map(|(ttls, grace, anew)| LatestExpiry {
            ttls,
            grace_ms: grace * step_ms,
            restarts_at_leader_change: anew,
        });
        contract.counts_from_request = self.terms.counts_from_request;
        contract.ends_with_its_server = self.terms.ends_with_its_server;
        contract.second_hand = self
            .terms
            .second_hand
            .map(|(within, lag)| SecondHand { known_within_ms: within * step_ms, out_of_touch_for_ms: lag * step_ms });
        contract.fencing_tokens = self.terms.fencing_tokens;
        contract.lock_delay_ms = self.terms.lock_delay.map(|delay| delay * step_ms);
        let [op_ms, cluster_ms, lock_ms, recovery_ms] = patience.map(|steps| steps * step_ms);
        contract.patience = Patience { op_ms, cluster_ms, lock_ms, recovery_ms, ..Patience::default() };
        header
    }

    /// The record of it. What one process does stays in its order.
    pub fn history(&self) -> History {
        let mut events = Vec::with_capacity(2 * self.requests.len() + self.views.len() + 8);
        for request in &self.requests {
            events.push(self.asked(request));
            events.extend(self.told(request));
        }
        events.extend(self.watches.iter().map(|watch| self.watched(watch)));
        events.extend(self.views.iter().map(|view| self.viewed(view)));
        events.extend(self.runs.iter().map(|(at, node)| self.ran(*at, *node)));
        events.extend(self.faults.iter().map(|fault| self.of_nemesis(fault)));
        events.sort_by_key(|event| event.time);
        History::new(self.header(), events)
    }

    fn at(&self, steps: u64) -> RunTime {
        RunTime(steps * self.terms.step_ms * 1_000_000)
    }

    fn event(&self, at: u64, process: Process, kind: EventType, f: &str, value: Value) -> Event {
        Event { time: self.at(at), process, kind, f: f.into(), key: None, value: value.into(), node: None, error: None }
    }

    fn of_client(&self, at: u64, request: &Request, kind: EventType, value: Value) -> Event {
        let f = match request.ask {
            Ask::Acquire { .. } => f::ACQUIRE,
            Ask::Renew { .. } => f::RENEW,
            Ask::Release { .. } => f::RELEASE,
            Ask::Read { .. } => f::READ,
        };
        Event {
            key: Some(format!("k{}", request.key).into()),
            node: Some(format!("n{}", request.node).into()),
            ..self.event(at, Process::Client(request.process), kind, f, value)
        }
    }

    fn asked(&self, request: &Request) -> Event {
        let ms = |steps: u64| steps * self.terms.step_ms;
        let value = match request.ask {
            Ask::Acquire { owner, ttl, blocking } => {
                json!({ "owner": name(owner), "ttl_ms": ms(ttl), "blocking": blocking })
            }
            Ask::Renew { owner, ttl: Some(ttl) } => json!({ "owner": name(owner), "ttl_ms": ms(ttl) }),
            Ask::Renew { owner, ttl: None } | Ask::Release { owner } => json!({ "owner": name(owner) }),
            Ask::Read { linearizable } => json!({ "linearizable": linearizable }),
        };
        self.of_client(request.invoked, request, EventType::Invoke, value)
    }

    fn told(&self, request: &Request) -> Option<Event> {
        let at = request.ended?;
        let mine = match request.ask {
            Ask::Acquire { owner, .. } | Ask::Renew { owner, .. } | Ask::Release { owner } => name(owner),
            Ask::Read { .. } => String::new(),
        };
        let ms = |steps: u64| steps * self.terms.step_ms;
        let (kind, value, code) = match request.told {
            Told::Acquired { ttl, token: None } => (EventType::Ok, json!({ "owner": mine, "ttl_ms": ms(ttl) }), None),
            Told::Acquired { ttl, token } => {
                (EventType::Ok, json!({ "owner": mine, "ttl_ms": ms(ttl), "token": token }), None)
            }
            Told::Renewed { ttl } => (EventType::Ok, json!({ "owner": mine, "ttl_ms": ms(ttl) }), None),
            Told::Released => (EventType::Ok, json!({ "owner": mine }), None),
            Told::Saw(seen) => {
                let linearizable = matches!(request.ask, Ask::Read { linearizable: true });
                (EventType::Ok, json!({ "linearizable": linearizable, "owner": seen.map(name) }), None)
            }
            Told::Held(None) => (EventType::Fail, Value::Null, Some("held")),
            Told::Held(holder) => (EventType::Fail, json!({ "owner": mine, "holder": holder.map(name) }), Some("held")),
            Told::Failed(code) => (EventType::Fail, Value::Null, Some(code)),
            Told::Nothing => (EventType::Info, Value::Null, Some("timeout")),
        };
        let error = code.map(|code| ErrorInfo { code: code.into(), text: String::new().into() });
        Some(Event { error, ..self.of_client(at, request, kind, value) })
    }

    fn watched(&self, watch: &Watch) -> Event {
        let value = json!({ "owner": name(watch.owner) });
        let key = Some(format!("k{}", watch.key).into());
        Event { key, ..self.event(watch.at, Process::Watch, EventType::Ok, watch.word, value) }
    }

    fn viewed(&self, view: &View) -> Event {
        let value = json!({ "leader": view.leader.map(|node| format!("n{node}")), "term": view.term });
        let node = Some(format!("n{}", view.node).into());
        Event { node, ..self.event(view.at, Process::Probe, EventType::Ok, f::LEADER, value) }
    }

    fn ran(&self, at: u64, node: u8) -> Event {
        let node = Some(format!("n{node}").into());
        Event { node, ..self.event(at, Process::Probe, EventType::Ok, f::PROCESS, json!({ "up_ms": at })) }
    }

    fn of_nemesis(&self, fault: &Fault) -> Event {
        let nodes: Vec<String> = fault.node.iter().map(|node| format!("n{node}")).collect();
        let phase = if fault.begins { "inject" } else { "heal" };
        let value = json!({ "fault": fault.number, "phase": phase, "target": "one", "nodes": nodes, "what": "it" });
        self.event(fault.at, Process::Nemesis, fault.kind, fault.package, value)
    }

    /// The record as a file.
    pub fn lines(&self) -> String {
        let history = self.history();
        let events: String = history.events.iter().map(|event| to_line(event) + "\n").collect();
        header_to_line(&history.header) + "\n" + &events
    }

    /// The least part that is still wrong: none of its items can be left out.
    pub fn shrunk(&self, wrong: impl Fn(&Self) -> bool) -> Self {
        let mut least = self.clone();
        loop {
            let smaller = least.parts().into_iter().find(|part| wrong(part));
            match smaller {
                Some(smaller) => least = smaller,
                None => return least,
            }
        }
    }

    /// All that are left when one thing is left out.
    fn parts(&self) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut without = |count: usize, leave_out: &dyn Fn(&mut Self, usize)| {
            for place in 0..count {
                let mut part = self.clone();
                leave_out(&mut part, place);
                parts.push(part);
            }
        };
        without(self.faults.len(), &|part, place| {
            part.faults.remove(place);
        });
        without(self.views.len(), &|part, place| {
            part.views.remove(place);
        });
        without(self.runs.len(), &|part, place| {
            part.runs.remove(place);
        });
        without(self.watches.len(), &|part, place| {
            part.watches.remove(place);
        });
        without(self.requests.len(), &|part, place| {
            part.requests.remove(place);
        });
        parts
    }
}
