//! Histories of a few dozen requests: the fast procedures against the general search, and changes that must not change a verdict.

mod linear_locks_support;

use leasehold_checkers::history::RunTime;
use leasehold_checkers::linear::generate::{Load, LockWorkload, Random};
use leasehold_checkers::linear::locks::{
    Deed, LockAction, LockCall, LockHistory, LockModel, Owner, Procedure, decide, decide_by_search, linearize,
    procedure,
};
use leasehold_checkers::linear::{Budget, Decision};
use linear_locks_support::replay::wrong_with;
use linear_locks_support::{MODELS, cases};

/// A history of a lock, often made wrong: leases of any length, holders named, answers swapped.
fn history(seed: u64) -> LockHistory {
    let mut random = Random::new(seed);
    let load = Load {
        seed,
        ops: 8 + random.below(52) as usize,
        clients: 2 + random.below(6) as usize,
        unanswered_per_mille: [0, 20, 100, 300][random.below(4) as usize],
        broken: random.below(4) == 0,
    };
    let mut history = LockWorkload { load, blocking: random.below(3) == 0 }.history();
    let ttl = [0, 30, 100, 400, 100_000][random.below(5) as usize];
    let owners = history.owners.len() as u64;
    let mut last_holder = Owner(0);
    for call in &mut history.calls {
        match &mut call.action.deed {
            Deed::Acquired { expires, .. } => {
                *expires = RunTime(call.called.0 + ttl);
                last_holder = call.action.owner;
            }
            Deed::Refused { holder } if random.below(3) == 0 => *holder = Some(last_holder),
            _ => {}
        }
        match random.below(60) {
            0 => call.action.owner = Owner(random.below(owners) as u32),
            1 => call.action.deed = Deed::Refused { holder: None },
            2 => call.action.deed = Deed::NotHeld,
            3 => call.returned = None,
            4 => call.action.deed = Deed::Renewed { expires: RunTime(call.called.0 + ttl) },
            5 => call.action.deed = Deed::Seen { holder: Some(last_holder) },
            _ => {}
        }
    }
    history
}

