//! A network namespace, held by an open file and by nothing else: it goes when its last holder does.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns, unshare};

use super::interface;

#[derive(Debug)]
pub(in crate::sandbox) struct Namespace(File);

impl Namespace {
    /// The one in which the calling thread stands.
    pub(super) fn current() -> io::Result<Self> {
        File::open("/proc/thread-self/ns/net").map(Self)
    }

    /// Makes a new one and moves the calling thread into it.
    pub(super) fn make_and_enter() -> io::Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Self::current()
    }

    /// Moves the calling thread into it. Sockets stay where they were made.
    pub(in crate::sandbox) fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.0, CloneFlags::CLONE_NEWNET)?)
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes the calling thread's namespace fit for a host. The files of `/proc/sys/net` are those of whoever
/// opens them.
pub(super) fn furnish() -> io::Result<()> {
    interface::up("lo")?;
    // After a partition has healed, TCP waits out its last back-off, by default up to two minutes. A second
    // keeps the recovery of the servers apart from that of their connections. Kernels before 6.15 have no
    // such file.
    write_if_present("/proc/sys/net/ipv4/tcp_rto_max_ms", "1000")?;
    // Neighbour and router discovery would be traffic of no server.
    write_if_present("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1")?;
    write_if_present("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")
}

fn write_if_present(path: impl AsRef<Path>, value: &str) -> io::Result<()> {
    match fs::write(path, value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
