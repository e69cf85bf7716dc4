//! A program with a moved clock, and what it says about the time.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::super::clocks::Now;
use super::super::supported::{pid_of, spawn_traced};
use super::super::{ClockHook, Skew};
use super::probe;

pub(super) const MILLISECOND: i64 = 1_000_000;
pub(super) const SECOND: i64 = 1_000_000_000;
pub(super) const HOUR: i64 = 3600 * SECOND;

/// How little an observation may take to be worth a judgement.
const NARROW: i64 = 5 * MILLISECOND;

/// What the program's clocks show, in nanoseconds, in the order in which it reads them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) realtime: i64,
    pub(super) system_time: i64,
    pub(super) gettimeofday: i64,
    pub(super) tai: i64,
    pub(super) coarse: i64,
    pub(super) time_s: i64,
    pub(super) monotonic: i64,
    pub(super) boottime: i64,
    /// The time that no hook touches.
    pub(super) by_syscall: i64,
}

/// A reading, and the machine's clocks before it was asked for and after it had arrived.
pub(super) struct Observation {
    pub(super) before: Now,
    pub(super) reading: Reading,
    pub(super) after: Now,
}

impl Observation {
    /// Between which bounds the skew of a wall clock lies that showed this.
    pub(super) fn skew_of(&self, shown: i64) -> (i64, i64) {
        (shown - self.after.wall_ns(), shown - self.before.wall_ns())
    }

    fn is_narrow(&self) -> bool {
        self.after.wall_ns() - self.before.wall_ns() < NARROW
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

    pub(super) fn start<E: std::fmt::Debug>(
        mode: &str,
        inject: impl FnOnce(Pid) -> Result<ClockHook, E>,
    ) -> Program {
        let mut command = Command::new(std::env::current_exe().expect("this test has a path"));
        command
            .args(["--exact", probe::TEST, "--nocapture"])
            .env(probe::MODE, mode);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn_traced(&mut command).expect("start the probe");
        let hook = inject(pid_of(&child)).expect("hook the probe");
        ptrace::detach(pid_of(&child), None).expect("let go of the probe");
        let questions = child.stdin.take().expect("stdin is piped");
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Program {
            hook,
            child,
            questions,
            answers,
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(pid_of(&self.child), signal).expect("the probe lives");
    }

    /// Stops the probe, and waits until all its threads stand.
    pub(super) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        let status =
            waitpid(pid_of(&self.child), Some(WaitPidFlag::WUNTRACED)).expect("it is our child");
        assert!(
            matches!(status, WaitStatus::Stopped(_, Signal::SIGSTOP)),
            "{status:?}"
        );
    }

    pub(super) fn answer(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(
                self.answers
                    .read_line(&mut line)
                    .expect("the probe prints text"),
                0,
                "the probe has ended"
            );
            if let Some((_, said)) = line.trim_end().split_once(probe::MARK) {
                return said.to_owned();
            }
        }
    }

    pub(super) fn ask(&mut self) {
        self.questions.write_all(b"\n").expect("the probe listens");
    }

    pub(super) fn observe_once(&mut self) -> Observation {
        let before = Now::read();
        self.ask();
        let answer = self.answer();
        let after = Now::read();
        Observation {
            before,
            reading: serde_json::from_str(&answer).expect("the probe prints a reading"),
            after,
        }
    }

    /// An observation that took less than 5 ms. Every observation is right whatever it took, but a busy machine makes
    /// some of them say little.
    pub(super) fn observe(&mut self) -> Observation {
        let narrow = std::iter::repeat_with(|| self.observe_once())
            .take(1000)
            .find(Observation::is_narrow);
        narrow.expect("one reading in a thousand takes less than 5 ms")
    }

    /// Whether all views of the wall clock are this far from the machine's, and those of the monotonic one are true.
    #[track_caller]
    pub(super) fn assert_wall_is_off_by(&mut self, offset: i64) {
        let seen = self.observe();
        let reading = seen.reading;
        let fine = [
            reading.realtime,
            reading.system_time,
            reading.tai - tai_offset(),
        ];
        for shown in fine {
            let (least, most) = seen.skew_of(shown);
            assert!(
                least <= offset && offset <= most,
                "{shown} is off by {least} to {most} ns, not by {offset}"
            );
        }
        let (least, most) = seen.skew_of(reading.gettimeofday);
        assert!(
            least <= offset && offset <= most + 1000,
            "gettimeofday is off by {least} to {most} ns, not by {offset}"
        );
        let late = reading.realtime - reading.coarse;
        assert!(
            (-NARROW..=3 * NARROW).contains(&late),
            "the coarse clock is {late} ns behind the fine one"
        );
        let ticked = reading.time_s - reading.coarse.div_euclid(SECOND);
        assert!(
            (0..=1).contains(&ticked),
            "time() is {ticked} s ahead of the coarse clock"
        );
        let (least, most) = seen.skew_of(reading.by_syscall);
        assert!(
            least <= 0 && 0 <= most,
            "the system call tells the machine's time"
        );
        assert!(
            (seen.before.monotonic_ns()..=seen.after.monotonic_ns()).contains(&reading.monotonic),
            "the monotonic clock is the machine's"
        );
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
    let seconds =
        (probe::clock(libc::CLOCK_TAI) - probe::clock(libc::CLOCK_REALTIME)) as f64 / SECOND as f64;
    seconds.round() as i64 * SECOND
}
