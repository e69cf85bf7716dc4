//! The kinds of workload, and which of them each service can serve.

use leasehold_workloads::op::{Guard, Wait};
use serde::Deserialize;

use super::Service;

/// A kind of workload, as scenarios name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadKind {
    /// Jobs guarded by a compare-and-swap.
    CasLock,
    /// Leases from grant to end.
    Lease,
    /// The service's own lock, in which workers wait.
    #[serde(alias = "lock-queue")]
    Mutex,
    /// A lock whose holders write to a guarded store.
    FencedLock,
    /// A job that must not run twice at once.
    Job,
    /// Registers of the store itself.
    Register,
    /// The service's own election.
    Election,
    /// A lock that several may hold.
    Semaphore,
    /// For each server a client of each kind.
    Canary,
}

impl WorkloadKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::CasLock,
        Self::Lease,
        Self::Mutex,
        Self::FencedLock,
        Self::Job,
        Self::Register,
        Self::Election,
        Self::Semaphore,
        Self::Canary,
    ];

    /// Its name in scenarios and histories.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CasLock => "cas-lock",
            Self::Lease => "lease",
            Self::Mutex => "mutex",
            Self::FencedLock => "fenced-lock",
            Self::Job => "job",
            Self::Register => "register",
            Self::Election => "election",
            Self::Semaphore => "semaphore",
            Self::Canary => "canary",
        }
    }

    /// Why a service cannot serve it; `None` where it can.
    #[must_use]
    pub fn why_not_on(self, service: Service) -> Option<&'static str> {
        match (self, service) {
            (Self::Mutex, Service::EtcdV2) => Some("the v2 API has no queue of waiters"),
            (Self::Semaphore, Service::EtcdV2) => Some("the v2 API has no recipe for one"),
            (Self::Election, Service::EtcdV2) => Some("the v2 API has no election"),
            _ => None,
        }
    }
}

impl Service {
    /// Why it cannot carry out a write on the condition that a lock is still held; `None` where it can.
    #[must_use]
    pub fn why_no_guarded_write(self) -> Option<&'static str> {
        match self {
            Self::EtcdV2 => Some("the v2 API has no transactions: its guard is `token`"),
            Self::EtcdV3 | Self::Consul | Self::Zookeeper => None,
        }
    }

    /// Whether one stands in line for a lock that guards so. A transaction of ZooKeeper's can ask whether a node is there, and which version of
    /// its value, which begins anew with each node: so only in a queue, where no node has the name of another, can it tell one holder
    /// from the next.
    #[must_use]
    pub fn waits_for_a_guarded_lock(self, guard: Guard) -> Wait {
        match (self, guard) {
            (Self::Zookeeper, Guard::Service) => Wait::InQueue,
            _ => Wait::Never,
        }
    }
}
