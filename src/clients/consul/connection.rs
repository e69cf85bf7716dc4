//! One client's connection to one server.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Grant, Guard, Hold, Op, Owner, Piece, Renewal, Wait};
use leasehold_workloads::service::{Certainty, LockService, OpError};

use super::failure::before_the_op;
use super::kv::{self, Entry, Mode};
use super::session::{self, SessionId};
use super::wire::Wire;
use super::{Settings, guarded, queue, register, semaphore};
use crate::clients::{REJECTED, UNSUPPORTED};

/// For how long a lock that is granted already waits for its token. Without one it can still be used.
const FOR_A_TOKEN: Duration = Duration::from_secs(1);

/// One client's connection to one server, and the sessions of its acquisitions.
pub(super) struct Connection {
    wire: Wire,
    settings: Settings,
    /// How many may hold a lock at once, where it is a semaphore.
    permits: Option<usize>,
    sessions: HashMap<Owner, SessionId>,
    /// How many statuses it has written. Consul takes no notice of a write that changes nothing.
    statuses: u64,
}

#[async_trait]
impl LockService for Connection {
    async fn perform(&mut self, op: &Op) -> Result<Answer, OpError> {
        match op {
            Op::Acquire { key, owner, ttl, wait } => self.acquire(key, *owner, *ttl, *wait).await,
            Op::Renew { hold, how } => self.renew(hold, *how).await,
            Op::Release { hold } => self.release(hold).await,
            Op::Read { key, linearizable } => {
                let mode = if *linearizable { self.settings.current() } else { Mode::Stale };
                if self.permits.is_some() {
                    return semaphore::a_holder(&self.wire, key, mode).await.map(Answer::Holder);
                }
                let read = kv::read(&self.wire, key, mode).await?;
                Ok(Answer::Holder(read.as_ref().and_then(Entry::holder).map(str::to_owned)))
            }
            Op::Register { key, op } => register::perform(&self.wire, key, *op, self.settings.current()).await,
            Op::Work { hold, guard: Guard::Service, piece: Piece::Write, .. } => {
                let session = self.session_of(hold)?;
                guarded::write(&self.wire, &hold.key, &session, hold.owner).await
            }
            Op::Work { .. } => Err(OpError::failed(UNSUPPORTED, "only writes are guarded by the service")),
        }
    }
}

impl Connection {
    pub(super) fn new(wire: Wire, settings: Settings, permits: Option<usize>) -> Self {
        Self { wire, settings, permits, sessions: HashMap::new(), statuses: 0 }
    }

    async fn acquire(&mut self, key: &str, owner: Owner, ttl: Duration, wait: Wait) -> Result<Answer, OpError> {
        let session = session::create(&self.wire, &self.settings, key, owner, ttl).await?;
        let acquired = match (self.permits, wait) {
            (None, Wait::Never) => self.try_once(key, owner, &session).await.map(|()| None),
            (None, Wait::InQueue) => queue::until_acquired(&self.wire, key, owner, &session, ttl).await.map(|()| None),
            (Some(permits), Wait::InQueue) => {
                semaphore::until_acquired(&self.wire, key, owner, &session, ttl, permits).await.map(Some)
            }
            (Some(_), Wait::Never) => Err(OpError::failed(UNSUPPORTED, "a semaphore always waits")),
        };
        let token = match acquired {
            Err(error) => {
                // It holds nothing, so its end closes no lock. Where nobody knows, it may hold the lock.
                if error.certainty == Certainty::DidNotHappen {
                    session::destroy_if_possible(&self.wire, &session).await;
                }
                return Err(error);
            }
            Ok(Some(token)) => Some(token),
            Ok(None) => self.token(key, &session).await,
        };
        self.sessions.insert(owner, session);
        Ok(Answer::Acquired(Grant { ttl, token, lease: None }))
    }

    /// The server does not tell by whom a lock is held that it refuses, nor whether it is held at all: its lock-delay is refused in
    /// the same words.
    async fn try_once(&self, key: &str, owner: Owner, session: &SessionId) -> Result<(), OpError> {
        match kv::acquire(&self.wire, key, session, &owner.to_string(), 0).await? {
            true => Ok(()),
            false => Err(OpError::failed(code::HELD, "another session holds it, or its lock-delay lasts")),
        }
    }

    /// The index of the write that acquired the lock. The server does not tell it, so it is read; there is none where the read fails
    /// or shows that the lock is lost again. Nobody but the holder writes to a held lock, and it waits for this.
    async fn token(&self, key: &str, session: &SessionId) -> Option<u64> {
        let read = kv::read(&self.wire, key, Mode::Consistent);
        let entry = tokio::time::timeout(FOR_A_TOKEN, read).await.ok()?.ok()??;
        (entry.session.as_deref() == Some(session.as_str())).then_some(entry.modify_index)
    }

    async fn renew(&mut self, hold: &Hold, how: Renewal) -> Result<Answer, OpError> {
        let session = self.session_of(hold)?;
        session::renew(&self.wire, &session).await?;
        if self.permits.is_some() {
            semaphore::look(&self.wire, &hold.key, &session).await?;
        } else if how == Renewal::StatusUpdate {
            self.write_status(hold, &session).await?;
        }
        // A session keeps the TTL that it was made with.
        Ok(Answer::Renewed { ttl: hold.grant.ttl })
    }

    /// A refusal alone does not tell that the lock is lost: a server that leads anew may still count a lock-delay that is over.
    async fn write_status(&mut self, hold: &Hold, session: &SessionId) -> Result<(), OpError> {
        self.statuses += 1;
        if kv::acquire(&self.wire, &hold.key, session, &hold.owner.to_string(), self.statuses).await? {
            return Ok(());
        }
        let read = kv::read(&self.wire, &hold.key, Mode::Consistent).await.map_err(before_the_op)?;
        let is_held = read.is_some_and(|entry| entry.session.as_deref() == Some(session.as_str()));
        let (code, text) = match is_held {
            true => (REJECTED, "its lock-delay lasts, although the session holds it"),
            false => (code::NOT_HELD, "the session does not hold it"),
        };
        Err(OpError::failed(code, text))
    }

    async fn release(&mut self, hold: &Hold) -> Result<Answer, OpError> {
        let session = self.session_of(hold)?;
        let released = match self.permits {
            None => kv::release(&self.wire, &hold.key, &session).await?,
            Some(_) => semaphore::release(&self.wire, &hold.key, &session).await?,
        };
        // It holds nothing any more. To end it before would close the lock for its lock-delay.
        session::destroy_if_possible(&self.wire, &session).await;
        if !released {
            return Err(OpError::failed(code::NOT_HELD, "the session does not hold it"));
        }
        self.sessions.remove(&hold.owner);
        Ok(Answer::Released)
    }

    fn session_of(&self, hold: &Hold) -> Result<SessionId, OpError> {
        let unknown = || OpError::failed(UNSUPPORTED, format!("{} did not acquire over this connection", hold.owner));
        self.sessions.get(&hold.owner).cloned().ok_or_else(unknown)
    }
}
