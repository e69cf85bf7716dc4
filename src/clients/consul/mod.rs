//! Locks on Consul: a key that a session holds.
//!
//! Each acquisition makes a session of its own with a TTL and takes the key with it; the key's value is the owner. A holder
//! renews its session, and gives the key back before it ends the session. One that dies leaves a session that Consul ends, and
//! with it the hold, after which the key stays closed for the session's lock-delay.

mod catalog;
mod connection;
mod failure;
mod guarded;
mod kv;
mod queue;
mod register;
mod semaphore;
mod session;
mod watch;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_checkers::contract::{Contract, LatestExpiry, Patience, SecondHand};
use leasehold_workloads::op::Key;
use leasehold_workloads::service::{Connect, LockService, OnChange, OpError};

use super::{Credentials, SourceOf, address, any_source, at_one_node};
use crate::NodeId;
use connection::Connection;
use kv::Mode;
use session::SessionId;
use wire::Wire;

/// The longest lock-delay that Consul keeps.
pub const LONGEST_LOCK_DELAY: Duration = Duration::from_secs(60);

/// What is asked of Consul beside the TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What becomes of a key whose session ends.
    pub behavior: Behavior,
    /// For how long a key stays closed whose session ended while it held it. [`LONGEST_LOCK_DELAY`] at most.
    pub lock_delay: Duration,
    /// What else ends a session.
    pub checks: Checks,
    /// Which node of the catalog a session belongs to, and ends with.
    pub session_node: SessionNode,
    /// How reads that must be current are asked for.
    pub reads: Reads,
}

impl Default for Settings {
    /// Consul's own, but for the health check.
    fn default() -> Self {
        Self {
            behavior: Behavior::Release,
            lock_delay: Duration::from_secs(15),
            checks: Checks::None,
            session_node: SessionNode::Server,
            reads: Reads::Consistent,
        }
    }
}

impl Settings {
    fn current(&self) -> Mode {
        match self.reads {
            Reads::Consistent => Mode::Consistent,
            Reads::Default => Mode::Default,
        }
    }
}

/// What becomes of a key whose session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    /// It stays, and nobody holds it.
    Release,
    /// It is deleted.
    Delete,
}

/// What ends a session beside its TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// Nothing.
    None,
    /// The death of the server over which it was made, as the others see it. It is what Consul does if it is told nothing, and it
    /// takes the lock from a client that renews in good health through another server.
    SerfHealth,
}

/// Which node of the catalog a session belongs to. When the node leaves the catalog, its sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionNode {
    /// The server over which it was made: what Consul does if it is told nothing.
    Server,
    /// One of the clients' own, registered for each lock, as an agent beside the client would be. Whatever becomes of servers,
    /// nobody takes it out of the catalog: a leader forgets by itself only who has a `serfHealth` check.
    Client,
}

/// How a read is asked for whose answer must be current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// With `?consistent`, which is linearizable.
    Consistent,
    /// In Consul's default mode, which a leader answers that was deposed and has not heard of it. The checkers take the
    /// answer for a current one: this shows what the mode is worth.
    Default,
}

/// Opens connections to a Consul cluster.
#[derive(Clone, Debug)]
pub struct Consul {
    endpoints: Vec<(NodeId, SocketAddr)>,
    settings: Settings,
    /// How many may hold a lock at once; `None` where it is one that a key of Consul's is.
    permits: Option<usize>,
    source_of: SourceOf,
    credentials: Credentials,
}

impl Consul {
    /// Connections to these nodes, in the order in which the engine counts them.
    #[must_use]
    pub fn new(endpoints: Vec<(NodeId, SocketAddr)>) -> Self {
        Self {
            endpoints,
            settings: Settings::default(),
            permits: None,
            source_of: any_source,
            credentials: Credentials::None,
        }
    }

    /// The same with these settings. A longer lock-delay than Consul keeps is cut to that.
    #[must_use]
    pub fn with_settings(self, settings: Settings) -> Self {
        let lock_delay = settings.lock_delay.min(LONGEST_LOCK_DELAY);
        Self { settings: Settings { lock_delay, ..settings }, ..self }
    }

