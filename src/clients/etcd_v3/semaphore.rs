//! A semaphore: as many keys as there are permits. Whoever puts one that does not exist, with a lease, has a permit.

use std::collections::BTreeSet;
use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, EventType, GetOptions, PutOptions, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse,
    WatchOptions,
};
use leasehold_workloads::op::{Answer, Grant, Hold, Owner};
use leasehold_workloads::service::{Certainty, OpError};

use super::connection::{Lease, grant_lease, if_still_held, revoke_if_possible};
use super::failure::judge;
use super::queue::{folder, while_kept_alive};
use super::{Leases, before_the_op};
use crate::clients::MALFORMED;

/// A waiter looks anew after so long at the latest, for a server that has lost the others tells of no change.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Waits until one of the permits is its own, and tells under which key.
///
/// The waiter keeps its lease alive, as waiters of the lock service do. No queue is kept: whoever is first takes a permit that becomes free.
pub(super) async fn acquire(
    client: &Client,
    leases: Leases,
    key: &str,
    owner: Owner,
    ttl: Duration,
    permits: usize,
) -> Result<(Answer, String), OpError> {
    let lease = grant_lease(client, leases, owner, ttl).await?;
    let taken = while_kept_alive(client, &lease, until_taken(client, &lease, key, owner, permits)).await;
    if matches!(&taken, Err(error) if error.certainty == Certainty::DidNotHappen) {
        revoke_if_possible(client, Some(lease.id)).await;
    }
    let (place, created) = taken?;
    let grant = Grant { ttl: lease.ttl, token: u64::try_from(created).ok(), lease: Some(lease.id) };
    Ok((Answer::Acquired(grant), place))
}

/// Puts the key of a permit, and gives it with the revision in which it was created.
async fn until_taken(
    client: &Client,
    lease: &Lease,
    key: &str,
    owner: Owner,
    permits: usize,
) -> Result<(String, i64), OpError> {
    loop {
        // Nothing was put so far, so whatever goes wrong while we look or wait, nothing was acquired.
        let Taken { places, revision } = taken(client, key).await.map_err(before_the_op)?;
        let free = (1..=permits).map(|number| place(key, number)).find(|place| !places.contains(place));
        match free {
            Some(place) => {
                if let Some(created) = put(client, lease, &place, owner).await? {
                    return Ok((place, created));
                }
            }
            None => until_one_is_gone(client, key, revision).await.map_err(before_the_op)?,
        }
    }
}

/// The key of one permit.
fn place(key: &str, number: usize) -> String {
    format!("{}{number}", folder(key))
}

/// Which permits are taken, and when that was so.
struct Taken {
    places: BTreeSet<String>,
    revision: i64,
}

async fn taken(client: &Client, key: &str) -> Result<Taken, OpError> {
    let options = GetOptions::new().with_prefix().with_keys_only();
    let found = client.kv_client().get(folder(key), Some(options)).await.map_err(|error| judge(&error))?;
    let places = found.kvs().iter().map(|entry| String::from_utf8_lossy(entry.key()).into_owned()).collect();
    let revision = found.header().map_or(0, etcd_client::ResponseHeader::revision);
    Ok(Taken { places, revision })
}

/// `None` where another was quicker.
async fn put(client: &Client, lease: &Lease, place: &str, owner: Owner) -> Result<Option<i64>, OpError> {
    let put = TxnOp::put(place, owner.to_string(), Some(PutOptions::new().with_lease(lease.id)));
    let put_if_absent = Txn::new()
        .when([Compare::create_revision(place, CompareOp::Equal, 0)])
        .and_then([put, TxnOp::get(place, None)]);
    let answer = client.kv_client().txn(put_if_absent).await.map_err(|error| judge(&error))?;
    if !answer.succeeded() {
        return Ok(None);
    }
    // The transaction reads back what it has put.
    let read_back = answer.op_responses().into_iter().find_map(|response| match response {
        TxnOpResponse::Get(read) => read.kvs().first().map(etcd_client::KeyValue::create_revision),
        _ => None,
    });
    read_back.map(Some).ok_or_else(|| OpError::unknown(MALFORMED, "the key was put and is not there"))
}

/// Waits until a permit is given back or runs out after this revision, and for so long at most.
async fn until_one_is_gone(client: &Client, key: &str, revision: i64) -> Result<(), OpError> {
    let gone = async {
        let options = WatchOptions::new().with_prefix().with_start_revision(revision + 1);
        let mut watch_client = client.watch_client();
        let mut changes = watch_client.watch(folder(key), Some(options)).await.map_err(|error| judge(&error))?;
        while let Some(change) = changes.message().await.map_err(|error| judge(&error))? {
            if change.canceled() || change.events().iter().any(|event| event.event_type() == EventType::Delete) {
                return Ok(());
            }
        }
        Err(OpError::failed("broken", "the server ended the watch"))
    };
    tokio::time::timeout(LOOK_AGAIN, gone).await.unwrap_or(Ok(()))
}

/// Who has had a permit for the longest time.
pub(super) async fn a_holder(client: &Client, key: &str, options: GetOptions) -> Result<Option<String>, OpError> {
    let oldest = options.with_prefix().with_sort(SortTarget::Create, SortOrder::Ascend).with_limit(1);
    let found = client.kv_client().get(folder(key), Some(oldest)).await.map_err(|error| judge(&error))?;
    Ok(found.kvs().first().map(|entry| String::from_utf8_lossy(entry.value()).into_owned()))
}

pub(super) async fn release(client: &Client, hold: &Hold, place: String) -> Result<Answer, OpError> {
    if_still_held(client, place.clone(), hold, TxnOp::delete(place, None)).await?;
    revoke_if_possible(client, hold.grant.lease).await;
    Ok(Answer::Released)
}
