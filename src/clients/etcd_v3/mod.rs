//! Locks on etcd's API of today: a key under a lease.
//!
//! Several recipes are in use, and they differ in how they fail, so a cluster is asked by one of them at a time: see [`Recipe`].

mod connection;
mod election;
pub(crate) mod failure;
mod queue;
mod register;
mod txn;
mod watch;

use std::net::SocketAddr;

use async_trait::async_trait;
use etcd_client::{Channel, Client, Compare, CompareOp, ConnectOptions, GetOptions, Txn, TxnOp};
use leasehold_checkers::contract::{Contract, LatestExpiry, Patience};
use leasehold_workloads::op::Key;
use leasehold_workloads::service::{Connect, LockService, OnChange, OpError};
use tonic::transport::Endpoint;

use super::{CONNECT, PREFIX, SourceOf, address, any_source, no_node, prepared};
use crate::NodeId;
use connection::Connection;

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// A transaction puts the key, with a lease, if it does not exist. It serves `Wait::Never`.
    Txn,
    /// etcd's own lock service, in which waiters queue up. It serves `Wait::InQueue`.
    LockService {
        /// Whether a waiter keeps its lease alive, as etcd's own clients do.
        kept_alive: bool,
    },
    /// etcd's own election service, in which candidates queue up. It serves `Wait::InQueue`.
    Election {
        /// Whether a candidate keeps its lease alive while it waits.
        kept_alive: bool,
    },
}

/// Opens connections to an etcd cluster.
#[derive(Clone, Debug)]
pub struct EtcdV3 {
    endpoints: Vec<(NodeId, SocketAddr)>,
    recipe: Recipe,
    source_of: SourceOf,
}

impl EtcdV3 {
    /// Connections to these nodes, in the order in which the engine counts them.
    #[must_use]
    pub fn new(endpoints: Vec<(NodeId, SocketAddr)>, recipe: Recipe) -> Self {
        Self { endpoints, recipe, source_of: any_source }
    }

    /// The same, with an address of its own for each worker.
    #[must_use]
    pub fn with_sources(self, source_of: SourceOf) -> Self {
        Self { source_of, ..self }
    }

    fn address(&self, node: usize) -> SocketAddr {
        address(&self.endpoints, node)
    }

    /// Removes what either recipe may have left in the locks. It removes only what was there when it looked: a removal that is
    /// carried out late, when the run has begun, must not take a lock from its holder.
    async fn remove_all(&self, node: usize, keys: &[Key]) -> Result<(), OpError> {
        let client = client(endpoint(self.address(node)), ConnectOptions::new()).await?;
        let mut kv = client.kv_client();
        for key in keys {
            let lock = kv.get(path(key), None).await.map_err(|error| failure::judge(&error))?;
            let queue = kv.get(queue::folder(key), Some(GetOptions::new().with_prefix()));
            let queue = queue.await.map_err(|error| failure::judge(&error))?;
            for entry in lock.kvs().iter().chain(queue.kvs()) {
                let unchanged = Compare::mod_revision(entry.key(), CompareOp::Equal, entry.mod_revision());
                let remove = Txn::new().when([unchanged]).and_then([TxnOp::delete(entry.key(), None)]);
                kv.txn(remove).await.map_err(|error| failure::judge(&error))?;
            }
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
            // The lessor looks for expired leases twice a second and revokes them through a consensus; one whose revocation
            // failed it tries again after 3 s (`defaultExpiredleaseRetryInterval`). A new leader extends every lease by its full TTL.
            latest_expiry: Some(LatestExpiry { ttls: 1, grace_ms: 4_500, restarts_at_leader_change: true }),
            // The leader counts from when it prolongs the lease.
            counts_from_request: false,
            second_hand: None,
            fencing_tokens: true,
            lock_delay_ms: None,
            patience: Patience::default(),
            source: "etcd documentation, `etcd API`, section `Lease API`; server/lease/lessor.go: a lease lives for its TTL at least, \
                     and a new primary lessor extends all of them (Promote). Token: the key's create_revision"
                .to_owned(),
        }
    }

    fn connect(&self, worker: u64, node: usize) -> Box<dyn LockService> {
        let endpoint = endpoint(self.address(node)).local_address((self.source_of)(worker));
        Box::new(Connection::new(endpoint, self.recipe))
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
        watch::watch(endpoint(self.address(node)), self.recipe, keys, on_change).await
    }
}

/// One server, as a client reaches it.
fn endpoint(address: SocketAddr) -> Endpoint {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URL");
    endpoint.connect_timeout(CONNECT)
}

/// A client for one server. It opens its connection with the first request.
async fn client(endpoint: Endpoint, options: ConnectOptions) -> Result<Client, OpError> {
    // A balance of one is what the library makes of a single address, too. It only has no way to say where connections come
    // from.
    let channel = tonic::transport::Channel::balance_list(std::iter::once(endpoint));
    Client::from_channel(Channel::Tonic(channel), Some(options)).await.map_err(|error| failure::judge(&error))
}

/// The key of what a lock guards.
fn guarded(key: &str) -> String {
    format!("{PREFIX}guarded/{key}")
}

/// The key of a lock.
fn path(key: &str) -> String {
    format!("{PREFIX}{key}")
}
