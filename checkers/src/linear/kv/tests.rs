//! The procedures against the oracles.

use super::{KvAction, decide};
use crate::history::RunTime;
use crate::linear::generate::Random;
use crate::linear::oracle::{Sequential, any_order, cases, search};
use crate::linear::{Budget, Call, Decision};

struct Key;

impl Sequential for Key {
    type Action = KvAction;
    type State = String;

    fn starts(&self) -> Vec<String> {
        vec![String::new()]
    }

    fn after(&self, state: &String, action: &KvAction) -> Option<String> {
        match action {
            KvAction::Get(value) => (value == state).then(|| state.clone()),
            KvAction::Put(value) => Some(value.clone()),
            KvAction::Append(value) => Some(state.clone() + value),
        }
    }
}

const ENDLESS: Budget<'static> = Budget { out_of_time: &|| false, memory_bytes: 1 << 26 };

/// Calls of a correct key at random instants, about half of them with a wrong answer.
fn tiny(seed: u64, unambiguous: bool) -> Vec<Call<KvAction>> {
    let mut random = Random::new(seed);
    let puts = random.below(3);
    let mut state = String::new();
    let mut calls: Vec<Call<KvAction>> = Vec::new();
    for op in 0..1 + random.below(9) as usize {
        let at = 2 * op as u64;
        let string = if unambiguous { format!("<{op}>") } else { "ab"[..1 + random.below(2) as usize].to_owned() };
        let is_unanswered = random.below(6) == 0;
        let happens = !is_unanswered || random.below(2) == 0;
        let action = match random.below(5) {
            0 if puts > 0 => {
                if happens {
                    state.clone_from(&string);
                }
                KvAction::Put(string)
            }
            0..=2 => {
                if happens {
                    state += &string;
                }
                KvAction::Append(string)
            }
            _ => KvAction::Get(state.clone()),
        };
        let called = RunTime(at.saturating_sub(random.below(5)));
        let returned = (!is_unanswered).then(|| RunTime(at + random.below(5)));
        calls.push(Call { op, process: op as u64, called, returned, action });
    }
    for _ in 0..random.below(3) {
        let wrong = random.below(calls.len() as u64) as usize;
        let other = random.below(calls.len() as u64) as usize;
        let (KvAction::Get(value) | KvAction::Put(value) | KvAction::Append(value)) = calls[other].action.clone();
        if let KvAction::Get(seen) = &mut calls[wrong].action {
            match random.below(3) {
                0 => *seen = value,
                1 => *seen += &value,
                _ => *seen = value + seen,
            }
        }
    }
    calls
}

fn agrees(seed: u64, unambiguous: bool) -> bool {
    let calls = tiny(seed, unambiguous);
    let truth = any_order(&Key, &calls);
    assert_eq!(search(&Key, &calls), truth, "seed {seed}");
    match decide(&calls, &ENDLESS) {
        Decision::Linearizable => assert!(truth, "seed {seed}: {calls:#?}"),
        Decision::Broken(witness) => {
            assert!(!truth, "seed {seed}: {witness:?} of {calls:#?}");
            assert!(witness.ops.contains(&witness.stuck_at), "seed {seed}");
        }
        undecided @ Decision::Undecided { .. } => panic!("seed {seed}: {undecided:?}"),
    }
    truth
}

#[test]
fn told_orders_agree_with_all_orders() {
    let valid = (0..cases()).filter(|&seed| agrees(seed, true)).count() as u64;
    assert!(valid > cases() / 5 && valid < cases() * 9 / 10, "{valid}");
}

#[test]
fn ambiguous_strings_agree_with_all_orders() {
    let valid = (0..cases()).filter(|&seed| agrees(seed, false)).count() as u64;
    assert!(valid > cases() / 5 && valid < cases() * 9 / 10, "{valid}");
}

/// Whether the key may have had this string when an operation was about to return: some order explains all that had returned
/// before, with that answer left out, and a get of the string at that instant.
fn may_have_been(calls: &[Call<KvAction>], stuck: &Call<KvAction>, string: &str) -> bool {
    let end = stuck.returned.expect("a search is stuck at a return");
    let is_effect = |call: &Call<KvAction>| !matches!(call.action, KvAction::Get(_)) || call.returned.is_some();
    let before = calls.iter().filter(|call| call.called <= end && call.op != stuck.op);
    let known = before.map(|call| Call { returned: call.returned.filter(|returned| *returned < end), ..call.clone() });
    let mut calls: Vec<_> = known.filter(is_effect).collect();
    let action = KvAction::Get(string.to_owned());
    let returned = Some(RunTime(end.0 + 1));
    calls.push(Call { op: usize::MAX, process: u64::MAX, called: end, returned, action });
    any_order(&Key, &calls)
}

#[test]
fn the_states_before_are_those_that_some_order_leads_to() {
    let mut told = 0;
    for seed in 0..cases() {
        let calls = tiny(seed, seed % 2 == 0);
        let Decision::Broken(witness) = decide(&calls, &ENDLESS) else { continue };
        let stuck = calls.iter().find(|call| call.op == witness.stuck_at).expect("it is there");
        if calls.iter().any(|call| call.returned == stuck.returned && call.op != stuck.op) {
            continue;
        }
        // Of long strings only the end is told, and strings that no get showed are not told apart.
        for state in witness.states_before.iter().filter(|state| state.starts_with('"') && !state.contains("...")) {
            told += 1;
            let string = state.trim_matches('"');
            assert!(may_have_been(&calls, stuck, string), "seed {seed}: not {state} in {witness:?} of {calls:#?}");
        }
    }
    assert!(told * 20 > cases(), "only {told} in {}", cases());
}
