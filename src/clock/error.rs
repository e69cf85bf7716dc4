//! Why a clock could not be moved.

use std::io;

use nix::errno::Errno;
use nix::unistd::Pid;

/// Why a clock could not be moved. Each text says what to do about it, where something can be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// There is no hook for this kind of processor.
    #[error("clock faults are made for x86_64 only, and this machine is {0}: choose scenarios without them")]
    Unsupported(&'static str),

    /// The process's own picture of itself, in `/proc`, is closed to us.
    #[error(
        "open /proc/{pid}/{file}: clock faults need a process of the same user, traced by its parent, and a /proc of this pid namespace"
    )]
    Proc {
        /// The process.
        pid: Pid,
        /// The file below its folder.
        file: &'static str,
        /// What the kernel said.
        source: io::Error,
    },

    /// The kernel refused ptrace.
    #[error(
        "{step} process {pid} by ptrace: it must live, be traced by this thread and stand in its exec stop (a container may need `--cap-add SYS_PTRACE`)"
    )]
    Ptrace {
        /// The process.
        pid: Pid,
        /// What we were about to do with it.
        step: &'static str,
        /// What the kernel said.
        source: Errno,
    },

    /// A system call that the process was made to run failed.
    #[error("map a page in process {pid}: is its address space limited (`ulimit -v`)?")]
    Map {
        /// The process.
        pid: Pid,
        /// What the kernel said.
        source: Errno,
    },

    /// Nothing is free where a five-byte jump from the vDSO reaches.
    #[error("process {pid} has no two free pages within 2 GiB of its vDSO")]
    NoRoom {
        /// The process.
        pid: Pid,
    },

    /// The kernel gave the process no vDSO, or one that we do not understand.
    #[error(
        "process {pid} has no vDSO to hook: {reason} (a kernel started with `vdso=0`, a 32-bit program, and gVisor have none)"
    )]
    Vdso {
        /// The process.
        pid: Pid,
        /// What is amiss with it.
        reason: &'static str,
    },

    /// The hook could not be put into machine code.
    #[cfg(target_arch = "x86_64")]
    #[error("assemble the clock hook")]
    Assemble(#[from] iced_x86::IcedError),

    /// The process is no more, or runs another program now.
    #[error(
        "process {pid} has ended, or has executed another program: start its clock fault anew where it is started anew"
    )]
    Gone {
        /// The process.
        pid: Pid,
    },

    /// The page of the process could not be written or read.
    #[error("reach the memory of process {pid}")]
    Memory {
        /// The process.
        pid: Pid,
        /// What the kernel said.
        source: io::Error,
    },

    /// More than a clock can be moved.
    #[error(
        "a clock can be moved by at most 50 years, and run at 0 to 10 times its pace (-1000000 to 9000000 ppm): {what} is {value}"
    )]
    OutOfRange {
        /// Which of the two.
        what: &'static str,
        /// What was asked for.
        value: i128,
    },

    /// The program by which [`supported`](super::supported) tries the hook could not be run.
    #[error("run `date` to try the clock hook on it")]
    Trial(#[source] io::Error),

    /// The hook is in place, and yet the program shows the machine's time.
    #[error(
        "`date` was started an hour ahead, and was {shown_s} s ahead: this C library does not read the time in the vDSO"
    )]
    NoEffect {
        /// By how many seconds its clock was ahead.
        shown_s: i64,
    },
}
