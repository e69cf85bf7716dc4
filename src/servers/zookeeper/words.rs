//! ZooKeeper's commands of four letters: a word is sent, an answer comes, the connection is closed.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::CLIENT_PORT;

const ANSWER_BYTES: u64 = 64 * 1024;

/// An answer, and from which address it was asked for.
pub(super) struct Said {
    pub(super) text: String,
    pub(super) asked_from: SocketAddr,
}

/// Sends the word and reads the answer to its end.
pub(super) async fn ask(server: Ipv4Addr, word: &str, within: Duration) -> io::Result<Said> {
    let question = async {
        let mut stream = TcpStream::connect((server, CLIENT_PORT)).await?;
        let asked_from = stream.local_addr()?;
        stream.write_all(word.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
        Ok(Said { text: String::from_utf8_lossy(&answer).into_owned(), asked_from })
    };
    tokio::time::timeout(within, question).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
