//! The gate between one server and its disk: it holds up the calls by which a server makes sure that its data is there, or
//! refuses those that need room.
//!
//! A server is as safe as its `fsync`. Between fork and exec the child gives itself a filter (`seccomp`, user notification):
//! from then on each such call of the server, and of no other process, waits in the kernel until the harness answers it. As a
//! rule the answer is that the kernel shall carry it out as if nothing had been. Without a fault that comes at once, with one
//! later, or not before the fault is healed: see [`Rule`].
//!
//! ```text
//! server --fdatasync--> kernel: filter --notice--> Gate: which barriers stand? --go on--> kernel: fdatasync
//! ```
//!
//! It works for static Go binaries and the JVM alike (tried with etcd and OpenJDK 17), needs no right that an ordinary user
//! does not have, and costs other calls nothing. A server that is paused meanwhile stops as ever: its call is taken back, and
//! made anew when it goes on.
//!
//! # What gets past
//! * `write` and `read`: the same calls serve sockets. As on a real disk that hangs, data goes into the page cache and stays
//!   there; a server must not take that for safe.
//! * Files opened with `O_SYNC` or `O_DSYNC`, and `io_uring`. None of the known servers uses them for its log.
//! * Should the harness die, the calls fail with `ENOSYS`; but then the sandbox dies too.

mod filter;
mod gate;
mod listener;
mod supported;

pub use filter::{Arrival, filtered};
pub use gate::{Barrier, Gate, Rule, Tally};
pub use supported::supported;

/// Why system calls cannot be held up here.
#[derive(Debug, thiserror::Error)]
#[error("a server's calls to its disk cannot be held up here: cannot {step}")]
pub struct DiskError {
    /// What was tried.
    step: &'static str,
    /// The kernel's answer.
    source: std::io::Error,
}

impl DiskError {
    fn at(step: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self { step, source }
    }
}
