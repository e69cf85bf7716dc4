//! What one side has sent and the other was not given yet.

use std::collections::VecDeque;
use std::time::Instant;

/// As much as is read at once.
pub(super) const CHUNK: usize = 16 * 1024;

/// As much as is held for one side before no more is read from it.
const MOST: usize = 1 << 20;

/// What one side has sent and the other was not given yet, in order.
#[derive(Debug, Default)]
pub(super) struct Held {
    pieces: VecDeque<Piece>,
    bytes: usize,
}

/// What arrived at once.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) arrived: Instant,
    /// Nothing stands for the end.
    pub(super) bytes: Vec<u8>,
}

impl Held {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.pieces.push_back(Piece { arrived: Instant::now(), bytes: bytes.to_vec() });
    }

    pub(super) fn has_room(&self) -> bool {
        self.bytes < MOST
    }

    pub(super) fn first(&self) -> Option<&Piece> {
        self.pieces.front()
    }

    pub(super) fn pop(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.bytes.len();
        Some(piece)
    }
}
