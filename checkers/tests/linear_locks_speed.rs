//! Long histories: each procedure says what it has to, in time that grows with their length.
//!
//! `LEASEHOLD_SPEED=1 cargo test -p leasehold-checkers --release --test linear_locks_speed -- --nocapture` prints the figures.

mod linear_locks_support;

use std::time::Instant;

use leasehold_checkers::linear::Decision;
use leasehold_checkers::linear::generate::{Load, LockWorkload};
use leasehold_checkers::linear::locks::{LockHistory, LockModel, Procedure, decide, procedure};
use linear_locks_support::{LENIENT, unbounded};

const MODELS: [(&str, LockModel); 4] = [
    ("mutex", LockModel::Mutex),
    ("owner-mutex", LockModel::OwnerMutex),
    ("fenced-mutex", LockModel::Fenced),
    ("lease-lock", LockModel::Lease(LENIENT)),
];

fn judged(name: &str, model: &LockModel, load: Load, history: &LockHistory, innocent: bool) {
    assert_ne!(procedure(model, history), Procedure::Search, "{name} {load:?}");
    let mut fastest = f64::INFINITY;
    for _ in 0..if std::env::var_os("LEASEHOLD_SPEED").is_some() { 3 } else { 1 } {
        let begun = Instant::now();
        let decision = decide(model, history, &unbounded());
        fastest = fastest.min(begun.elapsed().as_secs_f64() * 1e3);
        assert_eq!(decision == Decision::Linearizable, innocent, "{name} {load:?} {decision:?}");
        if let Decision::Broken(witness) = decision {
            assert!(witness.ops.len() <= 4, "{name} {load:?} {witness:?}");
        }
    }
    let verdict = if innocent { "valid" } else { "broken" };
    let Load { ops, clients, unanswered_per_mille, .. } = load;
    println!(
        "{name:13} {ops:8} ops {clients:4} clients {unanswered_per_mille:3} ‰ unknown {verdict:7} {fastest:8.2} ms"
    );
}

#[test]
fn long_histories_are_decided() {
    let lengths: &[usize] =
        if std::env::var_os("LEASEHOLD_SPEED").is_some() { &[10_000, 100_000, 1_000_000] } else { &[10_000] };
    for &ops in lengths {
        for (clients, unanswered_per_mille) in [(5, 0), (5, 20), (100, 0), (100, 20), (100, 300)] {
            for blocking in [false, true] {
                let load = Load { seed: 42, ops, clients, unanswered_per_mille, broken: false };
                let valid = LockWorkload { load, blocking }.history();
                let broken = LockWorkload { load: Load { broken: true, ..load }, blocking }.history();
                assert_eq!(broken.calls.len(), valid.calls.len() + 1, "{load:?}");
                for (name, model) in MODELS {
                    judged(name, &model, load, &valid, true);
                    // A mutex that is blind to owners may explain it by any release of unknown outcome.
                    if model != LockModel::Mutex || unanswered_per_mille == 0 {
                        judged(name, &model, load, &broken, false);
                    }
                }
            }
        }
    }
}
