//! What Leasehold's clients do: the operations, the service that they ask, the scripts that choose the next operation,
//! and the named scenarios.
//!
//! Nothing here touches the world. A [`script::Script`] is a state machine that says what one worker does next; the
//! engine of the `leasehold` program runs it against a [`service::LockService`].

pub mod op;
pub mod scenarios;
pub mod script;
pub mod service;

mod cas_lock;
mod lease;
mod lock_queue;

pub use cas_lock::{CasLock, CasLockScript};
pub use lease::{Lease, LeaseScript};
pub use lock_queue::{LockQueue, LockQueueScript};

use op::Key;
use script::Script;

/// What the clients of a run do.
#[derive(Clone, Debug, PartialEq)]
pub enum Workload {
    /// Jobs guarded by a compare-and-swap.
    CasLock(CasLock),
    /// Leases from grant to end.
    Lease(Lease),
    /// The service's own queueing lock.
    LockQueue(LockQueue),
}

impl Workload {
    /// Its name in scenarios and histories.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CasLock(_) => "cas-lock",
            Self::Lease(_) => "lease",
            Self::LockQueue(_) => "lock-queue",
        }
    }

    /// The locks it is about.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        match self {
            Self::CasLock(settings) => settings.keys(),
            Self::Lease(settings) => settings.keys(),
            Self::LockQueue(settings) => settings.keys(),
        }
    }

    /// How many workers it has.
    #[must_use]
    pub fn workers(&self) -> usize {
        match self {
            Self::CasLock(settings) => settings.workers,
            Self::Lease(settings) => settings.workers,
            Self::LockQueue(settings) => settings.ttls.len() * settings.keys,
        }
    }

    /// What the worker with this number does.
    #[must_use]
    pub fn script(&self, seed: u64, worker: u64) -> Box<dyn Script> {
        match self {
            Self::CasLock(settings) => Box::new(settings.script(seed, worker)),
            Self::Lease(settings) => Box::new(settings.script(seed, worker)),
            Self::LockQueue(settings) => Box::new(settings.script(seed, worker)),
        }
    }
}
