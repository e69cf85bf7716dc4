//! Locks on etcd's old API, in the manner of programs that keep a status value under a TTL.
//!
//! A lock at rest has the value `stopped` and no TTL. Whoever takes it swaps that for `started OWNER` with a TTL, renews the
//! TTL while it works, and swaps back in the end. A holder that dies leaves a key that expires, and then creating the key
//! takes the lock.

mod connection;
mod reply;
mod watch;

use std::net::SocketAddr;

use async_trait::async_trait;
use leasehold_checkers::contract::{Contract, Patience};
use leasehold_workloads::op::Key;
use leasehold_workloads::service::{Connect, LockService, OnChange, OpError};

use super::{Credentials, SourceOf, address, any_source, at_one_node};
use crate::NodeId;
use connection::Connection;

/// The value of a lock that nobody holds.
const AT_REST: &str = "stopped";
/// What stands before the owner in the value of a lock that is held.
const HELD_BY: &str = "started ";

/// Opens connections to an etcd cluster for its old API.
#[derive(Clone, Debug)]
pub struct EtcdV2 {
    endpoints: Vec<(NodeId, SocketAddr)>,
    source_of: SourceOf,
    credentials: Credentials,
}

impl EtcdV2 {
    /// Connections to these nodes, in the order in which the engine counts them.
    #[must_use]
    pub fn new(endpoints: Vec<(NodeId, SocketAddr)>) -> Self {
        Self { endpoints, source_of: any_source, credentials: Credentials::None }
    }

    /// The same, with an address of its own for each worker.
    #[must_use]
    pub fn with_sources(self, source_of: SourceOf) -> Self {
        Self { source_of, ..self }
    }

    /// The same, as somebody.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    fn connection(&self, node: usize) -> Connection {
        Connection::new(address(&self.endpoints, node), None, &self.credentials)
    }

    async fn remove(&self, node: usize, keys: &[Key]) -> Result<(), OpError> {
        let connection = self.connection(node);
        for key in keys {
            connection.remove(key).await?;
        }
        Ok(())
    }

    async fn put_to_rest(&self, node: usize, keys: &[Key]) -> Result<(), OpError> {
        let connection = self.connection(node);
        for key in keys {
            connection.put_to_rest(key).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Connect for EtcdV2 {
    fn contract(&self) -> Contract {
        Contract {
            service: "etcd-v2".to_owned(),
            early_slack_ms: 0,
            latest_expiry: None,
            // The server that is asked turns the TTL into an instant, and all servers keep that instant.
            counts_from_request: true,
            second_hand: None,
            ends_with_its_server: false,
            fencing_tokens: true,
            lock_delay_ms: None,
            patience: Patience::default(),
            source: "etcd v2 API, `Using key TTL`: keys expire after the specified number of seconds; by when at the latest is not said. \
                     Token: modifiedIndex of the acquiring write, for a compare-and-swap keeps the createdIndex"
                .to_owned(),
        }
    }

    fn connect(&self, worker: u64, node: usize) -> Box<dyn LockService> {
        Box::new(Connection::new(address(&self.endpoints, node), (self.source_of)(worker), &self.credentials))
    }

    async fn prepare(&self, keys: &[Key]) -> Result<(), OpError> {
        at_one_node(self.endpoints.len(), |node| self.put_to_rest(node, keys)).await
    }

    async fn leave(&self, keys: &[Key]) -> Result<(), OpError> {
        at_one_node(self.endpoints.len(), |node| self.remove(node, keys)).await
    }

    async fn watch(&self, node: usize, keys: &[Key], on_change: OnChange) -> Result<(), OpError> {
        watch::watch(&self.connection(node), keys, on_change).await
    }
}

/// The owner that a lock's value names.
fn holder(value: &str) -> Option<String> {
    match value.strip_prefix(HELD_BY) {
        Some(owner) => Some(owner.to_owned()),
        None if value == AT_REST => None,
        // Not ours: somebody else writes to these keys, and the history ought to show it.
        None => Some(value.to_owned()),
    }
}
