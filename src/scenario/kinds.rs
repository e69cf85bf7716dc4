//! The kinds of workload, and which of them each service can serve.

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
    /// For each server a client of each kind.
    Canary,
}

impl WorkloadKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::CasLock,
        Self::Lease,
        Self::Mutex,
        Self::FencedLock,
        Self::Job,
        Self::Register,
        Self::Election,
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
            Self::Canary => "canary",
        }
    }

    /// Why a service cannot serve it; `None` where it can.
    #[must_use]
    pub fn why_not_on(self, service: Service) -> Option<&'static str> {
        match (self, service) {
            (Self::Mutex, Service::EtcdV2) => Some("the v2 API has no queue of waiters"),
            (Self::Election, Service::EtcdV2) => Some("the v2 API has no election"),
            (Self::Election, Service::Consul | Service::Zookeeper) => Some("its elections are its locks: use `mutex`"),
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
            Self::Consul | Self::Zookeeper => Some("transactions are asked of `etcd-v3` only: its guard is `token`"),
            Self::EtcdV3 => None,
        }
    }
}
