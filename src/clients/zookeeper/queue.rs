//! The recipe of ZooKeeper's own documentation: each waiter has a numbered node, the lowest has the lock, and each watches the one
//! before it. Of a semaphore the lowest few have a permit.
//!
//! While it waits, the session is kept alive by pings, all of them within the acquisition. From then on only what the
//! history tells of keeps it alive.

use std::time::Duration;

use leasehold_workloads::service::OpError;
use zookeeper_client::{CreateMode, Error, LockOptions, LockPrefix};

use super::create::of_acquisition;
use super::failure::Failure;
use super::hold::Held;
use super::session::{NO_SESSION, Route, Session};
use super::{nodes, paths};
use crate::clients::REJECTED;

/// How nodes of ours begin; those of the library have a prefix of their own, and end in a number as well.
const WAITER: &str = "n-";

/// How often a reader may find that the first of the queue has gone before it could be looked at.
const ATTEMPTS: usize = 10;

/// Waits in the queue until it is among so many, as an application does that writes the recipe itself.
pub(super) async fn acquire(
    route: Route,
    key: &str,
    owner: String,
    ttl: Duration,
    permits: usize,
) -> Result<Held, OpError> {
    let session = Session::open(route, ttl).await?;
    session.keep_alive_by_itself(true);
    let folder = paths::queue(key);
    let (prefix, node) = (paths::child(&folder, WAITER), session.nodes(CreateMode::EphemeralSequential));
    let created = session.ask(|client| client.create(&prefix, owner.as_bytes(), &node)).await;
    let (_, number) = created.map_err(of_acquisition)?;
    let mine = format!("{WAITER}{number}");
    match permits {
        1 => wait_for_turn(&session, &folder, &mine).await?,
        _ => wait_for_permit(&session, &folder, &mine, permits).await?,
    }
    session.keep_alive_by_itself(false);
    let path = paths::child(&folder, &mine);
    Ok(Held::of(session, path, owner, None))
}

/// The connection may end while we wait. Then the node stands until the session ends, and may have its turn meanwhile.
async fn wait_for_turn(session: &Session, folder: &str, mine: &str) -> Result<(), OpError> {
    loop {
        let waiters = waiters(session, folder).await.map_err(while_in_line)?;
        let Some(place) = waiters.iter().position(|waiter| waiter == mine) else {
            return Err(OpError::failed(NO_SESSION, "the session ended in the queue"));
        };
        let Some(before) = place.checked_sub(1).map(|before| paths::child(folder, &waiters[before])) else {
            return Ok(());
        };
        match session.ask(|client| client.get_and_watch_data(&before)).await {
            Ok((.., watcher)) => session.changed(watcher).await.map(drop).map_err(while_in_line)?,
            Err(Failure::Answered(Error::NoNode)) => {}
            Err(failure) => return Err(while_in_line(failure)),
        }
    }
}

/// Whichever of those before it leaves, there may be room. The server at hand knows of all that came before our own node, so
/// whoever it does not show is not there, and those that it shows too long only make us wait.
async fn wait_for_permit(session: &Session, folder: &str, mine: &str, permits: usize) -> Result<(), OpError> {
    loop {
        let listed = session.ask(|client| client.list_and_watch_children(folder)).await;
        let (mut waiters, watcher) = listed.map_err(while_in_line)?;
        waiters.sort_by_key(|waiter| number(waiter));
        match waiters.iter().position(|waiter| waiter == mine) {
            None => return Err(OpError::failed(NO_SESSION, "the session ended in the queue")),
            Some(place) if place < permits => return Ok(()),
            Some(_) => session.changed(watcher).await.map(drop).map_err(while_in_line)?,
        }
    }
}

/// What a failure says of one who may stand in the queue by then. Without an answer to a look at it, or with one that refuses it, the
/// place stands all the same and may yet have its turn, unless the session is gone, and the place with it.
fn while_in_line(failure: Failure) -> OpError {
    match failure {
        Failure::Answered(Error::SessionExpired) | Failure::Certain(_) => of_acquisition(failure),
        Failure::Answered(error) => OpError::unknown(REJECTED, error.to_string()),
        Failure::Lost { code, text, .. } => OpError::unknown(code, text),
    }
}

