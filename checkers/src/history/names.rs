//! The names under which locks were ever asked for.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Remembers each name by a fingerprint of 128 bits: of a long run this is all that is kept of an acquisition.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<Fingerprint, Name>);

type Fingerprint = (u64, u64);

#[derive(Clone, Copy, Debug)]
struct Name {
    first: usize,
    forgotten: bool,
}

impl Names {
    /// Notes an acquisition by a name.
    ///
    /// # Errors
    ///
    /// The acquisition that had the name before, if one had.
    pub(crate) fn note(&mut self, key: &str, owner: &str, op: usize) -> Result<(), usize> {
        let first = self.0.entry(fingerprint(key, owner)).or_insert(Name { first: op, forgotten: false }).first;
        if first == op { Ok(()) } else { Err(first) }
    }

    pub(crate) fn is_known(&self, key: &str, owner: &str) -> bool {
        self.0.contains_key(&fingerprint(key, owner))
    }

    /// Notes that nothing is known any more of what became of this acquisition.
    pub(crate) fn forget(&mut self, key: &str, owner: &str) {
        self.0.entry(fingerprint(key, owner)).and_modify(|name| name.forgotten = true);
    }

    pub(crate) fn is_forgotten(&self, key: &str, owner: &str) -> bool {
        self.0.get(&fingerprint(key, owner)).is_some_and(|name| name.forgotten)
    }
}

fn fingerprint(key: &str, owner: &str) -> Fingerprint {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, key, owner).hash(&mut hasher);
        hasher.finish()
    };
    (half(0), half(1))
}
