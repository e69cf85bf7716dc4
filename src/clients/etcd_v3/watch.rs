//! Watching the locks.

use std::time::Duration;

use etcd_client::{Event, EventType, WatchOptions};
use leasehold_workloads::op::Key;
use leasehold_workloads::service::{Change, ChangeKind, OnChange, OpError};
use tonic::transport::Endpoint;

use super::failure::judge;
use super::{Access, Leases, Recipe, client, queue};
use crate::clients::PREFIX;

/// How long the server may take to open a watch.
const OPEN: Duration = Duration::from_secs(3);
/// A quiet watch looks like a dead one, so the connection is asked for a sign of life. etcd drops clients that ask more often than
/// every five seconds.
const SIGN_OF_LIFE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(3));

/// Tells of each change until nobody listens or the watch breaks: when the server dies, falls silent, or knows no leader.
pub(super) async fn watch(
    endpoint: Endpoint,
    access: &Access,
    recipe: Recipe,
    keys: &[Key],
    mut on_change: OnChange,
) -> Result<(), OpError> {
    let (interval, patience) = SIGN_OF_LIFE;
    // Without a leader nothing changes. A watch that asks for one is told so, else it would wait in good faith.
    let options = access.options().with_require_leader(true);
    let endpoint =
        endpoint.http2_keep_alive_interval(interval).keep_alive_timeout(patience).keep_alive_while_idle(true);
    let client = client(endpoint, options).await?;
    let mut watch_client = client.watch_client();
    let opened = watch_client.watch(PREFIX, Some(WatchOptions::new().with_prefix().with_prev_key()));
    let mut stream =
        tokio::time::timeout(OPEN, opened).await.map_err(|_| OpError::timeout(OPEN))?.map_err(|error| judge(&error))?;
    while let Some(message) = stream.message().await.map_err(|error| judge(&error))? {
        if message.canceled() {
            return Err(OpError::failed("cancelled", message.cancel_reason()));
        }
        for event in message.events() {
            if let Some(change) = change(recipe, access.leases, event).filter(|change| keys.contains(&change.key))
                && !on_change(change)
            {
                return Ok(());
            }
        }
    }
    Err(OpError::unknown("broken", "the server ended the watch"))
}

/// What an event tells about the end of somebody's hold.
fn change(recipe: Recipe, leases: Leases, event: &Event) -> Option<Change> {
    let key = event.kv()?.key();
    let (lock, owner, kind) = match (recipe, event.event_type()) {
        (Recipe::LockService { .. } | Recipe::Election { .. }, EventType::Delete) => {
            (queue_of(key)?, queue::owner_of(leases, key)?, ChangeKind::Deleted)
        }
        // Taking a place in the queue ends nothing.
        (Recipe::LockService { .. } | Recipe::Election { .. }, EventType::Put) => return None,
        (Recipe::Semaphore { .. }, EventType::Delete) => {
            (queue_of(key)?, owner(event.prev_kv()?.value()), ChangeKind::Deleted)
        }
        (Recipe::Semaphore { .. }, EventType::Put) => return None,
        (Recipe::Txn, EventType::Delete) => (lock_of(key)?, owner(event.prev_kv()?.value()), ChangeKind::Deleted),
        // Nor does a renewal, which writes the same owner again.
        (Recipe::Txn, EventType::Put) if event.prev_kv()?.value() == event.kv()?.value() => return None,
        (Recipe::Txn, EventType::Put) => (lock_of(key)?, owner(event.prev_kv()?.value()), ChangeKind::Released),
    };
    Some(Change { key: lock.to_owned(), owner, kind })
}

/// The lock with this key.
fn lock_of(path: &[u8]) -> Option<&str> {
    str::from_utf8(path).ok()?.strip_prefix(PREFIX)
}

/// The lock in whose queue this key stands.
fn queue_of(place: &[u8]) -> Option<&str> {
    lock_of(place)?.rsplit_once('/').map(|(lock, _)| lock)
}

fn owner(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_back_to_their_locks() {
        assert_eq!(lock_of(b"/leasehold/jobs/7"), Some("jobs/7"));
        assert_eq!(queue_of(b"/leasehold/jobs/7/5a"), Some("jobs/7"));
        assert_eq!(lock_of(b"/other/jobs"), None);
        assert_eq!(queue_of(b"/leasehold/jobs"), None);
        assert_eq!(lock_of(b"\xff"), None);
    }
}
