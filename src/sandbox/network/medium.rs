//! What hosts' network cards can be made of.

use std::fmt;

/// What the hosts' cards are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// TUN interfaces: the faster medium, which needs access to `/dev/net/tun`.
    Tun,
    /// Pairs of Ethernet interfaces with packet sockets: needs no device.
    Veth,
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tun => "TUN",
            Self::Veth => "veth with packet sockets",
        })
    }
}
