//! The simple recipe: whoever creates the node has the lock.

use std::time::Duration;

use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::service::OpError;
use zookeeper_client::{CreateMode, Error};

use super::failure::Failure;
use super::hold::Held;
use super::session::{NO_SESSION, Route, Session};
use super::{nodes, paths};

pub(super) async fn acquire(route: Route, key: &str, owner: String, ttl: Duration) -> Result<Held, OpError> {
    let session = Session::open(route, ttl).await?;
    let path = paths::lock(key);
    let node = session.nodes(CreateMode::Ephemeral);
    let created = session.ask(|client| client.create(&path, owner.as_bytes(), &node)).await;
    match created {
        Ok(_) => Ok(Held::of(session, path, owner, None)),
        Err(Failure::Answered(Error::NodeExists)) => {
            // The refusal was agreed upon by a majority, and this server has seen all that was before it.
            let holder = nodes::text(&session, &path).await.ok().flatten();
            session.close().await;
            Err(OpError { holder, ..OpError::failed(code::HELD, "the node exists") })
        }
        Err(failure) => Err(of_acquisition(failure)),
    }
}

/// A session that ended before anything was created in it tells nothing about the lock.
pub(super) fn of_acquisition(failure: Failure) -> OpError {
    match failure.judged() {
        error if error.code == code::EXPIRED => OpError::failed(NO_SESSION, error.text),
        error => error,
    }
}
