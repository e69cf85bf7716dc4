//! Whether clocks can be moved here, found out by doing it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::clocks::Now;
use super::{ClockError, ClockHook, Skew};

const HOUR_S: i64 = 3600;
const SECOND_NS: i64 = 1_000_000_000;

/// Runs `date` an hour ahead of its time, and says why where that does not work.
///
/// Every step is the one that a server goes through, so what works here works there.
pub fn supported() -> Result<(), ClockError> {
    let (mut date, _hook) = spawn_an_hour_ahead()?;
    let pid = pid_of(&date);
    if let Err(source) = ptrace::detach(pid, None) {
        reap(&mut date);
        return Err(ClockError::Ptrace { pid, step: "let go of", source });
    }
    let shown_s = seconds_printed_by(date).map_err(ClockError::Trial)? - Now::read().wall_ns() / SECOND_NS;
    // Up to a minute may pass between its reading and ours on a machine that is that busy.
    match (HOUR_S - 60..=HOUR_S + 1).contains(&shown_s) {
        true => Ok(()),
        false => Err(ClockError::NoEffect { shown_s }),
    }
}

fn spawn_an_hour_ahead() -> Result<(Child, ClockHook), ClockError> {
    let mut date = Command::new("date");
    date.arg("+%s").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = spawn_traced(&mut date).map_err(ClockError::Trial)?;
    let skew = Skew { offset_ns: HOUR_S * SECOND_NS, rate_ppm: 0 };
    match ClockHook::inject(pid_of(&child), skew) {
        Ok(hook) => Ok((child, hook)),
        Err(error) => {
            reap(&mut child);
            Err(error)
        }
    }
}

/// Starts a program and leaves it in its exec stop, traced by this thread.
pub(super) fn spawn_traced(command: &mut Command) -> io::Result<Child> {
    // SAFETY: PTRACE_TRACEME is one system call: it allocates nothing and takes no lock, so it may follow a fork.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    let mut child = command.spawn()?;
    match waitpid(pid_of(&child), None) {
        Ok(WaitStatus::Stopped(..)) => Ok(child),
        outcome => {
            reap(&mut child);
            Err(outcome.err().unwrap_or(Errno::ECHILD).into())
        }
    }
}

pub(super) fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

/// Ends a child of which it does not matter any more how it ends.
fn reap(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn seconds_printed_by(date: Child) -> io::Result<i64> {
    let output = date.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .map_err(|_| io::Error::other(format!("it printed `{}` and ended with {}", text.trim(), output.status)))
}
