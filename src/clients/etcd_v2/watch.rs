//! Watching the locks: a long poll for each change, from a known index on, so that none is missed in between.

use std::time::Duration;

use leasehold_workloads::op::Key;
use leasehold_workloads::service::{Change, ChangeKind, OnChange, OpError};
use reqwest::Response;

use super::connection::{ANSWER_BYTES, Connection, transport};
use super::holder;
use super::reply::{self, Failure, Node, Reply};
use crate::clients::{MALFORMED, PREFIX, http};

/// etcd sends the head of its answer at once, and the rest when something changes. A server without a head is stuck.
const HEAD: Duration = Duration::from_secs(3);
/// A poll is given up and asked anew after this long, so that a server that has died silently is found out.
const POLL: Duration = Duration::from_secs(10);

/// Tells of each change until nobody listens or the watch breaks.
pub(super) async fn watch(connection: &Connection, keys: &[Key], mut on_change: OnChange) -> Result<(), OpError> {
    let mut seen = current_index(connection).await?;
    loop {
        let Some(reply) = next(connection, seen).await? else { continue };
        seen = reply.node.modified_index;
        if let Some(change) = change(&reply).filter(|change| keys.contains(&change.key))
            && !on_change(change)
        {
            return Ok(());
        }
    }
}

/// The index of the last change that the server knows.
async fn current_index(connection: &Connection) -> Result<u64, OpError> {
    let response = head(connection.get("").query(&[("recursive", "false")])).await?;
    let index = response.headers().get("X-Etcd-Index").and_then(|index| index.to_str().ok()?.parse().ok());
    index.ok_or_else(|| OpError::unknown(MALFORMED, format!("{}, and no index", response.status())))
}

/// The first change after the one with the index `seen`; `None` if there was none for a while.
async fn next(connection: &Connection, seen: u64) -> Result<Option<Reply>, OpError> {
    let from = (seen + 1).to_string();
    let response =
        head(connection.get("").query(&[("wait", "true"), ("recursive", "true"), ("waitIndex", from.as_str())]))
            .await?;
    let status = response.status();
    let Ok(body) = tokio::time::timeout(POLL, http::body(response, ANSWER_BYTES)).await else { return Ok(None) };
    let body = body.map_err(|error| OpError::unknown("broken", http::with_causes(&error)))?;
    if status.is_success() && body.is_empty() {
        return Ok(None); // etcd too ends a poll after some minutes.
    }
    reply::parse(status, &body).map(Some).map_err(|failure| match failure {
        Failure::Refused(refusal) => refusal.judged(),
        Failure::Other(error) => error,
    })
}

async fn head(request: reqwest::RequestBuilder) -> Result<Response, OpError> {
    match tokio::time::timeout(HEAD, request.send()).await {
        Ok(response) => response.map_err(|error| transport(&error)),
        Err(_) => Err(OpError::timeout(HEAD)),
    }
}

/// What a reply tells about the end of somebody's hold.
fn change(reply: &Reply) -> Option<Change> {
    let owner = reply.previous.as_ref().and_then(owner)?;
    let kind = match reply.action.as_str() {
        "expire" => ChangeKind::Expired,
        "delete" | "compareAndDelete" => ChangeKind::Deleted,
        // A renewal writes the same owner again, and ends nothing.
        _ if owner_stays(reply, &owner) => return None,
        _ => ChangeKind::Released,
    };
    let key = reply.node.key.strip_prefix(PREFIX)?.to_owned();
    Some(Change { key, owner, kind })
}

fn owner_stays(reply: &Reply, owner: &str) -> bool {
    self::owner(&reply.node).as_deref() == Some(owner)
}

fn owner(node: &Node) -> Option<String> {
    node.value.as_deref().and_then(holder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(action: &str, before: &str, after: &str) -> Option<(String, String, ChangeKind)> {
        let after = if after.is_empty() { String::new() } else { format!(r#""value":"{after}","#) };
        let text = format!(
            r#"{{"action":"{action}","node":{{"key":"/leasehold/jobs/7",{after}"modifiedIndex":9,"createdIndex":8}},
                "prevNode":{{"key":"/leasehold/jobs/7","value":"{before}","modifiedIndex":8,"createdIndex":8}}}}"#
        );
        let reply = serde_json::from_str(&text).expect("a reply");
        change(&reply).map(|change| (change.key, change.owner, change.kind))
    }

    #[test]
    fn the_end_of_a_hold_is_told_with_its_owner() {
        let of = |kind| Some(("jobs/7".to_owned(), "p1.2".to_owned(), kind));
        assert_eq!(seen("expire", "started p1.2", ""), of(ChangeKind::Expired));
        assert_eq!(seen("compareAndSwap", "started p1.2", "stopped"), of(ChangeKind::Released));
        assert_eq!(seen("set", "started p1.2", "started p2.1"), of(ChangeKind::Released));
        assert_eq!(seen("delete", "started p1.2", ""), of(ChangeKind::Deleted));
    }

    #[test]
    fn acquisitions_and_renewals_end_nothing() {
        assert_eq!(seen("compareAndSwap", "stopped", "started p1.2"), None);
        assert_eq!(seen("compareAndSwap", "started p1.2", "started p1.2"), None);
        assert_eq!(seen("update", "started p1.2", "started p1.2"), None);
    }
}
