//! The one connection of one session, held in our own hands.
//!
//! The client library opens its connections itself, from any address, pings the server whenever it sees fit, connects again and
//! sends again what was not answered, and goes on for a while when nobody uses it any more. A record of what was asked
//! must know better. So the library talks to a relay on the loopback interface, which has the only connection to the server:
//!
//! * It comes **from the address** that belongs to the worker.
//! * It carries **one session over one connection**. When either side ends, so does the relay, and nobody listens there any more:
//!   nothing is sent a second time. A library that outlives its session and comes to the door of another's is turned away by the session that it
//!   asks for.
//! * When the relay is dropped, nothing more is sent from that moment on. The server is told nothing: it takes the client for dead.
//! * It **answers pings itself**, and sends its own only if it is told to keep the session alive: else only what the history knows of does.
//!   It tells the library of a longer time-out than was granted, so that this never gives up a connection because this machine is busy.
//! * It keeps to itself that the library has dropped a watch: nobody asked for that, and servers of 3.4 hang up on it.
//! * It lets no answer through that speaks of another node than the one that was to be made, which the library would not notice.
//! * It lets no frame through that is longer than any can be, nor a list that claims more names than it has room for, for which the
//!   library would set memory aside.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use leasehold_workloads::service::OpError;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::frames::{BadFrame, Frame, Frames};
use super::session::Route;
use crate::clients::{CONNECT, REFUSED};

/// A number that the library, which counts from 1, does not come to.
const FAREWELL: i32 = i32::MAX;

/// The least time-out that the library is told of. It waits for two fifths of it before it gives a connection up.
pub(super) const TOLD_MS: i32 = 5_000;

/// How often a session is kept alive within its time-out.
const PINGS: u32 = 4;

/// Longer than any session lasts.
const NEVER: Duration = Duration::from_secs(86_400);

/// How long somebody at the door may take to say what it wants.
const AT_THE_DOOR: Duration = Duration::from_secs(1);

/// How a relay came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server closed the connection, or it broke.
    Closed(String),
    /// The server sent what no server of its kind should.
    Malformed(String),
    /// The library left, or the session was closed.
    Left,
}

pub(super) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    farewells: mpsc::Sender<oneshot::Sender<()>>,
    end: watch::Receiver<Option<End>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    is_dropped: AtomicBool,
    keeps_alive: AtomicBool,
    /// The time-out of the session, in milliseconds.
    granted_ms: AtomicU64,
    /// How many requests went to the server, but for pings.
    sent: AtomicU64,
}

impl Relay {
    /// A connection to this server, for a session of this number, or for a new one if that is 0, with this time-out.
    pub(super) async fn open(route: &Route, session: i64, timeout: Duration) -> Result<Self, OpError> {
        let Route { server, source, .. } = *route;
        let server = match tokio::time::timeout(CONNECT, connect(server, source)).await {
            Ok(connected) => connected.map_err(|error| OpError::failed(REFUSED, error.to_string()))?,
            Err(_) => return Err(OpError::failed(REFUSED, format!("not reached within {} ms", CONNECT.as_millis()))),
        };
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let door = door.and_then(|door| Ok((door.local_addr()?, door)));
        let (address, door) = door.map_err(|error| OpError::failed(REFUSED, format!("no relay: {error}")))?;
        let shared = Arc::new(Shared::default());
        let (farewells, to_close) = mpsc::channel(1);
        let (tell_end, end) = watch::channel(None);
        let asks_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let carrier = Carrier {
            shared: Arc::clone(&shared),
            asks_ms,
            is_greeted: false,
            lists: HashSet::new(),
            creations: HashMap::new(),
        };
        let task = tokio::spawn(async move {
            let end = carrier.carry(door, server, session, to_close).await;
            tell_end.send_replace(Some(end));
        });
        Ok(Self { address, shared, farewells, end, task })
    }

    /// Where the library finds it.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether pings keep the session alive.
    pub(super) fn keep_alive(&self, keep: bool) {
        self.shared.keeps_alive.store(keep, Ordering::SeqCst);
    }

    /// The time-out that the server granted to the session.
    pub(super) fn granted(&self) -> Duration {
        Duration::from_millis(self.shared.granted_ms.load(Ordering::SeqCst))
    }

    /// How many requests went to the server so far.
    pub(super) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// How it ended, where it did.
    pub(super) fn end(&self) -> Option<End> {
        self.end.borrow().clone()
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        // Its task tells before it ends, so there is always word of it.
        let _ = self.end.clone().wait_for(Option::is_some).await;
    }

