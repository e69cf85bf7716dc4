//! The lines of a file, one at a time, in bounded memory.

use std::io::{BufRead, Read};

use super::Error;
use super::error::Problem;
use crate::history::MAX_LINE_BYTES;

/// Reads lines into a buffer that is used again for each.
pub(super) struct Lines<R> {
    reader: R,
    number: usize,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, number: 0, buffer: Vec::new() }
    }

    /// Goes to the next line; `false` if there is none.
    pub(super) fn advance(&mut self) -> Result<bool, Error> {
        self.buffer.clear();
        self.number += 1;
        let limit = MAX_LINE_BYTES as u64 + 1;
        match self.reader.by_ref().take(limit).read_until(b'\n', &mut self.buffer) {
            Err(error) => Err(self.error(error)),
            Ok(length) if length > MAX_LINE_BYTES => Err(self.error(Problem::TooLong)),
            Ok(length) => Ok(length > 0),
        }
    }

    /// The line, without its line break.
    pub(super) fn line(&self) -> &[u8] {
        self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer)
    }

    /// The number of the line, counted from 1.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Whether the line has its line break. Only the last can be without.
    pub(super) fn is_whole(&self) -> bool {
        self.buffer.ends_with(b"\n")
    }

    /// Whether no line follows.
    pub(super) fn at_end(&mut self) -> Result<bool, Error> {
        match self.reader.fill_buf() {
            Ok(rest) => Ok(rest.is_empty()),
            Err(error) => Err(self.error(error)),
        }
    }

    pub(super) fn error(&self, problem: impl Into<Problem>) -> Error {
        Error::at(self.number, problem)
    }
}
