//! The first line of a history.

use serde::{Deserialize, Serialize};

use crate::contract::Contract;

/// The version of the history format that this crate writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// The model of a lock that one owner holds at a time, under a lease that may end from the earliest legal instant on.
pub const LEASE_LOCK: &str = "lease-lock";

/// How the model of a semaphore under leases begins; a colon and the number of its permits follow, as in `lease-semaphore:3`.
pub const LEASE_SEMAPHORE: &str = "lease-semaphore";

/// More permits than this are not counted: each of them may have to be named in a finding.
pub const MOST_PERMITS: usize = 64;

/// The model of registers that are read, written and swapped, and begin without a value.
pub const CAS_REGISTER: &str = "cas-register";

/// The workload whose ledger tells whether a job ran twice.
pub const JOB: &str = "job";

/// The first line of `history.jsonl`: what was run, and against what promises it is to be judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The format version, [`FORMAT_VERSION`]. Its presence marks the line as a header.
    pub leasehold: u32,
    /// The scenario's name.
    pub scenario: String,
    /// What the clients did, for example `cas-lock`.
    pub workload: String,
    /// The model that the history is judged by, for example `lease-lock`.
    pub model: String,
    /// The service and its interface, for example `etcd-v2`.
    pub service: String,
    /// The servers under test, for example `etcd 3.4.23`.
    pub servers: String,
    /// The number of servers.
    pub nodes: u8,
    /// The seed of everything random in the run.
    pub seed: u64,
    /// The clock that stamped every event.
    pub clock: String,
    /// The wall-clock time at the start of the run, in UTC, RFC 3339. For people; no checker reads it.
    pub start: String,
    /// The words of the command that makes this run again; none where nobody knows.
    #[serde(default)]
    pub command: Vec<String>,
    /// What the service promises.
    pub contract: Contract,
    /// By how much the run let the rate of any clock be wrong, in parts per million; 0 where no rate fault was planned.
    #[serde(default)]
    pub clock_rate_error_ppm: u64,
    /// Whether two clients that are each entitled to believe that they hold the lock make the run invalid, even where
    /// the service kept its word.
    #[serde(default)]
    pub beliefs_must_exclude: bool,
}

impl Header {
    /// How many may hold a lock at once: one, or as many as the semaphore has permits. `None` where the model is not about locks,
    /// or is not known.
    #[must_use]
    pub fn permits(&self) -> Option<usize> {
        if self.model == LEASE_LOCK {
            return Some(1);
        }
        let permits = self.model.strip_prefix(LEASE_SEMAPHORE)?.strip_prefix(':')?;
        permits.parse().ok().filter(|permits| (1..=MOST_PERMITS).contains(permits))
    }
}