    /// Closes the session, and waits until the server has.
    pub(super) async fn close_session(&self) {
        let (done, closed) = oneshot::channel();
        if self.farewells.send(done).await.is_ok() {
            let _ = closed.await;
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.is_dropped.store(true, Ordering::SeqCst);
        self.task.abort();
    }
}

async fn connect(server: SocketAddr, source: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind((source, 0).into())?;
    }
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What the relay's task knows.
struct Carrier {
    shared: Arc<Shared>,
    /// The time-out that it asks for.
    asks_ms: i32,
    /// Whether the server has answered the first request.
    is_greeted: bool,
    /// The requests under way that ask for lists.
    lists: HashSet<i32>,
    /// Those that ask for a node to be made, and its path.
    creations: HashMap<i32, Vec<u8>>,
}

impl Carrier {
    async fn carry(
        mut self,
        door: TcpListener,
        server: TcpStream,
        session: i64,
        mut to_close: mpsc::Receiver<oneshot::Sender<()>>,
    ) -> End {
        let (from_server, mut to_server) = server.into_split();
        let mut from_server = Frames::of(from_server);
        let Some((mut from_library, mut to_library, hello)) = let_in(&door, session).await else { return End::Left };
        drop(door);
        if let Err(end) = self.send(&mut to_server, &hello.asking_for(self.asks_ms)).await {
            return end;
        }
        let mut beat = tokio::time::interval(NEVER);
        beat.tick().await;
        loop {
            let carried = tokio::select! {
                request = from_library.next() => match request {
                    Ok(Some(request)) => self.take_request(&request, &mut to_server, &mut to_library).await,
                    Ok(None) | Err(_) => Err(End::Left),
                },
                answer = from_server.next() => match answer {
                    Ok(Some(answer)) if self.is_greeted => self.take_answer(&answer, &mut to_library).await,
                    Ok(Some(welcome)) => {
                        self.is_greeted = true;
                        let (welcome, pings_every) = self.greeted(welcome);
                        beat = pings_every.map_or(beat, tokio::time::interval);
                        tell(&mut to_library, &welcome).await
                    }
                    Ok(None) => Err(End::Closed("the server closed the connection".to_owned())),
                    Err(error) => Err(ended_by(&error)),
                },
                _ = beat.tick() => {
                    if self.shared.keeps_alive.load(Ordering::SeqCst) {
                        self.send(&mut to_server, &Frame::ping()).await
                    } else {
                        Ok(())
                    }
                }
                Some(done) = to_close.recv() => {
                    self.close(&mut from_server, &mut to_server).await;
                    let _ = done.send(());
                    Err(End::Left)
                }
            };
            if let Err(end) = carried {
                return end;
            }
        }
    }

    async fn take_request(
        &mut self,
        request: &Frame,
        to_server: &mut OwnedWriteHalf,
        to_library: &mut OwnedWriteHalf,
    ) -> Result<(), End> {
        if request.is_of_pings() {
            return tell(to_library, &Frame::pong()).await;
        }
        if request.removes_a_watch() {
            return tell(to_library, &Frame::no_watcher(request.xid().unwrap_or_default())).await;
        }
        if request.asks_for_a_list() {
            self.lists.extend(request.xid());
        }
        if let (Some(xid), Some(path)) = (request.xid(), request.path_to_create()) {
            self.creations.insert(xid, path.to_owned());
        }
        self.send(to_server, request).await
    }

    /// Notes the time-out that was granted, and gives what the library is told, and how often it takes a ping to keep the session alive.
    fn greeted(&self, welcome: Frame) -> (Frame, Option<Duration>) {
        let Some(granted_ms) = welcome.granted_ms() else { return (welcome, None) };
        self.shared.granted_ms.store(granted_ms, Ordering::SeqCst);
        let told = i32::try_from(granted_ms).unwrap_or(i32::MAX).max(TOLD_MS);
        let pings_every = Duration::from_millis(granted_ms.max(u64::from(PINGS))) / PINGS;
        (welcome.granting(told), Some(pings_every))
    }

    async fn take_answer(&mut self, answer: &Frame, to_library: &mut OwnedWriteHalf) -> Result<(), End> {
        if answer.is_of_pings() {
            return Ok(());
        }
        let is_list = answer.xid().is_some_and(|xid| self.lists.remove(&xid));
        if is_list && answer.overstates_its_list() {
            return Err(End::Malformed("a list of more names than it has room for".to_owned()));
        }
        let asked = answer.xid().and_then(|xid| self.creations.remove(&xid));
        if let (Some(asked), Some(made)) = (asked, answer.created_path())
            && !made.starts_with(&asked)
        {
            return Err(End::Malformed("another node was made than the one that was asked for".to_owned()));
        }
        tell(to_library, answer).await
    }

    async fn send(&self, to_server: &mut OwnedWriteHalf, request: &Frame) -> Result<(), End> {
        if self.shared.is_dropped.load(Ordering::SeqCst) {
            return Err(End::Left);
        }
        if !request.is_of_pings() {
            self.shared.sent.fetch_add(1, Ordering::SeqCst);
        }
        to_server.write_all(request.bytes()).await.map_err(|error| End::Closed(error.to_string()))
    }

    /// The session is closed when the server says so, or hangs up.
    async fn close(&self, from_server: &mut Frames<OwnedReadHalf>, to_server: &mut OwnedWriteHalf) {
        if self.send(to_server, &Frame::close(FAREWELL)).await.is_ok() {
            while from_server.next().await.ok().flatten().is_some_and(|answer| answer.xid() != Some(FAREWELL)) {}
        }
    }
}

type Library = (Frames<OwnedReadHalf>, OwnedWriteHalf, Frame);

/// Waits for the library to come, with the session that it was opened for; `None` where nobody can come.
async fn let_in(door: &TcpListener, session: i64) -> Option<Library> {
    loop {
        let (library, _) = door.accept().await.ok()?;
        let _ = library.set_nodelay(true);
        let (from_library, to_library) = library.into_split();
        let mut from_library = Frames::of(from_library);
        if let Ok(Ok(Some(hello))) = tokio::time::timeout(AT_THE_DOOR, from_library.next()).await
            && hello.session() == Some(session)
        {
            return Some((from_library, to_library, hello));
        }
    }
}

async fn tell(to_library: &mut OwnedWriteHalf, answer: &Frame) -> Result<(), End> {
    to_library.write_all(answer.bytes()).await.map_err(|_| End::Left)
}

fn ended_by(error: &BadFrame) -> End {
    match error {
        BadFrame::Length(_) | BadFrame::Cut => End::Malformed(error.to_string()),
        BadFrame::Broken(_) => End::Closed(error.to_string()),
    }
}
