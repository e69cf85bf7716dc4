//! Waiting for a lock, in the manner of `consul lock`: Consul has no queue, so whoever waits watches the key and tries again when
//! nobody holds it. Who is first is first.
//!
//! The waiter renews its session meanwhile, as `consul lock` does, for a session that ran out acquires nothing. It differs in one
//! thing: where the key is free and yet refused, which is a lock-delay, it tries again after 0.1 s and not after 5 s, so that the
//! record shows when the delay was over.

use std::time::{Duration, Instant};

use leasehold_workloads::op::Owner;
use leasehold_workloads::service::OpError;

use super::failure::before_the_op;
use super::kv::{self, Mode, NewerThan};
use super::session::{self, SessionId};
use super::wire::Wire;

/// How often a lock is tried that is closed although nobody holds it.
const WHILE_CLOSED: Duration = Duration::from_millis(100);
/// A query that waits is asked anew after this long at the latest, so that a server that died silently is found out.
const POLL: Duration = Duration::from_secs(10);

/// Returns once the session holds the lock.
pub(super) async fn until_acquired(
    wire: &Wire,
    key: &str,
    owner: Owner,
    session: &SessionId,
    ttl: Duration,
) -> Result<(), OpError> {
    let mut waiter = Waiter { wire, key, alive: StayingAlive::new(wire, session, ttl) };
    while !kv::acquire(wire, key, session, &owner.to_string(), 0).await? {
        // Every attempt so far was refused, so whatever goes wrong while it waits, nothing was acquired.
        waiter.until_worth_a_try().await.map_err(before_the_op)?;
    }
    Ok(())
}

struct Waiter<'a> {
    wire: &'a Wire,
    key: &'a str,
    alive: StayingAlive<'a>,
}

impl Waiter<'_> {
    async fn until_worth_a_try(&mut self) -> Result<(), OpError> {
        let mut seen = None;
        loop {
            self.alive.renew_if_due().await?;
            let newer = seen.map(|index| NewerThan { index, wait: self.alive.renew_every });
            let read = kv::read_newer(self.wire, self.key, Mode::Consistent, newer).await?;
            let is_held = read.found.is_some_and(|entry| entry.session.is_some());
            match (is_held, seen) {
                // Refused a moment ago, and nobody holds it: a lock-delay, or it has just become free.
                (false, None) => {
                    tokio::time::sleep(WHILE_CLOSED).await;
                    return Ok(());
                }
                (false, Some(_)) => return Ok(()),
                (true, _) => {
                    // An index of 0 would not wait.
                    let index = Some(read.index.unwrap_or(0).max(1));
                    if index == seen {
                        // Nothing new. A server that does not wait as it should is not asked without end.
                        tokio::time::sleep(WHILE_CLOSED).await;
                    }
                    seen = index;
                }
            }
        }
    }
}

/// The session of one that waits.
pub(super) struct StayingAlive<'a> {
    wire: &'a Wire,
    session: &'a SessionId,
    /// For no longer than this it may wait for anything else.
    pub(super) renew_every: Duration,
    renewed: Instant,
}

impl<'a> StayingAlive<'a> {
    /// A session that was made just now.
    pub(super) fn new(wire: &'a Wire, session: &'a SessionId, ttl: Duration) -> Self {
        Self { wire, session, renew_every: (ttl / 3).min(POLL), renewed: Instant::now() }
    }

    pub(super) async fn renew_if_due(&mut self) -> Result<(), OpError> {
        if self.renewed.elapsed() >= self.renew_every {
            let asked = Instant::now();
            session::renew(self.wire, self.session).await?;
            self.renewed = asked;
        }
        Ok(())
    }
}
