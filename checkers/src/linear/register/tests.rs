//! The procedures against the oracles.

use super::frontier::{Reach, Unanswered, search};
use super::portfolio::{Found, decide, find, find_by_search};
use super::problem::Problem;
use super::{Initial, RegisterAction, RegisterHistory, ValueId, Values};
use crate::history::RunTime;
use crate::linear::generate::{Domain, Load, Random, RegisterWorkload};
use crate::linear::oracle::{Sequential, any_order, cases, search as second_opinion};
use crate::linear::{Budget, Call, Decision, Witness};

pub(super) struct Register(Vec<u32>);

impl Sequential for Register {
    type Action = RegisterAction;
    type State = u32;

    fn starts(&self) -> Vec<u32> {
        self.0.clone()
    }

    fn after(&self, state: &u32, action: &RegisterAction) -> Option<u32> {
        match *action {
            RegisterAction::Read(value) => (value.0 == *state).then_some(*state),
            RegisterAction::Write(value) => Some(value.0),
            RegisterAction::Cas { expected, new } => (expected.0 == *state).then_some(new.0),
            RegisterAction::CasFailed { expected } => (expected.0 != *state).then_some(*state),
        }
    }
}

pub(super) fn oracle_of(history: &RegisterHistory) -> Register {
    match history.initial {
        Initial::Known(value) => Register(vec![value.0]),
        Initial::Unknown => Register((0..=history.values.len() as u32).collect()),
    }
}

pub(super) const ENDLESS: Budget<'static> = Budget { out_of_time: &|| false, memory_bytes: 1 << 28 };

