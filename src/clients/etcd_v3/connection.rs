//! One client's connection to one server.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Client, Compare, CompareOp, GetOptions, LeaseGrantOptions, PutOptions, Txn, TxnOp};
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Guard, Hold, Op, Owner, Piece, Renewal, Wait};
use leasehold_workloads::service::{Certainty, LockService, OpError};
use tonic::transport::Endpoint;

use super::failure::judge;
use super::{Access, Leases, Recipe, client, election, queue, register, semaphore, txn};
use crate::clients::{MALFORMED, REFUSED, UNSUPPORTED, whole_seconds};

/// For how long an operation whose outcome is known already goes on to clear up after itself.
const CLEARING_UP: Duration = Duration::from_millis(500);

/// One client's connection to one server.
///
/// Requests go to the connection through a queue. A request whose future was dropped while it stood there, because the
/// connection had not come about yet, is discarded when its turn comes and not sent; one that was under way is reset.
/// Dropping the last clone of the client ends the queue and the connection. (tower's `Buffer` and hyper's dispatcher both
/// look whether anybody still waits for the answer; a test of ours holds them to it.)
pub(super) struct Connection {
    endpoint: Endpoint,
    recipe: Recipe,
    access: Access,
    client: Option<Client>,
    /// The keys of the permits that were taken.
    places: HashMap<Owner, String>,
}

#[async_trait]
impl LockService for Connection {
    async fn perform(&mut self, op: &Op) -> Result<Answer, OpError> {
        let (recipe, leases) = (self.recipe, self.access.leases);
        let client = self.client().await?;
        match op {
            Op::Acquire { key, owner, ttl, wait } => match (recipe, wait) {
                (Recipe::Txn, Wait::Never) => txn::acquire(&client, leases, key, *owner, *ttl).await,
                (Recipe::LockService { kept_alive }, Wait::InQueue) => {
                    queue::acquire(&client, leases, key, *owner, *ttl, kept_alive).await
                }
                (Recipe::Election { kept_alive }, Wait::InQueue) => {
                    election::campaign(&client, leases, key, *owner, *ttl, kept_alive).await
                }
                (Recipe::Semaphore { permits }, Wait::InQueue) => {
                    let (answer, place) = semaphore::acquire(&client, leases, key, *owner, *ttl, permits).await?;
                    self.places.insert(*owner, place);
                    Ok(answer)
                }
                (Recipe::Txn, Wait::InQueue) => Err(unsupported("a transaction cannot wait; use the lock service")),
                (Recipe::LockService { .. } | Recipe::Election { .. } | Recipe::Semaphore { .. }, Wait::Never) => {
                    Err(unsupported("the lock service, the election and the semaphore always wait; use a transaction"))
                }
            },
            Op::Renew { hold, how } => renew(&client, recipe, hold, *how).await,
            Op::Release { hold } => match recipe {
                Recipe::Txn => txn::release(&client, hold).await,
                Recipe::LockService { .. } => queue::release(&client, hold).await,
                Recipe::Election { .. } => election::resign(&client, hold).await,
                Recipe::Semaphore { .. } => {
                    let place = self.places.get(&hold.owner).cloned();
                    let place = place.ok_or_else(|| unsupported("the permit was not taken over this connection"))?;
                    semaphore::release(&client, hold, place).await
                }
            },
            Op::Read { key, linearizable } => {
                let options = if *linearizable { GetOptions::new() } else { GetOptions::new().with_serializable() };
                let holder = match recipe {
                    Recipe::Txn => txn::holder(&client, key, options).await,
                    Recipe::LockService { .. } => queue::holder(&client, leases, key, options).await,
                    Recipe::Election { .. } if *linearizable => election::leader(&client, leases, key).await,
                    Recipe::Election { .. } => queue::holder(&client, leases, key, options).await,
                    Recipe::Semaphore { .. } => semaphore::a_holder(&client, key, options).await,
                };
                holder.map(Answer::Holder)
            }
            Op::Register { key, op } => register::perform(&client, key, *op).await,
            Op::Work { hold, guard: Guard::Service, piece: Piece::Write, .. } => write(&client, recipe, hold).await,
            Op::Work { .. } => Err(unsupported("only writes are guarded by the service")),
        }
    }
}

impl Connection {
    pub(super) fn new(endpoint: Endpoint, recipe: Recipe, access: Access) -> Self {
        Self { endpoint, recipe, access, client: None, places: HashMap::new() }
    }

    async fn client(&mut self) -> Result<Client, OpError> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        // Without a time limit for requests: it would cut off those that wait for a lock. The engine has its own.
        let client = client(self.endpoint.clone(), self.access.options()).await?;
        Ok(self.client.insert(client).clone())
    }
}

/// A lease that was granted.
pub(super) struct Lease {
    pub(super) id: i64,
    pub(super) ttl: Duration,
}

/// Asks for a lease under the id that belongs to this acquisition.
///
/// Without a lease nothing was acquired, so a failure here is a certain one of the acquisition, even where nobody knows whether
/// the lease was granted: if so, it runs out by itself.
pub(super) async fn grant_lease(
    client: &Client,
    leases: Leases,
    owner: Owner,
    ttl: Duration,
) -> Result<Lease, OpError> {
    let seconds = i64::try_from(whole_seconds(ttl)).unwrap_or(i64::MAX);
    let options = LeaseGrantOptions::new().with_id(leases.id(owner));
    let granted = client.lease_client().grant(seconds, Some(options)).await;
    let granted = granted.map_err(|error| without_a_lease(judge(&error)))?;
    let ttl = Duration::from_secs(u64::try_from(granted.ttl()).unwrap_or(0));
    Ok(Lease { id: granted.id(), ttl })
}

