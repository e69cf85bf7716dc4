//! What a moved clock does.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::signal::Signal;

use super::super::clocks::Now;
use super::super::supported::{pid_of, spawn_traced};
use super::super::{ClockError, ClockHook, Skew, supported};
use super::program::{HOUR, MILLISECOND, Program, SECOND};

const OFFSETS: [i64; 10] =
    [0, HOUR, -HOUR, -5 * SECOND, 9 * SECOND, 250 * MILLISECOND, -1, -999_999_999, 1_999_999_999, 40 * 365 * 24 * HOUR];

fn by(offset_ns: i64) -> Skew {
    Skew { offset_ns, rate_ppm: 0 }
}

#[test]
fn the_clock_is_moved_from_the_first_reading_on() {
    for offset in OFFSETS {
        Program::with(by(offset)).assert_wall_is_off_by(offset);
    }
}

#[test]
fn a_running_program_sees_each_change() {
    let mut program = Program::with(Skew::default());
    program.assert_wall_is_off_by(0);
    for offset in OFFSETS {
        program.hook.set_wall(by(offset)).expect("it runs");
        assert_eq!(program.hook.wall(), by(offset));
        program.assert_wall_is_off_by(offset);
    }
}

#[test]
fn the_system_call_serves_where_the_vdso_cannot_be_moved() {
    let mut program = Program::start("read", |pid| ClockHook::inject_by_syscall(pid, by(HOUR)));
    program.assert_wall_is_off_by(HOUR);
    program.hook.set_wall(by(-5 * SECOND)).expect("it runs");
    program.assert_wall_is_off_by(-5 * SECOND);
}

#[test]
fn a_stopped_program_can_be_moved() {
    let mut program = Program::with(Skew::default());
    program.assert_wall_is_off_by(0);
    program.stop();
    program.ask();
    program.hook.set_wall(by(-HOUR)).expect("a stopped program has its memory");
    program.signal(Signal::SIGCONT);
    let answer: super::program::Reading = serde_json::from_str(&program.answer()).expect("it prints a reading");
    assert_eq!((answer.realtime - answer.by_syscall) / SECOND, -3600, "the question was asked before the change");
    program.assert_wall_is_off_by(-HOUR);
}

#[test]
fn a_fast_clock_gains_what_its_rate_says_and_keeps_it() {
    let mut program = Program::with(Skew::default());
    let before = Now::read();
    program.hook.set_wall(Skew { offset_ns: 0, rate_ppm: 100_000 }).expect("it runs");
    let after = Now::read();
    sleep(Duration::from_secs(1));

    let seen = program.observe();
    let least = (seen.before.wall - after.wall_ns()) / 10;
    let most = (seen.after.wall - before.wall_ns()) / 10;
    assert!(least >= 100 * MILLISECOND, "a second has passed");
    assert_overlap((least - 1, most + 1), seen.skew_of(seen.reading.realtime));

    let start = Now::read();
    let fast = program.hook.wall();
    program.hook.set_wall_rate(-500_000).expect("it runs");
    let slow = program.hook.wall();
    assert_eq!((fast.rate_ppm, slow.rate_ppm), (100_000, -500_000));
    let took = Now::read().wall_ns() - start.wall_ns();
    let moved = (slow.offset_ns - fast.offset_ns).abs();
    assert!(moved <= took / 2 + 1, "{fast:?} and then {slow:?}: a step");
    program.hook.set_wall_rate(0).expect("it runs");
    let kept = program.hook.wall();
    program.assert_wall_is_off_by(kept.offset_ns);
}

#[test]
fn a_change_of_rate_makes_no_step() {
    let mut program = Program::with(Skew { offset_ns: HOUR, rate_ppm: 100_000 });
    for rate_ppm in [-100_000, 100_000, -900_000, 0] {
        sleep(Duration::from_millis(300));
        let earlier = program.observe();
        program.hook.set_wall_rate(rate_ppm).expect("it runs");
        let later = program.observe();
        let real = later.reading.by_syscall - earlier.reading.by_syscall;
        let shown = later.reading.realtime - earlier.reading.realtime;
        // What the clock had drifted in 300 ms is 30 ms and more; a clock that forgot it would step by that.
        let between = real / 10 - 10 * MILLISECOND..=real * 11 / 10 + 10 * MILLISECOND;
        assert!(between.contains(&shown), "the clock moved by {shown} ns in {real} ns");
    }
}

