//! Our own end of every connection to a cluster that is not ours.
//!
//! For each server there is a door on the loopback interface. Whoever comes to it, a worker's client or a probe, is carried over
//! a connection of its own to the server, with TLS where the server speaks it, so that none of the clients' libraries needs to know of it. A worker
//! comes from a loopback address of its own, by which the relay tells the clients apart.
//!
//! What each side sends to the other can be cut or delayed, in layers, as the switch of the sandbox does:
//!
//! * Over a link that is **cut** nothing gets through, and no connection comes about. What was on its way is held, as TCP would send it again, and
//!   delivered when the link is healed. In the counters it is dropped.
//! * What a client has sent and the server was not given yet is **thrown away** when the client hangs up, as it does when its
//!   process is retired: nothing is sent on behalf of the dead.
//! * A server that cannot be reached shows as a connection that ends at once. Why, the relay knows: see [`Relays::complaint`].

mod board;
mod held;
mod tls;
mod way;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

pub use board::RelayLayer;
pub use tls::{Tls, TlsError, TlsFiles};

use super::Target;
use crate::NodeId;
use crate::sandbox::{LinkCounters, Port, Side};
use board::{Board, Ends};
use held::{CHUNK, Held};
use way::{Ended, way};

/// How long a server may take to accept a connection and, where it speaks it, to agree on TLS.
const REACH: Duration = Duration::from_secs(3);

/// How HTTP/2 begins. All that is spoken here begins with the client.
const HTTP2: &[u8] = b"PRI * HTTP/2.0";

/// The relay to each server of a cluster. Clones are the same relays; they work until their runtime ends.
#[derive(Clone, Debug)]
pub struct Relays(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    servers: Vec<Server>,
    tls: Option<Tls>,
    board: Board,
}

#[derive(Debug)]
struct Server {
    node: NodeId,
    target: Target,
    door: SocketAddr,
    /// Why the last connection did not come about, or broke before the server said a word.
    complaint: Mutex<Option<String>>,
}

/// The address that a worker's connections come from, counted from 0.
#[must_use]
pub fn worker_address(worker: u64) -> Option<IpAddr> {
    let number = u16::try_from(worker.checked_add(1)?).ok()?;
    let [high, low] = number.to_be_bytes();
    Some(Ipv4Addr::new(127, WORKERS, high, low).into())
}

/// The loopback addresses of workers begin with 127 and this.
const WORKERS: u8 = 77;

/// Who comes from this address.
fn port_at(address: SocketAddr) -> Port {
    match address.ip() {
        IpAddr::V4(address) => match address.octets() {
            [127, WORKERS, high, low] => {
                u16::from_be_bytes([high, low]).checked_sub(1).map_or(Port::Client, Port::Worker)
            }
            _ => Port::Client,
        },
        IpAddr::V6(_) => Port::Client,
    }
}

impl Relays {
    /// Opens a door to each of these servers.
    ///
    /// # Errors
    /// If the loopback interface has no port to give.
    pub async fn open(targets: &[Target], tls: Option<Tls>) -> io::Result<Self> {
        let mut doors = Vec::with_capacity(targets.len());
        let mut servers = Vec::with_capacity(targets.len());
        let count = u8::try_from(targets.len()).unwrap_or(u8::MAX);
        for (node, target) in NodeId::first(count).zip(targets) {
            let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            servers.push(Server {
                node,
                target: target.clone(),
                door: door.local_addr()?,
                complaint: Mutex::default(),
            });
            doors.push(door);
        }
        let relays = Self(Arc::new(Shared { servers, tls, board: Board::default() }));
        for (index, door) in doors.into_iter().enumerate() {
            tokio::spawn(keep_door(Arc::clone(&relays.0), index, door));
        }
        Ok(relays)
    }

    /// The door to each server.
    #[must_use]
    pub fn doors(&self) -> Vec<(NodeId, SocketAddr)> {
        self.0.servers.iter().map(|server| (server.node, server.door)).collect()
    }

    /// Where a server really is.
    #[must_use]
    pub fn target(&self, node: NodeId) -> Option<&Target> {
        self.0.servers.iter().find(|server| server.node == node).map(|server| &server.target)
    }

