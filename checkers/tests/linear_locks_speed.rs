//! Long histories: each procedure says what it has to, in time that grows with their length.
//!
//! `LEASEHOLD_SPEED=1 cargo test -p leasehold-checkers --release --test linear_locks_speed -- --nocapture` prints the figures.

mod linear_locks_support;

use std::time::Instant;

use leasehold_checkers::linear::Decision;
use leasehold_checkers::linear::locks::{LeaseTerms, LockHistory, LockModel, Procedure, decide, procedure};
use linear_locks_support::simulated::{Simulation, with_a_double_grant};
use linear_locks_support::unbounded;

const MODELS: [(&str, LockModel); 4] = [
    ("mutex", LockModel::Mutex),
    ("owner-mutex", LockModel::OwnerMutex),
    ("fenced-mutex", LockModel::Fenced),
    (
        "lease-lock",
        LockModel::Lease(LeaseTerms {
            ttl: None,
            rate_error_ppm: 0,
            slack: std::time::Duration::ZERO,
            lock_delay: std::time::Duration::ZERO,
            release_certifies: false,
        }),
    ),
];

fn judged(name: &str, model: &LockModel, simulation: Simulation, history: &LockHistory, innocent: bool) {
    assert_ne!(procedure(model, history), Procedure::Search, "{name} {simulation:?}");
    let mut fastest = f64::INFINITY;
    for _ in 0..if std::env::var_os("LEASEHOLD_SPEED").is_some() { 3 } else { 1 } {
        let begun = Instant::now();
        let decision = decide(model, history, &unbounded());
        fastest = fastest.min(begun.elapsed().as_secs_f64() * 1e3);
        assert_eq!(decision == Decision::Linearizable, innocent, "{name} {simulation:?} {decision:?}");
        if let Decision::Broken(witness) = decision {
            assert!(witness.ops.len() <= 4, "{name} {simulation:?} {witness:?}");
        }
    }
    let verdict = if innocent { "valid" } else { "broken" };
    let Simulation { requests, clients, unknown_per_mille, .. } = simulation;
    println!(
        "{name:13} {requests:8} ops {clients:4} clients {unknown_per_mille:3} ‰ unknown {verdict:7} {fastest:8.2} ms"
    );
}

#[test]
fn long_histories_are_decided() {
    let lengths: &[usize] =
        if std::env::var_os("LEASEHOLD_SPEED").is_some() { &[10_000, 100_000, 1_000_000] } else { &[10_000] };
    for &requests in lengths {
        for (clients, unknown_per_mille) in [(5, 0), (5, 20), (100, 0), (100, 20), (100, 300)] {
            let simulation = Simulation { requests, clients, unknown_per_mille, seed: 42 };
            let valid = simulation.history();
            let broken = with_a_double_grant(valid.clone());
            for (name, model) in MODELS {
                judged(name, &model, simulation, &valid, true);
                // A mutex that is blind to owners may explain it by any release of unknown outcome.
                let sees_it = model != LockModel::Mutex || unknown_per_mille == 0;
                if let Some(broken) = broken.as_ref().filter(|_| sees_it) {
                    judged(name, &model, simulation, broken, false);
                }
            }
        }
    }
}
