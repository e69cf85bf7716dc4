//! Writes small histories that read like a story. All times are in milliseconds.

#![allow(dead_code, unreachable_pub, missing_docs)]

use std::ops::Range;

use leasehold_checkers::contract::{Contract, LatestExpiry, Patience};
use leasehold_checkers::history::vocabulary::{
    AcquireValue, ClockValue, FaultPhase, FaultValue, Guard, HealthValue, HeldValue, LeaderValue, OwnerValue, Piece,
    ProcessValue, ReadValue, WorkValue, code, f,
};
use leasehold_checkers::history::{
    ErrorInfo, Event, EventType, FORMAT_VERSION, Header, History, Process, RunTime, Word,
};
use leasehold_checkers::verdict::{Anomaly, AnomalyKind, Verdict};
use serde::Serialize;
use serde_json::{Value, json};

/// A history in the making.
#[derive(Clone, Debug)]
pub struct Script {
    pub header: Header,
    key: String,
    events: Vec<Event>,
}

/// A fault: its number, its package, what it does, and where.
#[derive(Clone, Copy, Debug)]
pub struct Fault<'a>(pub u64, pub &'a str, pub &'a str, pub &'a str);

pub fn header() -> Header {
    Header {
        leasehold: FORMAT_VERSION,
        scenario: "test".to_owned(),
        workload: "cas-lock".to_owned(),
        model: "lease-lock".to_owned(),
        service: "etcd-v3".to_owned(),
        servers: "etcd 3.5.30".to_owned(),
        nodes: 3,
        seed: 1,
        clock: "CLOCK_MONOTONIC".to_owned(),
        command: Vec::new(),
        start: "2026-11-21T22:00:00Z".to_owned(),
        contract: Contract {
            service: "etcd-v3".to_owned(),
            early_slack_ms: 0,
            latest_expiry: Some(LatestExpiry { ttls: 1, grace_ms: 1_000, restarts_at_leader_change: true }),
            counts_from_request: false,
            second_hand: None,
            ends_with_its_server: false,
            fencing_tokens: true,
            lock_delay_ms: None,
            patience: Patience::default(),
            source: "test".to_owned(),
        },
        clock_rate_error_ppm: 0,
        beliefs_must_exclude: false,
    }
}

/// A history of etcd v3 leases on the lock `jobs/7`, in which nothing has happened yet.
pub fn script() -> Script {
    Script { header: header(), key: "jobs/7".to_owned(), events: Vec::new() }
}

pub fn ms(at: u64) -> RunTime {
    RunTime(at * 1_000_000)
}

fn json_of(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("values of the vocabulary can be written")
}

fn owned(owner: &str) -> Value {
    json_of(OwnerValue { owner: owner.to_owned(), ttl_ms: None })
}

fn error(code: &str) -> Option<ErrorInfo> {
    Some(ErrorInfo { code: code.into(), text: Word::default() })
}

/// The anomalies of one kind in a history that is well-formed.
pub fn found_of_kind(script: Script, kind: AnomalyKind) -> Vec<Anomaly> {
    let judgement = leasehold_checkers::check(&script.history());
    assert_eq!(judgement.checkers["well-formed"].verdict, Verdict::Valid, "{judgement:?}");
    judgement.anomalies.into_iter().filter(|anomaly| anomaly.kind == kind).collect()
}

impl Script {
    pub fn contract(mut self, change: impl FnOnce(&mut Contract)) -> Self {
        change(&mut self.header.contract);
        self
    }

    pub fn header(mut self, change: impl FnOnce(&mut Header)) -> Self {
        change(&mut self.header);
        self
    }

    /// What follows is about this lock.
    pub fn on(mut self, key: &str) -> Self {
        self.key = key.to_owned();
        self
    }

