//! Changes to a history that must not change its judgement.

mod support;

use std::collections::BTreeSet;

use leasehold_checkers::history::vocabulary::f;
use leasehold_checkers::history::{EventType, History, Ops, Outcome, Process, RunTime, to_line};
use leasehold_checkers::verdict::{Judgement, Verdict};
use serde_json::Value;
use support::simulated::{Bug, simulate};

const BUGS: [Option<Bug>; 6] = [
    None,
    Some(Bug::ExpireEarly),
    Some(Bug::GrantTwice),
    Some(Bug::LockOnDeadLease),
    Some(Bug::ConfirmDeadRenewal),
    Some(Bug::NeverExpire),
];

fn histories() -> impl Iterator<Item = (u64, History)> {
    (0..1_200).map(|seed| (seed, simulate(seed, BUGS[seed as usize % BUGS.len()]).history))
}

/// What a judgement says, without the words and without the names.
fn essence(judgement: &Judgement, shifted_by: u64) -> (Verdict, Vec<String>) {
    let anomalies = judgement.anomalies.iter().map(|anomaly| {
        let at = anomaly.at_ns - shifted_by;
        format!("{} {:?} {:?} {at} {}", anomaly.kind, anomaly.grade, anomaly.ops, anomaly.margin_ns)
    });
    (judgement.verdict, anomalies.collect())
}

#[track_caller]
fn judged_alike(before: &History, after: &History, shifted_by: u64, seed: u64) {
    let (before, after) = (leasehold_checkers::check(before), leasehold_checkers::check(after));
    assert_eq!(essence(&before, 0), essence(&after, shifted_by), "seed {seed}");
}

#[test]
fn the_same_history_gives_the_same_bytes() {
    for (seed, history) in histories().take(100) {
        let lines: Vec<String> = history.events.iter().map(to_line).collect();
        let header = leasehold_checkers::history::header_to_line(&history.header);
        let file = format!("{header}\n{}\n", lines.join("\n"));
        let read = History::from_reader(file.as_bytes()).expect("what was written can be read");
        assert_eq!(read, history, "seed {seed}");
        assert_eq!(leasehold_checkers::check(&read).to_json(), leasehold_checkers::check(&history).to_json());
    }
}

#[test]
fn a_later_start() {
    const LATER: u64 = 3_600_000_000_000;
    let mut second_hand = 0;
    for (seed, history) in histories() {
        second_hand += u64::from(history.header.contract.second_hand.is_some());
        let mut shifted = history.clone();
        shifted.events.iter_mut().for_each(|event| event.time = RunTime(event.time.as_nanos() + LATER));
        judged_alike(&history, &shifted, LATER, seed);
    }
    assert!(second_hand > 100, "{second_hand}");
}

#[test]
fn other_names() {
    for (seed, history) in histories() {
        let mut renamed = history.clone();
        for event in &mut renamed.events {
            if let Process::Client(number) = &mut event.process {
                *number = 1_000_000 - *number;
            }
            if let Some(key) = &mut event.key {
                *key = key.chars().rev().collect::<String>().into();
            }
            for field in ["owner", "holder"] {
                if let Some(Value::String(owner)) = event.value.get_mut(field) {
                    *owner = owner.chars().rev().collect::<String>() + "'";
                }
            }
        }
        judged_alike(&history, &renamed, 0, seed);
    }
}

#[test]
fn locks_do_not_matter_to_one_another() {
    for (seed, history) in histories() {
        let whole = leasehold_checkers::check(&history);
        let mut parts = 0;
        for lock in ["lock/0", "lock/1"] {
            let mut alone = history.clone();
            alone.events.retain(|event| event.key.as_deref().is_none_or(|key| key == lock));
            let judgement = leasehold_checkers::check(&alone);
            if judgement.checkers["well-formed"].verdict != Verdict::Valid {
                parts = whole.anomalies.len();
                break;
            }
            parts += judgement.anomalies.len();
        }
        assert_eq!(parts, whole.anomalies.len(), "seed {seed}");
    }
}

#[test]
fn an_unanswered_op_without_effect_may_be_left_out() {
    for (seed, history) in histories().filter(|(seed, _)| BUGS[*seed as usize % BUGS.len()].is_none()) {
        let ops = Ops::of(&history);
        let unanswered_reads: BTreeSet<u64> =
            ops.all.iter().filter(|op| op.outcome == Outcome::Info && op.f == f::READ).map(|op| op.process).collect();
        let mut without = history.clone();
        let last_op = |process| ops.all.iter().rfind(|op| op.process == process).map(|op| op.invoked);
        without.events.retain(|event| match event.process {
            Process::Client(process) if unanswered_reads.contains(&process) => {
                event.kind != EventType::Info
                    && !(event.kind == EventType::Invoke && Some(event.time) == last_op(process))
            }
            _ => true,
        });
        assert_ne!(leasehold_checkers::check(&without).verdict, Verdict::Invalid, "seed {seed}");
    }
}
