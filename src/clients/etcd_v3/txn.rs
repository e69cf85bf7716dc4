//! The recipe of most programs: a transaction puts the lock's key, with a lease, if it does not exist.

use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, GetOptions, KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse,
};
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Grant, Hold, Owner};
use leasehold_workloads::service::OpError;

use super::connection::{grant_lease, if_still_held, revoke_if_possible};
use super::failure::judge;
use super::{Leases, path};
use crate::clients::MALFORMED;

pub(super) async fn acquire(
    client: &Client,
    leases: Leases,
    key: &str,
    owner: Owner,
    ttl: Duration,
) -> Result<Answer, OpError> {
    let lease = grant_lease(client, leases, owner, ttl).await?;
    let key = path(key);
    let put = TxnOp::put(key.clone(), owner.to_string(), Some(PutOptions::new().with_lease(lease.id)));
    let get = TxnOp::get(key.clone(), None);
    let put_if_absent = Txn::new()
        .when([Compare::create_revision(key, CompareOp::Equal, 0)])
        .and_then([put, get.clone()])
        .or_else([get]);

    let answer = client.kv_client().txn(put_if_absent).await.map_err(|error| judge(&error))?;
    let found = found(&answer);
    if !answer.succeeded() {
        revoke_if_possible(client, Some(lease.id)).await;
        let holder = found.map(|entry| String::from_utf8_lossy(entry.value()).into_owned());
        return Err(OpError { holder, ..OpError::failed(code::HELD, "the key exists") });
    }
    // The transaction reads back what it has put.
    let created =
        found.ok_or_else(|| OpError::unknown(MALFORMED, "the key was put and is not there"))?.create_revision();
    Ok(Answer::Acquired(Grant { ttl: lease.ttl, token: u64::try_from(created).ok(), lease: Some(lease.id) }))
}

pub(super) async fn release(client: &Client, hold: &Hold) -> Result<Answer, OpError> {
    let key = path(&hold.key);
    if_still_held(client, key.clone(), hold, TxnOp::delete(key, None)).await?;
    revoke_if_possible(client, hold.grant.lease).await;
    Ok(Answer::Released)
}

pub(super) async fn holder(client: &Client, key: &str, options: GetOptions) -> Result<Option<String>, OpError> {
    let answer = client.kv_client().get(path(key), Some(options)).await.map_err(|error| judge(&error))?;
    Ok(answer.kvs().first().map(|entry| String::from_utf8_lossy(entry.value()).into_owned()))
}

/// The key as the transaction read it.
fn found(answer: &TxnResponse) -> Option<KeyValue> {
    answer.op_responses().into_iter().find_map(|response| match response {
        TxnOpResponse::Get(mut read) => read.take_kvs().into_iter().next(),
        _ => None,
    })
}
