//! The harness's end of a filter: notices of calls come in, answers go out.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::DiskError;
use super::filter::Kind;

/// A call that waits in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The kernel's number for this notice.
    pub(super) id: u64,
    /// The thread that made it.
    pub(super) thread: u32,
    /// What it is for.
    pub(super) kind: Kind,
}

/// What a wait came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A call was made.
    Called,
    /// The bell rang, or the time is over.
    Look,
    /// Nobody is left who could make one.
    Over,
}

/// The harness's end of one filter.
#[derive(Debug)]
pub(super) struct Listener {
    file: OwnedFd,
    /// How long the kernel's notices are; later kernels may make them longer.
    notice_bytes: usize,
}

impl Listener {
    pub(super) fn new(file: OwnedFd) -> Result<Self, DiskError> {
        let mut sizes = libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
        // SAFETY: the kernel fills in the struct, which outlives the call.
        let asked = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, &raw mut sizes) };
        Errno::result(asked).map_err(|errno| DiskError { step: "ask how long notices are", source: errno.into() })?;
        let notice_bytes = usize::from(sizes.seccomp_notif).max(size_of::<libc::seccomp_notif>());
        Ok(Self { file, notice_bytes })
    }

    /// Waits for a call, the bell, or the end of this time.
    pub(super) fn wait(&self, bell: BorrowedFd<'_>, within: Option<Duration>) -> io::Result<Event> {
        let mut files = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN), PollFd::new(bell, PollFlags::POLLIN)];
        match ppoll(&mut files, within.map(TimeSpec::from_duration), None) {
            Err(Errno::EINTR) => return Ok(Event::Look),
            polled => polled?,
        };
        let happened = files[0].revents().unwrap_or(PollFlags::empty());
        Ok(if happened.contains(PollFlags::POLLIN) {
            Event::Called
        } else if happened.intersects(PollFlags::POLLHUP | PollFlags::POLLERR) {
            Event::Over
        } else {
            Event::Look
        })
    }

    /// The next call; `None` if it was taken back meanwhile, for example because its thread is gone.
    pub(super) fn receive(&self) -> io::Result<Option<Call>> {
        // The kernel wants zeros, and the alignment of its numbers of 64 bits.
        let mut notice = vec![0_u64; self.notice_bytes.div_ceil(size_of::<u64>())];
        // SAFETY: the buffer is as long as the kernel said, and outlives the call.
        let received =
            unsafe { libc::ioctl(self.file.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, notice.as_mut_ptr()) };
        match Errno::result(received) {
            Ok(_) => {}
            Err(Errno::ENOENT | Errno::EINTR) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
        // SAFETY: the kernel has written a notice there, and the buffer is aligned and long enough for one.
        let notice = unsafe { notice.as_ptr().cast::<libc::seccomp_notif>().read() };
        Ok(Some(Call { id: notice.id, thread: notice.pid, kind: Kind::of(notice.data.nr) }))
    }

    /// Lets a call go on as if nothing had been.
    pub(super) fn go_on(&self, id: u64) {
        self.answer(id, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32);
    }

    /// Has a call fail with this error.
    pub(super) fn refuse(&self, id: u64, errno: Errno) {
        self.answer(id, -(errno as i32), 0);
    }

    /// Answers a call. One that was taken back meanwhile is past caring.
    fn answer(&self, id: u64, error: i32, flags: u32) {
        let mut answer = libc::seccomp_notif_resp { id, val: 0, error, flags };
        // SAFETY: the kernel reads the struct, which outlives the call.
        let sent = unsafe { libc::ioctl(self.file.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
        if let Err(errno) = Errno::result(sent)
            && errno != Errno::ENOENT
        {
            tracing::warn!("a call to the disk could not be answered: {errno}");
        }
    }
}