    pub fn event(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    pub fn client(self, at: u64, process: u64, kind: EventType, f: &str, value: Value, code: Option<&str>) -> Self {
        let key = Some(self.key.as_str().into());
        self.event(Event {
            time: ms(at),
            process: Process::Client(process),
            kind,
            f: f.into(),
            key,
            value: value.into(),
            node: Some("n1".into()),
            error: code.and_then(error),
        })
    }

    fn op(self, process: u64, f: &str, at: Range<u64>, asked: Value, told: (EventType, Value, Option<&str>)) -> Self {
        let (kind, value, code) = told;
        self.client(at.start, process, EventType::Invoke, f, asked, None).client(at.end, process, kind, f, value, code)
    }

    fn asks_for(owner: &str, ttl_ms: u64, blocking: bool, token: Option<u64>) -> Value {
        json_of(AcquireValue { owner: owner.to_owned(), ttl_ms, token, lease: None, blocking })
    }

    /// Acquires at once.
    pub fn acquire(self, process: u64, owner: &str, at: Range<u64>, ttl_ms: u64) -> Self {
        let asked = Self::asks_for(owner, ttl_ms, false, None);
        self.op(process, f::ACQUIRE, at, asked.clone(), (EventType::Ok, asked, None))
    }

    /// Acquires, and is given a fencing token.
    pub fn acquire_token(self, process: u64, owner: &str, at: Range<u64>, ttl_ms: u64, token: u64) -> Self {
        let asked = Self::asks_for(owner, ttl_ms, true, None);
        let told = Self::asks_for(owner, ttl_ms, true, Some(token));
        self.op(process, f::ACQUIRE, at, asked, (EventType::Ok, told, None))
    }

    /// A piece of work, which takes no time.
    pub fn work(self, process: u64, owner: &str, at: u64, (guard, piece): (Guard, Piece)) -> Self {
        let value = Self::works(owner, guard, piece);
        self.op(process, f::WORK, at..at, json_of(&value), (EventType::Ok, json_of(&value), None))
    }

    /// A piece of work that nobody guards, and that reads or makes a version.
    pub fn work_version(
        self,
        process: u64,
        owner: &str,
        at: u64,
        piece: Piece,
        base: Option<u64>,
        version: u64,
    ) -> Self {
        let asked = WorkValue { base, ..Self::works(owner, Guard::None, piece) };
        let told = WorkValue { version: Some(version), ..asked.clone() };
        self.op(process, f::WORK, at..at, json_of(&asked), (EventType::Ok, json_of(&told), None))
    }

    /// A piece of work that is refused for its token.
    pub fn work_fenced(self, process: u64, owner: &str, at: u64, piece: Piece) -> Self {
        let value = json_of(Self::works(owner, Guard::Token, piece));
        self.op(process, f::WORK, at..at, value.clone(), (EventType::Fail, value, Some(code::FENCED)))
    }

    /// A write that is accepted under a token.
    pub fn write_guarded(self, process: u64, owner: &str, at: Range<u64>, (guard, token): (Guard, u64)) -> Self {
        let value = json_of(WorkValue { token: Some(token), ..Self::works(owner, guard, Piece::Write) });
        self.op(process, f::WORK, at, value.clone(), (EventType::Ok, value, None))
    }

    fn works(owner: &str, guard: Guard, piece: Piece) -> WorkValue {
        WorkValue { owner: owner.to_owned(), piece, guard, token: None, base: None, version: None }
    }

    pub fn acquire_held(self, process: u64, owner: &str, at: Range<u64>, holder: &str) -> Self {
        let told = json_of(HeldValue { owner: owner.to_owned(), holder: Some(holder.to_owned()) });
        let asked = Self::asks_for(owner, 3_000, false, None);
        self.op(process, f::ACQUIRE, at, asked, (EventType::Fail, told, Some(code::HELD)))
    }

    /// An acquisition that is refused for another reason than that the lock is held.
    pub fn acquire_fails(self, process: u64, owner: &str, at: Range<u64>, code: &str) -> Self {
        let asked = Self::asks_for(owner, 3_000, false, None);
        self.op(process, f::ACQUIRE, at, asked.clone(), (EventType::Fail, asked, Some(code)))
    }

    pub fn acquire_info(self, process: u64, owner: &str, at: Range<u64>, ttl_ms: u64) -> Self {
        let asked = Self::asks_for(owner, ttl_ms, false, None);
        self.op(process, f::ACQUIRE, at, asked, (EventType::Info, Value::Null, Some("timeout")))
    }

    pub fn renew(self, process: u64, owner: &str, at: Range<u64>, ttl_ms: u64) -> Self {
        let told = json_of(OwnerValue { owner: owner.to_owned(), ttl_ms: Some(ttl_ms) });
        self.op(process, f::RENEW, at, owned(owner), (EventType::Ok, told, None))
    }

    pub fn renew_fails(self, process: u64, owner: &str, at: Range<u64>, code: &str) -> Self {
        self.op(process, f::RENEW, at, owned(owner), (EventType::Fail, Value::Null, Some(code)))
    }

    pub fn renew_info(self, process: u64, owner: &str, at: Range<u64>) -> Self {
        self.op(process, f::RENEW, at, owned(owner), (EventType::Info, Value::Null, Some("timeout")))
    }

    /// A renewal that is still under way when the history ends.
    pub fn renew_open(self, process: u64, owner: &str, at: u64) -> Self {
        self.client(at, process, EventType::Invoke, f::RENEW, owned(owner), None)
    }

    pub fn release(self, process: u64, owner: &str, at: Range<u64>) -> Self {
        self.op(process, f::RELEASE, at, owned(owner), (EventType::Ok, owned(owner), None))
    }

    pub fn release_fails(self, process: u64, owner: &str, at: Range<u64>, code: &str) -> Self {
        self.op(process, f::RELEASE, at, owned(owner), (EventType::Fail, Value::Null, Some(code)))
    }

    pub fn release_info(self, process: u64, owner: &str, at: Range<u64>) -> Self {
        self.op(process, f::RELEASE, at, owned(owner), (EventType::Info, Value::Null, Some("timeout")))
    }

    fn read_as(self, process: u64, at: Range<u64>, seen: Option<&str>, linearizable: bool) -> Self {
        let asked = json_of(ReadValue { linearizable, owner: None });
        let told = json_of(ReadValue { linearizable, owner: seen.map(str::to_owned) });
        self.op(process, f::READ, at, asked, (EventType::Ok, told, None))
    }

    pub fn read(self, process: u64, at: Range<u64>, seen: Option<&str>) -> Self {
        self.read_as(process, at, seen, true)
    }

    /// A read that may be stale.
    pub fn stale_read(self, process: u64, at: Range<u64>, seen: Option<&str>) -> Self {
        self.read_as(process, at, seen, false)
    }

    pub fn watch(self, at: u64, f: &str, owner: &str) -> Self {
        let key = Some(self.key.as_str().into());
        let (value, f) = (owned(owner), f.into());
        self.event(Event {
            time: ms(at),
            process: Process::Watch,
            kind: EventType::Ok,
            f,
            key,
            value: value.into(),
            node: None,
            error: None,
        })
    }

    pub fn nemesis(self, at: u64, kind: EventType, phase: FaultPhase, fault: Fault<'_>) -> Self {
        let Fault(number, package, what, node) = fault;
        let value = json_of(FaultValue {
            fault: number,
            phase,
            target: "leader".to_owned(),
            nodes: vec![node.to_owned()],
            clients: Vec::new(),
            when: None,
            due_ns: None,
            late_ns: None,
            what: what.to_owned(),
            proof: json!({ "measured": true }),
        });
        let f = package.into();
        self.event(Event {
            time: ms(at),
            process: Process::Nemesis,
            kind,
            f,
            key: None,
            value: value.into(),
            node: None,
            error: None,
        })
    }

    /// A fault that is begun over the first range and healed over the second.
    pub fn fault(self, fault: Fault<'_>, inject: Range<u64>, heal: Option<Range<u64>>) -> Self {
        let begun = self.nemesis(inject.start, EventType::Invoke, FaultPhase::Inject, fault).nemesis(
            inject.end,
            EventType::Ok,
            FaultPhase::Inject,
            fault,
        );
        match heal {
            None => begun,
            Some(heal) => begun.nemesis(heal.start, EventType::Invoke, FaultPhase::Heal, fault).nemesis(
                heal.end,
                EventType::Ok,
                FaultPhase::Heal,
                fault,
            ),
        }
    }

    pub fn leader(self, at: u64, node: &str, leader: Option<&str>, term: u64) -> Self {
        let value = json_of(LeaderValue { leader: leader.map(str::to_owned), term });
        let node = Some(node.into());
        let f = f::LEADER.into();
        self.event(Event {
            time: ms(at),
            process: Process::Probe,
            kind: EventType::Ok,
            f,
            key: None,
            value: value.into(),
            node,
            error: None,
        })
    }

    /// All three nodes say every 200 ms that this node leads.
    pub fn steady(self, during: Range<u64>, leader: &str, term: u64) -> Self {
        during.step_by(200).fold(self, |script, at| {
            ["n1", "n2", "n3"].into_iter().fold(script, |script, node| script.leader(at, node, Some(leader), term))
        })
    }

    fn probe(self, at: u64, node: &str, f: &str, value: Value) -> Self {
        self.event(Event {
            time: ms(at),
            process: Process::Probe,
            kind: EventType::Ok,
            f: f.into(),
            key: None,
            value: value.into(),
            node: Some(node.into()),
            error: None,
        })
    }

    /// A node says whether it is well.
    pub fn health(self, at: u64, node: &str, healthy: bool) -> Self {
        self.probe(at, node, f::HEALTH, json_of(HealthValue { healthy }))
    }

    /// A node's process runs.
    pub fn runs(self, at: u64, node: &str) -> Self {
        self.probe(at, node, f::PROCESS, json_of(ProcessValue { up_ms: at }))
    }

    /// A node's wall clock is measured, in milliseconds.
    pub fn clock(self, at: u64, node: &str, offset_ms: i64, uncertainty_ms: u64) -> Self {
        let (offset_ns, uncertainty_ns) = (offset_ms * 1_000_000, uncertainty_ms * 1_000_000);
        self.probe(at, node, f::CLOCK, json_of(ClockValue { offset_ns, uncertainty_ns }))
    }

    /// What was last told was asked of this node.
    pub fn through(mut self, node: &str) -> Self {
        let told = self.events.iter_mut().rev().take(2);
        told.for_each(|event| event.node = Some(node.into()));
        self
    }

    /// The last event was at this node.
    pub fn at_node(mut self, node: &str) -> Self {
        let last = self.events.last_mut();
        last.into_iter().for_each(|event| event.node = Some(node.into()));
        self
    }

    /// The history, its events in the order of their times. Where times are equal the order of the story is kept.
    pub fn history(mut self) -> History {
        self.events.sort_by_key(|event| event.time);
        History::new(self.header, self.events)
    }

    /// The history, its events in the order of the story, whatever their times.
    pub fn history_as_told(self) -> History {
        History::new(self.header, self.events)
    }
}
