//! Histories that no harness would write: whatever stands in them, the report is whole and nothing in it is markup.

use std::path::Path;

use leasehold::report::Report;
use leasehold_checkers::history::{CAS_REGISTER, ErrorInfo, Event, EventType, History, Process, RunTime, Word};
use leasehold_checkers::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade, Judgement, Signature, Stuck, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{synthetic, xml};

/// Text that people put where it hurts.
fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,8}(/[0-9]{1,3})?",
        1 => Just(String::new()),
        1 => Just("<script>alert(1)</script>".to_owned()),
        1 => Just("a\nb\r\n# INVALID\n```sh\nrm -rf /\n```".to_owned()),
        1 => Just("`x` **y** [z](javascript:1) ![i](u) <!channel>".to_owned()),
        1 => Just("\u{1b}[31mred\u{0}\u{ffff}\u{202e}".to_owned()),
        1 => Just("&amp; ]]> ' \" \\".to_owned()),
        1 => Just("ключ/鍵/🔒".repeat(40)),
        1 => Just("x".repeat(20_000)),
        1 => "\\PC{0,40}",
    ]
}

/// Times near, far, and as far as there are.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..30_000_000_000_u64, 1 => any::<u64>(), 1 => Just(0)]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        (nasty(), any::<u32>()).prop_map(|(owner, ttl)| json!({"owner": owner, "ttl_ms": ttl})),
        (0..4_u64, any::<u64>()).prop_map(|(owner, ttl)| json!({"owner": format!("o{owner}"), "ttl_ms": ttl})),
        any::<bool>().prop_map(|sure| json!({"linearizable": sure, "owner": null})),
        (nasty(), any::<u64>()).prop_map(|(leader, term)| json!({"leader": leader, "term": term})),
        (nasty(), any::<u64>()).prop_map(|(old, new)| json!([old, new])),
        any::<u64>().prop_map(Value::from),
        (nasty(), nasty(), any::<u64>()).prop_map(|(from, to, many)| {
            json!({"links": [{"from": from, "to": to, "sent": many, "delivered": many / 2, "dropped": many, "lost": many}]})
        }),
        (nasty(), any::<u64>()).prop_map(|(owner, base)| {
            json!({"owner": owner, "piece": "write", "guard": "none", "base": base, "version": base})
        }),
        any::<i64>().prop_map(|offset| json!({"offset_ns": offset, "uncertainty_ns": 1})),
        (0..3_u64, any::<bool>(), nasty(), nasty()).prop_map(|(fault, heals, what, proof)| {
            let phase = if heals { "heal" } else { "inject" };
            json!({"fault": fault, "phase": phase, "target": what, "nodes": [what], "what": what, "proof": {"seen": proof}})
        }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let process = prop_oneof![
        5 => (0..5_u64).prop_map(Process::Client),
        1 => any::<u64>().prop_map(Process::Client),
        2 => Just(Process::Nemesis),
        2 => Just(Process::Probe),
        1 => Just(Process::Watch),
    ];
    let kind = prop_oneof![Just(EventType::Invoke), Just(EventType::Ok), Just(EventType::Fail), Just(EventType::Info)];
    let f = prop_oneof![
        6 => prop::sample::select(vec!["acquire", "renew", "release", "read", "leader", "clock", "expired", "write", "cas", "work", "network"])
            .prop_map(str::to_owned),
        1 => nasty(),
    ];
    let error = prop::option::of(
        (nasty(), nasty()).prop_map(|(code, text)| ErrorInfo { code: code.into(), text: text.into() }),
    );
    (time(), process, kind, f, prop::option::of(nasty()), value(), prop::option::of(nasty()), error).prop_map(
        |(time, process, kind, f, key, value, node, error)| Event {
            time: RunTime(time),
            process,
            kind,
            f: f.into(),
            key: key.map(Word::from),
            value: value.into(),
            node: node.map(Word::from),
            error,
        },
    )
}

fn history() -> impl Strategy<Value = History> {
    (vec(event(), 0..120), nasty(), nasty(), any::<bool>()).prop_map(|(mut events, name, servers, sorted)| {
        if sorted {
            events.sort_by_key(|event| event.time);
        }
        let mut header = synthetic::Writer::new(&name, &servers, &servers).header;
        if events.len() % 3 == 0 {
            header.model = CAS_REGISTER.to_owned();
        }
        header.start = name.clone();
        header.contract.source = name;
        History::new(header, events)
    })
}

