//! A TUN interface: the kernel's side is a host's network card, ours a file of whole packets.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use super::interface;
use crate::sandbox::switch::{Port, Wire};

const DEVICE: &str = "/dev/net/tun";

/// Packets come with what the sender's kernel left for the card to do, large segments and checksums, and
/// the receiver's kernel finds it as done. That makes the switch ten times as fast, and nobody computes a
/// checksum.
const OFFLOADS: libc::c_uint = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;

/// `struct virtio_net_hdr`, before each packet.
pub(super) const OFFLOAD_HEADER: usize = 10;

mod request {
    nix::ioctl_write_ptr_bad!(set_interface, libc::TUNSETIFF, libc::ifreq);
    nix::ioctl_write_int_bad!(set_offload, libc::TUNSETOFFLOAD);
}

/// Makes an interface in the calling thread's network namespace. It lives as long as the wire's file.
pub(super) fn make(name: &str, port: Port) -> io::Result<Wire> {
    let device = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(DEVICE)?;
    let mut request = interface::empty_request(name)?;
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    // SAFETY: the request is whole and outlives the call.
    unsafe { request::set_interface(device.as_raw_fd(), &raw const request) }?;
    // SAFETY: the argument of this call is a plain number.
    unsafe { request::set_offload(device.as_raw_fd(), OFFLOADS as libc::c_int) }?;
    Ok(Wire { port, file: device.into(), ip_offset: OFFLOAD_HEADER })
}