/// A tiny history, as often broken as not: what simulated clients saw, with a few answers, values and instants changed,
/// so that there are ties and operations longer than any other.
pub(super) fn tiny(seed: u64, most_ops: u64, domain: Domain) -> RegisterHistory {
    let mut random = Random::new(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
    let load = Load {
        seed: random.any(),
        ops: 1 + random.below(most_ops) as usize,
        clients: 1 + random.below(6) as usize,
        unanswered_per_mille: [0, 0, 100, 300, 600][random.below(5) as usize],
        broken: false,
    };
    let mut history = RegisterWorkload { load, domain, records_failed_swaps: random.below(2) == 0 }.history();
    let count = history.values.len() as u64;
    let ticks = 1 + random.below(3);
    for call in &mut history.calls {
        call.called.0 /= ticks;
        call.returned =
            call.returned.map(|returned| RunTime(returned.0 / ticks + random.below(8) / 5 * random.below(6)));
    }
    for _ in 0..random.below(4) {
        if history.calls.is_empty() {
            break;
        }
        let call = random.below(history.calls.len() as u64) as usize;
        let value = ValueId(random.below(count) as u32);
        let call = &mut history.calls[call];
        call.action = match (call.action, domain) {
            (RegisterAction::Read(_), _) => RegisterAction::Read(value),
            (RegisterAction::CasFailed { .. }, _) => RegisterAction::CasFailed { expected: value },
            (RegisterAction::Cas { new, .. }, _) => RegisterAction::Cas { expected: value, new },
            (RegisterAction::Write(_), Domain::Few(_)) => RegisterAction::Write(value),
            (action @ RegisterAction::Write(_), Domain::Unique) => action,
        };
    }
    if random.below(5) == 0 {
        history.initial = Initial::Unknown;
    }
    history
}

#[track_caller]
fn agree(seed: u64, history: &RegisterHistory, found: &Found, truth: bool) {
    let agrees = match found {
        Found::Linearizable => truth,
        Found::Broken(_) => !truth,
        Found::Undecided { .. } => false,
    };
    assert!(agrees, "seed {seed}: {found:?}, truth {truth}, in {history:#?}");
}

#[test]
fn the_search_agrees_with_all_orders() {
    let mut broken = 0;
    for seed in 0..cases() {
        let history = tiny(seed, 8, Domain::Few(3));
        let truth = any_order(&oracle_of(&history), &history.calls);
        broken += u64::from(!truth);
        agree(seed, &history, &find(&mut Problem::of(&history), &ENDLESS), truth);
    }
    assert!((broken * 5 > cases() && broken * 5 < cases() * 4), "{broken} of {} are broken", cases());
}

#[test]
fn the_search_agrees_with_the_second_opinion() {
    for seed in 0..cases() / 4 {
        let history = tiny(seed, 26, Domain::Few(2 + (seed % 3) as u32));
        let truth = second_opinion(&oracle_of(&history), &history.calls);
        agree(seed, &history, &find(&mut Problem::of(&history), &ENDLESS), truth);
    }
}

#[test]
fn each_search_is_right_in_its_direction() {
    for seed in 0..cases() {
        let history = tiny(seed, 8, Domain::Few(2));
        let truth = any_order(&oracle_of(&history), &history.calls);
        let problem = Problem::of(&history);
        let reach = |unanswered| search(&problem, unanswered, problem.steps.len(), &ENDLESS).reach;
        assert_eq!(reach(Unanswered::OnceEach) == Reach::End, truth, "seed {seed}");
        if truth {
            assert_eq!(reach(Unanswered::AnyNumberOfTimes), Reach::End, "seed {seed}");
        } else {
            assert_ne!(reach(Unanswered::Sparingly), Reach::End, "seed {seed}");
            assert_ne!(reach(Unanswered::OnceByTotal), Reach::End, "seed {seed}");
        }
    }
}

/// Whether the register may have had a value just before the stuck operation returned, by all orders: everything that was answered
/// before, with that answer left out, and a read of the value at that instant.
fn may_have_been(history: &RegisterHistory, stuck: &Call<RegisterAction>, value: ValueId) -> bool {
    let end = stuck.returned.expect("a search is stuck at a return");
    let is_effect = |call: &Call<RegisterAction>| {
        matches!(call.action, RegisterAction::Write(_) | RegisterAction::Cas { .. }) || call.returned.is_some()
    };
    let before = history.calls.iter().filter(|call| call.op != stuck.op && call.called <= end);
    let known = before.map(|call| Call { returned: call.returned.filter(|returned| *returned < end), ..call.clone() });
    let mut calls: Vec<_> = known.filter(is_effect).collect();
    let action = RegisterAction::Read(value);
    calls.push(Call { op: usize::MAX, process: u64::MAX, called: end, returned: Some(RunTime(end.0 + 1)), action });
    any_order(&oracle_of(history), &calls)
}

#[test]
fn the_states_before_are_those_that_some_order_leads_to() {
    let mut told = 0;
    for seed in 0..cases() {
        let domain = if seed % 2 == 0 { Domain::Few(4) } else { Domain::Unique };
        let history = tiny(seed, 7, domain);
        let Decision::Broken(witness) = decide(&history, &ENDLESS) else { continue };
        let stuck = history.calls.iter().find(|call| call.op == witness.stuck_at).expect("it is there");
        let tie = |call: &&Call<RegisterAction>| call.returned == stuck.returned && call.op != stuck.op;
        if witness.states_before.is_empty() || history.calls.iter().any(|call| tie(&call)) {
            continue;
        }
        told += 1;
        let named = |value: u32| witness.states_before.iter().any(|state| state == history.values.name(ValueId(value)));
        let count = history.values.len() as u32;
        for value in 0..count {
            let may = may_have_been(&history, stuck, ValueId(value));
            assert!(
                may || !named(value),
                "seed {seed}: it cannot have been {} in {witness:?} of {history:#?}",
                history.values.name(ValueId(value))
            );
        }
    }
    assert!(told * 10 > cases(), "only {told} of {} were told", cases());
}

#[test]
fn unique_values_agree_with_all_orders() {
    for seed in 0..cases() {
        let history = tiny(seed, 8, Domain::Unique);
        let truth = any_order(&oracle_of(&history), &history.calls);
        let mut problem = Problem::of(&history);
        agree(seed, &history, &find_by_search(&problem, &ENDLESS), truth);
        agree(seed, &history, &find(&mut problem, &ENDLESS), truth);
        problem.merge_unobserved();
        agree(seed, &history, &find_by_search(&problem, &ENDLESS), truth);
    }
}

#[test]
fn the_oracles_agree() {
    for seed in 0..cases() / 4 {
        let history = tiny(seed, 8, Domain::Few(3));
        let register = oracle_of(&history);
        assert_eq!(any_order(&register, &history.calls), second_opinion(&register, &history.calls), "seed {seed}");
    }
}

/// What cannot change a verdict.
#[test]
fn metamorphic() {
    for seed in 0..cases() / 4 {
        let history = tiny(seed, 20, Domain::Few(3));
        let is_linearizable =
            |history: &RegisterHistory| matches!(find(&mut Problem::of(history), &ENDLESS), Found::Linearizable);
        let truth = is_linearizable(&history);

        let mut later = history.clone();
        for call in &mut later.calls {
            call.called.0 += 1_000;
            call.returned = call.returned.map(|returned| RunTime(returned.0 + 1_000));
            call.process = 90 - call.process.min(90);
        }
        later.calls.reverse();
        assert_eq!(is_linearizable(&later), truth, "seed {seed}: later, reversed, renamed");

        let mut with_unanswered = history.clone();
        let write = RegisterAction::Write(ValueId(history.values.len() as u32 - 1));
        let unanswered = Call { op: 99, process: 99, called: RunTime(0), returned: None, action: write };
        with_unanswered.calls.push(unanswered);
        assert!(!truth || is_linearizable(&with_unanswered), "seed {seed}: one more unanswered write");

        let mut without_answers = history.clone();
        without_answers.calls.retain(|call| matches!(Problem::from_calls([call].into_iter(), super::problem::Starts::At(0), 9).ops.first(), Some(op) if op.kind.effect().is_some()));
        for call in &mut without_answers.calls {
            if matches!(call.action, RegisterAction::Cas { .. }) {
                call.returned = None;
            }
        }
        assert!(is_linearizable(&without_answers), "seed {seed}: writes alone are no contradiction");

        if truth && !history.calls.is_empty() {
            let mut wider = history.clone();
            let call = (seed % wider.calls.len() as u64) as usize;
            wider.calls[call].called = RunTime(0);
            assert!(is_linearizable(&wider), "seed {seed}: an operation called earlier");
        }
    }
}

/// Whether the witness is what it promises, by all orders: its operations contradict each other, and no more if one of
/// them is forgotten, so that its value may have been written at any time.
#[test]
fn witnesses_are_minimal() {
    let (mut seen, mut windows) = (0, 0);
    for seed in 0..cases() / 10 {
        let history = tiny(seed, 7, if seed % 3 == 0 { Domain::Unique } else { Domain::Few(3) });
        let Decision::Broken(witness) = decide(&history, &ENDLESS) else { continue };
        seen += 1;
        assert!(witness.ops.contains(&witness.stuck_at), "seed {seed}");
        assert_eq!(decide(&history, &ENDLESS), Decision::Broken(witness.clone()), "seed {seed}: deterministic");
        let is_explained = |from: Option<RunTime>, kept: &dyn Fn(usize) -> bool, most_writes: u32| {
            let part = forgetting(&history, &witness, from, kept, most_writes);
            second_opinion(&oracle_of(&part), &part.calls)
        };
        // Within its own window, or else from the begin of the history on.
        let in_witness = |call: &&Call<RegisterAction>| witness.ops.contains(&call.op);
        let first_call = history.calls.iter().filter(in_witness).map(|call| call.called).min();
        let all = |op: usize| witness.ops.contains(&op);
        let from = first_call.filter(|_| !is_explained(first_call, &all, 2));
        windows += u64::from(from.is_some());
        assert!(!is_explained(from, &all, 2), "seed {seed}: {witness:?} in {history:#?}");
        for dropped in &witness.ops {
            assert!(
                is_explained(from, &|op| op != *dropped && all(op), 3),
                "seed {seed}: op {dropped} can be dropped from {witness:?} of {history:#?}"
            );
        }
    }
    assert!(seen > cases() / 100 && windows > seen / 5, "{windows} of {seen}");
}

/// The calls that are kept, and so many writes at any time of each value that another one of the window, called before
/// the stuck one returned, gave the register.
fn forgetting(
    history: &RegisterHistory,
    witness: &Witness,
    from: Option<RunTime>,
    kept: &dyn Fn(usize) -> bool,
    most_writes: u32,
) -> RegisterHistory {
    let stuck = history.calls.iter().find(|call| call.op == witness.stuck_at).and_then(|call| call.returned);
    let in_window = |call: &&Call<RegisterAction>| {
        stuck.is_none_or(|stuck| call.called <= stuck)
            && call.returned.is_none_or(|at| from.is_none_or(|from| at >= from))
    };
    let mut part = history.clone();
    if from.is_some() {
        part.initial = Initial::Unknown;
    }
    part.calls = history.calls.iter().filter(in_window).filter(|call| kept(call.op)).cloned().collect();
    for call in &mut part.calls {
        let is_later = |returned| stuck.is_some_and(|stuck| (returned, call.op) > (stuck, witness.stuck_at));
        call.returned = call.returned.filter(|&returned| !is_later(returned));
    }
    part.calls.retain(|call| call.returned.is_some() || !matches!(call.action, RegisterAction::Read(_)));
    let mut forgotten: Vec<ValueId> = Vec::new();
    for call in history.calls.iter().filter(in_window).filter(|call| !kept(call.op)) {
        match call.action {
            RegisterAction::Cas { expected, new } if expected == new => {}
            RegisterAction::Write(value) | RegisterAction::Cas { new: value, .. } => forgotten.push(value),
            RegisterAction::Read(_) | RegisterAction::CasFailed { .. } => {}
        }
    }
    forgotten.sort();
    forgotten.dedup();
    for value in forgotten {
        for _ in 0..most_writes {
            part.calls.push(Call {
                op: 1_000,
                process: 1_000,
                called: RunTime(0),
                returned: None,
                action: RegisterAction::Write(value),
            });
        }
    }
    part
}

#[test]
fn names_need_not_be_dense() {
    let history = RegisterHistory { calls: Vec::new(), initial: Initial::Unknown, values: Values::default() };
    assert!(matches!(find(&mut Problem::of(&history), &ENDLESS), Found::Linearizable));
}

#[test]
fn no_budget_gives_no_wrong_verdict() {
    for seed in 0..200 {
        let load = Load { seed, ops: 400, clients: 30, unanswered_per_mille: 100, broken: seed % 2 == 0 };
        let workload = RegisterWorkload { load, domain: Domain::Few(4), records_failed_swaps: true };
        let problem = Problem::of(&workload.history());
        let looks = std::cell::Cell::new(seed);
        let out_of_time = || looks.replace(looks.get().saturating_sub(1)) == 0;
        let tight = Budget { out_of_time: &out_of_time, memory_bytes: 1 << (12 + seed % 8) };
        let found = find_by_search(&problem, &tight);
        let is_wrong = match found {
            Found::Linearizable => matches!(find_by_search(&problem, &ENDLESS), Found::Broken(_)),
            Found::Broken(_) => !load.broken,
            Found::Undecided { .. } => false,
        };
        assert!(!is_wrong, "seed {seed}: {found:?}");
    }
}

/// Many operations under way at once need sets of more than one word.
#[test]
fn sets_of_each_width() {
    for (clients, broken) in [(80, false), (80, true), (200, false), (200, true), (600, false)] {
        let load = Load { seed: 3, ops: 1_500, clients, unanswered_per_mille: 0, broken };
        let workload = RegisterWorkload { load, domain: Domain::Few(1), records_failed_swaps: true };
        let found = find_by_search(&Problem::of(&workload.history()), &ENDLESS);
        match found {
            Found::Linearizable => assert!(!broken),
            Found::Broken(_) => assert!(broken),
            Found::Undecided { reason, .. } => {
                assert_eq!(reason, "more operations were under way at once than the search can tell apart");
                assert!(clients > 512);
            }
        }
    }
}
