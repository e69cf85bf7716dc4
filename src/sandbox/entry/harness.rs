//! The harness: a plain child of the first process, in which the caller's program runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;

use super::signals::Blocked;
use crate::sandbox::{Mode, Sandbox};

/// The exit code of a Rust program whose main thread panics.
const PANICKED: u8 = 101;

/// Runs the program and exits with its code. No panic may pass it: its caller's code belongs to other
/// processes.
pub(super) fn live<F: FnOnce(Sandbox) -> u8>(mode: Mode, blocked: &Blocked, program: F) -> ! {
    blocked.restore();
    let code = catch_unwind(AssertUnwindSafe(|| program(Sandbox::new(mode))));
    process::exit(i32::from(code.unwrap_or(PANICKED)))
}
