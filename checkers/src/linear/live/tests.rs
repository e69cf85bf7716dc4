//! What is told while a history happens against the verdict on it as a whole.

use serde_json::{Value, json};

use super::{Live, Objects, SoFar};
use crate::history::{Event, EventType, Process, RunTime};
use crate::linear::generate::{Domain, Load, Random, RegisterWorkload};
use crate::linear::oracle::cases;
use crate::linear::register::{self, RegisterAction, ValueId, Words};
use crate::linear::{Budget, Call, Decision, Fails, Reading, kv};

const ENDLESS: Budget<'static> = Budget { out_of_time: &|| false, memory_bytes: 1 << 26 };

fn reading(is_known: bool) -> Reading {
    Reading { fails: Fails::Observe, initial: is_known.then(|| json!(0)), ..Reading::default() }
}

/// The events of calls: an operation without an answer ends some time after it began, or never.
fn events(calls: &[Call<RegisterAction>], random: &mut Random) -> Vec<Event> {
    let mut events = Vec::new();
    for call in calls {
        let (f, asked, told, ends) = match call.action {
            RegisterAction::Read(value) => ("read", Value::Null, json!(value.0), EventType::Ok),
            RegisterAction::Write(value) => ("write", json!(value.0), json!(value.0), EventType::Ok),
            RegisterAction::Cas { expected, new } => {
                ("cas", json!([expected.0, new.0]), json!([expected.0, new.0]), EventType::Ok)
            }
            RegisterAction::CasFailed { expected } => {
                ("cas", json!([expected.0, 9]), json!([expected.0, 9]), EventType::Fail)
            }
        };
        let mut event = |time, kind, value: Value| {
            let value = value.into();
            let process = Process::Client(call.op as u64);
            let time = RunTime(time);
            events.push(Event { time, process, kind, f: f.into(), key: None, value, node: None, error: None });
        };
        event(call.called.0 * 4, EventType::Invoke, asked.clone());
        match call.returned {
            Some(returned) => event(returned.0 * 4 + 1, ends, told),
            None if random.below(4) > 0 => {
                event(call.called.0 * 4 + 2 + 40 * random.below(10), EventType::Info, asked);
            }
            None => {}
        }
    }
    events.sort_by_key(|event| event.time);
    events
}

fn history(seed: u64, most_ops: u64, domain: Domain) -> Vec<Event> {
    let mut random = Random::new(seed ^ 0x51ab);
    let load = Load {
        seed,
        ops: 1 + random.below(most_ops) as usize,
        clients: 1 + random.below(6) as usize,
        unanswered_per_mille: [0, 100, 300][random.below(3) as usize],
        broken: false,
    };
    let mut calls = RegisterWorkload { load, domain, records_failed_swaps: random.below(2) == 0 }.history().calls;
    for _ in 0..random.below(4) {
        let wrong = random.below(calls.len() as u64) as usize;
        if let Some(RegisterAction::Read(value)) = calls.get_mut(wrong).map(|call| &mut call.action) {
            *value = ValueId(random.below(4) as u32);
        }
    }
    events(&calls, &mut random)
}

fn batch(events: &[Event], reading: &Reading) -> Option<Decision> {
    let words = Words { initial: reading.initial.clone(), fails: reading.fails, null_reads: reading.nulls };
    let registers = register::calls_by_key(events, &words).expect("they are operations");
    registers.into_values().next().map(|history| register::decide(&history, &ENDLESS))
}

#[test]
fn each_prefix_gets_the_verdict_that_it_has_as_a_whole() {
    let mut broken = 0;
    for seed in 0..cases() / 40 {
        let domain = if seed % 3 == 0 { Domain::Unique } else { Domain::Few(3) };
        let (events, reading) = (history(seed, 30, domain), reading(seed % 4 > 0));
        let mut live = Live::new(Objects::Registers(reading.clone()), ENDLESS);
        let mut was_told = None;
        for (place, event) in events.iter().enumerate() {
            live.feed(event).expect("in order");
            let whole = batch(&events[..=place], &reading);
            let (told, now) = (live.so_far(), live.now());
            match (&whole, &now) {
                (None | Some(Decision::Linearizable), SoFar::Explained) => {}
                (Some(Decision::Broken(witness)), SoFar::Broken { witness: found, .. }) => {
                    let first = was_told.get_or_insert(witness.stuck_at);
                    assert_eq!(found.stuck_at, *first, "seed {seed}, event {place}");
                }
                _ => panic!("seed {seed}, event {place}: {now:?} but {whole:?} of {:#?}", &events[..=place]),
            }
            assert!(told == SoFar::Explained || told == now, "seed {seed}, event {place}: {told:?} but {now:?}");
        }
        broken += u64::from(was_told.is_some());
        assert_eq!(matches!(live.finish(), SoFar::Broken { .. }), was_told.is_some(), "seed {seed}");
    }
    assert!(broken > cases() / 400 && broken < cases() / 50, "{broken}");
}