/// Waits in the queue by the library's own recipe.
pub(super) async fn acquire_by_library(route: Route, key: &str, owner: String, ttl: Duration) -> Result<Held, OpError> {
    let session = Session::open(route, ttl).await?;
    session.keep_alive_by_itself(true);
    let folder = paths::queue(key);
    let prefix = LockPrefix::new_curator(&folder, "lock-").expect("the folder's path is valid");
    let options = LockOptions::new(session.acls());
    let locked = session.ask(|client| client.lock(prefix, owner.as_bytes(), options)).await;
    let guard = locked.map_err(while_in_line)?.into_owned();
    session.keep_alive_by_itself(false);
    let path = guard.lock_path().to_owned();
    Ok(Held::of(session, path, owner, Some(guard)))
}

/// Who stands in the queue, the first one first.
async fn waiters(session: &Session, folder: &str) -> Result<Vec<String>, Failure> {
    let mut waiters = session.ask(|client| client.list_children(folder)).await?;
    waiters.sort_by_key(|waiter| number(waiter));
    Ok(waiters)
}

/// A waiter's number. Whatever has none stands at the end.
fn number(waiter: &str) -> u64 {
    waiter.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(u64::MAX)
}

/// Who has the lock, as the server at hand knows it.
pub(super) async fn holder(session: &Session, key: &str) -> Result<Option<String>, OpError> {
    let folder = paths::queue(key);
    for _ in 0..ATTEMPTS {
        let waiters = waiters(session, &folder).await.map_err(Failure::judged)?;
        let Some(first) = waiters.first() else { return Ok(None) };
        // Whose place it is never changes, so it does not matter that this is read later.
        let owner = nodes::text(session, &paths::child(&folder, first)).await.map_err(Failure::judged)?;
        if owner.is_some() {
            return Ok(owner);
        }
    }
    Err(OpError::failed("restless", format!("the first of the queue left {ATTEMPTS} times before it could be read")))
}

/// Takes everybody out of the queue.
pub(super) async fn clear(session: &Session, key: &str) -> Result<(), Failure> {
    let folder = paths::queue(key);
    nodes::make(session, &folder).await?;
    for waiter in waiters(session, &folder).await? {
        nodes::remove(session, &paths::child(&folder, &waiter)).await?;
    }
    Ok(())
}

/// Takes everybody out of the queue, and the queue away.
pub(super) async fn remove(session: &Session, key: &str) -> Result<(), Failure> {
    let folder = paths::queue(key);
    let waiters = match waiters(session, &folder).await {
        Err(Failure::Answered(Error::NoNode)) => return Ok(()),
        waiters => waiters?,
    };
    for waiter in waiters {
        nodes::remove(session, &paths::child(&folder, &waiter)).await?;
    }
    nodes::remove_if_empty(session, &folder).await
}

/// Who stands in the queue and has a name, by nodes.
pub(super) async fn owners(
    session: &Session,
    folder: &str,
    waiters: &[String],
) -> Result<Vec<(String, String)>, Failure> {
    let mut owners = Vec::new();
    for waiter in waiters {
        if let Some(owner) = nodes::text(session, &paths::child(folder, waiter)).await? {
            owners.push((waiter.clone(), owner));
        }
    }
    Ok(owners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_stand_in_the_queue_has_failed_for_certain_only_without_a_session() {
        use leasehold_workloads::service::Certainty::{DidNotHappen, Unknown};
        let judged = |error| while_in_line(Failure::Answered(error)).certainty;
        assert_eq!(judged(Error::SessionExpired), DidNotHappen);
        assert_eq!([judged(Error::Throttled), judged(Error::NoAuth)], [Unknown, Unknown]);
        let lost = Failure::Lost { was_sent: false, code: "broken", text: String::new() };
        assert_eq!(while_in_line(lost).certainty, Unknown);
    }

    #[test]
    fn waiters_stand_by_their_numbers() {
        let mut waiters = ["n-0000000010", "x", "_c_5f0c-1b-lock-0000000009", "n-0000000002"];
        waiters.sort_by_key(|waiter| number(waiter));
        assert_eq!(waiters, ["n-0000000002", "_c_5f0c-1b-lock-0000000009", "n-0000000010", "x"]);
    }
}
