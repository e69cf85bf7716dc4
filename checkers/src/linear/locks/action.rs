//! What was asked of a lock, with its answer.

use std::time::Duration;

use crate::history::RunTime;
use crate::linear::Call;

/// Who asks, by number: see [`super::LockHistory::owners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u32);

/// One request to a lock, with its answer. Requests that certainly did not happen and saw nothing are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockAction {
    /// Who asked.
    pub owner: Owner,
    /// What came of it; where the outcome is unknown, what may have come of it.
    pub deed: Deed,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deed {
    /// The lock was given.
    Acquired {
        /// The fencing token, where one was told.
        token: Option<u64>,
        /// Until when the service has to keep the lease at least; the time of the call where no TTL is known.
        expires: RunTime,
    },
    /// The lock was asked for and found taken.
    Refused {
        /// By whom, where it was told.
        holder: Option<Owner>,
    },
    /// The asker held the lock, and its lease was prolonged.
    Renewed {
        /// Until when the service has to keep the lease at least.
        expires: RunTime,
    },
    /// The asker gave the lock back.
    Released,
    /// A renewal or release that found that its asker does not hold the lock.
    NotHeld,
    /// A current read.
    Seen {
        /// Who held the lock; `None` for nobody.
        holder: Option<Owner>,
    },
}

impl Deed {
    /// Whether it can only look at the lock, so that an unknown outcome tells nothing.
    pub(super) fn only_looks(self) -> bool {
        matches!(self, Self::Refused { .. } | Self::NotHeld | Self::Seen { .. })
    }
}

/// One request with its times.
pub type LockCall = Call<LockAction>;

/// What a service promises about its leases, as far as the order of answers depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseTerms {
    /// The TTL where an answer tells none. Without either a lease may end at any time.
    pub ttl: Option<Duration>,
    /// By how much the service's clock may run too fast, in parts per million.
    pub rate_error_ppm: u64,
    /// By how much a lease may end before its time.
    pub slack: Duration,
    /// For how long nobody is given the lock after a lease on it ran out, by the service's clock.
    pub lock_delay: Duration,
    /// Whether an `ok` of a release says that the lock was still held. Where it does not (etcd's unlock deletes a key, and
    /// says `ok` also where there is none), a release is explained by a legal expiry before it too.
    pub release_certifies: bool,
}

impl LeaseTerms {
    /// The shortest time by the harness's clock that this time by the service's clock can be.
    pub(super) fn at_least(&self, by_its_clock: Duration) -> Duration {
        const MILLION: u128 = 1_000_000;
        let nanos = by_its_clock.as_nanos() * MILLION / (MILLION + u128::from(self.rate_error_ppm));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Until when a lease that was given or prolonged by a request of this time has to be kept.
    pub(super) fn keeps_until(&self, called: RunTime, ttl: Option<Duration>) -> RunTime {
        let ttl = ttl.or(self.ttl).map_or(Duration::ZERO, |ttl| self.at_least(ttl).saturating_sub(self.slack));
        called.after(ttl)
    }
}

/// A lock as a thing with a state, of which a history of answers is or is not explainable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockModel {
    /// Free or taken, and anybody may give it back: Knossos' mutex. Blind to owners and to TTLs.
    Mutex,
    /// Free or taken by one owner, who alone can give it back.
    OwnerMutex,
    /// As the owner-aware one, but its owner may take it so many times, and is rid of it when it was given back as often.
    Reentrant(u32),
    /// As the owner-aware one, and each acquisition carries a greater token than all before it.
    Fenced,
    /// So many permits, which anybody may take and give back.
    Semaphore(u32),
    /// As the owner-aware one, but the service may take it back itself, from the end of the lease on.
    Lease(LeaseTerms),
}

impl LockModel {
    /// The model of this name, for example `reentrant-mutex:2`; a lease-lock gets these terms, and `lease-lock:10s` the TTL for
    /// answers that tell none.
    ///
    /// # Errors
    ///
    /// Where no lock model has that name.
    pub fn named(name: &str, terms: LeaseTerms) -> Result<Self, UnknownModel> {
        let unknown = || UnknownModel { name: name.to_owned() };
        let count = |text: &str| text.parse().ok().filter(|count| *count > 0).ok_or_else(unknown);
        match name.split_once(':') {
            None => match name {
                "mutex" => Ok(Self::Mutex),
                "owner-mutex" => Ok(Self::OwnerMutex),
                "fenced-mutex" => Ok(Self::Fenced),
                "lease-lock" => Ok(Self::Lease(terms)),
                _ => Err(unknown()),
            },
            Some(("reentrant-mutex", times)) => Ok(Self::Reentrant(count(times)?)),
            Some(("lease-lock", ttl)) => {
                Ok(Self::Lease(LeaseTerms { ttl: Some(duration(ttl).ok_or_else(unknown)?), ..terms }))
            }
            Some(("semaphore", permits)) => Ok(Self::Semaphore(count(permits)?)),
            Some(_) => Err(unknown()),
        }
    }

    /// Whether it makes no difference who asks.
    pub(super) fn is_anonymous(&self) -> bool {
        matches!(self, Self::Mutex | Self::Semaphore(_))
    }

    /// Whether an answer of this kind tells anything about a lock of this model.
    #[must_use]
    pub fn hears(&self, deed: Deed) -> bool {
        match self {
            Self::Mutex => !matches!(deed, Deed::Renewed { .. } | Deed::NotHeld),
            Self::Semaphore(_) => !matches!(deed, Deed::Renewed { .. } | Deed::NotHeld | Deed::Seen { .. }),
            Self::OwnerMutex | Self::Reentrant(_) | Self::Fenced | Self::Lease(_) => true,
        }
    }
}

/// `10s` or `1500ms`.
fn duration(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(millis) => millis.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
    }
}

/// No lock model has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` is no model of a lock: there are mutex, owner-mutex, reentrant-mutex:N, fenced-mutex, semaphore:N, lease-lock and lease-lock:TTL such as lease-lock:10s"
)]
pub struct UnknownModel {
    name: String,
}