/// Without asking in between: found at the latest when everything called before has ended, but where the log decides.
#[test]
fn a_contradiction_is_told_when_all_called_before_has_ended() {
    let (mut broken, mut many_by_log) = (0, 0);
    for seed in 0..cases() / 10 {
        let (events, reading) = (history(seed, 60, Domain::Few(2 + (seed % 3) as u32)), reading(true));
        let mut live = Live::new(Objects::Registers(reading.clone()), ENDLESS);
        events.iter().for_each(|event| live.feed(event).expect("in order"));
        let (so_far, by_log) = (live.so_far(), live.judges_by_log());
        many_by_log += u64::from(by_log);
        match (batch(&events, &reading), live.finish()) {
            (Some(Decision::Broken(witness)), SoFar::Broken { witness: found, .. }) => {
                assert_eq!(found.stuck_at, witness.stuck_at, "seed {seed}");
                let returns = |event: &Event| event.process == Process::Client(witness.stuck_at as u64);
                let stuck = events.iter().rposition(returns).expect("it returned");
                let is_open = |event: &&Event| {
                    event.kind == EventType::Invoke
                        && !events.iter().any(|other| other.process == event.process && other.kind != EventType::Invoke)
                };
                let waits = events[..stuck].iter().any(|event| is_open(&event)) || stuck + 1 == events.len();
                let is_told = by_log || matches!(so_far, SoFar::Broken { .. });
                assert!(waits || is_told || later_ends(&events, stuck), "seed {seed}");
                broken += 1;
            }
            (None | Some(Decision::Linearizable), SoFar::Explained) => {}
            (whole, live) => panic!("seed {seed}: {live:?} but {whole:?}"),
        }
    }
    assert!(broken > cases() / 100, "{broken}");
    assert!(many_by_log < cases() / 40, "{many_by_log}");
}

/// Whether nothing ends after all that was called before this place: the last word is for `finish` then.
fn later_ends(events: &[Event], stuck: usize) -> bool {
    let last_end = events[..stuck]
        .iter()
        .filter_map(|event| events.iter().rposition(|other| other.process == event.process))
        .max();
    last_end.is_none_or(|end| !events[end.max(stuck) + 1..].iter().any(|event| event.kind != EventType::Invoke))
}

/// With a log that loses its begin no verdict is wrong, and most are given.
#[test]
fn little_memory_gives_no_wrong_verdict() {
    let (mut given, mut broken) = (0, 0);
    let seeds = cases() / 20;
    for seed in 0..seeds {
        let (events, reading) = (history(seed, 120, Domain::Few(3)), reading(true));
        let budget = Budget { out_of_time: &|| false, memory_bytes: 24 << 10 };
        let mut live = Live::new(Objects::Registers(reading.clone()), budget);
        events.iter().for_each(|event| live.feed(event).expect("in order"));
        match (live.finish(), batch(&events, &reading)) {
            (SoFar::Explained, None | Some(Decision::Linearizable)) => given += 1,
            (SoFar::Broken { .. }, Some(Decision::Broken(_))) => {
                given += 1;
                broken += 1;
            }
            (SoFar::Undecided { .. }, _) => {}
            (live, whole) => panic!("seed {seed}: {live:?} but {whole:?}"),
        }
    }
    assert!(given > seeds * 3 / 4 && broken > seeds / 20, "{given}, {broken} of {seeds}");
}

/// What is kept depends on what is under way, not on the length; values that are gone are forgotten.
#[test]
fn memory_does_not_grow_with_the_history() {
    let load = Load { seed: 7, ops: 120_000, clients: 10, unanswered_per_mille: 0, broken: false };
    let workload = RegisterWorkload { load, domain: Domain::Unique, records_failed_swaps: true };
    let events = events(&workload.history().calls, &mut Random::new(1));
    let budget = Budget { out_of_time: &|| false, memory_bytes: 1 << 20 };
    let mut live = Live::new(Objects::Registers(reading(true)), budget);
    for event in &events {
        live.feed(event).expect("in order");
    }
    let (kept, values) = live.kept();
    assert!(kept < 10_000 && values < 30_000, "{kept} operations and {values} values are kept");
    assert_eq!(live.finish(), SoFar::Explained);
}

