//! What a piece of work costs this process.
// Each benchmark has its own use for it.
#![allow(dead_code)]

use std::time::{Duration, Instant};

/// A clock, from any begin.
pub(crate) type Clock = fn() -> Duration;

/// The CPU time of this thread, in nanoseconds as the kernel's scheduler counts them.
pub(crate) const CPU: Clock = || {
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(counts.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
};

pub(crate) const WALL: Clock = || {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed()
};

/// The time by a clock, the best of up to ten runs that together take half a second.
pub(crate) fn best<T>(clock: Clock, check: impl Fn() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let mut best: Option<(Duration, T)> = None;
    for _ in 0..10 {
        // The kernel brings its count up to date when a thread gives up its place.
        std::thread::yield_now();
        let from = clock();
        let result = check();
        std::thread::yield_now();
        let took = clock().saturating_sub(from);
        if best.as_ref().is_none_or(|(least, _)| took < *least) {
            best = Some((took, result));
        }
        if begin.elapsed() > Duration::from_millis(500) {
            break;
        }
    }
    best.unwrap_or_else(|| unreachable!("it runs at least once"))
}

/// The CPU time of all threads of this process, those that ended as well, in the kernel's ticks of 10 ms.
pub(crate) fn cpu_of_all() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

pub(crate) fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
