//! What Leasehold's clients do: the operations, the service that they ask, the scripts that choose the next operation,
//! and the named scenarios.
//!
//! Nothing here touches the world. A [`script::Script`] is a state machine that says what one worker does next; the
//! engine of the `leasehold` program runs it against a [`service::LockService`].

pub mod op;
pub mod scenarios;
pub mod script;
pub mod service;

mod canary;
mod cas_lock;
mod guarded;
mod lease;
mod mutex;
mod register;

pub use canary::{Canary, CanaryScript};
pub use cas_lock::{CasLock, CasLockScript};
pub use guarded::{Duty, Guarded, GuardedScript};
pub use lease::{Lease, LeaseScript};
pub use mutex::{Mutex, MutexScript};
pub use register::{Register, RegisterScript};

use std::time::Duration;

use leasehold_checkers::history::{CAS_REGISTER, JOB, LEASE_LOCK, LEASE_SEMAPHORE};
use op::{Guard, Key, Op, RegisterOp};
use script::Script;

/// What the clients of a run do.
#[derive(Clone, Debug, PartialEq)]
pub enum Workload {
    /// Jobs guarded by a compare-and-swap.
    CasLock(CasLock),
    /// Leases from grant to end.
    Lease(Lease),
    /// The service's own queueing lock.
    Mutex(Mutex),
    /// The service's own election.
    Election(Mutex),
    /// Semaphores with so many permits each.
    Semaphore(Mutex, usize),
    /// Writes to a guarded store, or a job that must run once.
    Guarded(Guarded),
    /// Registers of the store itself.
    Register(Register),
    /// For each server a client of each kind.
    Canary(Canary),
}

impl Workload {
    /// Its name in scenarios and histories.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CasLock(_) => "cas-lock",
            Self::Lease(_) => "lease",
            Self::Mutex(_) => "mutex",
            Self::Election(_) => "election",
            Self::Semaphore(..) => "semaphore",
            Self::Guarded(Guarded { duty: Duty::Writes, .. }) => "fenced-lock",
            Self::Guarded(Guarded { duty: Duty::Job, .. }) => JOB,
            Self::Register(_) => "register",
            Self::Canary(_) => "canary",
        }
    }

    /// The model that its histories are judged by.
    #[must_use]
    pub fn model(&self) -> String {
        match self {
            Self::Register(_) => CAS_REGISTER.to_owned(),
            Self::Semaphore(_, permits) => format!("{LEASE_SEMAPHORE}:{permits}"),
            _ => LEASE_LOCK.to_owned(),
        }
    }

    /// The locks it is about; none where it is about registers.
    #[must_use]
    pub fn locks(&self) -> Vec<Key> {
        match self {
            Self::CasLock(settings) => settings.keys(),
            Self::Lease(settings) => settings.keys(),
            Self::Mutex(settings) | Self::Election(settings) | Self::Semaphore(settings, _) => settings.keys(),
            Self::Guarded(settings) => settings.keys(),
            Self::Register(_) => Vec::new(),
            Self::Canary(settings) => settings.keys(),
        }
    }

    /// Whether its clients ask for more than to take, renew, release and read a lock.
    #[must_use]
    pub fn asks_beyond_locks(&self) -> bool {
        match self {
            Self::Register(_) | Self::Canary(_) | Self::Semaphore(..) => true,
            Self::Guarded(settings) => settings.guard == Guard::Service,
            Self::CasLock(_) | Self::Lease(_) | Self::Mutex(_) | Self::Election(_) => false,
        }
    }

    /// The reads that show what is left in the end. Of a semaphore one would show one holder of several.
    #[must_use]
    pub fn final_reads(&self) -> Vec<Op> {
        match self {
            Self::Register(settings) => {
                let op = RegisterOp::Read { linearizable: true };
                settings.keys().into_iter().map(|key| Op::Register { key, op }).collect()
            }
            Self::Semaphore(..) => Vec::new(),
            _ => self.locks().into_iter().map(|key| Op::Read { key, linearizable: true }).collect(),
        }
    }

    /// The TTLs that it asks for; none where it is about registers.
    #[must_use]
    pub fn ttls(&self) -> Vec<Duration> {
        match self {
            Self::CasLock(settings) => vec![settings.ttl],
            Self::Lease(settings) => vec![settings.ttl],
            Self::Mutex(settings) | Self::Election(settings) | Self::Semaphore(settings, _) => settings.ttls.clone(),
            Self::Guarded(settings) => vec![settings.ttl],
            Self::Canary(settings) => vec![settings.ttl],
            Self::Register(_) => Vec::new(),
        }
    }

    /// How many workers it has.
    #[must_use]
    pub fn workers(&self) -> usize {
        match self {
            Self::CasLock(settings) => settings.workers,
            Self::Lease(settings) => settings.workers,
            Self::Mutex(settings) | Self::Election(settings) | Self::Semaphore(settings, _) => settings.ttls.len(),
            Self::Guarded(settings) => settings.workers,
            Self::Register(settings) => settings.workers,
            Self::Canary(settings) => settings.workers(),
        }
    }

    /// What the worker with this number does.
    #[must_use]
    pub fn script(&self, seed: u64, worker: u64) -> Box<dyn Script> {
        match self {
            Self::CasLock(settings) => Box::new(settings.script(seed, worker)),
            Self::Lease(settings) => Box::new(settings.script(seed, worker)),
            Self::Mutex(settings) | Self::Election(settings) | Self::Semaphore(settings, _) => {
                Box::new(settings.script(seed, worker))
            }
            Self::Guarded(settings) => Box::new(settings.script(seed, worker)),
            Self::Register(settings) => Box::new(settings.script(seed, worker)),
            Self::Canary(settings) => Box::new(settings.script(seed, worker)),
        }
    }
}
