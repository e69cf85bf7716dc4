//! The ledger of what is done under locks: a store of the harness's own, which no fault touches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Guard, Hold, Key, Piece};
use leasehold_workloads::service::OpError;

/// Takes one piece of work at a time. Clones are the same ledger.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<BTreeMap<Key, Page>>>);

/// What was done under one lock.
#[derive(Debug, Default)]
struct Page {
    /// How many writes there were.
    version: u64,
    /// The greatest fencing token that was shown.
    greatest_token: Option<u64>,
}

impl Ledger {
    /// Takes a piece of work, or refuses it, and has that recorded before the next one is taken: so the record has the order of the
    /// ledger.
    pub fn take(
        &self,
        hold: &Hold,
        piece: Piece,
        guard: Guard,
        record: impl FnOnce(&Result<Answer, OpError>),
    ) -> Result<Answer, OpError> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let page = pages.entry(hold.key.clone()).or_default();
        let result = page.admit(hold, guard).map(|()| page.do_piece(piece));
        record(&result);
        result
    }
}

impl Page {
    fn admit(&mut self, hold: &Hold, guard: Guard) -> Result<(), OpError> {
        if guard != Guard::Token {
            return Ok(());
        }
        let Some(token) = hold.grant.token else {
            return Err(OpError::failed(code::FENCED, "the hold has no token"));
        };
        match self.greatest_token {
            Some(greatest) if token < greatest => {
                Err(OpError::failed(code::FENCED, format!("{token} is smaller than {greatest}, which was here before")))
            }
            _ => {
                self.greatest_token = Some(token);
                Ok(())
            }
        }
    }

    fn do_piece(&mut self, piece: Piece) -> Answer {
        self.version += u64::from(piece == Piece::Write);
        Answer::Worked { version: matches!(piece, Piece::Read | Piece::Write).then_some(self.version) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use leasehold_workloads::op::{Grant, Owner};

    use super::*;

    fn hold(key: &str, token: Option<u64>) -> Hold {
        let ttl = Duration::from_secs(3);
        let owner = Owner { process: 1, attempt: 1 };
        Hold { key: key.to_owned(), owner, ttl, grant: Grant { ttl, token, lease: None } }
    }

    fn version(ledger: &Ledger, hold: &Hold, piece: Piece, guard: Guard) -> Result<Option<u64>, &'static str> {
        let mut recorded = None;
        let result = ledger.take(hold, piece, guard, |result| recorded = Some(result.clone()));
        assert_eq!(recorded.as_ref(), Some(&result));
        match result {
            Ok(Answer::Worked { version }) => Ok(version),
            Ok(other) => panic!("unexpected {other:?}"),
            Err(error) => Err(error.code),
        }
    }

    #[test]
    fn each_write_makes_the_next_version_of_its_lock() {
        let ledger = Ledger::default();
        let a = hold("a", None);
        let pieces = [Piece::Begin, Piece::Read, Piece::Write, Piece::Write, Piece::Read, Piece::End];
        let versions = pieces.map(|piece| version(&ledger, &a, piece, Guard::None));
        assert_eq!(versions, [Ok(None), Ok(Some(0)), Ok(Some(1)), Ok(Some(2)), Ok(Some(2)), Ok(None)]);
        assert_eq!(version(&ledger, &hold("b", None), Piece::Read, Guard::None), Ok(Some(0)));
    }

    #[test]
    fn a_token_that_is_smaller_than_one_that_was_shown_is_refused() {
        let ledger = Ledger::default();
        let write = |token, guard| version(&ledger, &hold("a", token), Piece::Write, guard);
        assert_eq!(write(Some(7), Guard::Token), Ok(Some(1)));
        assert_eq!(write(Some(7), Guard::Token), Ok(Some(2)));
        assert_eq!(version(&ledger, &hold("a", Some(9)), Piece::Begin, Guard::Token), Ok(None));
        assert_eq!(write(Some(7), Guard::Token), Err("fenced"));
        assert_eq!(write(None, Guard::Token), Err("fenced"));
        assert_eq!(write(Some(7), Guard::None), Ok(Some(3)), "where nobody guards, all is taken");
    }
}