/// What it is called that there was no lease: that a server would not grant it, or said what cannot be read, is an answer; that nobody said
/// so is none.
fn without_a_lease(error: OpError) -> OpError {
    // It has no room, or thinks that its data are damaged: its own words, with a status that tells nothing.
    let are_its_own_words = error.code == "server" && error.text.contains("etcdserver: ");
    let code = match (error.code, error.certainty) {
        (REFUSED, _) => REFUSED,
        (MALFORMED, _) | (_, Certainty::DidNotHappen) => "lease-grant",
        _ if are_its_own_words => "lease-grant",
        (_, Certainty::Unknown) => code::NO_SESSION,
    };
    OpError { certainty: Certainty::DidNotHappen, code, ..error }
}

/// Gives a lease up whose lock is gone already. Whether that works changes nothing: else the lease runs out.
pub(super) async fn revoke_if_possible(client: &Client, lease: Option<i64>) {
    if let Some(lease) = lease {
        let _ = tokio::time::timeout(CLEARING_UP, client.lease_client().revoke(lease)).await;
    }
}

async fn renew(client: &Client, recipe: Recipe, hold: &Hold, how: Renewal) -> Result<Answer, OpError> {
    let lease = hold.grant.lease.ok_or_else(|| unsupported("a hold without a lease cannot be renewed"))?;
    keep_alive(client, lease).await?;
    match (how, recipe) {
        (Renewal::KeepAlive, _) => {}
        (Renewal::StatusUpdate, Recipe::Election { .. }) => election::proclaim(client, hold).await?,
        (Renewal::StatusUpdate, _) => update_status(client, recipe, hold, lease).await?,
    }
    // A lease keeps the TTL that it was granted with, and that is what the server's answer to a keep-alive repeats. The
    // client crate keeps the number to itself: it only tells that it was not 0.
    Ok(Answer::Renewed { ttl: hold.grant.ttl })
}

/// One request and one answer, and the stream is closed.
pub(super) async fn keep_alive(client: &Client, lease: i64) -> Result<(), OpError> {
    client.lease_client().keep_alive(lease).await.map(drop).map_err(|error| judge(&error))
}

async fn update_status(client: &Client, recipe: Recipe, hold: &Hold, lease: i64) -> Result<(), OpError> {
    let key = key_of(recipe, hold, lease)?;
    let value = if recipe == Recipe::Txn { hold.owner.to_string() } else { String::new() };
    let put = TxnOp::put(key.clone(), value, Some(PutOptions::new().with_lease(lease)));
    if_still_held(client, key, hold, put).await
}

/// Writes the owner's name beside the lock, if that is still held.
async fn write(client: &Client, recipe: Recipe, hold: &Hold) -> Result<Answer, OpError> {
    let lease = hold.grant.lease.ok_or_else(|| unsupported("a hold without a lease guards nothing"))?;
    let put = TxnOp::put(super::guarded(&hold.key), hold.owner.to_string(), None);
    if_still_held(client, key_of(recipe, hold, lease)?, hold, put).await?;
    Ok(Answer::Worked { version: None })
}

/// The key that is the hold.
fn key_of(recipe: Recipe, hold: &Hold, lease: i64) -> Result<String, OpError> {
    match recipe {
        Recipe::Txn => Ok(super::path(&hold.key)),
        Recipe::LockService { .. } | Recipe::Election { .. } => Ok(queue::place(&hold.key, lease)),
        Recipe::Semaphore { .. } => Err(unsupported("a permit guards nothing and has no status")),
    }
}

/// Does this on the condition that the hold's key is still the one that was created when the lock was taken.
pub(super) async fn if_still_held(client: &Client, key: String, hold: &Hold, then: TxnOp) -> Result<(), OpError> {
    let is_the_same = match hold.grant.token.and_then(|token| i64::try_from(token).ok()) {
        Some(created) => Compare::create_revision(key, CompareOp::Equal, created),
        // Nobody told the token. The lease is of this acquisition alone and tells as well.
        None => Compare::lease(key, CompareOp::Equal, hold.grant.lease.unwrap_or_else(|| hold.owner.lease_id())),
    };
    let answer =
        client.kv_client().txn(Txn::new().when([is_the_same]).and_then([then])).await.map_err(|error| judge(&error))?;
    if answer.succeeded() {
        return Ok(());
    }
    Err(OpError::failed(code::NOT_HELD, "the key is gone or was created anew"))
}

fn unsupported(text: &str) -> OpError {
    OpError::failed(UNSUPPORTED, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_of_which_nothing_was_heard_is_no_answer() {
        let told = |error: OpError| {
            let told = without_a_lease(error);
            assert_eq!(told.certainty, Certainty::DidNotHappen);
            (told.code, code::is_silence(told.code))
        };
        assert_eq!(told(OpError::failed("rejected", "the lease exists")), ("lease-grant", false));
        assert_eq!(told(OpError::failed(REFUSED, "no connection")), (REFUSED, true));
        assert_eq!(told(OpError::unknown("server", "connection reset")), (code::NO_SESSION, true));
        assert_eq!(told(OpError::unknown("timeout", "it took too long")), (code::NO_SESSION, true));
        let full = "etcdserver: mvcc: database space exceeded";
        assert_eq!(told(OpError::unknown("server", full)), ("lease-grant", false));
        assert_eq!(told(OpError::unknown(MALFORMED, "half an answer")), ("lease-grant", false));
    }
}
