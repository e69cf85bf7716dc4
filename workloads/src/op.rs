//! The operations that a client can ask of a lock service.

use std::fmt;
use std::time::Duration;

pub use leasehold_checkers::history::vocabulary::{Guard, Piece};

/// The name of one acquisition: no other acquisition of the run has it.
///
/// It is the value that stands in the lock, so a read tells who holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The process that acquires.
    pub process: u64,
    /// Its how-many-eth attempt it is.
    pub attempt: u32,
}

impl Owner {
    /// A lease id that only this acquisition uses. Positive, so that no server takes it for a request to choose one.
    #[must_use]
    pub fn lease_id(self) -> i64 {
        let id = (self.process << 24) | u64::from(self.attempt & 0xff_ffff);
        i64::try_from(id & (i64::MAX as u64)).unwrap_or(i64::MAX) + 1
    }

    /// The acquisition that uses this lease; `None` if it is no lease that [`Owner::lease_id`] gives out.
    #[must_use]
    pub fn from_lease_id(lease: i64) -> Option<Self> {
        let id = u64::try_from(lease.checked_sub(1)?).ok()?;
        let attempt = u32::try_from(id & 0xff_ffff).ok()?;
        Some(Self { process: id >> 24, attempt })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}.{}", self.process, self.attempt)
    }
}

/// One lock. Adapters put it under a prefix of their own.
pub type Key = String;

/// What an acquisition does when the lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It fails at once.
    Never,
    /// It stands in the service's own queue.
    InQueue,
}

/// How a lease is prolonged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Only the lease: a keep-alive, or a refresh of the TTL.
    KeepAlive,
    /// The holder writes its status into the lock, guarded by the condition that it still holds it, and prolongs the lease.
    StatusUpdate,
}

/// A lock that its client believes to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The lock.
    pub key: Key,
    /// The acquisition that took it.
    pub owner: Owner,
    /// The TTL asked for, in whole milliseconds.
    pub ttl: Duration,
    /// What the service answered.
    pub grant: Grant,
}

/// What a service answers to a successful acquisition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The TTL that it promises from now on.
    pub ttl: Duration,
    /// The fencing token, where it gives one.
    pub token: Option<u64>,
    /// The lease, where it has leases.
    pub lease: Option<i64>,
}

/// What a client asks of a register: a key of the store itself, with no lease and no owner. Nothing is there before the first
/// write.
///
/// A value is written once in a run, so that a read tells which write it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterOp {
    /// Ask for its value.
    Read {
        /// Whether the answer must be current; else it is that of the asked server alone.
        linearizable: bool,
    },
    /// Give it a value, whatever it has.
    Write {
        /// The value.
        value: u64,
    },
    /// Give it a value if it has another.
    Cas {
        /// The value that it must have; `None` for a register that was never written.
        old: Option<u64>,
        /// The value that it gets.
        new: u64,
    },
}

/// One operation of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Take the lock.
    Acquire {
        /// The lock.
        key: Key,
        /// A name for this acquisition only.
        owner: Owner,
        /// For how long without renewal.
        ttl: Duration,
        /// What to do when it is taken.
        wait: Wait,
    },
    /// Prolong a hold.
    Renew {
        /// The hold.
        hold: Hold,
        /// How.
        how: Renewal,
    },
    /// Give the lock back.
    Release {
        /// The hold.
        hold: Hold,
    },
    /// Ask who holds the lock.
    Read {
        /// The lock.
        key: Key,
        /// Whether the answer must be current.
        linearizable: bool,
    },
    /// Use a register of the store.
    Register {
        /// The register.
        key: Key,
        /// What for.
        op: RegisterOp,
    },
    /// Do a piece of what the lock guards.
    ///
    /// Adapters are asked for writes under [`Guard::Service`] only, the rest goes to the harness's own ledger. Such a write puts the
    /// owner's name into a key that belongs to the lock, and is none of its own, in one transaction with the condition that the hold
    /// still stands. Where it does not the answer is `not-held`.
    Work {
        /// The hold under which it is done.
        hold: Hold,
        /// What is done.
        piece: Piece,
        /// Of a write: the version that the worker had read.
        base: Option<u64>,
        /// Who sees to it that only the holder does it.
        guard: Guard,
    },
}

impl Op {
    /// The lock or register that it is about.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Acquire { key, .. } | Self::Read { key, .. } | Self::Register { key, .. } => key,
            Self::Renew { hold, .. } | Self::Release { hold } | Self::Work { hold, .. } => &hold.key,
        }
    }
}

/// What an operation that took place came back with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The lock is the caller's.
    Acquired(Grant),
    /// The lease lives on for this long.
    Renewed {
        /// The TTL that the service promises from now on.
        ttl: Duration,
    },
    /// The lock is given back.
    Released,
    /// Who holds the lock, by the name of its owner; `None` for nobody.
    Holder(Option<String>),
    /// What a register has; `None` where it was never written.
    Value(Option<u64>),
    /// A register was written, or swapped.
    Written,
    /// A piece of work was done.
    Worked {
        /// The version that it read, or made.
        version: Option<u64>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_id_leads_back_to_its_acquisition() {
        for owner in [
            Owner { process: 0, attempt: 0 },
            Owner { process: 17, attempt: 3 },
            Owner { process: 1 << 38, attempt: 0xff_ffff },
        ] {
            assert!(owner.lease_id() > 0);
            assert_eq!(Owner::from_lease_id(owner.lease_id()), Some(owner));
        }
        for foreign in [0, -1, i64::MIN] {
            assert_eq!(Owner::from_lease_id(foreign), None);
        }
    }
}