    /// Why the last connection to a server did not come about, or ended before the server had said a word; what to do about it,
    /// where that is known.
    #[must_use]
    pub fn complaint(&self, node: NodeId) -> Option<String> {
        let server = self.0.servers.iter().find(|server| server.node == node)?;
        server.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a server that is named without TLS speaks it all the same.
    pub async fn speaks_tls(&self, node: NodeId) -> bool {
        let Some(Target { host, port, .. }) = self.target(node) else { return false };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let ask = async {
            let server = TcpStream::connect((host, *port)).await.ok()?;
            Some(tls::is_spoken_at(host, server).await)
        };
        tokio::time::timeout(REACH, ask).await.ok().flatten().unwrap_or(false)
    }

    /// A layer of its own for whoever asks, with nothing in it yet.
    #[must_use]
    pub fn layer(&self) -> RelayLayer {
        RelayLayer::new(self.clone())
    }

    /// What became of what one side has sent to the other. Each piece that arrived at once counts as a packet.
    #[must_use]
    pub fn counters(&self, from: Side, to: Side) -> LinkCounters {
        self.0.board.counters(from, to)
    }
}

async fn keep_door(shared: Arc<Shared>, index: usize, door: TcpListener) {
    loop {
        match door.accept().await {
            Ok((client, from)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { carry(&shared, index, client, port_at(from)).await });
            }
            // The machine is short of something; those who wait at the door wait on.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Carries one connection from its first word to its end.
async fn carry(shared: &Shared, index: usize, client: TcpStream, from: Port) {
    let server = &shared.servers[index];
    let (up, down) = ((from, Port::Node(server.node)), (Port::Node(server.node), from));
    let _ = client.set_nodelay(true);
    let (mut from_client, to_client) = client.into_split();
    let (mut chunk, mut held) = (vec![0; CHUNK], Held::default());
    let Ok(first) = from_client.read(&mut chunk).await else { return };
    if first == 0 {
        return;
    }
    shared.board.takes(up, &mut held, &chunk[..first]);
    let reached = {
        let reach = reach(shared, server, up, down, chunk.starts_with(HTTP2));
        tokio::pin!(reach);
        loop {
            tokio::select! {
                reached = &mut reach => break reached,
                read = from_client.read(&mut chunk), if held.has_room() => match read {
                    Ok(more) if more > 0 => shared.board.takes(up, &mut held, &chunk[..more]),
                    // It has hung up: nobody wants what it asked for.
                    _ => return,
                },
            }
        }
    };
    match reached {
        Ok(connection) => {
            server.heard_of(None);
            let (from_server, to_server) = tokio::io::split(connection);
            let up = way(&shared.board, up, held, from_client, to_server);
            let down = way(&shared.board, down, Held::default(), from_server, to_client);
            tokio::pin!(up, down);
            let ended = tokio::select! {
                ended = &mut up => match ended {
                    Ended::Source(_) => return,
                    // What the server said before it went is still to be told.
                    Ended::Sink => down.await,
                },
                ended = &mut down => ended,
            };
            if let Ended::Source(Some(error)) = ended {
                server.heard_of(Some(error_words(&error, server)));
            }
        }
        Err(error) => server.heard_of(Some(error_words(&error, server))),
    }
}

/// A connection to the server, or a piece of memory in its place.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to the server, once both ways are open; the greeting of TCP goes there and back.
async fn reach(shared: &Shared, server: &Server, up: Ends, down: Ends, http2: bool) -> io::Result<Box<dyn Stream>> {
    shared.board.passed(&[up, down]).await;
    let Target { host, port, tls } = &server.target;
    let connect = async {
        let host_alone = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host_alone, *port)).await?;
        stream.set_nodelay(true)?;
        Ok(match &shared.tls {
            Some(settings) if *tls => Box::new(settings.greet(host, stream, http2).await?) as Box<dyn Stream>,
            _ => Box::new(stream),
        })
    };
    tokio::time::timeout(REACH, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl Server {
    fn heard_of(&self, complaint: Option<String>) {
        *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = complaint;
    }
}

fn error_words(error: &io::Error, server: &Server) -> String {
    if let Some(words) = tls::complaint(error, &server.target.host) {
        return words;
    }
    match error.kind() {
        io::ErrorKind::TimedOut => format!("no connection within {} s", REACH.as_secs()),
        io::ErrorKind::ConnectionRefused => "nobody listens there (connection refused)".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