/// A search that is given up after the same work on each machine.
fn bounded<T>(work: impl FnOnce(&Budget<'_>) -> T) -> T {
    let looks = std::cell::Cell::new(30_i32);
    let out_of_time = || {
        looks.set(looks.get() - 1);
        looks.get() <= 0
    };
    work(&Budget { out_of_time: &out_of_time, memory_bytes: 1 << 28 })
}

fn is_valid(model: &LockModel, history: &LockHistory) -> Option<bool> {
    match bounded(|budget| decide(model, history, budget)) {
        Decision::Linearizable => Some(true),
        Decision::Broken(_) => Some(false),
        Decision::Undecided { .. } => None,
    }
}

/// The general search takes a thousand times as long as on tiny histories, so there are fewer of these.
fn seeds() -> std::ops::Range<u64> {
    0..u64::from(cases(75_000)) / 500
}

#[test]
fn the_fast_procedures_agree_with_the_search() {
    let (mut fast, mut valid, mut broken, mut sighted) = (0, 0, 0, 0);
    for seed in seeds() {
        let history = history(seed);
        for model in MODELS {
            if procedure(&model, &history) == Procedure::Search {
                continue;
            }
            fast += 1;
            let names_holder = |call: &LockCall| {
                matches!(call.action.deed, Deed::Refused { holder: Some(_) } | Deed::Seen { holder: Some(_) })
            };
            sighted += usize::from(model == LockModel::OwnerMutex && history.calls.iter().any(names_holder));
            let decision = bounded(|budget| decide(&model, &history, budget));
            let searched = bounded(|budget| decide_by_search(&model, &history, budget));
            match (&decision, &searched) {
                (_, Decision::Undecided { .. }) => {}
                (Decision::Linearizable, Decision::Linearizable) => {
                    valid += 1;
                    let order = bounded(|budget| linearize(&model, &history, budget)).expect("it is valid");
                    assert_eq!(wrong_with(&order, &model, &history), None, "seed {seed} {model:?}\n{order}");
                }
                (Decision::Broken(_), Decision::Broken(_)) => broken += 1,
                _ => panic!("seed {seed} {model:?}: {decision:?}, and by search {searched:?} {history:#?}"),
            }
        }
    }
    let enough = seeds().end as usize / 4;
    assert!(fast > enough && valid > enough && broken > enough, "{fast} {valid} {broken}");
    assert!(sighted > enough / 20, "{sighted}");
}

/// What is told by the search can be taken step by step as well.
#[test]
fn orders_by_the_search_are_orders() {
    let mut orders = 0;
    for seed in seeds() {
        let history = history(seed);
        for model in MODELS.iter().filter(|model| procedure(model, &history) == Procedure::Search) {
            if let Some(order) = bounded(|budget| linearize(model, &history, budget)) {
                assert_eq!(wrong_with(&order, model, &history), None, "seed {seed} {model:?}\n{order}{history:#?}");
                orders += 1;
            }
        }
    }
    assert!(orders > seeds().end / 20, "{orders}");
}

/// Judges a history and a change of it: both are decided, or one of them is not.
#[track_caller]
fn alike(seed: u64, before: &LockHistory, after: &LockHistory) {
    for model in MODELS {
        if let (Some(before), Some(after)) = (is_valid(&model, before), is_valid(&model, after)) {
            assert_eq!(before, after, "seed {seed} {model:?}");
        }
    }
}

#[test]
fn a_later_start() {
    for seed in seeds() {
        let before = history(seed);
        let mut after = before.clone();
        let later = |time: &mut RunTime| time.0 += 1_000_000_007;
        for call in &mut after.calls {
            later(&mut call.called);
            call.returned.iter_mut().for_each(later);
            if let Deed::Acquired { expires, .. } | Deed::Renewed { expires } = &mut call.action.deed {
                later(expires);
            }
        }
        alike(seed, &before, &after);
    }
}

#[test]
fn other_names_for_processes_owners_and_the_lock() {
    for seed in seeds() {
        let before = history(seed);
        let mut after = before.clone();
        let last = u32::try_from(before.owners.len()).expect("few") - 1;
        let rename = |owner: &mut Owner| owner.0 = last - owner.0;
        after.key = "another".to_owned();
        after.owners.reverse();
        for LockCall { process, action: LockAction { owner, deed }, .. } in &mut after.calls {
            *process += 77;
            rename(owner);
            if let Deed::Refused { holder } | Deed::Seen { holder } = deed {
                holder.iter_mut().for_each(rename);
            }
        }
        alike(seed, &before, &after);
    }
}

/// What a valid history's order shows to have been told is told once more by somebody who does nothing else.
#[test]
fn one_more_answer_that_fits() {
    for seed in seeds() {
        let before = history(seed);
        for model in MODELS {
            let Some(order) = bounded(|budget| linearize(&model, &before, budget)) else { continue };
            let mut random = Random::new(seed);
            let Some(step) = order.steps.get(random.below(order.steps.len().max(1) as u64) as usize) else { continue };
            let mut after = before.clone();
            let newcomer = Owner(u32::try_from(after.owners.len()).expect("few"));
            after.owners.push("newcomer".to_owned());
            let is_free = step.state.starts_with("free") || step.state.starts_with("0 of");
            let deed = match model {
                LockModel::Semaphore(_) => continue,
                _ if !is_free => Deed::Refused { holder: None },
                LockModel::Mutex => Deed::Seen { holder: None },
                _ => Deed::NotHeld,
            };
            let action = LockAction { owner: newcomer, deed };
            let (op, at) = (after.calls.len(), step.at);
            after.calls.push(LockCall { op, process: 999, called: at, returned: Some(at), action });
            assert_ne!(is_valid(&model, &after), Some(false), "seed {seed} {model:?} {step}\n{order}{after:#?}");
        }
    }
}

/// What never got an answer and is in no order need not be on record.
#[test]
fn one_unanswered_request_less() {
    for seed in seeds() {
        let before = history(seed);
        for model in MODELS {
            let Some(order) = bounded(|budget| linearize(&model, &before, budget)) else { continue };
            let used: Vec<usize> = order
                .steps
                .iter()
                .filter_map(|step| match step.happening {
                    leasehold_checkers::linear::Happening::Op(op) => Some(op),
                    leasehold_checkers::linear::Happening::Expiry { .. } => None,
                })
                .collect();
            let mut after = before.clone();
            after.calls.retain(|call| call.returned.is_some() || used.contains(&call.op));
            assert_ne!(is_valid(&model, &after), Some(false), "seed {seed} {model:?}\n{order}");
        }
    }
}

/// A contradiction stays one: unanswered requests of others after it, and answers about other things, explain nothing.
#[test]
fn broken_stays_broken_with_more_answers() {
    for seed in seeds() {
        let before = history(seed);
        let end = before.calls.iter().filter_map(|call| call.returned).max().unwrap_or_default().0 + 10;
        for model in MODELS {
            let Some(false) = is_valid(&model, &before) else { continue };
            let mut after = before.clone();
            let newcomer = Owner(u32::try_from(after.owners.len()).expect("few"));
            after.owners.push("newcomer".to_owned());
            for (op, deed) in [(1_000, Deed::Acquired { token: None, expires: RunTime(end) }), (1_001, Deed::Released)]
            {
                let action = LockAction { owner: newcomer, deed };
                after.calls.push(LockCall { op, process: 999, called: RunTime(end), returned: None, action });
            }
            assert_ne!(is_valid(&model, &after), Some(true), "seed {seed} {model:?}");
        }
    }
}
