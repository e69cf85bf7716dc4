//! Locks on etcd's API of today: a key under a lease.
//!
//! Several recipes are in use, and they differ in how they fail, so a cluster is asked by one of them at a time: see [`Recipe`].

mod connection;
mod election;
pub(crate) mod failure;
mod leases;
mod queue;
mod register;
mod semaphore;
mod txn;
mod watch;

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Channel, Client, Compare, CompareOp, ConnectOptions, GetOptions, Txn, TxnOp};
use leasehold_checkers::contract::{Contract, LatestExpiry, Patience};
use leasehold_workloads::op::Key;
use leasehold_workloads::service::{Certainty, Connect, LockService, OnChange, OpError};
use tonic::codegen::http::Uri;
use tonic::transport::Endpoint;

use super::{CONNECT, Credentials, PREFIX, SourceOf, address, any_source, at_one_node};
use crate::NodeId;
use crate::servers::etcd::EtcdOptions;
use connection::Connection;
pub use leases::LeaseIds;
use leases::Leases;

/// For how long a lease may be seen beyond its TTL: two looks, one revocation that is tried again, and the consensus.
const GRACE_MS: u64 = 4_000;

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
    /// A transaction puts one of so many keys, with a lease, if it does not exist; a waiter watches them. It serves
    /// `Wait::InQueue`.
    Semaphore {
        /// How many.
        permits: usize,
    },
}

/// Opens connections to an etcd cluster.
#[derive(Clone, Debug)]
pub struct EtcdV3 {
    endpoints: Vec<(NodeId, SocketAddr)>,
    recipe: Recipe,
    source_of: SourceOf,
    access: Access,
    /// After how long the servers elect another leader.
    election_timeout: Duration,
}

/// What a client has to say to a server before anything else.
#[derive(Clone, Debug, Default)]
struct Access {
    credentials: Credentials,
    /// What the servers are called, where they are reached at another address than they go by.
    origin: Option<Uri>,
    /// What makes the leases of one run differ from those of another on the same cluster.
    leases: Leases,
}

impl EtcdV3 {
    /// Connections to these nodes, in the order in which the engine counts them.
    #[must_use]
    pub fn new(endpoints: Vec<(NodeId, SocketAddr)>, recipe: Recipe) -> Self {
        Self::of_servers(endpoints, recipe, &EtcdOptions::default())
    }

    /// The same to servers with these options. Of them the promises depend on the election time-out.
    #[must_use]
    pub fn of_servers(endpoints: Vec<(NodeId, SocketAddr)>, recipe: Recipe, options: &EtcdOptions) -> Self {
        let election_timeout = Duration::from_millis(options.election_timeout_ms.into());
        Self { endpoints, recipe, source_of: any_source, access: Access::default(), election_timeout }
    }

    /// The same, with an address of its own for each worker.
    #[must_use]
    pub fn with_sources(self, source_of: SourceOf) -> Self {
        Self { source_of, ..self }
    }

