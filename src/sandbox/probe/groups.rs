//! The probes of control groups: a process that is held back, and one that is killed.

use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::time::ClockId;
use nix::unistd::{ForkResult, Pid, fork, getpid};

use super::answer::{Answer, Trouble};
use crate::NodeId;
use crate::sandbox::cgroup::{ControlGroups, Controller, NoGroups};
use crate::sandbox::mode::Mode;

/// A tenth of a second is all that it takes, unless the machine has something else to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that is held back to a hundredth never gets so much of the processor at once.
const FAR_BEYOND: Duration = Duration::from_millis(300);

const LIMIT_BYTES: u64 = 8 << 20;

impl From<NoGroups> for Trouble {
    fn from(error: NoGroups) -> Self {
        let remedy = error.remedy();
        Self::new(crate::causes::in_one_line(&error)).or_remedy(remedy)
    }
}

pub(super) fn cpu(_: Mode) -> Answer {
    let groups = ControlGroups::create(&[Controller::Cpu])?;
    let group = groups.cpu_of(NodeId::new(1))?.expect("it was asked for");
    group.limit(Some(10))?;
    let busy = forked(|| {
        group.take_in(getpid())?;
        loop {
            black_box(());
        }
    })?;
    let start = Instant::now();
    let held_back = loop {
        // Used is asked first: what is counted as held back in between is none the less.
        let used = ClockId::pid_cpu_clock_id(busy).and_then(ClockId::now).map_or(Duration::ZERO, Duration::from);
        match group.throttled() {
            Ok(throttled) if throttled.periods > 0 => break Ok(()),
            Ok(_) if used > FAR_BEYOND => break Err(Trouble::new("a process in a group ran on beyond its share")),
            Ok(_) if start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            Ok(_) => break Err(Trouble::new("this machine is too busy: a process did not even get its share")),
            Err(error) => break Err(error.into()),
        }
    };
    // It is ours and unreaped, so its pid is its own.
    kill(busy, Signal::SIGKILL).and_then(|()| waitpid(busy, None)).map_err(io::Error::from)?;
    held_back.map(|()| "a process was held back to its share".to_owned())
}

pub(super) fn memory(_: Mode) -> Answer {
    let groups = ControlGroups::create(&[Controller::Memory])?;
    let group = groups.memory_of(NodeId::new(1))?.expect("it was asked for");
    group.limit(Some(LIMIT_BYTES))?;
    let greedy = forked(|| {
        group.take_in(getpid())?;
        let mut taken = Vec::new();
        while taken.len() < 8 * LIMIT_BYTES as usize {
            taken.extend_from_slice(black_box(&[1_u8; 4096]));
        }
        Ok(())
    })?;
    let end = waitpid(greedy, None).map_err(io::Error::from)?;
    match (end, group.killed()?) {
        (WaitStatus::Signaled(_, Signal::SIGKILL, _), 1..) => {
            Ok("the kernel killed a process that took more than its limit".to_owned())
        }
        (end, killed) => Err(Trouble::new(format!(
            "a process took more memory than its limit: it ended with {end:?}, and the kernel counts {killed} killed"
        ))),
    }
}

/// A child that does this and ends. There is one thread, which the caller has made sure of.
fn forked(work: impl FnOnce() -> io::Result<()>) -> io::Result<Pid> {
    // SAFETY: there is one thread, so no lock can be left held in the child.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let code = i32::from(work().is_err());
            // SAFETY: `_exit` has no preconditions. What is registered for the exit belongs to the parent.
            unsafe { libc::_exit(code) }
        }
    }
}
