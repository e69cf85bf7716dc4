//! Each order that is spelled out is replayed by hand: it keeps to real time, the object answers as recorded, and nothing that was
//! answered is missing.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_checkers::history::RunTime;
use leasehold_checkers::linear::generate::{Domain, Load, Random, RegisterWorkload};
use leasehold_checkers::linear::kv::{self, KvAction};
use leasehold_checkers::linear::register::{self, Initial, RegisterAction, RegisterHistory};
use leasehold_checkers::linear::{Budget, Call, Decision, Happening, Linearization};

const ENDLESS: Budget<'static> = Budget { out_of_time: &|| false, memory_bytes: 1 << 28 };

/// Checks what holds of any order, and gives the calls in it.
fn replayed<'a, A>(calls: &'a [Call<A>], order: &Linearization, seed: u64) -> Vec<&'a Call<A>> {
    let by_op: BTreeMap<usize, &Call<A>> = calls.iter().map(|call| (call.op, call)).collect();
    let mut seen = BTreeSet::new();
    let mut last = RunTime(0);
    let mut steps = Vec::new();
    for step in &order.steps {
        let Happening::Op(op) = step.happening else { panic!("seed {seed}: nothing expires here") };
        let call = by_op[&op];
        assert!(seen.insert(op), "seed {seed}: op {op} is in the order twice");
        assert!(last <= step.at, "seed {seed}: the instants go back at op {op}");
        assert!(call.called <= step.at, "seed {seed}: op {op} happens before it was called");
        assert!(
            call.returned.is_none_or(|returned| step.at <= returned),
            "seed {seed}: op {op} happens after it returned"
        );
        last = step.at;
        steps.push(call);
    }
    for call in calls.iter().filter(|call| call.returned.is_some()) {
        assert!(seen.contains(&call.op), "seed {seed}: op {} is missing", call.op);
    }
    steps
}

fn replay_register(history: &RegisterHistory, seed: u64) {
    let order = register::linearize(history, &ENDLESS).unwrap_or_else(|| panic!("seed {seed}: there is an order"));
    // An unknown initial value is what the first operation needs that observes it.
    let mut value = match history.initial {
        Initial::Known(value) => Some(value),
        Initial::Unknown => None,
    };
    for (call, step) in replayed(&history.calls, &order, seed).into_iter().zip(&order.steps) {
        match call.action {
            RegisterAction::Read(seen) => assert_eq!(*value.get_or_insert(seen), seen, "seed {seed}: op {}", call.op),
            RegisterAction::Write(new) => value = Some(new),
            RegisterAction::Cas { expected, new } => {
                assert_eq!(*value.get_or_insert(expected), expected, "seed {seed}: op {}", call.op);
                value = Some(new);
            }
            RegisterAction::CasFailed { expected } => assert_ne!(value, Some(expected), "seed {seed}: op {}", call.op),
        }
        if let Some(value) = value {
            assert_eq!(step.state, history.values.name(value), "seed {seed}: op {}", call.op);
        }
    }
}

#[test]
fn orders_of_registers() {
    let mut valid = 0;
    for seed in 0..2_000 {
        let mut random = Random::new(seed);
        let load = Load {
            seed,
            ops: 1 + random.below(60) as usize,
            clients: 1 + random.below(8) as usize,
            unanswered_per_mille: [0, 100, 400][random.below(3) as usize],
            broken: false,
        };
        let domain = if seed % 3 == 0 { Domain::Unique } else { Domain::Few(3) };
        let mut history = RegisterWorkload { load, domain, records_failed_swaps: seed % 2 == 0 }.history();
        for call in &mut history.calls {
            // Ties, and operations that take long.
            call.called.0 /= 2;
            call.returned = call.returned.map(|at| RunTime(at.0 / 2 + random.below(4) / 3 * random.below(9)));
        }
        if seed % 5 == 0 {
            history.initial = Initial::Unknown;
        }
        if seed % 4 == 0 && !history.calls.is_empty() {
            let wrong = random.below(history.calls.len() as u64) as usize;
            history.calls[wrong].called.0 += 3;
            history.calls[wrong].returned = history.calls[wrong].returned.map(|at| RunTime(at.0 + 3));
        }
        match register::decide(&history, &ENDLESS) {
            Decision::Linearizable => {
                valid += 1;
                replay_register(&history, seed);
            }
            Decision::Broken(_) => assert_eq!(register::linearize(&history, &ENDLESS), None, "seed {seed}"),
            undecided @ Decision::Undecided { .. } => panic!("seed {seed}: {undecided:?}"),
        }
    }
    assert!((1_000..2_000).contains(&valid), "{valid}");
}

