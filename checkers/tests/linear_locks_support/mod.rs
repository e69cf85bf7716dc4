//! What the tests of locks share.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

pub mod drawn;
pub mod oracle;
pub mod replay;

use std::time::Duration;

use leasehold_checkers::history::RunTime;
use leasehold_checkers::linear::Budget;
use leasehold_checkers::linear::locks::{Deed, LeaseTerms, LockAction, LockCall, LockModel, Owner};

/// Leases without a TTL of their own, and releases that say `ok` in any case.
pub const LENIENT: LeaseTerms = LeaseTerms {
    ttl: None,
    rate_error_ppm: 0,
    slack: Duration::ZERO,
    lock_delay: Duration::ZERO,
    release_certifies: false,
};
pub const CERTIFYING: LeaseTerms = LeaseTerms { release_certifies: true, ..LENIENT };
pub const DELAYED: LeaseTerms = LeaseTerms { lock_delay: Duration::from_nanos(3), ..LENIENT };

/// Locks of each kind.
pub const MODELS: [LockModel; 8] = [
    LockModel::Mutex,
    LockModel::OwnerMutex,
    LockModel::Reentrant(2),
    LockModel::Fenced,
    LockModel::Semaphore(2),
    LockModel::Lease(LENIENT),
    LockModel::Lease(CERTIFYING),
    LockModel::Lease(DELAYED),
];

/// How many random histories each test looks at: `LEASEHOLD_ORACLE_CASES`, or so many.
pub fn cases(usual: u32) -> u32 {
    std::env::var("LEASEHOLD_ORACLE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

/// An owner's request, and when it returned.
pub fn call(owner: u32, called: u64, returned: Option<u64>, deed: Deed) -> LockCall {
    LockCall {
        op: 0,
        process: u64::from(owner),
        called: RunTime(called),
        returned: returned.map(RunTime),
        action: LockAction { owner: Owner(owner), deed },
    }
}

pub fn unbounded() -> Budget<'static> {
    Budget { out_of_time: &|| false, memory_bytes: usize::MAX / 8 }
}
