//! etcd: how a member is started, and what it can be asked about itself.

mod clock;
mod command_line;
mod members;
mod probes;
mod readiness;

pub use command_line::{ClusterState, CommandLine, EtcdOptions, command_line};
pub use members::Member;
pub use probes::{EtcdProbes, LeaderView, ProbeError};
pub use readiness::NotReady;

/// Where a member answers clients.
pub const CLIENT_PORT: u16 = 2379;
/// Where a member answers its peers.
pub const PEER_PORT: u16 = 2380;

fn url(address: std::net::Ipv4Addr, port: u16) -> String {
    format!("http://{address}:{port}")
}
