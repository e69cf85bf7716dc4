//! A hard history ends with `unknown` when its budget does: with how far it came, and not much later or larger.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leasehold_checkers::history::RunTime;
use leasehold_checkers::linear::generate::{Domain, Load, RegisterWorkload};
use leasehold_checkers::linear::kv::{self, KvAction};
use leasehold_checkers::linear::register::{self, RegisterHistory};
use leasehold_checkers::linear::{Budget, Call, Decision};

/// Counts what is allocated, and the most that was at once.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: each request goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One at a time: memory is counted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// A hundred clients that are never idle: the search is exponential in that.
fn hard_register() -> RegisterHistory {
    let load = Load { seed: 1, ops: 2_000, clients: 100, unanswered_per_mille: 20, broken: false };
    RegisterWorkload { load, domain: Domain::Few(12), records_failed_swaps: true }.history()
}

/// Appends that cannot be told apart, all at once, after a few that can be ordered, and a get that no order gives.
fn hard_key() -> Vec<Call<KvAction>> {
    let call = |op, called, returned, action| Call {
        op,
        process: op as u64,
        called: RunTime(called),
        returned: Some(RunTime(returned)),
        action,
    };
    let append = |_| KvAction::Append("a".to_owned());
    let mut calls: Vec<_> = (0..10).map(|op| call(op, 2 * op as u64, 2 * op as u64 + 1, append(op))).collect();
    calls.extend((10..50).map(|op| call(op, 100, 200, append(op))));
    calls.push(call(50, 300, 301, KvAction::Get("none of them".to_owned())));
    calls
}

/// The best of three: what others do to the caches makes a check slower, and never faster.
#[track_caller]
fn ends_in_time(decide: impl Fn(&Budget<'_>) -> Decision) {
    let _alone = ALONE.lock();
    let limit = Duration::from_millis(400);
    let took = (0..3).map(|_| time_of(limit, &decide)).min().expect("three");
    assert!(took >= limit && took <= limit * 11 / 10, "{took:?} for a limit of {limit:?}");
}

/// How long an undecided check took that had this long.
#[track_caller]
fn time_of(limit: Duration, decide: &impl Fn(&Budget<'_>) -> Decision) -> Duration {
    // By the time that this thread has had on a processor, for other work on the machine may delay the end.
    let begin = cpu_time();
    let out_of_time = || cpu_time().saturating_sub(begin) >= limit;
    let decision = decide(&Budget { out_of_time: &out_of_time, memory_bytes: 4 << 30 });
    let took = cpu_time().saturating_sub(begin);
    let Decision::Undecided { explained, reason } = decision else { panic!("it is not hard enough: {decision:?}") };
    assert_eq!(reason, "the time was used up");
    assert!(explained > 0, "it tells how far it came");
    took
}

/// The processor time of this thread, as the kernel's scheduler counts it.
fn cpu_time() -> Duration {
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts");
    let ns = counts.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number");
    Duration::from_nanos(ns)
}

#[track_caller]
fn keeps_to_memory(memory_bytes: usize, decide: impl Fn(&Budget<'_>) -> Decision) {
    let _alone = ALONE.lock();
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let decision = decide(&Budget { out_of_time: &|| false, memory_bytes });
    let most = MOST.load(Ordering::Relaxed) - before;
    let Decision::Undecided { explained, reason } = decision else { panic!("it is not hard enough: {decision:?}") };
    assert_eq!(reason, "the memory was used up");
    assert!(explained > 0, "it tells how far it came");
    assert!(most <= memory_bytes / 10 * 11 && most >= memory_bytes / 16, "{most} bytes for a limit of {memory_bytes}");
}

#[test]
fn the_time_of_a_hard_register() {
    let history = hard_register();
    ends_in_time(|budget| register::decide(&history, budget));
}

#[test]
fn the_memory_of_a_hard_register() {
    let history = hard_register();
    keeps_to_memory(2 << 20, |budget| register::decide(&history, budget));
}

#[test]
fn the_time_of_a_hard_key() {
    let calls = hard_key();
    ends_in_time(|budget| kv::decide(&calls, budget));
}

#[test]
fn the_memory_of_a_hard_key() {
    let calls = hard_key();
    keeps_to_memory(16 << 20, |budget| kv::decide(&calls, budget));
}
