//! One client's connections to one server: a session for each lock that it takes, and one to ask about everything else.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Guard, Hold, Op, Owner, Piece, Wait};
use leasehold_workloads::service::{LockService, OpError};

use super::failure::Failure;
use super::hold::Held;
use super::session::{NO_SESSION, Route, Session};
use super::{LONGEST_SESSION, Recipe, create, nodes, paths, queue, registers};
use crate::clients::UNSUPPORTED;

pub(super) struct Connection {
    route: Route,
    recipe: Recipe,
    /// By their sessions.
    held: HashMap<i64, (String, Held)>,
    /// For what is about no lock of ours. To ask in the session of a lock would keep that alive.
    aside: Option<Session>,
}

#[async_trait]
impl LockService for Connection {
    async fn perform(&mut self, op: &Op) -> Result<Answer, OpError> {
        match op {
            Op::Acquire { key, owner, ttl, wait } => self.acquire(key, *owner, *ttl, *wait).await,
            Op::Renew { hold, how } => {
                let route = self.route.clone();
                self.held(hold)?.renew(route, *how).await
            }
            Op::Release { hold } => {
                self.held(hold)?;
                let held = hold.grant.lease.and_then(|lease| self.held.remove(&lease));
                let (_, held) = held.expect("it was there a moment ago");
                held.release(self.route.clone()).await
            }
            Op::Read { key, linearizable } => self.read(key, *linearizable).await,
            Op::Register { key, op } => {
                let session = self.aside().await?;
                registers::perform(session, key, *op).await
            }
            Op::Work { hold, guard: Guard::Service, piece: Piece::Write, .. } => self.write(hold).await,
            Op::Work { .. } => Err(unsupported("only writes are guarded by the service")),
        }
    }
}

impl Connection {
    pub(super) fn new(route: Route, recipe: Recipe) -> Self {
        Self { route, recipe, held: HashMap::new(), aside: None }
    }

    async fn acquire(&mut self, key: &str, owner: Owner, ttl: Duration, wait: Wait) -> Result<Answer, OpError> {
        // What this process held of it before it has let go of without a word. That session runs out by itself.
        self.held.retain(|_, (held, _)| held != key);
        let (route, owner) = (self.route.clone(), owner.to_string());
        let held = match (self.recipe, wait) {
            (Recipe::Create, Wait::Never) => create::acquire(route, key, owner, ttl).await?,
            (Recipe::Queue, Wait::InQueue) => queue::acquire(route, key, owner, ttl, 1).await?,
            (Recipe::Semaphore { permits }, Wait::InQueue) => queue::acquire(route, key, owner, ttl, permits).await?,
            (Recipe::Library, Wait::InQueue) => queue::acquire_by_library(route, key, owner, ttl).await?,
            (Recipe::Create, Wait::InQueue) => return Err(unsupported("a single node cannot wait; use a queue")),
            (Recipe::Queue | Recipe::Library | Recipe::Semaphore { .. }, Wait::Never) => {
                return Err(unsupported("a queue always waits; use a single node"));
            }
        };
        let grant = held.grant().await;
        self.held.insert(held.lease(), (key.to_owned(), held));
        Ok(Answer::Acquired(grant))
    }

    /// A session cannot be carried on by another process than the one that opened it.
    fn held(&mut self, hold: &Hold) -> Result<&mut Held, OpError> {
        let held = hold.grant.lease.and_then(|lease| self.held.get_mut(&lease));
        let none = || OpError::failed(NO_SESSION, "the session went with the process that opened it");
        held.map(|(_, held)| held).ok_or_else(none)
    }

    /// Writes the owner's name beside the lock, if that is still held: if its node is there, which in a queue has a name that no other
    /// ever has. It is asked for in another session, for a write in that of the lock would keep it alive.
    async fn write(&mut self, hold: &Hold) -> Result<Answer, OpError> {
        if self.recipe == Recipe::Create {
            return Err(unsupported("the lock's one node has the same name for all holders; use a queue"));
        }
        let node = self.held(hold)?.path().to_owned();
        let (guarded, owner) = (paths::guarded(&hold.key), hold.owner.to_string());
        // One that stood still for long has been given up by the server, and would learn of that from a write without an answer.
        if nodes::read(self.aside().await?, paths::root()).await.is_err() {
            self.aside = None;
        }
        let session = self.aside().await?;
        let written = nodes::write_if_there(session, &guarded, owner.as_bytes(), &node).await;
        match written.map_err(Failure::judged)? {
            true => Ok(Answer::Worked { version: None }),
            false => Err(OpError::failed(code::NOT_HELD, "the lock's node is gone")),
        }
    }

    async fn read(&mut self, key: &str, linearizable: bool) -> Result<Answer, OpError> {
        let recipe = self.recipe;
        let session = self.aside().await?;
        if linearizable {
            nodes::catch_up(session).await.map_err(Failure::judged)?;
        }
        let holder = match recipe {
            Recipe::Create => nodes::text(session, &paths::lock(key)).await.map_err(Failure::judged)?,
            // The first of the queue has one of the permits.
            Recipe::Queue | Recipe::Library | Recipe::Semaphore { .. } => queue::holder(session, key).await?,
        };
        Ok(Answer::Holder(holder))
    }

    /// The session for everything else. It is kept alive by pings; one that has ended is replaced.
    async fn aside(&mut self) -> Result<&Session, OpError> {
        if !self.aside.as_ref().is_some_and(Session::is_connected) {
            self.aside = None;
            let session = Session::open(self.route.clone(), LONGEST_SESSION).await?;
            session.keep_alive_by_itself(true);
            self.aside = Some(session);
        }
        Ok(self.aside.as_ref().expect("it was just put there"))
    }
}

fn unsupported(text: &str) -> OpError {
    OpError::failed(UNSUPPORTED, text)
}