    /// The same, with semaphores of so many permits. The entry of a session that ends is deleted, as Consul's own clients have it.
    #[must_use]
    pub fn with_permits(self, permits: usize) -> Self {
        Self { permits: Some(permits), settings: Settings { behavior: Behavior::Delete, ..self.settings }, ..self }
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

    fn wire(&self, node: usize) -> Wire {
        Wire::new(address(&self.endpoints, node), None, &self.credentials)
    }

    /// Removes the locks with the sessions that hold them, ends what other sessions were made for them, and removes their nodes.
    async fn clear_away(&self, node: usize, keys: &[Key]) -> Result<(), OpError> {
        self.remove_all(node, keys).await?;
        session::destroy_all_for(&self.wire(node), keys).await?;
        match self.settings.session_node {
            SessionNode::Server => Ok(()),
            SessionNode::Client => catalog::remove_nodes_of(&self.wire(node), keys).await,
        }
    }

    async fn make_ready(&self, node: usize, keys: &[Key]) -> Result<(), OpError> {
        self.remove_all(node, keys).await?;
        match self.settings.session_node {
            SessionNode::Server => Ok(()),
            SessionNode::Client => catalog::register_nodes_of(&self.wire(node), keys).await,
        }
    }

    /// Removes what is in the locks, and then ends the sessions that held them: the other way round would close them for a
    /// lock-delay. It removes only what was there when it looked: a removal that is carried out late, when the run has begun,
    /// must not take a lock from its holder.
    async fn remove_all(&self, node: usize, keys: &[Key]) -> Result<(), OpError> {
        let wire = self.wire(node);
        for key in keys {
            let below = kv::read_below(&wire, key, Mode::Consistent, None).await?.found;
            let guarded = kv::read(&wire, &guarded::beside(key), Mode::Consistent).await?;
            let lock = kv::read(&wire, key, Mode::Consistent).await?;
            for entry in lock.into_iter().chain(guarded).chain(below) {
                if !kv::remove(&wire, &entry).await? {
                    return Err(OpError::failed("in-use", format!("somebody else writes to {}", entry.key)));
                }
                if let Some(session) = entry.session.as_deref().and_then(SessionId::new) {
                    session::destroy_if_possible(&wire, &session).await;
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Connect for Consul {
    fn contract(&self) -> Contract {
        let Settings { lock_delay, checks, session_node, .. } = self.settings;
        Contract {
            service: "consul".to_owned(),
            early_slack_ms: match checks {
                Checks::None => 0,
                // Such a session may end at any time, whatever its TTL: no TTL is longer than a day.
                Checks::SerfHealth => 86_400_000,
            },
            // The leader's timer is set to twice the TTL, and then takes one write to the log. A new leader sets all of them anew.
            latest_expiry: Some(LatestExpiry { ttls: 2, grace_ms: 3_000, restarts_at_leader_change: true }),
            // The leader counts from when it renews the session.
            counts_from_request: false,
            // A leader renews a session by its own timer and its own state, without asking the others whether it still leads.
            // One that stood still or was cut off says yes until it learns better: with our servers' times within a second.
            second_hand: Some(SecondHand { known_within_ms: 500, out_of_touch_for_ms: 2_500 }),
            ends_with_its_server: session_node == SessionNode::Server,
            fencing_tokens: true,
            // No two sessions ask for the same entry of a semaphore.
            lock_delay_ms: match self.permits {
                None => u64::try_from(lock_delay.as_millis()).ok().filter(|delay| *delay > 0),
                Some(_) => None,
            },
            patience: Patience::default(),
            source: "Consul documentation, `Sessions`: the TTL is a lower bound for the time until invalidation, and a failover of the \
                     leader starts it anew; a lock-delay follows an invalidation. agent/consul/session_ttl.go: the timer is twice the TTL. \
                     Token: ModifyIndex of the acquiring write, for a LockIndex starts anew"
                .to_owned(),
        }
    }

    fn connect(&self, worker: u64, node: usize) -> Box<dyn LockService> {
        let wire = Wire::new(address(&self.endpoints, node), (self.source_of)(worker), &self.credentials);
        Box::new(Connection::new(wire, self.settings, self.permits))
    }

    async fn prepare(&self, keys: &[Key]) -> Result<(), OpError> {
        at_one_node(self.endpoints.len(), |node| self.make_ready(node, keys)).await
    }

    async fn leave(&self, keys: &[Key]) -> Result<(), OpError> {
        at_one_node(self.endpoints.len(), |node| self.clear_away(node, keys)).await
    }

    async fn watch(&self, node: usize, keys: &[Key], on_change: OnChange) -> Result<(), OpError> {
        watch::watch(&self.wire(node), keys, on_change).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_promises_what_was_asked_for() {
        let with = |settings| Consul::new(Vec::new()).with_settings(settings).contract();
        let delay_of = |seconds| {
            let lock_delay = Duration::from_secs(seconds);
            with(Settings { lock_delay, ..Settings::default() }).lock_delay_ms
        };
        assert_eq!([delay_of(0), delay_of(3), delay_of(61)], [None, Some(3_000), Some(60_000)]);
        assert_eq!(with(Settings::default()).early_slack_ms, 0);
        // A session that depends on a server's health has no TTL to rely on.
        let checked = with(Settings { checks: Checks::SerfHealth, ..Settings::default() });
        assert!(checked.early_slack_ms >= 86_400_000);
        // Only one that belongs to a server may end with it.
        let of_client = with(Settings { session_node: SessionNode::Client, ..Settings::default() });
        assert_eq!([with(Settings::default()), of_client].map(|told| told.ends_with_its_server), [true, false]);
    }
}
