//! Faults that hit the client that holds a lock, on conditions; and the same run again.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{Run, alone, leasehold, told};
use serde_json::Value;

const SCENARIO: &str = r#"
summary = "The holder stands still past its TTL, and another one never hears the answer to its renewal."
service = "etcd-v3"
servers = "etcd@3.4.23"
seconds = 16

[workload]
kind = "cas-lock"
workers = 6
keys = 2
ttl_ms = 2_000
renew_ms = 600
hold_ms = 4_000
retry_ms = 100

[[nemesis]]
package = "pause"
target = "holder:jobs/1"
when = "after grant by 200 ms"
at_ms = 500
lasts_ms = 4_500
times = 2

[[nemesis]]
package = "partition"
shape = "deaf"
target = "holder:jobs/2"
when = "before renewal by 50 ms"
at_ms = 500
lasts_ms = 2_500
times = 2

[[nemesis]]
package = "link"
delay_ms = 2
target = "follower"
phase = 2
at_ms = 500
lasts_ms = 1_000

[[nemesis]]
package = "link"
delay_ms = 2
target = "leader"
phase = 1
at_ms = 1_000
lasts_ms = 2_000
"#;

#[test]
fn a_holder_that_was_frozen_or_deaf_is_told_the_truth_and_the_run_can_be_done_again() {
    let _alone = alone();
    let root = tempfile::tempdir().expect("a folder");
    let file = root.path().join("holders.toml");
    fs::write(&file, SCENARIO).expect("a scenario");
    let run = Run::of(&[&file.to_string_lossy(), "--seed", "1"]);
    // The service keeps its word, so nobody is accused.
    assert_eq!(run.code(), Some(0), "{}", run.told());

    let history = events(&run.folder);
    let (pauses, cuts) = (faults(&history, "pause"), faults(&history, "partition"));
    assert!(!pauses.is_empty() && !cuts.is_empty(), "{}", run.told());
    for pause in &pauses {
        nothing_comes_from_a_frozen_client(&history, pause);
        it_is_told_when_it_wakes(&history, pause);
    }
    for cut in &cuts {
        requests_go_out_and_no_answer_comes(&history, cut);
    }
    the_second_phase_begins_when_the_first_is_healed(&history);
    the_same_faults_come_again(&run, &root.path().join("again"));
}

/// A fault that bit, from its beginning to its end.
struct Fault {
    client: u64,
    in_place: u64,
    heal_asked: u64,
    healed: u64,
    proof: Value,
}

fn events(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("history.jsonl")).expect("a history");
    text.lines().skip(1).map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn time(event: &Value) -> u64 {
    event["time"].as_u64().expect("a time")
}

/// The faults of a package that bit and were healed before the end.
fn faults(history: &[Value], package: &str) -> Vec<Fault> {
    let of = |number: &Value, phase: &str, kind: &str| {
        let is_it = |event: &&Value| {
            event["process"] == "nemesis"
                && event["f"] == package
                && event["type"] == kind
                && event["value"]["phase"] == phase
                && event["value"]["fault"] == *number
        };
        history.iter().find(is_it)
    };
    let begun = history
        .iter()
        .filter(|event| event["f"] == package && event["type"] == "ok" && event["value"]["phase"] == "inject");
    let fault = |begun: &Value| {
        let number = &begun["value"]["fault"];
        let (asked, healed) = (of(number, "heal", "invoke")?, of(number, "heal", "ok")?);
        assert!(begun["value"]["late_ns"].is_u64() && begun["value"]["due_ns"].is_u64(), "{begun}");
        Some(Fault {
            client: begun["value"]["clients"][0].as_u64()?,
            in_place: time(begun),
            heal_asked: time(asked),
            healed: time(healed),
            proof: healed["value"]["proof"].clone(),
        })
    };
    begun.filter_map(fault).collect()
}

fn nothing_comes_from_a_frozen_client(history: &[Value], pause: &Fault) {
    let during = history.iter().filter(|event| event["process"] == pause.client);
    let during: Vec<_> = during.filter(|event| (pause.in_place..pause.heal_asked).contains(&time(event))).collect();
    assert!(during.is_empty(), "{during:?}");
    let proof = &pause.proof["clients"][format!("process {}", pause.client)];
    assert_eq!(proof["packets_let_through"], 0);
    let stood_ns = proof["stood_still_ms"].as_u64().expect("a length") * 1_000_000;
    assert!(stood_ns + 1_000_000 >= pause.heal_asked - pause.in_place, "{proof}");
}

/// Twice its TTL is over, so the first word that it hears about its lock is that it is gone.
fn it_is_told_when_it_wakes(history: &[Value], pause: &Fault) {
    if pause.heal_asked - pause.in_place < 4_000_000_000 {
        return; // The run ended first.
    }
    let answers = history.iter().filter(|event| event["process"] == pause.client && event["type"] != "invoke");
    if let Some(first) = answers.into_iter().find(|event| time(event) >= pause.healed) {
        let code = first["error"]["code"].as_str().unwrap_or_default();
        assert!(first["type"] == "fail" && ["expired", "not-held"].contains(&code), "{first}");
    }
}

fn requests_go_out_and_no_answer_comes(history: &[Value], cut: &Fault) {
    assert!(cut.proof["dropped"].as_u64() > Some(0), "{}", cut.proof);
    assert!(cut.proof["let_through_the_other_way"].as_u64() > Some(0), "{}", cut.proof);
    let during = history.iter().filter(|event| (cut.in_place..cut.heal_asked).contains(&time(event)));
    let answered = during.filter(|event| event["process"] == cut.client && event["type"] == "ok").count();
    assert_eq!(answered, 0, "an answer came through");
}

fn the_second_phase_begins_when_the_first_is_healed(history: &[Value]) {
    let of_links: Vec<&Value> = history.iter().filter(|event| event["f"] == "link").collect();
    let told: Vec<_> = of_links
        .iter()
        .map(|event| [&event["type"], &event["value"]["phase"], &event["value"]["target"]].map(|word| word.as_str()))
        .collect();
    let one_after_another = ["leader", "follower"].into_iter().flat_map(|target| {
        [("invoke", "inject"), ("ok", "inject"), ("invoke", "heal"), ("ok", "heal")]
            .map(|(kind, phase)| [Some(kind), Some(phase), Some(target)])
    });
    assert_eq!(told, one_after_another.collect::<Vec<_>>());
    assert!(time(of_links[4]) - time(of_links[3]) >= 500_000_000, "its own time counts from there");
}

/// When the faults that waited for a condition came, by their numbers.
fn came(history: &[Value]) -> BTreeMap<u64, u64> {
    let begun = history.iter().filter(|event| event["type"] == "invoke" && event["value"]["phase"] == "inject");
    let begun = begun.filter(|event| event["value"]["when"].is_string());
    begun.filter_map(|event| Some((event["value"]["fault"].as_u64()?, event["value"]["due_ns"].as_u64()?))).collect()
}

fn the_same_faults_come_again(run: &Run, folder: &Path) {
    let output = leasehold()
        .args(["replay", "--json"])
        .arg(&run.folder)
        .arg("--out")
        .arg(folder)
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(came(&events(folder)), came(&events(&run.folder)));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(answer["replay_of"], run.folder.to_string_lossy().into_owned());
    assert!(answer["differences"].is_array(), "{answer}");
    assert_eq!(fs::read(folder.join("scenario.toml")).ok(), Some(SCENARIO.into()));
}
