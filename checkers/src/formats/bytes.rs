//! The bytes of a file, one at a time, with the line that they are on.

use std::io::BufRead;

use super::Error;
use super::error::Problem;
use crate::history::MAX_LINE_BYTES;

/// Reads bytes, and at most [`MAX_LINE_BYTES`] for one value.
pub(super) struct Bytes<R> {
    reader: R,
    line: usize,
    /// The line on which the value begins that is being read.
    value_line: usize,
    /// How many bytes that value may still have.
    budget: usize,
}

impl<R: BufRead> Bytes<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: 1, value_line: 1, budget: MAX_LINE_BYTES }
    }

    /// Between values there may be any number of bytes.
    pub(super) fn between_values(&mut self) {
        self.budget = usize::MAX;
    }

    /// A value begins here.
    pub(super) fn begin_value(&mut self) {
        self.budget = MAX_LINE_BYTES;
        self.value_line = self.line;
    }

    /// The line that has been reached.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// The line on which the latest value begins.
    pub(super) fn value_line(&self) -> usize {
        self.value_line
    }

    pub(super) fn peek(&mut self) -> Result<Option<u8>, Error> {
        match self.reader.fill_buf() {
            Ok(bytes) => Ok(bytes.first().copied()),
            Err(error) => Err(Error::at(self.line, error)),
        }
    }

    /// Leaves behind the byte that was peeked at, which is this one.
    pub(super) fn pass(&mut self, byte: u8) -> Result<(), Error> {
        self.budget = self.budget.checked_sub(1).ok_or_else(|| Error::at(self.value_line, Problem::TooLong))?;
        self.line += usize::from(byte == b'\n');
        self.reader.consume(1);
        Ok(())
    }

    /// Takes the bytes up to the first that is not wanted, piece by piece.
    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool, into: &mut Vec<u8>) -> Result<(), Error> {
        loop {
            let line = self.line;
            let piece = self.reader.fill_buf().map_err(|error| Error::at(line, error))?;
            let length = piece.iter().position(|byte| !wanted(*byte)).unwrap_or(piece.len());
            let is_last = length < piece.len() || length == 0;
            self.budget =
                self.budget.checked_sub(length).ok_or_else(|| Error::at(self.value_line, Problem::TooLong))?;
            self.line += piece[..length].iter().filter(|byte| **byte == b'\n').count();
            into.extend_from_slice(&piece[..length]);
            self.reader.consume(length);
            if is_last {
                return Ok(());
            }
        }
    }

    /// The next byte, which must be there.
    pub(super) fn take(&mut self) -> Result<u8, Error> {
        let byte = self.peek()?.ok_or_else(|| Error::at(self.value_line, Problem::Unfinished))?;
        self.pass(byte)?;
        Ok(byte)
    }
}
