//! Histories made up for the report: small stories with known contents.

use leasehold_checkers::contract::{Contract, Patience};
use leasehold_checkers::history::{ErrorInfo, Event, EventType, Header, History, Json, Process, RunTime};
use serde_json::{Value, json};

pub(crate) const MS: u64 = 1_000_000;

/// Writes a history event by event.
pub(crate) struct Writer {
    pub(crate) header: Header,
    pub(crate) events: Vec<Event>,
    attempts: u32,
}

/// The end of an operation.
pub(crate) enum Ends<'a> {
    Ok(Value),
    Fail(&'a str),
    Info(&'a str),
}

impl Writer {
    pub(crate) fn new(scenario: &str, service: &str, servers: &str) -> Self {
        let contract = Contract {
            service: service.into(),
            early_slack_ms: 0,
            latest_expiry: None,
            counts_from_request: false,
            second_hand: None,
            ends_with_its_server: false,
            fencing_tokens: true,
            lock_delay_ms: None,
            patience: Patience::default(),
            source: "https://etcd.io/docs/v2.3/api/#using-key-ttl".into(),
        };
        let header = Header {
            leasehold: 1,
            scenario: scenario.into(),
            workload: "cas-lock".into(),
            model: "lease-lock".into(),
            service: service.into(),
            servers: servers.into(),
            nodes: 3,
            seed: 42,
            clock: "CLOCK_MONOTONIC".into(),
            command: Vec::new(),
            start: "2026-11-21T22:23:00Z".into(),
            contract,
            clock_rate_error_ppm: 0,
            beliefs_must_exclude: false,
        };
        Self { header, events: Vec::new(), attempts: 0 }
    }

    pub(crate) fn event(&mut self, at: u64, process: Process, kind: EventType, f: &str) -> &mut Event {
        self.events.push(Event {
            time: RunTime(at),
            process,
            kind,
            f: f.into(),
            key: None,
            value: Json::default(),
            node: None,
            error: None,
        });
        self.events.last_mut().expect("just pushed")
    }

    /// One client operation, from its invocation to its end.
    pub(crate) fn op(
        &mut self,
        process: u64,
        f: &str,
        key: &str,
        (from, to): (u64, u64),
        value: Value,
        ends: Ends<'_>,
    ) {
        let node = format!("n{}", process % 3 + 1);
        let invocation = self.event(from, Process::Client(process), EventType::Invoke, f);
        (invocation.key, invocation.value, invocation.node) =
            (Some(key.into()), value.into(), Some(node.as_str().into()));
        let (kind, value, code) = match ends {
            Ends::Ok(value) => (EventType::Ok, value, None),
            Ends::Fail(code) => (EventType::Fail, Value::Null, Some(code)),
            Ends::Info(code) => (EventType::Info, Value::Null, Some(code)),
        };
        let completion = self.event(to, Process::Client(process), kind, f);
        (completion.key, completion.value, completion.node) = (Some(key.into()), value.into(), Some(node.into()));
        completion.error =
            code.map(|code| ErrorInfo { code: code.into(), text: format!("the server said: {code}").into() });
    }

    /// An acquisition that succeeds: the owner's name.
    pub(crate) fn acquire(&mut self, process: u64, key: &str, (from, to): (u64, u64), ttl_ms: u64) -> String {
        self.attempts += 1;
        let owner = format!("p{process}.{}", self.attempts);
        let asked = json!({"owner": owner, "ttl_ms": ttl_ms});
        let granted = json!({"owner": owner, "ttl_ms": ttl_ms, "token": to / 1000});
        self.op(process, "acquire", key, (from, to), asked, Ends::Ok(granted));
        owner
    }

    pub(crate) fn held(&mut self, process: u64, key: &str, (from, to): (u64, u64)) {
        self.attempts += 1;
        let asked = json!({"owner": format!("p{process}.{}", self.attempts), "ttl_ms": 10_000});
        self.op(process, "acquire", key, (from, to), asked, Ends::Fail("held"));
    }

    pub(crate) fn renew(&mut self, process: u64, key: &str, owner: &str, (from, to): (u64, u64), ttl_ms: Option<u64>) {
        let ends = match ttl_ms {
            Some(ttl_ms) => Ends::Ok(json!({"owner": owner, "ttl_ms": ttl_ms})),
            None => Ends::Fail("not-held"),
        };
        self.op(process, "renew", key, (from, to), json!({"owner": owner}), ends);
    }

    pub(crate) fn release(&mut self, process: u64, key: &str, owner: &str, (from, to): (u64, u64)) {
        let value = json!({"owner": owner});
        self.op(process, "release", key, (from, to), value.clone(), Ends::Ok(value));
    }

    /// A fault from its injection to its healing, if it is ever healed.
    pub(crate) fn fault(
        &mut self,
        number: u64,
        package: &str,
        what: &str,
        node: &str,
        (from, until): (u64, Option<u64>),
        proof: Value,
    ) {
        let value = |phase: &str, proof: Value| -> Json {
            json!({"fault": number, "phase": phase, "target": "leader", "nodes": [node], "what": what, "proof": proof})
                .into()
        };
        let bit = if proof.is_null() { EventType::Info } else { EventType::Ok };
        self.event(from, Process::Nemesis, EventType::Invoke, package).value = value("inject", Value::Null);
        self.event(from + 20 * MS, Process::Nemesis, bit, package).value = value("inject", proof);
        if let Some(until) = until {
            let measured = json!({"measured_offset_ns": 120_000, "uncertainty_ns": 143_000});
            self.event(until, Process::Nemesis, EventType::Invoke, package).value = value("heal", Value::Null);
            self.event(until + 15 * MS, Process::Nemesis, EventType::Ok, package).value = value("heal", measured);
        }
    }

    pub(crate) fn leader(&mut self, at: u64, leader: &str, term: u64) {
        let event = self.event(at, Process::Probe, EventType::Ok, "leader");
        event.value = json!({"leader": leader, "term": term}).into();
        event.node = Some("n1".into());
    }

    pub(crate) fn clock(&mut self, at: u64, node: &str, offset_ns: i64) {
        let event = self.event(at, Process::Probe, EventType::Ok, "clock");
        event.value = json!({"offset_ns": offset_ns, "uncertainty_ns": 150_000}).into();
        event.node = Some(node.into());
    }

    pub(crate) fn finish(mut self) -> History {
        self.events.sort_by_key(|event| event.time);
        History::new(self.header, self.events)
    }
}

/// Numbers that look random and are the same every time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below.max(1)
    }
}

