//! ZooKeeper: how a server is started, and what it can be asked about itself.

mod contents;
mod java;
mod launch;
mod log_clock;
mod members;
mod probes;
mod words;

pub use java::{NoJava, java};
pub use launch::{ZooKeeperOptions, launch};
pub use members::can_reconfigure;
pub use probes::ZooKeeperProbes;
pub(crate) use words::ask_word;

/// Where a server answers clients.
pub const CLIENT_PORT: u16 = 2181;
/// Where the leader answers its followers.
pub const QUORUM_PORT: u16 = 2888;
/// Where servers elect their leader.
pub const ELECTION_PORT: u16 = 3888;
