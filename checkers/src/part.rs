//! Judging a history by parts of its keys, for histories that are too large for one machine.
//!
//! What is promised of one lock or register is judged by what was asked of it, so that each part can judge its own keys alone. What
//! is judged of the cluster as a whole, such as a lockup, every part judges, by all ops: it keeps the sums of them and forgets the
//! ops themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::checks::lockup::signature;
use crate::verdict::{CheckerResult, Judgement, Verdict, by_weight};

/// One of several parts of the keys. Every key is in one part, and always in the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Counted from 0.
    index: u64,
    of: u64,
}

impl Part {
    /// All keys.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// The part of this number, counted from 1, of so many; `None` where there is no such part.
    #[must_use]
    pub fn new(number: usize, of: usize) -> Option<Self> {
        (1..=of).contains(&number).then(|| Self { index: number as u64 - 1, of: of as u64 })
    }

    /// Whether a key is in it.
    #[must_use]
    pub fn has(self, key: &str) -> bool {
        self.of == 1 || fnv_1a(key.as_bytes()) % self.of == self.index
    }
}

/// The hash of Fowler, Noll and Vo, of 64 bits: the same on each machine and in each version.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// What the parts of one history say together: all anomalies, and of each checker the worst verdict with the reasons of those
/// parts that gave it.
#[must_use]
pub fn merge(parts: &[Judgement]) -> Judgement {
    let mut anomalies = Vec::new();
    for anomaly in parts.iter().flat_map(|part| &part.anomalies) {
        // What is said of the cluster each part says.
        if !anomalies.contains(anomaly) {
            anomalies.push(anomaly.clone());
        }
    }
    signature::name_zombies(&mut anomalies);
    anomalies.sort_by(by_weight);
    let mut words: BTreeMap<&String, Vec<&CheckerResult>> = BTreeMap::new();
    for (name, word) in parts.iter().flat_map(|part| &part.checkers) {
        words.entry(name).or_default().push(word);
    }
    let checkers: BTreeMap<String, CheckerResult> =
        words.into_iter().map(|(name, words)| (name.clone(), worst(&words))).collect();
    Judgement {
        verdict: parts.iter().map(|part| part.verdict).fold(Verdict::Valid, Verdict::merge),
        anomalies,
        ops: parts.iter().map(|part| part.ops).sum(),
        checkers,
    }
}

fn worst(words: &[&CheckerResult]) -> CheckerResult {
    let verdict = words.iter().map(|word| word.verdict).fold(Verdict::Valid, Verdict::merge);
    let reasons: BTreeSet<&str> =
        words.iter().filter(|word| word.verdict == verdict).map(|word| word.reason.as_str()).collect();
    CheckerResult { verdict, reason: reasons.into_iter().collect::<Vec<_>>().join("; in another part: ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_one_part_and_stays_there() {
        assert_eq!((Part::new(0, 3), Part::new(4, 3), Part::new(1, 0)), (None, None, None));
        let parts: Vec<Part> = (1..=3).filter_map(|number| Part::new(number, 3)).collect();
        let place = |key: &str| -> Vec<usize> { (0..3).filter(|&part| parts[part].has(key)).collect() };
        let places: Vec<Vec<usize>> = ["jobs/1", "jobs/2", "jobs/3", "jobs/4", ""].map(place).to_vec();
        assert_eq!(places, [[2], [2], [0], [0], [2]]);
        // The value that the hash's authors give.
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
