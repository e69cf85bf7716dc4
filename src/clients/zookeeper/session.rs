//! A session: the library's client, behind its relay.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::service::OpError;
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error, OneshotWatcher, SessionInfo, WatchedEvent};

use super::failure::Failure;
use super::relay::{End, Relay, TOLD_MS};
use crate::clients::{Credentials, MALFORMED};

/// For how long a request whose connection ended may take to come back from the library.
const AFTERMATH: Duration = Duration::from_millis(200);

/// How long a session may take to open. To open one is a decision of the majority.
const OPEN: Duration = Duration::from_millis(1_500);

/// For how long a session that is done with is closed properly. Else it runs out by itself.
const CLEARING_UP: Duration = Duration::from_millis(500);

/// No session came about, so nothing was asked in it.
pub(super) const NO_SESSION: &str = "session";

/// Which server a session is opened with, from where, as whom, and what of the tree it sees.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) server: SocketAddr,
    pub(super) source: Option<IpAddr>,
    pub(super) credentials: Credentials,
    /// The node that is the root to this session; nothing for the true one.
    pub(super) home: Arc<str>,
}

/// An open session. To drop it leaves it to the server to find out, as a crash does.
pub(super) struct Session {
    // Dropped first, so that whatever the library does when it is dropped reaches nobody.
    relay: Relay,
    client: Client,
    acls: Acls<'static>,
}

impl Route {
    /// Whoever has a name keeps its nodes for itself.
    fn acls(&self) -> Acls<'static> {
        if self.credentials.digest().is_some() { Acls::creator_all() } else { Acls::anyone_all() }
    }
}

impl Session {
    /// Opens a new session that asks for this time-out.
    ///
    /// Where that fails, nothing was asked in it, so it is a certain failure of whatever it was for.
    pub(super) async fn open(route: Route, timeout: Duration) -> Result<Self, OpError> {
        let relay = Relay::open(&route, 0, timeout).await?;
        match within_limit(&relay, &route, None).await {
            Ok(client) => Ok(Self { relay, client, acls: route.acls() }),
            Err(error) => {
                let (code, text) = said(&relay, &error).await;
                let code = if code == MALFORMED { code } else { code::NO_SESSION };
                Err(OpError::failed(code, format!("no session was opened: {text}")))
            }
        }
    }

    /// Comes back to a session, over a new connection to the same server.
    ///
    /// That alone keeps the session alive, so without an answer nobody knows whether it did.
    pub(super) async fn come_back(route: Route, session: SessionInfo, timeout: Duration) -> Result<Self, Failure> {
        let relay = Relay::open(&route, session.id().0, timeout).await.map_err(Failure::Certain)?;
        match within_limit(&relay, &route, Some(session)).await {
            Ok(client) => Ok(Self { relay, client, acls: route.acls() }),
            Err(Some(Error::SessionExpired)) => Err(Failure::Answered(Error::SessionExpired)),
            Err(error) => {
                let (code, text) = said(&relay, &error).await;
                Err(Failure::Lost { was_sent: relay.sent() > 0, code, text })
            }
        }
    }

    /// Who may do what with the nodes that are made in this session.
    pub(super) fn acls(&self) -> Acls<'static> {
        self.acls
    }

    /// How nodes of this kind are made in this session.
    pub(super) fn nodes(&self, mode: CreateMode) -> CreateOptions<'static> {
        mode.with_acls(self.acls)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn is_connected(&self) -> bool {
        self.relay.end().is_none()
    }

    /// Whether pings keep the session alive.
    pub(super) fn keep_alive_by_itself(&self, keep: bool) {
        self.relay.keep_alive(keep);
    }

    /// Its time-out, as the server granted it.
    pub(super) fn timeout(&self) -> Duration {
        self.relay.granted()
    }

    /// Asks one thing and waits for the answer or the end of the connection.
    ///
    /// The library sends as soon as it is called, so it is called here, where it is known what was sent before.
    pub(super) async fn ask<'a, T, F>(&'a self, request: impl FnOnce(&'a Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        // Without a connection it would wait, and at last say that the session has expired: by its own reckoning.
        if !self.is_connected() {
            return Err(self.lost(self.relay.sent(), &None).await);
        }
        let before = self.relay.sent();
        let request = request(&self.client);
        tokio::pin!(request);
        let answer = tokio::select! {
            biased;
            answer = &mut request => Some(answer),
            () = self.relay.ended() => tokio::time::timeout(AFTERMATH, request).await.ok(),
        };
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) if Failure::is_answer(&error) => Err(Failure::Answered(error)),
            Some(Err(error)) => Err(self.lost(before, &Some(error)).await),
            None => Err(self.lost(before, &None).await),
        }
    }

    /// Waits for a change; fails where the connection ended.
    pub(super) async fn changed(&self, watcher: OneshotWatcher) -> Result<WatchedEvent, Failure> {
        tokio::select! {
            biased;
            event = watcher.changed() => Ok(event),
            () = self.relay.ended() => Err(self.lost(0, &None).await),
        }
    }

    async fn lost(&self, sent_before: u64, error: &Option<Error>) -> Failure {
        let (code, text) = said(&self.relay, error).await;
        Failure::Lost { was_sent: self.relay.sent() > sent_before, code, text }
    }

    /// Closes the session if that is possible. Else it runs out.
    pub(super) async fn close(self) {
        let _ = tokio::time::timeout(CLEARING_UP, self.relay.close_session()).await;
    }
}

/// A client of the library that comes to this relay; without an error, the time was over.
async fn within_limit(relay: &Relay, route: &Route, session: Option<SessionInfo>) -> Result<Client, Option<Error>> {
    let connector = Client::connector()
        // The relay asks for another, and tells of another.
        .with_session_timeout(Duration::from_millis(TOLD_MS.unsigned_abs().into()))
        // What the oldest server knows is enough, and all later ones know it too.
        .with_server_version(3, 4, 0)
        .with_detached()
        .with_fail_eagerly();
    let connector = match session {
        Some(session) => connector.with_session(session),
        None => connector,
    };
    let connector = match route.credentials.digest() {
        Some(digest) => connector.with_auth("digest", digest.as_bytes()),
        None => connector,
    };
    let address = format!("{}{}", relay.address(), route.home);
    match tokio::time::timeout(OPEN, connector.connect(&address)).await {
        Ok(connected) => connected.map_err(Some),
        Err(_) => Err(None),
    }
}

/// What became of a connection, in a code and in words: of the relay, which saw it, or else of the library.
async fn said(relay: &Relay, error: &Option<Error>) -> (&'static str, String) {
    // It closes its connections a moment before it says why.
    let _ = tokio::time::timeout(AFTERMATH, relay.ended()).await;
    match (relay.end(), error) {
        (Some(End::Malformed(text)), _) => (MALFORMED, text),
        (Some(End::Closed(text)), _) => (super::BROKEN, text),
        (_, Some(error @ (Error::UnmarshalError { .. } | Error::UnexpectedError(_)))) => (MALFORMED, error.to_string()),
        (_, Some(error)) => (super::BROKEN, error.to_string()),
        (_, None) => ("timeout", "no answer in time".to_owned()),
    }
}
