//! A program with a moved clock, and what it says about the time.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::super::supported::{pid_of, spawn_traced};
use super::super::{ClockHook, Skew};
use super::probe;

pub(super) const MILLISECOND: i64 = 1_000_000;
pub(super) const SECOND: i64 = 1_000_000_000;
pub(super) const HOUR: i64 = 3600 * SECOND;

/// How little an observation may take to be worth a judgement.
const NARROW: i64 = 5 * MILLISECOND;

/// What the program's clocks show, in nanoseconds where they do not say otherwise, in the order of their reading.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) realtime: i64,
    pub(super) system_time: i64,
    pub(super) gettimeofday_us: i64,
    pub(super) tai: i64,
    pub(super) coarse: i64,
    pub(super) time_s: i64,
    pub(super) monotonic: i64,
    pub(super) boottime: i64,
    /// The time that no hook touches.
    pub(super) by_syscall: i64,
}

/// What the machine's own clocks show.
pub(super) struct Machine {
    pub(super) wall: i64,
    coarse: i64,
    monotonic: i64,
}

impl Machine {
    fn read() -> Machine {
        Machine {
            wall: probe::clock(libc::CLOCK_REALTIME),
            coarse: probe::clock(libc::CLOCK_REALTIME_COARSE),
            monotonic: probe::clock(libc::CLOCK_MONOTONIC),
        }
    }
}

/// A reading, and the machine's clocks before it was asked for and after it had arrived.
pub(super) struct Observation {
    pub(super) before: Machine,
    pub(super) reading: Reading,
    pub(super) after: Machine,
}

impl Observation {
    /// Between which bounds the skew of a wall clock lies that showed this.
    pub(super) fn skew_of(&self, shown: i64) -> (i64, i64) {
        (shown - self.after.wall, shown - self.before.wall)
    }

    /// Whether a clock of the program shows what a clock of the machine shows, more the offset.
    #[track_caller]
    fn assert_off_by(&self, offset: i64, name: &str, shown: i64, of: impl Fn(&Machine) -> i64) {
        let (least, most) = (shown - of(&self.after), shown - of(&self.before));
        assert!((least..=most).contains(&offset), "{name} is off by {least} to {most} ns, not by {offset}");
    }

    fn is_narrow(&self) -> bool {
        self.after.wall - self.before.wall < NARROW
    }
}

/// The probe, hooked before its first instruction.
pub(super) struct Program {
    pub(super) hook: ClockHook,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Program {
    pub(super) fn with(skew: Skew) -> Program {
        Program::start("read", |pid| ClockHook::inject(pid, skew))
    }

    pub(super) fn start<E: std::fmt::Debug>(mode: &str, inject: impl FnOnce(Pid) -> Result<ClockHook, E>) -> Program {
        let mut command = Command::new(std::env::current_exe().expect("this test has a path"));
        command.args(["--exact", probe::TEST, "--nocapture"]).env(probe::MODE, mode);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn_traced(&mut command).expect("start the probe");
        let hook = inject(pid_of(&child)).expect("hook the probe");
        ptrace::detach(pid_of(&child), None).expect("let go of the probe");
        let questions = child.stdin.take().expect("stdin is piped");
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Program { hook, child, questions, answers }
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(pid_of(&self.child), signal).expect("the probe lives");
    }

    /// Stops the probe, and waits until all its threads stand.
    pub(super) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        let status = waitpid(pid_of(&self.child), Some(WaitPidFlag::WUNTRACED)).expect("it is our child");
        assert!(matches!(status, WaitStatus::Stopped(_, Signal::SIGSTOP)), "{status:?}");
    }

    pub(super) fn answer(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).expect("the probe prints text"), 0, "the probe has ended");
            if let Some((_, said)) = line.trim_end().split_once(probe::MARK) {
                return said.to_owned();
            }
        }
    }

    pub(super) fn ask(&mut self) {
        self.questions.write_all(b"\n").expect("the probe listens");
    }

    pub(super) fn observe_once(&mut self) -> Observation {
        let before = Machine::read();
        self.ask();
        let answer = self.answer();
        let after = Machine::read();
        Observation { before, reading: serde_json::from_str(&answer).expect("the probe prints a reading"), after }
    }

    /// An observation that took less than 5 ms. Every observation is right whatever it took, but a busy machine makes
    /// some of them say little.
    pub(super) fn observe(&mut self) -> Observation {
        let narrow = std::iter::repeat_with(|| self.observe_once()).take(1000).find(Observation::is_narrow);
        narrow.expect("one reading in a thousand takes less than 5 ms")
    }

    /// Whether all views of the wall clock are this far from the machine's, and those of the monotonic one are true.
    #[track_caller]
    pub(super) fn assert_wall_is_off_by(&mut self, offset: i64) {
        let seen = self.observe();
        let reading = seen.reading;
        let wall = |machine: &Machine| machine.wall;
        seen.assert_off_by(offset, "CLOCK_REALTIME", reading.realtime, wall);
        seen.assert_off_by(offset, "SystemTime", reading.system_time, wall);
        seen.assert_off_by(offset, "CLOCK_TAI", reading.tai - tai_offset(), wall);
        seen.assert_off_by(offset, "COARSE", reading.coarse, |machine| machine.coarse);
        // These two cut the moved time off, to whole microseconds and whole seconds.
        let microseconds = |machine: &Machine| (machine.wall + offset).div_euclid(1000);
        seen.assert_off_by(0, "gettimeofday", reading.gettimeofday_us, microseconds);
        let seconds = |machine: &Machine| (machine.coarse + offset).div_euclid(SECOND);
        seen.assert_off_by(0, "time", reading.time_s, seconds);
        seen.assert_off_by(0, "MONOTONIC", reading.monotonic, |machine| machine.monotonic);
        seen.assert_off_by(0, "the system call", reading.by_syscall, wall);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// By how much the kernel's TAI is ahead of its wall clock: 37 s where somebody has told it, else 0.
fn tai_offset() -> i64 {
    let seconds = (probe::clock(libc::CLOCK_TAI) - probe::clock(libc::CLOCK_REALTIME)) as f64 / SECOND as f64;
    seconds.round() as i64 * SECOND
}