    /// The same, as somebody.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.access.credentials = credentials;
        self
    }

    /// The same, with servers that are called so although they are reached at another address: a server that is reached by a relay
    /// which speaks TLS must know that it is `https`.
    #[must_use]
    pub fn with_origin(mut self, origin: Uri) -> Self {
        self.access.origin = Some(origin);
        self
    }

    /// The same, with leases that no other run has that has another number.
    #[must_use]
    pub fn with_leases_of_run(mut self, number: u16) -> Self {
        self.access.leases = self.access.leases.of_run(number);
        self
    }

    /// The same, with leases of this sign.
    #[must_use]
    pub fn with_lease_ids(mut self, ids: LeaseIds) -> Self {
        self.access.leases = self.access.leases.with_sign(ids);
        self
    }

    fn endpoint(&self, node: usize) -> Endpoint {
        endpoint(address(&self.endpoints, node), self.access.origin.as_ref())
    }

    async fn client(&self, node: usize) -> Result<Client, OpError> {
        client(self.endpoint(node), self.access.options()).await
    }

    /// Removes all that lies beside and in the locks, and ends the leases.
    async fn clear_away(&self, node: usize, keys: &[Key]) -> Result<(), OpError> {
        let client = self.client(node).await?;
        let mut kv = client.kv_client();
        for key in keys {
            for (found, options) in [
                (path(key), GetOptions::new()),
                (guarded(key), GetOptions::new()),
                (queue::folder(key), GetOptions::new().with_prefix()),
            ] {
                let found = kv.get(found, Some(options)).await.map_err(|error| failure::judge(&error))?;
                for entry in found.kvs() {
                    kv.delete(entry.key(), None).await.map_err(|error| failure::judge(&error))?;
                }
            }
        }
        self.end_leases(&client).await;
        Ok(())
    }

    /// Ends the leases by which the locks were held or waited for, if we may know of them. Else they run out.
    async fn end_leases(&self, client: &Client) {
        let Ok(listed) = client.lease_client().leases().await else { return };
        for lease in listed.leases().iter().map(etcd_client::LeaseStatus::id) {
            if self.access.leases.are_of(lease) {
                connection::revoke_if_possible(client, Some(lease)).await;
            }
        }
    }

    /// Removes what either recipe may have left in the locks. It removes only what was there when it looked: a removal that is
    /// carried out late, when the run has begun, must not take a lock from its holder.
    async fn remove_all(&self, node: usize, keys: &[Key]) -> Result<(), OpError> {
        let client = self.client(node).await?;
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
            // failed it tries again after 3 s (`defaultExpiredleaseRetryInterval`). A new leader extends every lease by its full TTL
            // and by the time-out of elections.
            latest_expiry: Some(LatestExpiry {
                ttls: 1,
                grace_ms: GRACE_MS + u64::try_from(self.election_timeout.as_millis()).unwrap_or(u64::MAX / 2),
                restarts_at_leader_change: true,
            }),
            // The leader counts from when it prolongs the lease.
            counts_from_request: false,
            second_hand: None,
            ends_with_its_server: false,
            fencing_tokens: true,
            lock_delay_ms: None,
            patience: Patience::default(),
            source: "etcd documentation, `etcd API`, section `Lease API`; server/lease/lessor.go: a lease lives for its TTL at least, \
                     and a new primary lessor extends all of them (Promote). Token: the key's create_revision"
                .to_owned(),
        }
    }

    fn connect(&self, worker: u64, node: usize) -> Box<dyn LockService> {
        let endpoint = self.endpoint(node).local_address((self.source_of)(worker));
        Box::new(Connection::new(endpoint, self.recipe, self.access.clone()))
    }

    async fn prepare(&self, keys: &[Key]) -> Result<(), OpError> {
        at_one_node(self.endpoints.len(), |node| self.remove_all(node, keys)).await
    }

    async fn leave(&self, keys: &[Key]) -> Result<(), OpError> {
        at_one_node(self.endpoints.len(), |node| self.clear_away(node, keys)).await
    }

    async fn watch(&self, node: usize, keys: &[Key], on_change: OnChange) -> Result<(), OpError> {
        watch::watch(self.endpoint(node), &self.access, self.recipe, keys, on_change).await
    }
}

impl Access {
    fn options(&self) -> ConnectOptions {
        options_of(&self.credentials)
    }
}

/// What a client says to a server before anything else.
pub(crate) fn options_of(credentials: &Credentials) -> ConnectOptions {
    match credentials {
        Credentials::User { name, password } => {
            ConnectOptions::new().with_user(name, password.reveal()).with_auto_token_refresh(true)
        }
        Credentials::None | Credentials::Token(_) => ConnectOptions::new(),
    }
}

/// One server, as a client reaches it, and what it is called if it is not by its address.
pub(crate) fn endpoint(address: SocketAddr, origin: Option<&Uri>) -> Endpoint {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URL");
    let endpoint = endpoint.connect_timeout(CONNECT);
    match origin {
        Some(origin) => endpoint.origin(origin.clone()),
        None => endpoint,
    }
}

/// A client for one server. It opens its connection with the first request; to show credentials is one.
pub(crate) async fn open(endpoint: Endpoint, options: ConnectOptions) -> Result<Client, etcd_client::Error> {
    // A balance of one is what the library makes of a single address, too. It only has no way to say where connections come
    // from.
    let channel = tonic::transport::Channel::balance_list(std::iter::once(endpoint));
    Client::from_channel(Channel::Tonic(channel), Some(options)).await
}

/// The same, for an operation, which certainly did not happen where nobody was let in.
async fn client(endpoint: Endpoint, options: ConnectOptions) -> Result<Client, OpError> {
    open(endpoint, options).await.map_err(|error| before_the_op(failure::judge(&error)))
}

/// Whatever became of a request that came before the operation, the operation was never asked for.
fn before_the_op(error: OpError) -> OpError {
    OpError { certainty: Certainty::DidNotHappen, ..error }
}

/// The key of what a lock guards: beside the lock, and not among those who wait for it.
fn guarded(key: &str) -> String {
    format!("{}.guarded", path(key))
}

/// The key of a lock.
fn path(key: &str) -> String {
    format!("{PREFIX}{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_elections_take_longer_a_new_leader_lets_leases_live_longer() {
        let grace_ms = |round_trip_ms| {
            let options = EtcdOptions::for_round_trip(Duration::from_millis(round_trip_ms));
            EtcdV3::of_servers(Vec::new(), Recipe::Txn, &options).contract().latest_expiry.map(|latest| latest.grace_ms)
        };
        assert_eq!([grace_ms(0), grace_ms(300)], [Some(4_500), Some(7_000)]);
        assert_eq!(
            EtcdV3::new(Vec::new(), Recipe::Txn).contract().latest_expiry.map(|latest| latest.grace_ms),
            Some(4_500)
        );
    }
}