/// The early-expiry story: the leader's clock is moved 9 s ahead after 3 s, and from then on no hold lasts.
pub(crate) fn early_expiry() -> History {
    let mut dice = Dice(7);
    let mut w = Writer::new("early-expiry", "etcd-v2", "etcd 3.4.23");
    let ttl = 10_000;
    for (at, node) in (0..40).flat_map(|i| ["n1", "n2", "n3"].map(|node| (i * 500 * MS, node))) {
        let moved = node == "n2" && (3_000 * MS..16_500 * MS).contains(&at);
        w.clock(at, node, if moved { 9_000_312_000 } else { 120_000 });
    }
    for i in 0..20 {
        w.leader(i * 1000 * MS, "n2", 3);
    }
    let proof = json!({"measured_offset_ns": 9_000_312_000_i64, "uncertainty_ns": 143_000});
    w.fault(0, "clock", "clock +9 s", "n2", (3_000 * MS, Some(16_500 * MS)), proof);
    for (k, key) in ["jobs/0", "jobs/1"].into_iter().enumerate() {
        let mut process = k as u64;
        let mut t = 300 * MS + k as u64 * 210 * MS;
        let mut owner = w.acquire(process, key, (t, t + 4 * MS), ttl);
        let mut tick = t + 600 * MS;
        while tick < 3_000 * MS {
            w.renew(process, key, &owner, (tick, tick + 3 * MS), Some(ttl));
            tick += 600 * MS;
        }
        t = 3_000 * MS;
        while t < 16_000 * MS {
            let rival = (process + 2) % 6;
            let gone = t + 1_150 * MS + dice.roll(180) * MS;
            for i in 0..3 {
                let at = t + 200 * MS + i * 310 * MS;
                w.held(rival, key, (at, at + 2 * MS + dice.roll(5) * MS));
            }
            let granted = gone + 4 * MS;
            let before = owner.clone();
            owner = w.acquire(rival, key, (gone, granted), ttl);
            w.renew(process, key, &before, (gone + 90 * MS, gone + 94 * MS), None);
            (process, t) = (rival, granted);
        }
        let mut tick = t + 600 * MS;
        while tick < 19_500 * MS {
            w.renew(process, key, &owner, (tick, tick + 3 * MS), Some(ttl));
            tick += 600 * MS;
        }
        w.release(process, key, &owner, (19_600 * MS, 19_604 * MS));
    }
    w.finish()
}

