//! ZooKeeper's commands of four letters: a word is sent, an answer comes, the connection is closed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ANSWER_BYTES: u64 = 64 * 1024;

/// An answer, and from which address it was asked for.
pub(super) struct Said {
    pub(super) text: String,
    pub(super) asked_from: SocketAddr,
}

/// Sends the word and reads the answer to its end.
pub(super) async fn ask(server: SocketAddr, word: &str, within: Duration) -> io::Result<Said> {
    let question = async {
        let mut stream = TcpStream::connect(server).await?;
        let asked_from = stream.local_addr()?;
        stream.write_all(word.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
        Ok(Said { text: String::from_utf8_lossy(&answer).into_owned(), asked_from })
    };
    tokio::time::timeout(within, question).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The same, and only the answer.
pub(crate) async fn ask_word(server: SocketAddr, word: &str, within: Duration) -> io::Result<String> {
    ask(server, word, within).await.map(|said| said.text)
}
