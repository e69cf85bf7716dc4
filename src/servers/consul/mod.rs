//! Consul: how a server is started, and what it can be asked about itself.

mod contents;
mod launch;
mod members;
mod probes;

pub use launch::{ConsulOptions, launch};
pub use probes::ConsulProbes;

/// Where a server answers clients, over HTTP.
pub const CLIENT_PORT: u16 = 8500;
/// Where a server answers other servers.
pub const SERVER_PORT: u16 = 8300;
/// Where the agents gossip, over TCP and UDP.
pub const GOSSIP_PORT: u16 = 8301;
