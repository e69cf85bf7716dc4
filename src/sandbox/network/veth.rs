//! A pair of Ethernet interfaces, one in a host's network and one in the switch's, and a packet socket on
//! the latter.
//!
//! It is what remains where `/dev/net/tun` is closed to the user: it needs no device.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

use super::namespace::Namespace;
use super::netlink::Message;
use super::tun::OFFLOAD_HEADER;
use crate::sandbox::switch::{Port, Wire};

const ETHERNET_HEADER: usize = 14;

/// Every host has this address. An interface without address resolution sends to its own hardware address,
/// so what one host sends the next one takes for its own, and the switch has nothing to translate.
const HARDWARE_ADDRESS: [u8; 6] = [0x02, 0x4c, 0x48, 0x00, 0x00, 0x01];

/// As much as an ordinary user gets is taken; a bulk transfer fills the default within a millisecond.
const BUFFER_BYTES: libc::c_int = 8 << 20;

// Of `linux/veth.h` and `linux/if_packet.h`.
const VETH_INFO_PEER: u16 = 1;

/// Makes `name` in the calling thread's network namespace, and its other end `peer` in `switch`.
pub(super) fn make_pair(name: &str, peer: &str, switch: &Namespace) -> io::Result<()> {
    let request = Message::new_link()
        .text(libc::IFLA_IFNAME, name)
        .bytes(libc::IFLA_ADDRESS, &HARDWARE_ADDRESS)
        .nested(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "veth").nested(libc::IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |end| {
                    end.any_link()
                        .text(libc::IFLA_IFNAME, peer)
                        .bytes(libc::IFLA_NET_NS_FD, &switch.as_fd().as_raw_fd().to_ne_bytes())
                })
            })
        })
        .finish();
    let route = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    send(route.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut answer = [0; 4096];
    let length = recv(route.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    super::netlink::acknowledged(&answer[..length])
}

/// Opens the switch's side of the interface of this name in the calling thread's network namespace.
pub(super) fn open_wire(name: &str, port: Port) -> io::Result<Wire> {
    // Without a protocol it hears nothing, so nothing of other interfaces gets in before it is bound to
    // this one.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
    set_option(&socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)?;
    set_option(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
    for (forced, plain) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        set_option(&socket, libc::SOL_SOCKET, forced, BUFFER_BYTES)
            .or_else(|_| set_option(&socket, libc::SOL_SOCKET, plain, BUFFER_BYTES))?;
    }
    bind(&socket, if_nametoindex(name)?)?;
    Ok(Wire { port, file: socket, ip_offset: OFFLOAD_HEADER + ETHERNET_HEADER })
}

fn set_option(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: `value` is of the length given and outlives the call.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    nix::errno::Errno::result(done)?;
    Ok(())
}

fn bind(socket: &OwnedFd, interface: libc::c_uint) -> io::Result<()> {
    // SAFETY: all its fields are numbers, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
    address.sll_ifindex = interface as libc::c_int;
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: `address` is of the length given and outlives the call.
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    nix::errno::Errno::result(done)?;
    Ok(())
}
