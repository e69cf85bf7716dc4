//! The clock of one server, moved without touching the machine's.
//!
//! Programs read the time in the vDSO, a small library that the kernel maps into each process. The hook replaces the
//! entry of its three functions that tell the time, in **one** process, while that process stands in its exec stop and
//! has not run an instruction yet:
//!
//! ```text
//! clock_gettime --jmp--> hook: ask the original, then add offset + (reading - reference) * rate
//! gettimeofday  --jmp--> the same, from the hooked clock_gettime
//! time          --jmp--> the same
//! ```
//!
//! This works for static Go binaries, which no `LD_PRELOAD` reaches, as well as for C and the JVM, and the reading stays
//! a fast one: no system call is added. Afterwards a change is nothing but a write into a page of the process
//! (see `page.rs`): it needs no stop, no ptrace and no lock, is seen by the very next reading of the clock, and works on a
//! process that is stopped.
//!
//! # What is not moved
//! * Timers and time-outs of the kernel, `clock_gettime` called as a raw system call, the time stamps of files. An
//!   absolute wait until a wall-clock time is therefore off by the skew.
//! * The clock of a program that the hooked process executes: exec drops the hook together with the address space. A
//!   child that only forks keeps the skew of that moment and hears of no later change.
//! * The monotonic clocks, unless asked for by name. See [`ClockHook::set_monotonic_rate`] for when that is safe.

mod clocks;
mod error;
mod handle;
mod line;
mod memory;
mod page;
mod supported;

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(not(target_arch = "x86_64"))]
use elsewhere as machine;
#[cfg(target_arch = "x86_64")]
use x86_64 as machine;

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;

use serde::{Deserialize, Serialize};

pub use error::ClockError;
pub use handle::{ClockHook, MonotonicReading};
pub use line::RATES_PPM;
pub use supported::supported;

/// How far one process's clock is from the machine's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Skew {
    /// What the clock shows more than the machine's, in nanoseconds: negative for a clock that is behind.
    pub offset_ns: i64,
    /// By how many millionths it runs faster than the machine's: negative for a slow clock, -1,000,000 for one that
    /// stands still.
    pub rate_ppm: i64,
}