#[test]
fn keys_of_a_store() {
    let mut random = Random::new(4);
    let mut broken = 0;
    for seed in 0..cases() / 100 {
        let mut state = String::new();
        let mut lines: Vec<(u64, Event)> = Vec::new();
        for op in 0..20 + random.below(100) {
            let (f, asked, mut told) = match random.below(3) {
                0 => {
                    state += &format!("<{op}>");
                    ("append", json!(format!("<{op}>")), json!(format!("<{op}>")))
                }
                _ => ("get", Value::Null, json!(state)),
            };
            if f == "get" && random.below(100) == 0 {
                told = json!("");
            }
            for (time, kind, value) in
                [(10 * op, EventType::Invoke, asked), (10 * op + 5 + random.below(2) * 16, EventType::Ok, told)]
            {
                let process = Process::Client(op);
                let f = f.into();
                let event = Event {
                    time: RunTime(time),
                    process,
                    kind,
                    f,
                    key: Some("k".into()),
                    value: value.into(),
                    node: None,
                    error: None,
                };
                lines.push((time, event));
            }
        }
        lines.sort_by_key(|&(time, _)| time);
        let events: Vec<Event> = lines.into_iter().map(|(_, event)| event).collect();
        let mut live = Live::new(Objects::Keys, ENDLESS);
        events.iter().for_each(|event| live.feed(event).expect("in order"));
        let calls = kv::calls_by_key(&events).expect("they are operations");
        let is_broken = matches!(kv::decide(&calls["k"], &ENDLESS), Decision::Broken(_));
        assert_eq!(matches!(live.finish(), SoFar::Broken { .. }), is_broken, "seed {seed}");
        broken += u64::from(is_broken);
    }
    assert!(broken > cases() / 1_000, "{broken}");
}

#[test]
fn events_that_are_none() {
    let event = |time, kind| Event {
        time: RunTime(time),
        process: Process::Client(0),
        kind,
        f: "read".into(),
        key: None,
        value: Value::Null.into(),
        node: None,
        error: None,
    };
    let told = |events: &[Event]| {
        let mut live = Live::new(Objects::Registers(reading(true)), ENDLESS);
        let error = events.iter().find_map(|event| live.feed(event).err());
        error.expect("they are none").to_string()
    };
    let (invoke, ok) = (EventType::Invoke, EventType::Ok);
    assert_eq!(told(&[event(5, invoke), event(3, ok)]), "event 1 is stamped earlier than the one before it");
    assert_eq!(told(&[event(5, ok)]), "event 0: process 0 completes an operation, but has none under way");
    assert!(told(&[event(5, invoke), event(6, invoke)]).ends_with("while another one is under way"));
}

/// The frontier places unanswered operations sparingly, and so it may be stuck while operations wait that were called before
/// an answer in the log. They may explain it.
#[test]
fn what_waits_may_explain_an_answer_in_the_log() {
    let event = |time, process, kind, f: &str, value: Value| Event {
        time: RunTime(time),
        process: Process::Client(process),
        kind,
        f: f.into(),
        key: None,
        value: value.into(),
        node: None,
        error: None,
    };
    let events = [
        event(4, 0, EventType::Invoke, "write", json!(2)),
        event(8, 1, EventType::Invoke, "write", json!(3)),
        event(16, 2, EventType::Invoke, "read", Value::Null),
        event(24, 3, EventType::Invoke, "read", Value::Null),
        event(37, 0, EventType::Ok, "write", json!(2)),
        event(41, 2, EventType::Ok, "read", json!(3)),
        event(45, 3, EventType::Ok, "read", json!(2)),
        event(48, 4, EventType::Invoke, "read", Value::Null),
        event(50, 1, EventType::Info, "write", json!(3)),
        event(56, 5, EventType::Invoke, "read", Value::Null),
        event(61, 4, EventType::Ok, "read", json!(2)),
        event(64, 6, EventType::Invoke, "read", Value::Null),
        event(68, 7, EventType::Invoke, "write", json!(1)),
        event(81, 7, EventType::Ok, "write", json!(1)),
        event(89, 5, EventType::Ok, "read", json!(1)),
        event(93, 6, EventType::Ok, "read", json!(2)),
    ];
    let mut live = Live::new(Objects::Registers(reading(true)), ENDLESS);
    for event in &events {
        live.feed(event).expect("in order");
        assert_eq!(live.so_far(), SoFar::Explained);
    }
    assert_eq!(live.finish(), SoFar::Explained);
}
