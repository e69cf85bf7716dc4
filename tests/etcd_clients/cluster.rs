//! Clusters of etcd.

use std::future::Future;
use std::net::SocketAddr;

use leasehold::NodeId;
use leasehold::clients::{EtcdV2, EtcdV3, Recipe};
use leasehold::servers::ServerSpec;
use leasehold::servers::etcd::{CLIENT_PORT, EtcdOptions, EtcdProbes, command_line};

use super::servers;
pub(super) use super::servers::{PATIENCE, eventually, own_addresses, packages};

/// A cluster of etcd servers, which ends with this value.
pub(super) type Cluster = servers::Cluster<EtcdProbes>;

impl Cluster {
    pub(super) async fn start(version: &str, size: u8) -> Self {
        Self::of_version(version, size).started().await
    }

    /// None of which runs yet.
    pub(super) fn of_version(version: &str, size: u8) -> Self {
        Self::prepare(
            &format!("etcd@{version}"),
            size,
            |program, node, addresses, data| command_line(program, node, addresses, data, &EtcdOptions::default()),
            |addresses, _| EtcdProbes::new(addresses),
        )
    }

    pub(super) fn v2(&self) -> EtcdV2 {
        EtcdV2::new(self.clients())
    }

    pub(super) fn v3(&self, recipe: Recipe) -> EtcdV3 {
        EtcdV3::new(self.clients(), recipe)
    }

    pub(super) fn clients(&self) -> Vec<(NodeId, SocketAddr)> {
        self.endpoints(CLIENT_PORT)
    }
}

pub(super) fn spec(version: &str) -> ServerSpec {
    format!("etcd@{version}").parse().expect("a spec")
}

/// Runs a test on a runtime of its own.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test);
}

/// In line, nobody keeps the lease alive.
pub(super) const LOCK_SERVICE: Recipe = Recipe::LockService { kept_alive: false };
/// In line, each candidate keeps its lease alive.
pub(super) const ELECTION: Recipe = Recipe::Election { kept_alive: true };
