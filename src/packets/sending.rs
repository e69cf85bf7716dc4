//! Sends a packet over a connection of its own, or in a datagram, and tells what came of it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::Packet;

/// How long a server may take to take a connection, and to answer a handshake.
const PATIENCE: Duration = Duration::from_secs(3);
/// For how long an answer to the packet is waited for.
const ANSWER: Duration = Duration::from_millis(1_500);
/// For how long a connection is kept after the first of its answer. That may be no more than a greeting, and servers drop what they have not
/// looked at when a connection closes.
const LINGER: Duration = Duration::from_millis(150);
/// No answer is read beyond this.
const ANSWER_BYTES: usize = 64 * 1024;

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// What answered the handshake, where there was one.
    pub greeting: Vec<u8>,
    /// What answered the packet.
    pub answer: Vec<u8>,
    /// Whether the server closed the connection.
    pub closed: bool,
}

/// Sends a packet to an address, behind a handshake where there is one.
///
/// # Errors
/// If there is no connection, or the handshake is not answered.
pub async fn send(to: SocketAddr, handshake: Option<&Packet>, packet: &Packet) -> io::Result<Reply> {
    send_within(to, handshake, packet, ANSWER).await
}

/// Sends a packet as one datagram. Whether it arrived is not known unless it is answered.
///
/// # Errors
/// If it cannot be sent from here.
pub async fn send_datagram(to: SocketAddr, packet: &Packet) -> io::Result<Reply> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(to).await?;
    socket.send(packet.bytes()).await?;
    let mut answer = vec![0; ANSWER_BYTES];
    let received = tokio::time::timeout(ANSWER, socket.recv(&mut answer)).await;
    // That nobody listens there any more comes back as an error.
    answer.truncate(received.map_or(0, Result::unwrap_or_default));
    Ok(Reply { answer, ..Reply::default() })
}

/// The same over a connection, with another time for the answer.
///
/// # Errors
/// If there is no connection, or the handshake is not answered.
pub async fn send_within(
    to: SocketAddr,
    handshake: Option<&Packet>,
    packet: &Packet,
    answer_within: Duration,
) -> io::Result<Reply> {
    let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(to)).await;
    let mut stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    stream.set_nodelay(true)?;
    let mut reply = Reply::default();
    if let Some(handshake) = handshake {
        stream.write_all(handshake.bytes()).await?;
        let greeted = tokio::time::timeout(PATIENCE, some(&mut stream)).await;
        reply.greeting = greeted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        if reply.greeting.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "the server closed the connection at the handshake",
            ));
        }
    }
    stream.write_all(packet.bytes()).await?;
    match tokio::time::timeout(answer_within, some(&mut stream)).await {
        Err(_) => {}
        // Reset by the server: a way to close.
        Ok(Err(_)) => reply.closed = true,
        Ok(Ok(answer)) if answer.is_empty() => reply.closed = true,
        Ok(Ok(answer)) => {
            reply.answer = answer;
            reply.closed = tokio::time::timeout(LINGER, until_it_ends(&mut stream, &mut reply.answer)).await.is_ok();
        }
    }
    Ok(reply)
}

/// Reads on until the server closes the connection.
async fn until_it_ends(stream: &mut TcpStream, answer: &mut Vec<u8>) {
    while let Ok(part) = some(stream).await
        && !part.is_empty()
    {
        answer.extend(part);
        answer.truncate(ANSWER_BYTES);
    }
}

/// The next bytes that come; none where the connection ended.
async fn some(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; ANSWER_BYTES];
    let length = stream.read(&mut bytes).await?;
    bytes.truncate(length);
    Ok(bytes)
}
