//! The way into the sandbox: three processes, each with one task.
//!
//! [`outer`] is the process that the user started; [`first`] is process 1 of the sandbox; [`harness`] is
//! what `program` runs in.

mod first;
mod harness;
mod identity;
mod lifeline;
mod outer;
mod remedy;
mod report;
mod signals;
mod step;

use std::fs;
use std::io;

pub use step::Step;

use super::{Mode, Outcome, Refusal, Sandbox, SandboxError};
use remedy::Machine;
use step::{During, StepError};

/// Runs `program` as the harness inside fresh namespaces and returns how it ended.
///
/// It runs in a child process with a mount, pid, network, UTS and IPC namespace of its own, and with a user
/// namespace where the caller is not privileged. This process stays outside: it passes signals on, once
/// each, and waits. When the call returns, no process, interface or mount of the sandbox is left, whatever
/// happened inside.
///
/// Three interrupts within a second end a harness that does not react to them. The harness can write to the
/// terminal and has none of its own: `/dev/tty` is closed to it.
///
/// What must live outside (a listening socket for the user, a pidfd) is opened before the call: open files
/// are inherited, though not by servers. Values that `program` owns are dropped in both processes.
///
/// # Errors
/// [`SandboxError::Threads`] if this process has more than one thread, and [`SandboxError::Enter`] if the
/// kernel refuses a step; the cause says what to change.
pub fn enter<F: FnOnce(Sandbox) -> u8>(program: F) -> Result<Outcome, SandboxError> {
    let mode = Mode::of_this_process().during(Step::LookAtSelf).map_err(explain)?;
    enter_as(mode, program)
}

/// Like [`enter`], in a mode of the caller's choice.
pub(super) fn enter_as<F: FnOnce(Sandbox) -> u8>(mode: Mode, program: F) -> Result<Outcome, SandboxError> {
    ensure_one_thread()?;
    outer::run(mode, program).map_err(explain)
}

pub(super) fn ensure_one_thread() -> Result<(), SandboxError> {
    match threads_of_this_process().during(Step::LookAtSelf).map_err(explain)? {
        1 => Ok(()),
        more => Err(SandboxError::Threads(more)),
    }
}

fn threads_of_this_process() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

fn explain(failure: StepError) -> SandboxError {
    let remedy = Machine::look().remedy(failure).map(str::to_owned);
    let answer = io::Error::from_raw_os_error(failure.errno);
    SandboxError::Enter { step: failure.step, source: Refusal::new(answer, remedy) }
}
