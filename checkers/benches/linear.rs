//! How long the decision procedures for linearizability take, over generated histories.
//!
//! `cargo bench -p leasehold-checkers --bench linear [-- PART-OF-A-NAME]` prints a table: the time of the check in wall
//! clock and CPU, and the process's peak memory so far. Histories are those of a seed, so each run does the same work.

use std::time::{Duration, Instant};

use leasehold_checkers::linear::generate::{Domain, Load, LockWorkload, RegisterWorkload};
use leasehold_checkers::linear::locks::{self, LeaseTerms, LockModel};
use leasehold_checkers::linear::register::{RegisterHistory, decide, decide_each};
use leasehold_checkers::linear::{Budget, Decision};

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    println!("| history | verdict | wall ms | CPU ms | peak MB |");
    println!("|---|---|---|---|---|");
    for (name, workload) in registers() {
        if name.contains(&wanted) {
            row(&name, || workload.history(), |history| word(&decide(history, &minute())));
        }
    }
    for (name, model, workload) in locks() {
        if name.contains(&wanted) {
            row(&name, || workload.history(), |history| word(&locks::decide(&model, history, &minute())));
        }
    }
    let many = "kv, 1000000 ops over 1000 keys, 20 clients";
    if many.contains(&wanted) {
        row(many, thousand_keys, |histories| {
            let decisions = decide_each(histories, &|| false, 1 << 30, 2);
            word(decisions.iter().find(|decision| **decision != Decision::Linearizable).unwrap_or(&decisions[0]))
        });
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
            (100_000, 100),
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

fn thousand_keys() -> Vec<RegisterHistory> {
    let key = |seed| {
        let load = Load { seed, ops: 1_000, clients: 20, unanswered_per_mille: 0, broken: false };
        RegisterWorkload { load, domain: Domain::Unique, records_failed_swaps: false }.history()
    };
    (0..1_000).map(key).collect()
}

fn minute() -> Budget<'static> {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    BEGIN.get_or_init(Instant::now);
    Budget { out_of_time: &|| false, memory_bytes: 1 << 30 }
}

fn row<T>(name: &str, make: impl Fn() -> T, check: impl Fn(&T) -> &'static str) {
    let input = make();
    let (wall, cpu) = (Instant::now(), cpu_time());
    let mut repeats = 0;
    let verdict = loop {
        repeats += 1;
        let verdict = check(&input);
        if repeats == 50 || wall.elapsed() > Duration::from_millis(500) {
            break verdict;
        }
    };
    let each = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(repeats);
    let (wall, cpu) = (each(wall.elapsed()), each(cpu_time().saturating_sub(cpu)));
    println!("| {name} | {verdict} | {wall:.2} | {cpu:.2} | {} |", peak_mb());
}

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Linearizable => "linearizable",
        Decision::Broken(_) => "broken",
        Decision::Undecided { .. } => "undecided",
    }
}

/// The CPU time of this process, in the kernel's ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
