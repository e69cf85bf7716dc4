//! A history that is judged in parts of its keys is judged as it is as a whole.

mod support;

use std::fs;
use std::path::Path;

use leasehold_checkers::history::History;
use leasehold_checkers::linear::{self, Budget, Model, Reading};
use leasehold_checkers::live::Judge;
use leasehold_checkers::part::{Part, merge};
use leasehold_checkers::verdict::{Judgement, Verdict};
use support::long_run::LongRun;
use support::script::header;
use support::simulated::{Bug, simulate};

const BUGS: [Bug; 8] = [
    Bug::ExpireEarly,
    Bug::GrantTwice,
    Bug::NeverExpire,
    Bug::LostGrant,
    Bug::TokensFall,
    Bug::ForgetLockDelay,
    Bug::StopServing,
    Bug::NeverFree,
];

fn parts(of: usize) -> impl Iterator<Item = Part> {
    (1..=of).filter_map(move |number| Part::new(number, of))
}

fn in_parts(history: &History, of: usize) -> Vec<Judgement> {
    let judged = |part| {
        let mut judge = Judge::of_part(history.header.clone(), part);
        history.events.iter().for_each(|event| judge.observe(event));
        judge.finish(history.truncated).expect("it keeps what it judges")
    };
    parts(of).map(judged).collect()
}

/// Compares all but what checkers counted. Gives how many parts found something of their own.
#[track_caller]
fn compare(history: &History, of: usize, what: &str) -> usize {
    let whole = leasehold_checkers::check(history);
    let parts = in_parts(history, of);
    let merged = merge(&parts);
    assert_eq!(merged.anomalies, whole.anomalies, "{what}, {of} parts");
    assert_eq!((merged.verdict, merged.ops), (whole.verdict, whole.ops), "{what}, {of} parts");
    let verdicts = |judgement: &Judgement| -> Vec<(String, Verdict)> {
        judgement.checkers.iter().map(|(name, word)| (name.clone(), word.verdict)).collect()
    };
    assert_eq!(verdicts(&merged), verdicts(&whole), "{what}, {of} parts");
    parts.iter().filter(|part| part.anomalies.iter().any(|found| !found.key.is_empty())).count()
}

#[test]
fn of_simulated_services() {
    let mut in_several = 0;
    for seed in 0..300 {
        let history = simulate(seed, None).history;
        compare(&history, 2, &format!("seed {seed}"));
        compare(&history, 3, &format!("seed {seed}"));
    }
    for bug in BUGS {
        for seed in 0..60 {
            in_several +=
                usize::from(compare(&simulate(seed, Some(bug)).history, 3, &format!("{bug:?}, seed {seed}")) > 1);
        }
    }
    assert!(in_several > 20, "anomalies in several parts at once: {in_several} times");
}

#[test]
fn of_what_real_servers_answered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/histories");
    let mut judged = 0;
    for entry in fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if let Ok(history) = History::read(&path) {
            for of in [1, 2, 5] {
                compare(&history, of, &path.display().to_string());
            }
            judged += 1;
        }
    }
    assert!(judged > 30, "{judged}");
}

#[test]
fn of_a_long_run_each_part_keeps_its_share() {
    let history = History::new(header(), LongRun::of(20_000, 3, 5).collect());
    compare(&history, 4, "a long run");
    let kept = |part| {
        let mut judge = Judge::of_part(history.header.clone(), part);
        history.events.iter().for_each(|event| judge.observe(event));
        judge.kept()
    };
    let whole = kept(Part::WHOLE);
    for part in parts(4) {
        assert!(kept(part) < whole / 2, "{part:?} keeps {} of {whole}", kept(part));
    }
}

#[test]
fn of_registers_by_their_model() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/histories");
    let budget = Budget { out_of_time: &|| false, memory_bytes: 1 << 30 };
    let (model, reading) = (Model::CasRegister, Reading::default());
    for name in ["etcd-v3-register.jsonl", "etcd-v3-register-stale-read.jsonl"] {
        let history = History::read(folder.join(name)).unwrap_or_else(|error| panic!("{error}"));
        let whole = linear::judge(&history.events, &model, &reading, &budget).expect("registers");
        let judged = |part| linear::judge_part(&history.events, &model, &reading, &budget, part).expect("registers");
        let merged = merge(&parts(3).map(judged).collect::<Vec<_>>());
        assert_eq!(
            (merged.verdict, merged.ops, &merged.anomalies),
            (whole.verdict, whole.ops, &whole.anomalies),
            "{name}"
        );
    }
}
