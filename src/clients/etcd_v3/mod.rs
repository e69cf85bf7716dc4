//! Locks on etcd's API of today: a key under a lease.
//!
//! Two recipes are in use, and they differ in how they fail, so a cluster is asked by one of them at a time: see [`Recipe`].

mod connection;
mod failure;
mod queue;
mod txn;
mod watch;

use std::net::SocketAddr;

use async_trait::async_trait;
use etcd_client::{Client, ConnectOptions, DeleteOptions};
use leasehold_checkers::contract::{Contract, LatestExpiry, Patience};
use leasehold_workloads::op::Key;
use leasehold_workloads::service::{Connect, LockService, OnChange, OpError};

use super::{CONNECT, PREFIX, address, no_node, prepared};
use crate::NodeId;
use connection::Connection;

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// A transaction puts the key, with a lease, if it does not exist. It serves `Wait::Never`.
    Txn,
    /// etcd's own lock service, in which waiters queue up. It serves `Wait::InQueue`.
    LockService,
}

/// Opens connections to an etcd cluster.
#[derive(Clone, Debug)]
pub struct EtcdV3 {
    endpoints: Vec<(NodeId, SocketAddr)>,
    recipe: Recipe,
}

impl EtcdV3 {
    /// Connections to these nodes, in the order in which the engine counts them.
    #[must_use]
    pub fn new(endpoints: Vec<(NodeId, SocketAddr)>, recipe: Recipe) -> Self {
        Self { endpoints, recipe }
    }

    fn address(&self, node: usize) -> SocketAddr {
        address(&self.endpoints, node)
    }

    /// Removes what either recipe may have left in the locks.
    async fn remove_all(&self, node: usize, keys: &[Key]) -> Result<(), OpError> {
        let client = client(self.address(node), ConnectOptions::new()).await?;
        let mut kv = client.kv_client();
        for key in keys {
            kv.delete(path(key), None).await.map_err(|error| failure::judge(&error))?;
            kv.delete(queue::folder(key), Some(DeleteOptions::new().with_prefix()))
                .await
                .map_err(|error| failure::judge(&error))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Connect for EtcdV3 {
    fn contract(&self) -> Contract {
        Contract {
            service: "etcd-v3".to_owned(),
            early_slack_ms: 0,
            // The lessor looks for expired leases twice a second and revokes them through a consensus. A new leader
            // extends every lease by its full TTL.
            latest_expiry: Some(LatestExpiry { grace_ms: 3_000, restarts_at_leader_change: true }),
            fencing_tokens: true,
            lock_delay_ms: None,
            patience: Patience::default(),
            source: "etcd documentation, `etcd API`, section `Lease API`; server/lease/lessor.go: a lease lives for its TTL at least, \
                     and a new primary lessor extends all of them (Promote). Token: the key's create_revision"
                .to_owned(),
        }
    }

    fn connect(&self, node: usize) -> Box<dyn LockService> {
        Box::new(Connection::new(self.address(node), self.recipe))
    }

    async fn prepare(&self, keys: &[Key]) -> Result<(), OpError> {
        let mut outcome = Err(no_node());
        for node in 0..self.endpoints.len() {
            outcome = prepared(self.remove_all(node, keys)).await;
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    async fn watch(&self, node: usize, keys: &[Key], on_change: OnChange) -> Result<(), OpError> {
        watch::watch(self.address(node), self.recipe, keys, on_change).await
    }
}

/// A client for one server. It opens its connection with the first request.
async fn client(address: SocketAddr, options: ConnectOptions) -> Result<Client, OpError> {
    let options = options.with_connect_timeout(CONNECT);
    Client::connect([format!("http://{address}")], Some(options)).await.map_err(|error| failure::judge(&error))
}

/// The key of a lock.
fn path(key: &str) -> String {
    format!("{PREFIX}{key}")
}
