//! The process in its exec stop, made to do what we need.

use std::ffi::c_void;
use std::ops::ControlFlow;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::super::ClockError;

const WORD_BYTES: usize = 8;

/// System calls answer errors as -4095 to -1.
const LARGEST_ERRNO: i64 = 4095;

/// A traced process in its exec stop.
pub(super) struct Tracee {
    pid: Pid,
    syscall_instruction: u64,
}

impl Tracee {
    pub(super) fn new(pid: Pid, syscall_instruction: u64) -> Tracee {
        Tracee { pid, syscall_instruction }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Maps zeros at exactly this address; `false` where that is taken.
    pub(super) fn map(&self, address: u64, bytes: u64, protection: i32) -> Result<bool, ClockError> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let nowhere = u64::MAX;
        let arguments = [address, bytes, protection as u64, flags as u64, nowhere, 0];
        match self.syscall(libc::SYS_mmap, arguments)? {
            // Kernels before 4.17 do not know NOREPLACE, take the address for a hint, and may answer another.
            Ok(mapped) => Ok(mapped == address),
            Err(Errno::EEXIST) => Ok(false),
            Err(source) => Err(ClockError::Map { pid: self.pid, source }),
        }
    }

    /// Writes code. By ptrace, because this may write to pages that the process itself may not write to, where kernels
    /// since 6.12 can be told to refuse the same to `/proc/PID/mem`.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), ClockError> {
        for (n, chunk) in bytes.chunks(WORD_BYTES).enumerate() {
            let at = (address as usize + n * WORD_BYTES) as *mut c_void;
            let old = ptrace::read(self.pid, at).map_err(self.refused("read the code of"))?;
            let mut word = old.to_le_bytes();
            word[..chunk.len()].copy_from_slice(chunk);
            ptrace::write(self.pid, at, i64::from_le_bytes(word)).map_err(self.refused("write the code of"))?;
        }
        Ok(())
    }

    /// Has the process run one system call, and puts its registers back.
    fn syscall(&self, number: i64, arguments: [u64; 6]) -> Result<Result<u64, Errno>, ClockError> {
        let saved = ptrace::getregs(self.pid).map_err(self.refused("read the registers of"))?;
        let mut registers = saved;
        registers.rip = self.syscall_instruction;
        registers.rax = number as u64;
        // The process stands behind its execve. Without this the kernel would take that for the call to restart.
        registers.orig_rax = u64::MAX;
        [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9] = arguments;
        ptrace::setregs(self.pid, registers).map_err(self.refused("write the registers of"))?;
        self.step()?;
        let answer = ptrace::getregs(self.pid).map_err(self.refused("read the registers of"))?.rax as i64;
        ptrace::setregs(self.pid, saved).map_err(self.refused("write the registers of"))?;
        if (-LARGEST_ERRNO..0).contains(&answer) {
            return Ok(Err(Errno::from_raw(-answer as i32)));
        }
        Ok(Ok(answer as u64))
    }

    /// Runs one instruction. Signals that arrive meanwhile are kept from the program, which could not handle them with
    /// the registers as they are, and are sent again afterwards.
    fn step(&self) -> Result<(), ClockError> {
        let mut early = Vec::new();
        while let ControlFlow::Continue(signal) = self.step_or_signal()? {
            early.push(signal);
        }
        for signal in early {
            kill(self.pid, signal).map_err(self.refused("send a signal again to"))?;
        }
        Ok(())
    }

    fn step_or_signal(&self) -> Result<ControlFlow<(), Signal>, ClockError> {
        ptrace::step(self.pid, None).map_err(self.refused("step"))?;
        match waitpid(self.pid, Some(WaitPidFlag::__WALL)).map_err(self.refused("wait for"))? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => Ok(ControlFlow::Break(())),
            WaitStatus::Stopped(_, signal) => Ok(ControlFlow::Continue(signal)),
            _ => Err(ClockError::Gone { pid: self.pid }),
        }
    }

    fn refused(&self, step: &'static str) -> impl FnOnce(Errno) -> ClockError {
        let pid = self.pid;
        move |source| ClockError::Ptrace { pid, step, source }
    }
}
