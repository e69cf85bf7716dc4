//! Settings of a network interface in the calling thread's network namespace.

use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

mod request {
    nix::ioctl_read_bad!(get_flags, libc::SIOCGIFFLAGS, libc::ifreq);
    nix::ioctl_write_ptr_bad!(set_flags, libc::SIOCSIFFLAGS, libc::ifreq);
    nix::ioctl_write_ptr_bad!(set_address, libc::SIOCSIFADDR, libc::ifreq);
    nix::ioctl_write_ptr_bad!(set_netmask, libc::SIOCSIFNETMASK, libc::ifreq);
}

/// Brings it up.
pub(in crate::sandbox) fn up(name: &str) -> io::Result<()> {
    add_flags(name, libc::IFF_UP)
}

/// Brings it up without address resolution: every packet goes out, and whom it is for is for the switch to
/// know.
pub(super) fn up_without_arp(name: &str) -> io::Result<()> {
    add_flags(name, libc::IFF_UP | libc::IFF_NOARP)
}

fn add_flags(name: &str, flags: libc::c_int) -> io::Result<()> {
    let (socket, mut request) = (any_socket()?, empty_request(name)?);
    // SAFETY: the request is whole and outlives the call, and the flags are the field that this call fills.
    unsafe {
        request::get_flags(socket.as_raw_fd(), &raw mut request)?;
        request.ifr_ifru.ifru_flags |= flags as libc::c_short;
        request::set_flags(socket.as_raw_fd(), &raw const request)?;
    }
    Ok(())
}

/// Gives it an address, and with it the route to the network of that address.
pub(super) fn set_address(name: &str, address: Ipv4Addr, netmask: Ipv4Addr) -> io::Result<()> {
    let (socket, mut request) = (any_socket()?, empty_request(name)?);
    request.ifr_ifru.ifru_addr = socket_address(address);
    // SAFETY: the request is whole and outlives the call.
    unsafe { request::set_address(socket.as_raw_fd(), &raw const request) }?;
    request.ifr_ifru.ifru_netmask = socket_address(netmask);
    // SAFETY: as above.
    unsafe { request::set_netmask(socket.as_raw_fd(), &raw const request) }?;
    Ok(())
}

/// These calls go to the network namespace of whatever socket they are made on.
fn any_socket() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
}

/// A request about the interface of this name.
pub(super) fn empty_request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all its fields are numbers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last byte stays zero: the kernel reads up to it.
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    let [a, b, c, d] = address.octets().map(|byte| byte as libc::c_char);
    let mut data = [0; 14];
    // The first two bytes are the port.
    data[2..6].copy_from_slice(&[a, b, c, d]);
    libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data }
}