#[test]
fn orders_of_long_histories() {
    for (domain, clients, ops) in
        [(Domain::Unique, 100, 20_000), (Domain::Few(5), 20, 10_000), (Domain::Few(5), 70, 500)]
    {
        let load = Load { seed: 3, ops, clients, unanswered_per_mille: 20, broken: false };
        replay_register(
            &RegisterWorkload { load, domain, records_failed_swaps: domain != Domain::Unique }.history(),
            3,
        );
    }
}

/// What a correct key answered; some wrong, and strings that are told apart or not.
fn key(seed: u64) -> Vec<Call<KvAction>> {
    let mut random = Random::new(seed);
    let mut state = String::new();
    let mut calls = Vec::new();
    for op in 0..1 + random.below(14) as usize {
        let string =
            if seed.is_multiple_of(2) { format!("<{op}>") } else { "ab"[..1 + random.below(2) as usize].to_owned() };
        let action = match random.below(6) {
            0 => KvAction::Put(string),
            1 | 2 if !seed.is_multiple_of(3) => KvAction::Append(string),
            _ => KvAction::Get(state.clone()),
        };
        match &action {
            KvAction::Get(_) => {}
            KvAction::Put(value) => state.clone_from(value),
            KvAction::Append(value) => state += value,
        }
        let at = 3 * op as u64;
        let returned = (random.below(8) > 0).then(|| RunTime(at + random.below(9)));
        calls.push(Call {
            op,
            process: op as u64,
            called: RunTime(at.saturating_sub(random.below(9))),
            returned,
            action,
        });
    }
    let wrong = random.below(calls.len() as u64 * 3) as usize;
    if let Some(Call { action: KvAction::Get(value), .. }) = calls.get_mut(wrong) {
        *value = "a".to_owned();
    }
    calls
}

#[test]
fn orders_of_keys() {
    let mut valid = 0;
    for seed in 0..3_000 {
        let calls = key(seed);
        let order = kv::linearize(&calls, &ENDLESS);
        assert_eq!(order.is_some(), kv::decide(&calls, &ENDLESS) == Decision::Linearizable, "seed {seed}");
        let Some(order) = order else { continue };
        valid += 1;
        let mut state = String::new();
        for call in replayed(&calls, &order, seed) {
            match &call.action {
                KvAction::Get(value) => assert_eq!(*value, state, "seed {seed}: op {}", call.op),
                KvAction::Put(value) => state.clone_from(value),
                KvAction::Append(value) => state += value,
            }
        }
    }
    assert!((1_500..2_950).contains(&valid), "{valid}");
}

/// No answer of a key's witness can be forgotten, and the states before are those that can be.
#[test]
fn witnesses_of_ambiguous_keys() {
    let mut seen = 0;
    for seed in (1..6_000).step_by(2) {
        let calls = key(seed);
        let Decision::Broken(witness) = kv::decide(&calls, &ENDLESS) else { continue };
        if calls.iter().all(|call| !matches!(call.action, KvAction::Append(_))) {
            continue;
        }
        seen += 1;
        let stuck = calls.iter().find(|call| call.op == witness.stuck_at).expect("it is one of them");
        let until = (stuck.returned.expect("it returned"), stuck.op);
        let is_broken = |keeps: &dyn Fn(usize) -> bool| {
            let mut part: Vec<Call<KvAction>> = calls.iter().filter(|call| call.called <= until.0).cloned().collect();
            for call in &mut part {
                call.returned = call.returned.filter(|&at| (at, call.op) <= until && keeps(call.op));
            }
            part.retain(|call| call.returned.is_some() || !matches!(call.action, KvAction::Get(_)));
            matches!(kv::decide(&part, &ENDLESS), Decision::Broken(_))
        };
        assert!(is_broken(&|op| witness.ops.contains(&op)), "seed {seed}: {witness:?}");
        for dropped in &witness.ops {
            assert!(
                !is_broken(&|op| op != *dropped && witness.ops.contains(&op)),
                "seed {seed}: {dropped} of {witness:?}"
            );
        }
        assert!(!is_broken(&|op| op != witness.stuck_at), "seed {seed}: all before it is explained");
    }
    assert!(seen > 50, "{seen}");
}
