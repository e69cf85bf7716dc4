//! The words that the events of a file have in common.

use std::collections::HashSet;

use crate::history::Word;

/// Nobody needs more words than these, but a hostile file may have as many as it has lines.
const MAX_WORDS: usize = 10_000;

/// How many words are found without a search: more than are common in any history.
const SHELF: usize = 256;

/// Gives the same [`Word`] for the same text, so that a history needs room for each only once.
#[derive(Default)]
pub(super) struct Lexicon {
    words: HashSet<Word>,
    /// For each slot the word that was asked for last.
    shelf: Vec<Word>,
}

impl Lexicon {
    pub(super) fn word(&mut self, text: &str) -> Word {
        if self.shelf.is_empty() {
            self.shelf = vec![Word::default(); SHELF];
        }
        let slot = slot(text.as_bytes());
        if self.shelf[slot] != *text {
            self.shelf[slot] = self.looked_up(text);
        }
        self.shelf[slot].clone()
    }

    fn looked_up(&mut self, text: &str) -> Word {
        if let Some(known) = self.words.get(text) {
            return known.clone();
        }
        let word = Word::from(text);
        if self.words.len() < MAX_WORDS {
            self.words.insert(word.clone());
        }
        word
    }
}

/// Words of one file differ at their ends, as `jobs/1` and `jobs/2` do, or in their lengths.
fn slot(text: &[u8]) -> usize {
    let from_end = |place: usize| text.len().checked_sub(place).map_or(0, |at| usize::from(text[at]));
    (text.len() * 89 + from_end(1) * 7 + from_end(2) * 31) % SHELF
}
