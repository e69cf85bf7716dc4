//! etcd's own election service: each candidate has a key, named after its lease, and the oldest key leads.

use std::time::Duration;

use etcd_client::{Client, LeaderKey, ProclaimOptions, ResignOptions};
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Grant, Hold, Owner};
use leasehold_workloads::service::OpError;

use super::connection::{grant_lease, revoke_if_possible};
use super::failure::judge;
use super::queue::{owner_of, place, while_in_line, while_kept_alive};
use super::{Leases, path};
use crate::clients::{MALFORMED, UNSUPPORTED};

/// How the server words that there is no leader, and that the candidate's key is gone or another's.
const NO_LEADER: &str = "election: no leader";
const NOT_LEADER: &str = "election: not leader";

/// Waits until it leads. The token is the revision in which its key was created.
///
/// Of a candidate whose lease ran out in the line the service tells all the same that it leads, in 3.5 as well.
pub(super) async fn campaign(
    client: &Client,
    leases: Leases,
    key: &str,
    owner: Owner,
    ttl: Duration,
    kept_alive: bool,
) -> Result<Answer, OpError> {
    let lease = grant_lease(client, leases, owner, ttl).await?;
    let mut elections = client.election_client();
    let campaign = elections.campaign(path(key), owner.to_string(), lease.id);
    let won = if kept_alive { while_kept_alive(client, &lease, campaign).await } else { campaign.await };
    let won = won.map_err(|error| while_in_line(judge(&error)))?;
    let created = won.leader().filter(|leader| leader.key() == place(key, lease.id).as_bytes()).map(LeaderKey::rev);
    let token = created.and_then(|created| u64::try_from(created).ok());
    let token = token.ok_or_else(|| OpError::unknown(MALFORMED, "the election service tells of another's key"))?;
    Ok(Answer::Acquired(Grant { ttl: lease.ttl, token: Some(token), lease: Some(lease.id) }))
}

/// Says something in the leader's name, if it still leads.
pub(super) async fn proclaim(client: &Client, hold: &Hold) -> Result<(), OpError> {
    let options = ProclaimOptions::new().with_leader(leader_key(hold)?);
    let said = client.election_client().proclaim(hold.owner.to_string(), Some(options)).await;
    said.map(drop).map_err(|error| no_longer_leads(judge(&error)))
}

/// Steps down. The service removes the key and does not tell whether it was there.
pub(super) async fn resign(client: &Client, hold: &Hold) -> Result<Answer, OpError> {
    let options = ResignOptions::new().with_leader(leader_key(hold)?);
    client.election_client().resign(Some(options)).await.map_err(|error| no_longer_leads(judge(&error)))?;
    revoke_if_possible(client, hold.grant.lease).await;
    Ok(Answer::Released)
}

/// Who leads.
pub(super) async fn leader(client: &Client, leases: Leases, key: &str) -> Result<Option<String>, OpError> {
    let told = match client.election_client().leader(path(key)).await.map_err(|error| judge(&error)) {
        Err(error) if error.text.contains(NO_LEADER) => return Ok(None),
        told => told?,
    };
    let entry = told.kv().ok_or_else(|| OpError::unknown(MALFORMED, "the election service names no leader"))?;
    // A key that is not ours is shown as it is: somebody else stands for election.
    Ok(Some(owner_of(leases, entry.key()).unwrap_or_else(|| String::from_utf8_lossy(entry.key()).into_owned())))
}

fn leader_key(hold: &Hold) -> Result<LeaderKey, OpError> {
    let (Some(lease), Some(token)) = (hold.grant.lease, hold.grant.token) else {
        return Err(OpError::failed(UNSUPPORTED, "a leader has a lease and a token"));
    };
    let created = i64::try_from(token).map_err(|_| OpError::failed(UNSUPPORTED, "no token of etcd's"))?;
    let key = LeaderKey::new().with_name(path(&hold.key)).with_key(place(&hold.key, lease));
    Ok(key.with_rev(created).with_lease(lease))
}

fn no_longer_leads(error: OpError) -> OpError {
    if error.text.contains(NOT_LEADER) { OpError::failed(code::NOT_HELD, error.text) } else { error }
}
