//! etcd's own lock service: each waiter has a key, named after its lease, and the oldest key holds the lock.

use std::time::Duration;

use etcd_client::{Client, GetOptions, LockOptions, SortOrder, SortTarget};
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Grant, Hold, Owner};
use leasehold_workloads::service::{Certainty, OpError};

use super::connection::{Lease, grant_lease, keep_alive, revoke_if_possible};
use super::failure::judge;
use super::{Leases, path};
use crate::clients::{MALFORMED, REFUSED, UNSUPPORTED};

/// For how long a lock that is granted already waits for its token. Without one it can still be used.
const FOR_A_TOKEN: Duration = Duration::from_secs(2);

/// Under which keys the waiters of a lock stand.
pub(super) fn folder(key: &str) -> String {
    format!("{}/", path(key))
}

/// The key of one waiter. etcd writes the lease in hexadecimal, with its sign.
pub(super) fn place(key: &str, lease: i64) -> String {
    let sign = if lease < 0 { "-" } else { "" };
    format!("{}{sign}{:x}", folder(key), lease.unsigned_abs())
}

/// Whose key this is.
pub(super) fn owner_of(leases: Leases, place: &[u8]) -> Option<String> {
    let place = str::from_utf8(place).ok()?;
    let (_, lease) = place.rsplit_once('/')?;
    let lease = i64::from_str_radix(lease, 16).ok()?;
    leases.owner(lease).map(|owner| owner.to_string())
}

pub(super) async fn acquire(
    client: &Client,
    leases: Leases,
    key: &str,
    owner: Owner,
    ttl: Duration,
    kept_alive: bool,
) -> Result<Answer, OpError> {
    let lease = grant_lease(client, leases, owner, ttl).await?;
    let options = LockOptions::new().with_lease(lease.id);
    let mut locks = client.lock_client();
    let lock = locks.lock(path(key), Some(options));
    let locked = if kept_alive { while_kept_alive(client, &lease, lock).await } else { lock.await };
    let locked = locked.map_err(|error| while_in_line(judge(&error)))?;
    let place = place(key, lease.id);
    if locked.key() != place.as_bytes() {
        let odd = String::from_utf8_lossy(locked.key()).into_owned();
        return Err(OpError::unknown(MALFORMED, format!("the lock service made the key {odd} and not {place}")));
    }
    Ok(Answer::Acquired(Grant { ttl: lease.ttl, token: token(client, place).await, lease: Some(lease.id) }))
}

/// What a failure says of one who may stand in line by then: the services put the waiter's key first and may fail at each later step, for
/// example where its token is no longer good, and then they try to take the key back and do not tell whether that worked. So the key may
/// yet have its turn, unless the request was never sent or the lease is gone, and the key with it.
pub(super) fn while_in_line(error: OpError) -> OpError {
    match error.code {
        REFUSED | code::EXPIRED => error,
        _ => OpError { certainty: Certainty::Unknown, ..error },
    }
}

/// Waits in line and keeps the lease alive meanwhile, as the sessions of etcd's own clients do. What comes of that is not recorded, so
/// nothing is concluded from it: to the checkers the lease began with the request.
pub(super) async fn while_kept_alive<T>(client: &Client, lease: &Lease, wait: impl Future<Output = T>) -> T {
    let keep_alive = async {
        loop {
            tokio::time::sleep(lease.ttl / 3).await;
            // Whether the lease is gone is told to whoever stands in line on it.
            let _ = keep_alive(client, lease.id).await;
        }
    };
    tokio::select! {
        waited = wait => waited,
        () = keep_alive => unreachable!("it has no end"),
    }
}

/// The revision in which a waiter's key was created, which is what orders the waiters; the lock service does not tell it.
///
/// There is none where the key is gone: versions before 3.5 grant a lock all the same to a waiter whose lease ran out.
async fn token(client: &Client, place: String) -> Option<u64> {
    let mut kv = client.kv_client();
    let read = tokio::time::timeout(FOR_A_TOKEN, kv.get(place, None)).await.ok()?.ok()?;
    u64::try_from(read.kvs().first()?.create_revision()).ok()
}

/// The lock service deletes the key and does not tell whether it was there.
pub(super) async fn release(client: &Client, hold: &Hold) -> Result<Answer, OpError> {
    let lease = hold.grant.lease.ok_or_else(|| OpError::failed(UNSUPPORTED, "a hold without a lease has no key"))?;
    client.lock_client().unlock(place(&hold.key, lease)).await.map_err(|error| judge(&error))?;
    revoke_if_possible(client, Some(lease)).await;
    Ok(Answer::Released)
}

pub(super) async fn holder(
    client: &Client,
    leases: Leases,
    key: &str,
    options: GetOptions,
) -> Result<Option<String>, OpError> {
    let oldest = options.with_prefix().with_sort(SortTarget::Create, SortOrder::Ascend).with_limit(1);
    let answer = client.kv_client().get(folder(key), Some(oldest)).await.map_err(|error| judge(&error))?;
    Ok(answer.kvs().first().map(|entry| {
        // A key that is not ours is shown as it is: somebody else stands in the queue.
        owner_of(leases, entry.key()).unwrap_or_else(|| String::from_utf8_lossy(entry.key()).into_owned())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::REJECTED;
    use crate::clients::etcd_v3::LeaseIds;

    #[test]
    fn a_place_in_the_queue_tells_its_owner() {
        let owner = Owner { process: 17, attempt: 3 };
        for leases in [Leases::default(), Leases::default().with_sign(LeaseIds::Negative)] {
            assert_eq!(owner_of(leases, place("jobs/7", leases.id(owner)).as_bytes()), Some("p17.3".to_owned()));
        }
    }

    #[test]
    fn who_may_stand_in_line_has_failed_for_certain_only_without_a_lease_or_a_request() {
        let judged = |code| while_in_line(OpError::failed(code, "")).certainty;
        assert_eq!([REFUSED, code::EXPIRED].map(judged), [Certainty::DidNotHappen; 2]);
        assert_eq!([REJECTED, "unavailable"].map(judged), [Certainty::Unknown; 2]);
    }

    #[test]
    fn foreign_keys_have_no_owner() {
        for key in
            [&b""[..], b"/", b"/leasehold/jobs/", b"/leasehold/jobs/xyz", b"/leasehold/jobs/-1", b"/\xff/1", b"/a/0"]
        {
            assert_eq!(owner_of(Leases::default(), key), None, "{key:?}");
        }
        assert_eq!(owner_of(Leases::default(), b"/leasehold/jobs/ffffffffffffffffff"), None);
    }
}
