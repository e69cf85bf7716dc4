//! A history as a vector, a list or a stream of op maps.

use std::io::BufRead;

use super::parser::{Brackets, Item, Parser};
use crate::formats::Error;
use crate::formats::error::Problem;
use crate::formats::events::{Located, Source};
use crate::formats::op::Ops;

/// Reads op maps.
pub(in crate::formats) struct EdnOps<R> {
    parser: Parser<R>,
    ops: Ops,
    place: Place,
    truncated: bool,
}

/// Where the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Beginning,
    /// Between ops that stand one after the other.
    InStream,
    /// Between ops in brackets, of which this is the last.
    InBrackets(u8),
    /// After that bracket.
    AfterBrackets,
}

impl<R: BufRead> EdnOps<R> {
    pub(in crate::formats) fn new(reader: R, ops: Ops) -> Self {
        Self { parser: Parser::new(reader), ops, place: Place::Beginning, truncated: false }
    }
}

impl<R: BufRead> Source for EdnOps<R> {
    fn next_event(&mut self) -> Result<Option<Located>, Error> {
        loop {
            let brackets = if self.place == Place::Beginning { Brackets::Enter } else { Brackets::Whole };
            match (self.parser.item(brackets), self.place) {
                (Ok(Item::Open(close)), _) => self.place = Place::InBrackets(close),
                (Ok(Item::Close(bracket)), Place::InBrackets(close)) if bracket == close => {
                    self.place = Place::AfterBrackets;
                }
                (Ok(Item::Close(bracket)), _) => return Err(self.parser.unexpected(bracket)),
                (Ok(Item::Form(_)), Place::AfterBrackets) => {
                    let reason = "something follows the bracket that ends the ops".to_owned();
                    return Err(self.parser.error(Problem::NotEdn(reason)));
                }
                (Ok(Item::Form(form)), place) => {
                    if place == Place::Beginning {
                        self.place = Place::InStream;
                    }
                    let event = self.ops.event(form).map_err(|reason| self.parser.error(Problem::NotAnOp(reason)))?;
                    return Ok(Some((self.parser.form_line(), event)));
                }
                (Ok(Item::End), Place::Beginning) => return Err(Error::of_all(Problem::Empty)),
                (Ok(Item::End), place) => {
                    self.truncated |= matches!(place, Place::InBrackets(_));
                    return Ok(None);
                }
                // A recorder that dies leaves a last line without its end. A bracket or quote that was forgotten further up
                // must not pass for that, or the rest of the file would go unread.
                (Err(Error { problem: Problem::Unfinished, .. }), Place::InStream | Place::InBrackets(_))
                    if self.parser.is_on_form_line() =>
                {
                    self.truncated = true;
                    return Ok(None);
                }
                (Err(error), _) => return Err(error),
            }
        }
    }

    fn truncated(&self) -> bool {
        self.truncated
    }
}
