//! Ensembles of ZooKeeper.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use leasehold::NodeId;
use leasehold::clients::ZooKeeper;
use leasehold::clients::zookeeper::Recipe;
use leasehold::servers::Probes as _;
use leasehold::servers::zookeeper::{self, CLIENT_PORT, ZooKeeperOptions, ZooKeeperProbes};
use leasehold_workloads::service::Connect as _;

use super::servers;
pub(super) use super::servers::eventually;
use super::wire::Wire;

const SIZE: u8 = 3;

/// Runs a test on a runtime of its own, one at a time: servers that start take all processors.
pub(super) fn run(test: impl Future<Output = ()>) {
    static ONE: Mutex<()> = Mutex::new(());
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

/// An ensemble of real servers, which ends with this value.
pub(super) type Ensemble = servers::Cluster<ZooKeeperProbes>;

impl Ensemble {
    pub(super) async fn start(version: &str) -> Self {
        let prepared = Self::prepare(
            &format!("zookeeper@{version}"),
            SIZE,
            |jars, node, addresses, data| {
                let java = zookeeper::java().unwrap_or_else(|error| panic!("{error}"));
                zookeeper::launch(&java, jars, node, addresses, data, &ZooKeeperOptions::default())
            },
            |addresses, log_of| {
                ZooKeeperProbes::new(addresses.iter().map(|&(node, address)| (node, address, log_of(node))))
            },
        );
        prepared.started().await
    }

    pub(super) fn clients(&self) -> Vec<(NodeId, SocketAddr)> {
        self.endpoints(CLIENT_PORT)
    }

    pub(super) async fn leader(&self) -> NodeId {
        self.probes.leader(NodeId::new(1)).await.expect("a view").leader.expect("a leader")
    }

    pub(super) fn zookeeper(&self, recipe: Recipe) -> ZooKeeper {
        ZooKeeper::new(self.clients(), recipe, &ZooKeeperOptions::default())
    }

    pub(super) async fn prepared(&self, recipe: Recipe, keys: &[&str]) -> ZooKeeper {
        let zookeeper = self.zookeeper(recipe);
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        zookeeper.prepare(&keys).await.expect("the ensemble is well");
        zookeeper
    }

    /// The adapter for the one server at the end of this wire.
    pub(super) fn through(&self, wire: &Wire, recipe: Recipe) -> ZooKeeper {
        ZooKeeper::new(vec![(NodeId::new(1), wire.address())], recipe, &ZooKeeperOptions::default())
    }
}
