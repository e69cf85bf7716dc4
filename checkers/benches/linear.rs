//! How long the decision procedures for linearizability take, over generated histories.
//!
//! `cargo bench -p leasehold-checkers --bench linear [-- PART-OF-A-NAME]` prints a table: the time of the bare verdict, and
//! of the verdict with a witness, as CPU time, the best of some, and the process's peak memory so far. Histories are those
//! of a seed, so each run does the same work. What the figures were stands in `docs/benchmarks.md`.

mod clock;

use std::time::{Duration, Instant};

use clock::{CPU, WALL, best, cpu_of_all, peak_mb};
use leasehold_checkers::linear::generate::{Domain, Load, LockWorkload, RegisterWorkload};
use leasehold_checkers::linear::locks::{self, LeaseTerms, LockModel};
use leasehold_checkers::linear::register::{RegisterHistory, decide, decide_each, is_linearizable};
use leasehold_checkers::linear::{Budget, Decision};

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    println!("| history | verdict | verdict ms | with witness ms | peak MB |");
    println!("|---|---|---|---|---|");
    for (name, workload) in registers() {
        if name.contains(&wanted) {
            let history = workload.history();
            let bare = best(CPU, || is_linearizable(&history, &minute(Instant::now())));
            let full = best(CPU, || decide(&history, &minute(Instant::now())));
            row(&name, word(&full.1), bare.0, full.0);
        }
    }
    println!("\n| locks | verdict | ms, CPU | the same again | peak MB |");
    println!("|---|---|---|---|---|");
    for (name, model, workload) in locks() {
        if name.contains(&wanted) {
            let history = workload.history();
            let decide = || locks::decide(&model, &history, &minute(Instant::now()));
            let (first, again) = (best(CPU, decide), best(CPU, decide));
            row(&name, word(&first.1), first.0, again.0);
        }
    }
    println!("\n| keys, on two threads | verdict | verdict ms, wall clock | verdict ms, CPU | peak MB |");
    println!("|---|---|---|---|---|");
    for ops in [100_000, 1_000_000] {
        for broken in [false, true] {
            let what = if broken { "broken" } else { "valid" };
            let name = format!("{ops} ops over 1000 keys, 20 clients each, {what}");
            if name.contains(&wanted) {
                let histories = thousand_keys(ops, broken);
                let check = || decide_each(&histories, &|| false, 1 << 30, 2);
                let (wall, decisions) = best(WALL, check);
                let begin = cpu_of_all();
                check();
                let cpu = cpu_of_all().saturating_sub(begin);
                let telling = decisions.iter().find(|decision| **decision != Decision::Linearizable);
                row(&name, word(telling.unwrap_or(&decisions[0])), wall, cpu);
            }
        }
    }
}

fn registers() -> Vec<(String, RegisterWorkload)> {
    let mut all = Vec::new();
    for domain in [Domain::Few(5), Domain::Unique] {
        for (ops, clients) in [
            (1_000, 5),
            (1_000, 20),
            (1_000, 50),
            (10_000, 5),
            (10_000, 10),
            (10_000, 20),
            (10_000, 50),
            (100_000, 5),
            (100_000, 20),
            (1_000_000, 5),
            (1_000_000, 20),
            (1_000, 100),
            (100_000, 100),
            (1_000_000, 100),
        ] {
            for unanswered_per_mille in [0, 5, 20] {
                for broken in [false, true] {
                    if clients == 100 && domain == Domain::Few(5) {
                        continue;
                    }
                    let load = Load { seed: 1, ops, clients, unanswered_per_mille, broken };
                    let workload = RegisterWorkload { load, domain, records_failed_swaps: domain == Domain::Few(5) };
                    let what = if broken { "broken" } else { "valid" };
                    let unanswered = unanswered_per_mille as f64 / 10.0;
                    let name = format!("{domain:?}, {ops} ops, {clients} clients, {unanswered} % unanswered, {what}");
                    all.push((name, workload));
                }
            }
        }
    }
    all
}

fn locks() -> Vec<(String, LockModel, LockWorkload)> {
    let lease = LockModel::Lease(LeaseTerms::default());
    let mut all = Vec::new();
    for (model_name, model, blocking) in [
        ("mutex", LockModel::Mutex, false),
        ("owner-mutex", LockModel::OwnerMutex, false),
        ("owner-mutex, waiting", LockModel::OwnerMutex, true),
        ("reentrant-mutex:2", LockModel::Reentrant(2), false),
        ("fenced-mutex", LockModel::Fenced, false),
        ("semaphore:2, waiting", LockModel::Semaphore(2), true),
        ("lease-lock", lease, false),
        ("lease-lock, waiting", lease, true),
    ] {
        for ops in [1_000, 10_000, 100_000, 1_000_000] {
            for clients in [5, 20, 100] {
                for unanswered_per_mille in [0, 5, 20] {
                    for broken in [false, true] {
                        let load = Load { seed: 1, ops, clients, unanswered_per_mille, broken };
                        let what = if broken { "second grant" } else { "valid" };
                        let unanswered = unanswered_per_mille as f64 / 10.0;
                        let name =
                            format!("{model_name}, {ops} ops, {clients} clients, {unanswered} % unanswered, {what}");
                        all.push((name, model, LockWorkload { load, blocking }));
                    }
                }
            }
        }
    }
    all
}

fn thousand_keys(ops: usize, broken: bool) -> Vec<RegisterHistory> {
    let key = |seed| {
        let broken = broken && seed == 500;
        let load = Load { seed, ops: ops / 1_000, clients: 20, unanswered_per_mille: 0, broken };
        RegisterWorkload { load, domain: Domain::Unique, records_failed_swaps: false }.history()
    };
    (0..1_000).map(key).collect()
}

/// Ends after a minute.
fn minute(begin: Instant) -> Budget<'static> {
    thread_local!(static BEGIN: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) });
    BEGIN.set(Some(begin));
    let is_over = || BEGIN.get().is_some_and(|begin| begin.elapsed() > Duration::from_secs(60));
    Budget { out_of_time: Box::leak(Box::new(is_over)), memory_bytes: 1 << 30 }
}

fn row(name: &str, verdict: &str, first: Duration, second: Duration) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("| {name} | {verdict} | {:.2} | {:.2} | {} |", ms(first), ms(second), peak_mb());
}

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Linearizable => "linearizable",
        Decision::Broken(_) => "broken",
        Decision::Undecided { .. } => "undecided",
    }
}
