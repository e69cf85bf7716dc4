//! Whether calls can be held up here, found out by doing it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{DiskError, Gate, Rule, filtered};

/// For how long the trial holds a call up.
const HELD_UP: Duration = Duration::from_millis(5);

/// Has a program sync a file through a gate, and says why where that does not work.
///
/// # Errors
/// If a step fails, or the call did not come to the gate.
pub fn supported() -> Result<(), DiskError> {
    let (in_child, arrival) = filtered()?;
    let gate = Gate::default();
    let barrier = gate.put_up(Rule::Delay(HELD_UP));
    // A device that has nothing to sync: the kernel refuses, but not before the gate.
    let mut sync = Command::new("sync");
    sync.args(["--data", "/dev/null"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: the child's part makes system calls and nothing else.
    unsafe { sync.pre_exec(in_child) };
    let mut child = sync.spawn().map_err(DiskError::at("start a process behind a filter"))?;
    let guarded = gate.guard(arrival);
    if guarded.is_err() {
        let _ = child.kill();
    }
    child.wait().map_err(DiskError::at("wait for a process behind a filter"))?;
    guarded?;
    match gate.take_down(barrier).and_then(|tally| tally.shortest) {
        Some(waited) if waited >= HELD_UP => Ok(()),
        _ => Err(DiskError::at("see a call of a process behind a filter")(io::Error::other("none came"))),
    }
}
