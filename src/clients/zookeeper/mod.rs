//! ZooKeeper: a lock is a node that ends with the session of whoever created it.
//!
//! Each acquisition has a session of its own. Its time-out, as the server granted it, is the TTL, and its number the lease. Of such a session
//! the server hears only what stands in the history: the client library, which would ping by itself, is kept behind a relay
//! (`relay.rs`).

mod connection;
mod create;
mod failure;
mod frames;
mod hold;
mod nodes;
mod paths;
mod queue;
mod registers;
mod relay;
mod session;
mod tree;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_checkers::contract::{Contract, LatestExpiry, Patience, SecondHand};
use leasehold_workloads::op::Key;
use leasehold_workloads::service::{Connect, LockService, OnChange, OpError};

use super::{Credentials, SourceOf, address, any_source, at_one_node};
use crate::NodeId;
use crate::servers::zookeeper::ZooKeeperOptions;
use connection::Connection;
use failure::Failure;
use session::{Route, Session};
pub(crate) use tree::tree;

/// The connection ended with the request under way.
const BROKEN: &str = "broken";

/// Longer than any server grants, so that each grants its longest.
const LONGEST_SESSION: Duration = Duration::from_secs(3_600);

/// For how long an undisturbed machine may put things off that servers do at once.
const BUSY_MACHINE_MS: u64 = 500;

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Whoever creates the lock's one node has it. It does not wait.
    Create,
    /// Whoever has the lowest of the numbered nodes has it; each waiter watches the one before it. Written here.
    Queue,
    /// The same, by the client library's own lock.
    Library,
    /// Whoever is among so many with the lowest numbers has a permit; each waiter watches all of them.
    Semaphore {
        /// How many.
        permits: usize,
    },
}

/// Connects to the servers of one ensemble.
#[derive(Clone, Debug)]
pub struct ZooKeeper {
    endpoints: Vec<(NodeId, SocketAddr)>,
    recipe: Recipe,
    source_of: SourceOf,
    credentials: Credentials,
    /// The node below which everything lies.
    home: Arc<str>,
    tick_ms: u64,
    sync_limit_ticks: u64,
}

impl ZooKeeper {
    /// Connections to these servers, in the order in which the engine counts them, which run with these options. Of them the promises
    /// depend on the tick and on the limit for followers that are out of touch.
    #[must_use]
    pub fn new(endpoints: Vec<(NodeId, SocketAddr)>, recipe: Recipe, options: &ZooKeeperOptions) -> Self {
        let (tick_ms, sync_limit_ticks) = (u64::from(options.tick_ms), u64::from(options.sync_limit_ticks));
        let (home, credentials) = (paths::home().into(), Credentials::None);
        Self { endpoints, recipe, source_of: any_source, credentials, home, tick_ms, sync_limit_ticks }
    }

    /// The same, with an address of its own for each worker.
    #[must_use]
    pub fn with_sources(self, source_of: SourceOf) -> Self {
        Self { source_of, ..self }
    }

    /// The same, as somebody, who keeps its nodes for itself.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    /// The same, in a folder of this name for itself.
    #[must_use]
    pub fn in_folder(self, name: &str) -> Self {
        Self { home: paths::child(paths::home(), name).into(), ..self }
    }

    fn route(&self, node: usize, worker: Option<u64>) -> Route {
        Route {
            server: address(&self.endpoints, node),
            source: worker.and_then(self.source_of),
            credentials: self.credentials.clone(),
            home: Arc::clone(&self.home),
        }
    }

    /// A session that sees the whole tree.
    async fn above(&self, node: usize) -> Result<Session, OpError> {
        Session::open(Route { home: "".into(), ..self.route(node, None) }, LONGEST_SESSION).await
    }

    /// Makes the folders, and empties the locks and registers.
    async fn clear(&self, node: usize, keys: &[Key]) -> Result<(), OpError> {
        let above = self.above(node).await?;
        let made = async {
            for home in [paths::home(), &self.home] {
                nodes::make(&above, home).await?;
            }
            Ok(())
        };
        let made = made.await.map_err(Failure::judged);
        above.close().await;
        made?;
        let session = Session::open(self.route(node, None), LONGEST_SESSION).await?;
        let cleared = clear(&session, keys).await.map_err(Failure::judged);
        session.close().await;
        cleared
    }

