//! The two pipes between the outer process and the first one inside.
//!
//! One is the lifeline: nothing but one "go" travels on it, and its end says that the outer process is
//! gone. The other carries the [`Report`](super::report::Report) out.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

/// The ends that the outer process holds.
#[derive(Debug)]
pub(super) struct OuterEnds {
    alive: std::fs::File,
    report: OwnedFd,
}

/// The ends that the first process inside holds.
#[derive(Debug)]
pub(super) struct InnerEnds {
    alive: std::fs::File,
    report: OwnedFd,
}

/// Both pipes. No end survives an `exec`: a server that held one would keep a dead sandbox alive.
pub(super) fn pipes() -> nix::Result<(OuterEnds, InnerEnds)> {
    let (outer_lives, outer_alive) = pipe2(OFlag::O_CLOEXEC)?;
    let (report_out, report_in) = pipe2(OFlag::O_CLOEXEC)?;
    let outer = OuterEnds { alive: outer_alive.into(), report: report_out };
    let inner = InnerEnds { alive: outer_lives.into(), report: report_in };
    Ok((outer, inner))
}

impl OuterEnds {
    /// Lets the first process go on.
    pub(super) fn go(&mut self) -> io::Result<()> {
        self.alive.write_all(b"g")
    }

    /// Where the report comes out. The lifeline ends here: it is called when nobody holds its other end any
    /// more.
    pub(super) fn into_report(self) -> OwnedFd {
        self.report
    }
}

impl InnerEnds {
    /// Waits for the outer process's "go". An error says that the outer process died first.
    pub(super) fn await_go(&mut self) -> io::Result<()> {
        self.alive.read_exact(&mut [0])
    }

    /// Hangs up when the outer process dies.
    pub(super) fn alive(&self) -> BorrowedFd<'_> {
        self.alive.as_fd()
    }

    /// Where the report goes in.
    pub(super) fn into_report(self) -> OwnedFd {
        self.report
    }
}
