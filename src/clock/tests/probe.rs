//! What this binary does when it is started again as the program whose clock is moved.

use std::io::{BufRead, Write};
use std::ptr::null_mut;

use super::program::Reading;

/// Says which of the modes below is meant.
pub(super) const MODE: &str = "LEASEHOLD_CLOCK_PROBE";
/// Stands before what the probe has to say: the test runner prints as well.
pub(super) const MARK: &str = "probe: ";
/// The path of the test below.
pub(super) const TEST: &str = "clock::tests::probe::probe";

/// A test only in name: run as one, it finds no mode and has nothing to do.
#[test]
fn probe() {
    match std::env::var(MODE).as_deref() {
        Ok("read") => read_when_asked(),
        Ok("storm") => super::storm::read_without_pause(),
        _ => {}
    }
}

pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{text}").and_then(|()| out.flush()).expect("the test listens");
}

/// Prints all its clocks for each line that comes in.
fn read_when_asked() {
    for line in std::io::stdin().lock().lines() {
        line.expect("the test asks in text");
        let reading = read_all();
        say(&serde_json::to_string(&reading).expect("a reading is plain data"));
    }
}

fn read_all() -> Reading {
    Reading {
        realtime: clock(libc::CLOCK_REALTIME),
        system_time: system_time(),
        gettimeofday_us: gettimeofday_us(),
        tai: clock(libc::CLOCK_TAI),
        coarse: clock(libc::CLOCK_REALTIME_COARSE),
        time_s: time(),
        monotonic: clock(libc::CLOCK_MONOTONIC),
        boottime: clock(libc::CLOCK_BOOTTIME),
        by_syscall: clock_by_syscall(),
    }
}

pub(super) fn clock(id: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of our own.
    assert_eq!(unsafe { libc::clock_gettime(id, &raw mut time) }, 0);
    assert!((0..1_000_000_000).contains(&time.tv_nsec), "{} is no nanosecond of a second", time.tv_nsec);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

pub(super) fn clock_by_syscall() -> i64 {
    let (number, id) = (libc::SYS_clock_gettime, libc::CLOCK_REALTIME);
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of our own.
    let answer = unsafe { libc::syscall(number, id, &raw mut time) };
    assert_eq!(answer, 0);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn system_time() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("no test goes back before 1970").as_nanos() as i64
}

fn gettimeofday_us() -> i64 {
    let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: the pointer is to a timeval of our own, and no time zone is asked for.
    assert_eq!(unsafe { libc::gettimeofday(&raw mut time, null_mut()) }, 0);
    time.tv_sec * 1_000_000 + time.tv_usec
}

fn time() -> i64 {
    let mut stored = 0;
    // SAFETY: the pointer is to a time_t of our own.
    let returned = unsafe { libc::time(&raw mut stored) };
    assert_eq!(returned, stored);
    returned
}