    /// Takes everything away, the folders last.
    async fn clear_away(&self, node: usize, keys: &[Key]) -> Result<(), OpError> {
        let session = Session::open(self.route(node, None), LONGEST_SESSION).await?;
        let cleared = clear_away(&session, keys).await.map_err(Failure::judged);
        session.close().await;
        cleared?;
        let above = self.above(node).await?;
        let removed = nodes::remove_if_empty(&above, &self.home).await.map_err(Failure::judged);
        // The folder of all runs may be somebody else's. Then it stays.
        let _ = nodes::remove_if_empty(&above, paths::home()).await;
        above.close().await;
        removed
    }
}

async fn clear_away(session: &Session, keys: &[Key]) -> Result<(), Failure> {
    for key in keys {
        nodes::remove(session, &paths::lock(key)).await?;
        nodes::remove(session, &paths::register(key)).await?;
        nodes::remove(session, &paths::guarded(key)).await?;
        queue::remove(session, key).await?;
    }
    for folder in paths::folders() {
        nodes::remove_if_empty(session, folder).await?;
    }
    Ok(())
}

async fn clear(session: &Session, keys: &[Key]) -> Result<(), Failure> {
    for folder in paths::folders() {
        nodes::make(session, folder).await?;
    }
    for key in keys {
        nodes::remove(session, &paths::lock(key)).await?;
        nodes::remove(session, &paths::register(key)).await?;
        nodes::make(session, &paths::guarded(key)).await?;
        queue::clear(session, key).await?;
    }
    // So that every server that is asked next through this one knows.
    nodes::catch_up(session).await
}

#[async_trait]
impl Connect for ZooKeeper {
    fn contract(&self) -> Contract {
        let Self { tick_ms, sync_limit_ticks, .. } = self;
        Contract {
            service: "zookeeper".to_owned(),
            early_slack_ms: 0,
            // Sessions end in buckets of a tick, and a follower may have told of a sign of life half a tick late. A new leader gives each its
            // full time again. The rest is for a busy machine.
            latest_expiry: Some(LatestExpiry { ttls: 1, grace_ms: 2 * tick_ms + 2_000, restarts_at_leader_change: true }),
            counts_from_request: false,
            // The leader asks its followers every half tick whom they heard from. One that is cut off gives up after the limit; a
            // leader that lost its followers notices within a tick of that.
            second_hand: Some(SecondHand {
                known_within_ms: tick_ms + BUSY_MACHINE_MS,
                out_of_touch_for_ms: (sync_limit_ticks + 2) * tick_ms + BUSY_MACHINE_MS,
            }),
            ends_with_its_server: false,
            fencing_tokens: true,
            lock_delay_ms: None,
            patience: Patience::default(),
            source: "ZooKeeper Programmer's Guide, sections `ZooKeeper Sessions` and `Consistency Guarantees`; \
                     server/SessionTrackerImpl.java: sessions end in buckets of a tick, reckoned by the leader; \
                     server/quorum/Learner.java: followers pass on whom they heard from when the leader pings them. Token: the node's czxid"
                .to_owned(),
        }
    }

    fn connect(&self, worker: u64, node: usize) -> Box<dyn LockService> {
        Box::new(Connection::new(self.route(node, Some(worker)), self.recipe))
    }

    async fn prepare(&self, keys: &[Key]) -> Result<(), OpError> {
        at_one_node(self.endpoints.len(), |node| self.clear(node, keys)).await
    }

    async fn leave(&self, keys: &[Key]) -> Result<(), OpError> {
        at_one_node(self.endpoints.len(), |node| self.clear_away(node, keys)).await
    }

    async fn watch(&self, node: usize, keys: &[Key], on_change: OnChange) -> Result<(), OpError> {
        watch::watch(self.route(node, None), self.recipe, keys, on_change).await
    }
}
