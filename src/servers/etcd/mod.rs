//! etcd: how a member is started, and what it can be asked about itself.

mod command_line;
mod contents;
mod members;
mod probes;
mod probing;

pub use command_line::{ClusterState, EtcdOptions, command_line};
pub use probes::EtcdProbes;

/// Where a member answers clients.
pub const CLIENT_PORT: u16 = 2379;
/// Where a member answers its peers.
pub const PEER_PORT: u16 = 2380;

fn url(address: std::net::Ipv4Addr, port: u16) -> String {
    format!("http://{address}:{port}")
}
