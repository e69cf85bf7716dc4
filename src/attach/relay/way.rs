//! One direction of one connection.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::board::{Board, Ends};
use super::held::{CHUNK, Held, Piece};

/// How a way came to its end.
#[derive(Debug)]
pub(super) enum Ended {
    /// Whoever sends has ended, and what it sent was given on, unless it is a client: then it was thrown away. With the error
    /// of a sender that broke off before it had said a word.
    Source(Option<io::Error>),
    /// Whoever is sent to takes no more.
    Sink,
}

/// Carries what comes from `source` to `sink`, as the board asks, until either ends.
pub(super) async fn way<R, W>(board: &Board, ends: Ends, mut held: Held, mut source: R, mut sink: W) -> Ended
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let is_of_a_client = !matches!(ends.0, crate::sandbox::Port::Node(_));
    let (mut chunk, mut changes) = (vec![0; CHUNK], board.changes());
    let (mut has_spoken, mut has_ended, mut failure) = (false, false, None);
    loop {
        let due = held.first().and_then(|piece| board.now(ends).due(piece.arrived));
        let wake = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            read = source.read(&mut chunk), if !has_ended && held.has_room() => match read {
                Ok(count) if count > 0 => {
                    has_spoken = true;
                    board.takes(ends, &mut held, &chunk[..count]);
                }
                // A client that has hung up wants nothing of what it asked for.
                _ if is_of_a_client => return Ended::Source(None),
                ended => {
                    failure = ended.err().filter(|_| !has_spoken);
                    has_ended = true;
                    // Word of the end travels as all else does.
                    held.push(&[]);
                }
            },
            () = wake => {
                // The rules may have changed while it slept.
                let is_due = |piece: &Piece| board.now(ends).due(piece.arrived).is_some_and(|due| due <= Instant::now());
                let Some(piece) = held.first().is_some_and(is_due).then(|| held.pop()).flatten() else { continue };
                if piece.bytes.is_empty() {
                    return Ended::Source(failure);
                }
                if sink.write_all(&piece.bytes).await.is_err() || sink.flush().await.is_err() {
                    return Ended::Sink;
                }
                board.gives(ends, &piece);
            }
            // The board is there as long as we are.
            _ = changes.changed() => {}
        }
    }
}