#[test]
fn the_monotonic_clock_moves_only_when_told_and_never_back() {
    let mut program = Program::with(by(-HOUR));
    let mut last = program.observe().reading;
    for rate_ppm in [1_000_000, -500_000, 0] {
        program.hook.set_monotonic_rate(rate_ppm).expect("it runs");
        // A slower rate is in force a moment later: see `clocks.rs`.
        sleep(Duration::from_millis(50));
        let start = program.observe().reading;
        sleep(Duration::from_millis(200));
        let end = program.observe().reading;
        let real = end.by_syscall - start.by_syscall;
        let shown = end.monotonic - start.monotonic;
        let expected = real + real * rate_ppm / 1_000_000;
        assert!((shown - expected).abs() < 25 * MILLISECOND, "{shown} ns in {real} ns at {rate_ppm} ppm");
        assert!(start.monotonic >= last.monotonic && start.boottime >= last.boottime, "no step backwards");
        last = end;
    }
    assert_eq!(program.hook.wall(), by(-HOUR), "the wall clock is another matter");
}

#[test]
fn a_c_program_reads_the_moved_clock() {
    for offset in [HOUR, -HOUR, -5 * SECOND, 9 * SECOND, 250 * MILLISECOND] {
        let before = Now::read().wall_ns();
        let shown = date(&["date", "+%s%N"], by(offset));
        let after = Now::read().wall_ns();
        assert!((before + offset..=after + offset).contains(&shown), "date showed {shown}");
    }
}

#[test]
fn exec_drops_the_hook() {
    let before = Now::read().wall_ns();
    let shown = date(&["sh", "-c", "exec date +%s%N"], by(HOUR));
    assert!((before..=Now::read().wall_ns()).contains(&shown), "date showed {shown}");
}

#[test]
fn a_program_that_is_gone_is_not_moved() {
    let mut program = Program::with(Skew::default());
    program.observe_once();
    program.signal(Signal::SIGKILL);
    sleep(Duration::from_millis(100));
    let answer = program.hook.set_wall(by(HOUR));
    assert!(matches!(answer, Err(ClockError::Gone { .. })), "{answer:?}");
    assert_eq!(program.hook.wall(), Skew::default(), "what was refused is not remembered");
}

#[test]
fn a_process_that_is_not_traced_is_refused() {
    let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start cat");
    // Its first answer proves that it is past its exec.
    let (mut input, mut output) = (cat.stdin.take(), cat.stdout.take());
    let mut echo = [0; 4];
    input.as_mut().expect("stdin is piped").write_all(b"echo").expect("it listens");
    output.as_mut().expect("stdout is piped").read_exact(&mut echo).expect("it answers");

    let answer = ClockHook::inject(pid_of(&cat), by(HOUR));
    assert!(matches!(answer, Err(ClockError::Ptrace { .. })), "{answer:?}");
    drop(input);
    assert!(cat.wait().expect("it ends with its input").success(), "and lives on");
}

#[test]
fn this_machine_supports_it() {
    supported().expect("these tests are for machines that do");
}

/// Starts a program that prints nanoseconds, with this skew.
fn date(command: &[&str], skew: Skew) -> i64 {
    let mut program = Command::new(command[0]);
    program.args(&command[1..]).stdout(Stdio::piped());
    let child = spawn_traced(&mut program).expect("start it");
    ClockHook::inject(pid_of(&child), skew).expect("hook it");
    ptrace::detach(pid_of(&child), None).expect("let go of it");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("it prints a number")
}

#[track_caller]
fn assert_overlap(one: (i64, i64), other: (i64, i64)) {
    assert!(one.0 <= other.1 && other.0 <= one.1, "{one:?} and {other:?} have nothing in common");
}