/// The same, cut off in the middle: the fault is never healed, operations are left open.
pub(crate) fn cut_off() -> History {
    let mut history = early_expiry();
    history.events.retain(|event| event.time.0 < 5_480 * MS);
    history.truncated = true;
    history
}

/// Locks that are taken, renewed and given back in turn.
fn traffic(w: &mut Writer, keys: usize, seconds: u64, dice: &mut Dice) {
    for k in 0..keys {
        let key = format!("jobs/{k}");
        let mut t = 200 * MS + dice.roll(900) * MS;
        let mut turn = dice.roll(6);
        while t + 3_000 * MS < seconds * 1_000 * MS {
            let process = 3 * k as u64 + turn % 3;
            let took = 3 * MS + dice.roll(9) * MS;
            let owner = w.acquire(process, &key, (t, t + took), 5_000);
            let mut at = t + 1_000 * MS;
            for _ in 0..dice.roll(4) {
                w.renew(process, &key, &owner, (at, at + 2 * MS + dice.roll(6) * MS), Some(5_000));
                w.held(3 * k as u64 + (turn + 1) % 3, &key, (at + 300 * MS, at + 302 * MS + dice.roll(5) * MS));
                at += 700 * MS;
            }
            w.release(process, &key, &owner, (at, at + 4 * MS));
            t = at + 30 * MS + dice.roll(200) * MS;
            turn += 1 + dice.roll(2);
        }
    }
}

/// Thirty calm seconds with four locks.
pub(crate) fn calm() -> History {
    let mut dice = Dice(11);
    let mut w = Writer::new("calm", "etcd-v3", "etcd 3.5.16");
    traffic(&mut w, 4, 30, &mut dice);
    for i in 0..30 {
        w.leader(i * 1_000 * MS, "n1", 2);
        for node in ["n1", "n2", "n3"] {
            w.clock(i * 1_000 * MS, node, 80_000 - 30_000 * (i as i64 % 5));
        }
    }
    w.finish()
}