/// A judgement that need not fit the history at all.
fn judgement() -> impl Strategy<Value = Judgement> {
    let kind = prop::sample::select(vec![
        AnomalyKind::DoubleAcquisition,
        AnomalyKind::PrematureExpiry,
        AnomalyKind::Nonlinearizable,
        AnomalyKind::PhantomGrant,
        AnomalyKind::LostGrant,
        AnomalyKind::Fencing,
        AnomalyKind::LockDelayBroken,
        AnomalyKind::StaleRead,
        AnomalyKind::Lockup,
        AnomalyKind::SplitBelief,
        AnomalyKind::OverdueExpiry,
    ]);
    let grade = prop::sample::select(vec![Grade::Proven, Grade::Possible]);
    let anomaly = (kind, grade, nasty(), vec(0..200_usize, 0..4), time(), time(), nasty()).prop_map(
        |(kind, grade, key, ops, at_ns, margin_ns, explanation)| Anomaly {
            kind,
            grade,
            key,
            ops,
            at_ns,
            margin_ns,
            lease_gone_for_ns: (margin_ns % 3 == 0).then_some(margin_ns / 2),
            signature: (margin_ns % 5 == 0).then_some(Signature::Total),
            stuck: (margin_ns % 2 == 0).then(|| Stuck {
                op: at_ns as usize % 300,
                states_before: vec![explanation.clone(); at_ns as usize % 3],
            }),
            faults: vec![explanation.clone()],
            leaders: vec![],
            explanation,
        },
    );
    let verdict = prop::sample::select(vec![Verdict::Valid, Verdict::Unknown, Verdict::Invalid]);
    (verdict, vec(anomaly, 0..12), nasty(), nasty()).prop_map(|(verdict, anomalies, name, reason)| Judgement {
        verdict,
        anomalies,
        ops: 0,
        checkers: [(name, CheckerResult { verdict, reason })].into(),
    })
}

fn is_harmless(history: &History, judgement: &Judgement) {
    let summary = Report::of(history, judgement).summary();
    assert!(!outside_code(&summary).contains("<script"), "{summary}");
    assert!(!summary.contains('\u{1b}') && !summary.contains('\u{202e}'), "{summary}");
    let junit = Report::of(history, judgement).junit();
    quick_junit::Report::deserialize_from_str(&junit).unwrap_or_else(|error| panic!("{error}: {junit}"));
    assert!(!junit.contains("<script"), "{junit}");
    let headings = summary.lines().filter(|line| line.starts_with("# ")).count();
    assert_eq!(headings, 1, "a heading was smuggled in:\n{summary}");
    assert_eq!(summary.lines().filter(|line| line.starts_with("```")).count(), 2, "{summary}");
    assert!(summary.lines().count() < 80, "too long:\n{summary}");

    for (_, svg) in Report::of(history, judgement).plots().expect("plots can be drawn") {
        xml::labels(&svg);
    }
    crate::html::is_harmless(&Report::of(history, judgement).page().expect("a page"));
    let console = Report::of(history, judgement).console(Path::new("run"), false, 80);
    assert!(!console.contains('\u{1b}') && !console.contains('\u{202e}'), "{console}");
}

/// What a Markdown renderer takes for anything but code.
fn outside_code(summary: &str) -> String {
    let without_blocks: Vec<&str> = summary.split("```").step_by(2).collect();
    without_blocks.join("").lines().map(without_spans).collect::<Vec<_>>().join("\n")
}

/// A line without its code spans. A backslash escapes what follows it, but in a span it is a character like any other.
fn without_spans(line: &str) -> String {
    let mut outside = String::new();
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => outside.extend(chars.next()),
            '`' => chars.by_ref().take_while(|char| *char != '`').for_each(drop),
            _ => outside.push(char),
        }
    }
    outside
}

/// `LEASEHOLD_REPORT_CASES=1000` makes it a thousand of each.
fn cases() -> u32 {
    std::env::var("LEASEHOLD_REPORT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_the_report(history in history()) {
        let judgement = leasehold_checkers::check(&history);
        is_harmless(&history, &judgement);
    }

    #[test]
    fn no_judgement_breaks_the_report(history in history(), judgement in judgement()) {
        is_harmless(&history, &judgement);
    }
}

#[test]
fn an_empty_history_has_a_report() {
    let history = History::new(synthetic::Writer::new("", "", "").header, Vec::new());
    let judgement = leasehold_checkers::check(&history);
    is_harmless(&history, &judgement);
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(Report::of(&history, &judgement).write_all(folder.path()).expect("it can be written").len(), 5);
}

#[test]
fn thousands_of_operations_make_pictures_of_a_bearable_size() {
    let mut writer = synthetic::Writer::new("busy", "etcd-v3", "etcd 3.5.16");
    for turn in 0..8_000_u64 {
        let (process, at) = (turn % 7, turn * 3 * synthetic::MS);
        let owner = writer.acquire(process, "jobs/0", (at, at + synthetic::MS), 5_000);
        writer.release(process, "jobs/0", &owner, (at + synthetic::MS, at + 2 * synthetic::MS));
    }
    let history = writer.finish();
    let judgement = leasehold_checkers::check(&history);
    is_harmless(&history, &judgement);
    for (name, svg) in Report::of(&history, &judgement).plots().expect("plots can be drawn") {
        assert!(svg.len() < 2_000_000, "{name} takes {} bytes", svg.len());
    }
}
