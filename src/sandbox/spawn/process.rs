//! A server process, held by a file that stands for it and for no later process of the same pid.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sandbox::status::{self, ThreadNames, Threads};

/// The kernel's letter for a process that is gone altogether.
const GONE: char = 'X';

/// A server process. It lives on when this value is dropped, and ends with the sandbox at the latest.
#[derive(Debug)]
pub struct ServerProcess {
    pid: Pid,
    pidfd: OwnedFd,
    /// How it ended, once somebody has asked after its end: the kernel says it once, and gives the pid
    /// away.
    ended: Mutex<Option<ExitStatus>>,
}

impl ServerProcess {
    /// Takes charge of a child that nobody else waits for.
    pub(super) fn adopt(pid: Pid) -> io::Result<Self> {
        // SAFETY: the call takes two numbers.
        let file = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
        // SAFETY: the kernel has just made this file for us. It closes on exec by itself.
        let pidfd = unsafe { OwnedFd::from_raw_fd(file as i32) };
        Ok(Self { pid, pidfd, ended: Mutex::new(None) })
    }

    /// Sends it a signal. It never reaches another process, even if the pid has been given away.
    ///
    /// # Errors
    /// `ESRCH` if the process has ended and its end has been noticed here.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let (no_info, no_flags) = (std::ptr::null::<libc::siginfo_t>(), 0);
        // SAFETY: without information of the sender's own, the call takes numbers alone.
        let sent = unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.pidfd.as_raw_fd(), signal as libc::c_int, no_info, no_flags)
        };
        Errno::result(sent)?;
        Ok(())
    }

    /// Waits for its end. It may be awaited by many tasks, and any number of times.
    ///
    /// # Errors
    /// If the kernel cannot be asked; never because of how it ended.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub async fn exited(&self) -> io::Result<ExitStatus> {
        // A file of its own for each call: one file can be watched once.
        let file = self.pidfd.try_clone()?;
        // SAFETY: the watch owns the file, so it stays open as long as it is watched.
        let watch = unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) }?;
        loop {
            if let Some(status) = self.try_exited()? {
                return Ok(status);
            }
            watch.readable().await?.clear_ready();
        }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// If the kernel cannot be asked; never because of how it ended.
    pub fn try_exited(&self) -> io::Result<Option<ExitStatus>> {
        let mut ended = self.ended();
        if ended.is_none() {
            *ended = self.reap()?;
        }
        Ok(*ended)
    }

    /// Its state as the kernel's one letter: `R` running, `S` asleep, `D` asleep in the kernel, `T` stopped
    /// by a signal, `Z` ended and not yet noticed here, `X` gone. It is that of its first thread: see [`ServerProcess::threads`].
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn state(&self) -> io::Result<char> {
        // Under the lock nobody reaps it, so the pid is still its own.
        let ended = self.ended();
        if ended.is_some() { Ok(GONE) } else { status::state_of(self.pid) }
    }

    /// How many threads it has, and how many of them a signal has stopped.
    ///
    /// # Errors
    /// If it has ended, or `/proc` cannot be read.
    pub fn threads(&self) -> io::Result<Threads> {
        // Under the lock nobody reaps it, so the pid is still its own.
        let ended = self.ended();
        if ended.is_some() { Err(Errno::ESRCH.into()) } else { status::threads_of(self.pid) }
    }

    /// Its threads and what they are called.
    ///
    /// # Errors
    /// If it has ended, or `/proc` cannot be read.
    pub fn thread_names(&self) -> io::Result<ThreadNames> {
        // Under the lock nobody reaps it, so the pid is still its own.
        let ended = self.ended();
        if ended.is_some() { Err(Errno::ESRCH.into()) } else { status::thread_names_of(self.pid) }
    }

    /// How much time on a processor all its threads have had.
    ///
    /// # Errors
    /// If it has ended.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        // Under the lock nobody reaps it, so the pid is still its own.
        let ended = self.ended();
        if ended.is_some() {
            return Err(Errno::ESRCH.into());
        }
        Ok(clock_gettime(clock_getcpuclockid(self.pid)?)?.into())
    }

    fn reap(&self) -> io::Result<Option<ExitStatus>> {
        match waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG)? {
            WaitStatus::Exited(_, code) => Ok(Some(ExitStatus::from_raw(code << 8))),
            WaitStatus::Signaled(_, signal, dumped) => {
                Ok(Some(ExitStatus::from_raw(signal as i32 | i32::from(dumped) << 7)))
            }
            _ => Ok(None),
        }
    }

    fn ended(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        // Nothing between lock and unlock leaves the value half changed.
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