/// A minute of pauses, kills and partitions, with new leaders, through which every lock holds.
pub(crate) fn stormy() -> History {
    let mut dice = Dice(3);
    let mut w = Writer::new("storm", "etcd-v3", "etcd 3.5.16");
    traffic(&mut w, 5, 60, &mut dice);
    w.fault(0, "pause", "pause", "n1", (5_000 * MS, Some(11_000 * MS)), json!({"state": "stopped (T)"}));
    w.fault(1, "kill", "kill -9 and restart", "n3", (14_000 * MS, Some(17_500 * MS)), json!({"exit": "signal 9"}));
    w.fault(
        2,
        "partition",
        "cut off from the others",
        "n2",
        (20_000 * MS, Some(29_000 * MS)),
        json!({"packets_dropped": 812}),
    );
    w.fault(3, "pause", "pause", "n3", (26_000 * MS, Some(33_000 * MS)), json!({"state": "stopped (T)"}));
    w.fault(4, "clock", "clock -2 s", "n1", (36_000 * MS, Some(39_000 * MS)), Value::Null);
    w.fault(5, "kill", "kill -9 and restart", "n1", (42_000 * MS, Some(43_000 * MS)), json!({"exit": "signal 9"}));
    w.fault(6, "kill", "kill -9 and restart", "n2", (43_600 * MS, Some(45_000 * MS)), json!({"exit": "signal 9"}));
    w.fault(7, "disk", "freeze the disk", "n3", (52_000 * MS, None), json!({"writes_blocked_ms": 3_100}));
    for (at, leader, term) in
        [(0, "n1", 2), (6_100, "n2", 3), (21_300, "n3", 4), (27_200, "n1", 6), (42_900, "n2", 7), (44_100, "n3", 9)]
    {
        w.leader(at * MS, leader, term);
    }
    for i in 0..30 {
        let at = (6_000 + i * 160) * MS;
        let value = json!({"owner": format!("lost.{i}"), "ttl_ms": 5_000});
        w.op(100 + i, "acquire", "jobs/1", (at, at + 1_000 * MS), value, Ends::Info("timeout"));
    }
    for i in 0..60 {
        let (from, key) = (1_000 * MS + i * 950 * MS, format!("jobs/{}", i % 5));
        let answer = Ends::Ok(json!({"linearizable": false, "owner": null}));
        w.op(50, "read", &key, (from, from + (1 + dice.roll(30)) * MS), json!({"linearizable": false}), answer);
    }
    for (i, node) in (0..60).flat_map(|i| ["n1", "n2", "n3"].map(|node| (i, node))) {
        w.clock(i * 1_000 * MS, node, 90_000 + i as i64 * 700);
    }
    network(&mut w);
    w.finish()
}

/// What was counted on the links, once a second: `n2` is cut off from 20 s to 29 s, and `n1 -> n3` is slow from 36 s to 39 s.
fn network(w: &mut Writer) {
    let ends = ["n1", "n2", "n3", "clients", "harness"];
    let is_link = |from: &str, to: &str| from != to && (from.starts_with('n') || to.starts_with('n'));
    for second in 1..60_u64 {
        let mut links = Vec::new();
        for (from, to) in ends.iter().flat_map(|from| ends.map(|to| (*from, to))).filter(|(from, to)| is_link(from, to))
        {
            let is_cut = [from, to].contains(&"n2") && from.starts_with('n') && to.starts_with('n');
            let dropped = if is_cut { second.clamp(20, 29) - 20 } else { 0 } * 3;
            let delayed = if (from, to) == ("n1", "n3") { second.clamp(36, 39) - 36 } else { 0 };
            let sent = 40 * second;
            let delivered = if is_cut { 40 * (second - (second.clamp(20, 29) - 20)) } else { sent };
            links.push(
                json!({"from": from, "to": to, "sent": sent, "delivered": delivered, "delivered_bytes": 100 * delivered,
                "dropped": dropped, "delayed": delayed}),
            );
        }
        w.event(second * 1_000 * MS + 7, Process::Probe, EventType::Ok, "network").value =
            json!({"links": links}).into();
    }
}

/// A cluster that never granted anything.
pub(crate) fn nothing_granted() -> History {
    let mut w = Writer::new("calm", "etcd-v3", "etcd 3.5.16");
    for i in 0..40 {
        let value = json!({"owner": format!("p{i}.0"), "ttl_ms": 5_000});
        let ends = if i % 4 == 0 { Ends::Fail("refused") } else { Ends::Info("timeout") };
        w.op(i, "acquire", "jobs/0", (i * 400 * MS, i * 400 * MS + 390 * MS), value, ends);
    }
    w.finish()
}

/// Two hundred locks, two of them broken.
pub(crate) fn many_keys() -> History {
    let mut dice = Dice(5);
    let mut w = Writer::new("many-locks", "etcd-v2", "etcd 3.4.23");
    traffic(&mut w, 200, 30, &mut dice);
    w.fault(0, "clock", "clock +9 s", "n2", (8_000 * MS, Some(20_000 * MS)), json!({"measured_offset_ms": 9_000}));
    w.leader(0, "n2", 3);
    for (rival, key) in [(900, "jobs/17"), (901, "jobs/133")] {
        w.acquire(rival, key, (12_000 * MS, 12_010 * MS), 5_000);
    }
    w.finish()
}
