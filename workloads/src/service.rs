//! The lock service as its clients see it.

use std::time::Duration;

use async_trait::async_trait;
use leasehold_checkers::contract::Contract;

use crate::op::{Answer, Key, Op};

/// One client's connection to one server of a lock service.
///
/// A connection belongs to one process and is dropped when the process is retired; nothing may be sent on its behalf
/// afterwards. An adapter never retries on its own: what the history says was asked once is asked once.
#[async_trait]
pub trait LockService: Send {
    /// Starts what has to run before anything can be asked. It is not part of any operation, and asks the service for nothing.
    async fn ready(&mut self) -> Result<(), OpError> {
        Ok(())
    }

    /// Carries out one operation. The engine bounds it in time by dropping the future, so a dropped future must not
    /// leave a request that is still to be sent.
    async fn perform(&mut self, op: &Op) -> Result<Answer, OpError>;
}

/// Opens connections, and says what the service behind them promises.
#[async_trait]
pub trait Connect: Send + Sync {
    /// What the service promises about its leases.
    fn contract(&self) -> Contract;

    /// A new connection of this worker (counted from 0, across all processes that it has been), pinned to the server at
    /// `node` (its index in the cluster, counted from 0). It opens nothing before the first operation.
    fn connect(&self, worker: u64, node: usize) -> Box<dyn LockService>;

    /// Puts the locks into their state of rest before the run.
    async fn prepare(&self, keys: &[Key]) -> Result<(), OpError>;

    /// Removes whatever the run has left of these locks, and ends the leases by which it held them. Asked for at the end of a run on a
    /// cluster that is not the run's own, when no connection is open any more; to be asked twice does no harm.
    async fn leave(&self, keys: &[Key]) -> Result<(), OpError>;

    /// Watches these locks through the server at `node` and tells of each change until nobody listens or the
    /// watch breaks. It does not resume by itself.
    async fn watch(&self, node: usize, keys: &[Key], on_change: OnChange) -> Result<(), OpError>;

    /// A worker is made to stand still, or goes on. What an adapter has at work for it beside the futures of its connections, which
    /// are not polled meanwhile, does so too.
    fn stand(&self, _worker: u64, _still: bool) {}
}

/// Called for each change as it arrives; returns whether anybody still listens.
pub type OnChange = Box<dyn FnMut(Change) -> bool + Send>;

/// What a watch saw happen to a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The lock.
    pub key: Key,
    /// The owner that no longer holds it.
    pub owner: String,
    /// What happened.
    pub kind: ChangeKind,
}

/// How a hold ended, as far as the service tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Its lease ran out.
    Expired,
    /// Its holder let go, or a write replaced it.
    Released,
    /// The key vanished; the service does not tell why.
    Deleted,
}

/// Why an operation did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct OpError {
    /// Whether the operation may have happened all the same.
    pub certainty: Certainty,
    /// A word for programs: one of `leasehold_checkers::history::vocabulary::code` where the operation ran at the server
    /// and saw the opposite; else a word for the cause, such as `refused` or `timeout`.
    pub code: &'static str,
    /// The server's own words, or the transport's, with their chain of causes.
    pub text: String,
    /// Who has the lock, where an acquisition failed because it is held and the service told by whom.
    pub holder: Option<String>,
}

/// What is known of an operation that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It certainly did not take effect, and never will.
    DidNotHappen,
    /// It may have taken effect, or may yet.
    Unknown,
}

impl OpError {
    /// It certainly did not happen.
    #[must_use]
    pub fn failed(code: &'static str, text: impl Into<String>) -> Self {
        Self { certainty: Certainty::DidNotHappen, code, text: text.into(), holder: None }
    }

    /// Nobody knows whether it happened.
    #[must_use]
    pub fn unknown(code: &'static str, text: impl Into<String>) -> Self {
        Self { certainty: Certainty::Unknown, code, text: text.into(), holder: None }
    }

    /// No answer came in time.
    #[must_use]
    pub fn timeout(after: Duration) -> Self {
        Self::unknown("timeout", format!("no answer within {} ms", after.as_millis()))
    }
}
