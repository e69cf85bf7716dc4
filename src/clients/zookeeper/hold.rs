//! A lock that was acquired, on a session of its own.

use std::time::Duration;

use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Grant, Renewal};
use leasehold_workloads::service::{Certainty, OpError};
use zookeeper_client::{Error, OwnedLockClient, SessionInfo, Stat};

use super::failure::Failure;
use super::session::{Route, Session};

/// For how long a lock that is granted already waits for its token. Without one it can still be used.
const FOR_A_TOKEN: Duration = Duration::from_secs(1);

/// An ephemeral node, and the session that it belongs to.
pub(super) struct Held {
    session: Session,
    info: SessionInfo,
    ttl: Duration,
    path: String,
    owner: String,
    /// How often its value was written since.
    version: i32,
    /// The library's guard, where it is the library's lock. After the session, for it deletes the node when it is dropped.
    _guard: Option<OwnedLockClient>,
}

impl Held {
    /// The lock at this path, which was just acquired on this session.
    pub(super) fn of(session: Session, path: String, owner: String, guard: Option<OwnedLockClient>) -> Self {
        let info = session.client().session().clone();
        let ttl = session.timeout();
        Self { session, info, ttl, path, owner, version: 0, _guard: guard }
    }

    /// The session's number.
    pub(super) fn lease(&self) -> i64 {
        self.info.id().0
    }

    /// Its node.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What its client was given. The token is the transaction in which the node was created.
    pub(super) async fn grant(&self) -> Grant {
        let look = tokio::time::timeout(FOR_A_TOKEN, self.look());
        let created = look.await.ok().and_then(Result::ok).flatten().map(|stat| stat.czxid);
        let token = created.and_then(|created| u64::try_from(created).ok());
        Grant { ttl: self.ttl, token, lease: Some(self.lease()) }
    }

    /// The node, if it is still that of this session.
    async fn look(&self) -> Result<Option<Stat>, Failure> {
        let stat = self.session.ask(|client| client.check_stat(&self.path)).await?;
        Ok(stat.filter(|stat| stat.ephemeral_owner == self.lease()))
    }

    /// Comes back to the session if its connection has ended. Only what was asked for by our own client does so.
    async fn be_connected(&mut self, route: Route) -> Result<(), Failure> {
        if !self.session.is_connected() {
            self.session = Session::come_back(route, self.info.clone(), self.ttl).await?;
        }
        Ok(())
    }

    /// Keeps the session alive by looking whether the node is there, and writes the owner into it again if asked to.
    ///
    /// The server at hand answers the look itself, as it answers the pings of other clients, and counts it as a sign of life. If it is a
    /// follower it tells the leader of that within half a tick. Neither a write nor a `sync` would do any better: the
    /// leader carries them out, but does not take them for a sign of life.
    pub(super) async fn renew(&mut self, route: Route, how: Renewal) -> Result<Answer, OpError> {
        self.be_connected(route).await.map_err(Failure::judged)?;
        if self.look().await.map_err(Failure::judged)?.is_none() {
            return Err(not_held());
        }
        if how == Renewal::StatusUpdate {
            self.update_status().await?;
        }
        Ok(Answer::Renewed { ttl: self.ttl })
    }

    async fn update_status(&mut self) -> Result<(), OpError> {
        let (owner, version) = (self.owner.as_bytes(), Some(self.version));
        let written = self.session.ask(|client| client.set_data(&self.path, owner, version)).await;
        let stat = written.map_err(of_a_write)?;
        self.version = stat.version;
        Ok(())
    }

    /// Deletes the node and closes the session.
    pub(super) async fn release(mut self, route: Route) -> Result<Answer, OpError> {
        self.be_connected(route).await.map_err(Failure::of_a_preliminary)?;
        if self.look().await.map_err(Failure::of_a_preliminary)?.is_none() {
            self.session.close().await;
            return Err(not_held());
        }
        let version = Some(self.version);
        let deleted = self.session.ask(|client| client.delete(&self.path, version)).await;
        let answer = deleted.map(|()| Answer::Released).map_err(of_a_write);
        if !matches!(&answer, Err(error) if error.certainty == Certainty::Unknown) {
            self.session.close().await;
        }
        answer
    }
}

fn not_held() -> OpError {
    OpError::failed(code::NOT_HELD, "the node is gone or belongs to another session")
}

fn of_a_write(failure: Failure) -> OpError {
    match failure.answer() {
        Some(Error::NoNode) => not_held(),
        Some(Error::BadVersion) => OpError::failed(code::MISMATCH, "somebody else wrote into the node"),
        _ => failure.judged(),
    }
}
