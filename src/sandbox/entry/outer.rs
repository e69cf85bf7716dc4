//! The outer process: it opens the way in, passes signals on, and ends like the harness.
//!
//! It keeps to one thread and does nothing else, so that nothing but a SIGKILL can take it away from its
//! duty.

use std::io::{self, Write};
use std::time::Instant;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::first::First;
use super::identity::{self, Ids, MapWriter};
use super::lifeline::{self, OuterEnds};
use super::report::Report;
use super::signals::{self, Blocked, Insistence};
use super::step::{During, Step, StepError};
use crate::sandbox::{Mode, Outcome, Sandbox};

pub(super) fn run<F: FnOnce(Sandbox) -> u8>(mode: Mode, program: F) -> Result<Outcome, StepError> {
    let (outer_ends, inner_ends) = lifeline::pipes().during(Step::Pipes)?;
    let first = First {
        mode,
        ids: Ids::of_this_process(),
        map_writer: MapWriter::of_this_process().during(Step::LookAtSelf)?,
        ends: inner_ends,
    };

    // What stands in the buffer would be printed by both processes. That it cannot be printed is not for
    // this place to judge.
    let _ = io::stdout().flush();
    let blocked = Blocked::new().during(Step::BlockSignals)?;
    match clone_into(namespaces(mode)).during(Step::CloneNamespaces)? {
        Cloned::Inside => {
            drop(outer_ends);
            first.live(&blocked, program)
        }
        Cloned::Outside(child) => {
            let map_from_here = mode == Mode::User && first.map_writer == MapWriter::Outside;
            drop(first);
            attend(child, outer_ends, map_from_here)
        }
    }
}

fn namespaces(mode: Mode) -> CloneFlags {
    let private = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    match mode {
        Mode::Root => private,
        // The kernel makes the user namespace first, so that the others belong to it.
        Mode::User => private | CloneFlags::CLONE_NEWUSER,
    }
}

enum Cloned {
    Inside,
    Outside(Pid),
}

/// Forks and creates the namespaces in one step, so that no process stands half inside.
///
/// It is the old `clone`, since containers answer the new one with "no such call".
fn clone_into(namespaces: CloneFlags) -> nix::Result<Cloned> {
    let flags = libc::c_long::from(namespaces.bits() | libc::SIGCHLD);
    // SAFETY: without a stack of its own and without CLONE_VM this is a fork, and `enter` has made sure
    // that there is one thread, so no lock can be left held in the child.
    let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match Errno::result(child)? {
        0 => Ok(Cloned::Inside),
        child => Ok(Cloned::Outside(Pid::from_raw(child as libc::pid_t))),
    }
}

/// Sees the child through its life. It returns only after every process of the sandbox is gone: so long the
/// kernel holds back the end of a process 1.
fn attend(child: Pid, mut ends: OuterEnds, map_from_here: bool) -> Result<Outcome, StepError> {
    if map_from_here && let Err(failure) = identity::mirror_maps_into(child).during(Step::MapIds) {
        kill(child, Signal::SIGKILL).and_then(|()| wait_status(child, 0)).during(Step::Await)?;
        return Err(failure);
    }
    // A child that has died already needs no "go"; its status says why it died.
    let _ = ends.go();
    let status = pass_signals_until_it_ends(child).during(Step::Await)?;
    match Report::receive(ends.into_report()).during(Step::Await)? {
        Some(Report::Ended(harness)) => Ok(Outcome::from_wait_status(harness)),
        Some(Report::Failed(failure)) => Err(failure),
        None => Ok(Outcome::from_wait_status(status)),
    }
}

fn pass_signals_until_it_ends(child: Pid) -> nix::Result<i32> {
    let mut insistence = Insistence::default();
    loop {
        match signals::watched().wait()? {
            Signal::SIGCHLD => {
                if let Some(status) = wait_status(child, libc::WNOHANG)? {
                    return Ok(status);
                }
            }
            signal if insistence.is_enough(signal, Instant::now()) => kill(child, Signal::SIGKILL)?,
            signal => kill(child, signal)?,
        }
    }
}

/// The status word, or `None` if the child lives on. It is kept as a number because `nix` knows no
/// real-time signals.
fn wait_status(child: Pid, flags: libc::c_int) -> nix::Result<Option<i32>> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let ended = Errno::result(unsafe { libc::waitpid(child.as_raw(), &raw mut status, flags) })?;
    Ok((ended == child.as_raw()).then_some(status))
}
