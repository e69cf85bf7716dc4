//! Adapters: how each real service is asked for a lock.
//!
//! An adapter sends each operation once, to the one server that its connection is pinned to, over a TCP connection of its
//! own. It says of every failure whether the operation may have happened; where it cannot be sure, it says so.

pub mod consul;
mod credentials;
pub mod etcd_v2;
pub mod etcd_v3;
pub(crate) mod http;
pub mod program;
mod within;
pub mod zookeeper;

pub use consul::Consul;
pub use credentials::{Credentials, Secret};
pub use etcd_v2::EtcdV2;
pub use etcd_v3::{EtcdV3, Recipe};
pub use program::Program;
pub use within::Within;
pub use zookeeper::ZooKeeper;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use leasehold_workloads::service::OpError;

use crate::NodeId;

/// What clients ask of a service in particular; each service's adapter looks at its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientSettings {
    /// Of etcd's API of today: the sign of the leases' ids, which clients choose.
    pub lease_ids: etcd_v3::LeaseIds,
    /// Of Consul.
    pub consul: consul::Settings,
}

/// Where all locks lie, so that a cluster that serves others as well is not disturbed.
const PREFIX: &str = "/leasehold/";

/// How long a connection may take to come about. What is refused or not reached by then was certainly never sent.
const CONNECT: Duration = Duration::from_secs(1);

/// How long one server may take to put the locks into their state of rest, or to clear them away, before the next one is asked.
const PREPARE: Duration = Duration::from_secs(5);

/// No connection came about, so nothing was sent.
const REFUSED: &str = "refused";
/// The server answered what no server of its kind should.
const MALFORMED: &str = "malformed";
/// The server said no, for a reason that is no observation of the lock.
const REJECTED: &str = "rejected";
/// The service has no such operation.
const UNSUPPORTED: &str = "unsupported";

/// A TTL in whole seconds, which is all that etcd counts in: never shorter than asked for, and at least one.
fn whole_seconds(ttl: Duration) -> u64 {
    (ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)).max(1)
}

/// What a register has, from its text.
fn register_value(text: &str) -> Result<Option<u64>, OpError> {
    let foreign = || OpError::unknown(MALFORMED, format!("a register has {text:?}, which is no value of ours"));
    text.parse().map(Some).map_err(|_| foreign())
}

/// The address that a worker's connections come from, so that the network can tell its clients apart; `None` leaves it to
/// the kernel.
pub type SourceOf = fn(worker: u64) -> Option<IpAddr>;

/// The kernel chooses where connections come from.
fn any_source(_worker: u64) -> Option<IpAddr> {
    None
}

/// The address of the node with this index.
fn address(endpoints: &[(NodeId, SocketAddr)], node: usize) -> SocketAddr {
    let (_, address) = endpoints.get(node).expect("the engine asks for nodes of the cluster only");
    *address
}

/// Has one node after the other attempt to prepare the locks or to clear them away, until it is done; the last error, if none does it.
async fn at_one_node<F>(nodes: usize, attempt: impl Fn(usize) -> F + Send) -> Result<(), OpError>
where
    F: Future<Output = Result<(), OpError>> + Send,
{
    let mut outcome = Err(OpError::failed(REFUSED, "there is no node to ask"));
    for node in 0..nodes {
        outcome = tokio::time::timeout(PREPARE, attempt(node)).await.unwrap_or_else(|_| Err(OpError::timeout(PREPARE)));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_rounded_up_to_whole_seconds() {
        let seconds = |ms| whole_seconds(Duration::from_millis(ms));
        assert_eq!([seconds(0), seconds(1), seconds(1_000), seconds(1_001), seconds(5_000)], [1, 1, 1, 2, 5]);
    }
}
