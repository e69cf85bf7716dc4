//! Where packets come from and go to.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::unistd::write;

use super::port::Port;

/// The switch's end of a host's card: a file from which each read takes one packet, and to which each write
/// gives one.
#[derive(Debug)]
pub(in crate::sandbox) struct Wire {
    /// Whose card it is.
    pub(in crate::sandbox) port: Port,
    /// It does not block.
    pub(in crate::sandbox) file: OwnedFd,
    /// Where the IP packet begins, behind what the medium puts before it.
    pub(in crate::sandbox) ip_offset: usize,
}

impl Wire {
    /// Gives the host a packet, and says whether its kernel took it.
    pub(super) fn deliver(&self, frame: &[u8]) -> bool {
        loop {
            match write(&self.file, frame) {
                Err(Errno::EINTR) => {}
                written => return written.is_ok(),
            }
        }
    }
}
