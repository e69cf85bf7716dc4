//! Takes a finding apart until nothing of it can be left out.
//!
//! First the sequence: its shortest beginning is looked for, then its end alone is tried, and where that is not enough mutants are left out by
//! halves, then one by one. Then the bytes: those that were changed are put back, by
//! halves, then one by one. Each step is tried on a cluster without any past, and counts only if that shows the same.

use super::finding::with_bytes;
use super::{FuzzError, Sent, Signature};
use crate::packets::mutants::Mutant;

/// A mutant and how it is sent.
pub(super) type Suspect = (Mutant, Sent);

/// Whether a sequence still shows the same.
pub(super) trait Trial {
    /// What it shows, if anything.
    async fn shows(&mut self, sent: &[Sent]) -> Result<Option<Signature>, FuzzError>;
}

/// Tries so much and no more: each try starts a cluster.
pub(super) struct Minimiser<'a, T> {
    pub(super) trial: &'a mut T,
    pub(super) shape: &'static str,
    pub(super) tries_left: u32,
}

impl<T: Trial> Minimiser<'_, T> {
    async fn still(&mut self, suspects: &[Suspect]) -> Result<bool, FuzzError> {
        if self.tries_left == 0 {
            return Ok(false);
        }
        self.tries_left -= 1;
        let sent: Vec<Sent> = suspects.iter().map(|(_, sent)| sent.clone()).collect();
        Ok(self.trial.shows(&sent).await?.is_some_and(|signature| signature.shape() == self.shape))
    }

    /// The shortest sequence that shows the same.
    pub(super) async fn fewest_mutants(&mut self, all: Vec<Suspect>) -> Result<Vec<Suspect>, FuzzError> {
        let beginning = self.shortest_beginning(all).await?;
        let end = &beginning[beginning.len().saturating_sub(1)..];
        if beginning.len() > 1 && self.still(end).await? {
            return Ok(end.to_vec());
        }
        self.without_what_can_be_spared(beginning).await
    }

    /// Nearly always one mutant did it, and all that came after it does not matter.
    async fn shortest_beginning(&mut self, mut all: Vec<Suspect>) -> Result<Vec<Suspect>, FuzzError> {
        let (mut too_short, mut enough) = (0, all.len());
        while enough - too_short > 1 && self.tries_left > 0 {
            let middle = too_short.midpoint(enough);
            match self.still(&all[..middle]).await? {
                true => enough = middle,
                false => too_short = middle,
            }
        }
        all.truncate(enough);
        Ok(all)
    }

    async fn without_what_can_be_spared(&mut self, mut all: Vec<Suspect>) -> Result<Vec<Suspect>, FuzzError> {
        let mut size = all.len().div_ceil(2);
        while all.len() > 1 && size > 0 && self.tries_left > 0 {
            let mut at = 0;
            let before = all.len();
            while at < all.len() && all.len() > 1 {
                let end = all.len().min(at + size);
                let without: Vec<Suspect> = all[..at].iter().chain(&all[end..]).cloned().collect();
                if !without.is_empty() && self.still(&without).await? {
                    all = without;
                } else {
                    at = end;
                }
            }
            size = if size == 1 && all.len() < before { 1 } else { size / 2 };
        }
        Ok(all)
    }

    /// The same sequence with as many bytes put back as possible.
    pub(super) async fn fewest_bytes(&mut self, mut all: Vec<Suspect>) -> Result<Vec<Suspect>, FuzzError> {
        for index in 0..all.len() {
            let (whole, mutated) = (all[index].1.whole.bytes().to_vec(), all[index].1.packet.bytes().to_vec());
            let changed: Vec<usize> =
                (0..whole.len().min(mutated.len())).filter(|&at| whole[at] != mutated[at]).collect();
            // Bytes of packets of another length stand elsewhere: then it is only looked whether they matter at all.
            if whole.len() != mutated.len() && changed.len() > mutated.len() / 2 {
                continue;
            }
            let mut size = changed.len().div_ceil(2);
            let mut kept = changed;
            while size > 0 && self.tries_left > 0 {
                let mut at = 0;
                while at < kept.len() {
                    let end = kept.len().min(at + size);
                    let mut tried = all.clone();
                    let mut bytes = tried[index].1.packet.bytes().to_vec();
                    kept[at..end].iter().for_each(|&place| bytes[place] = whole[place]);
                    tried[index].1.packet = with_bytes(&tried[index].1.packet, &bytes);
                    // Where all of them can be put back, it is the well-formed message that does it.
                    if self.still(&tried).await? {
                        all = tried;
                        kept.drain(at..end);
                    } else {
                        at = end;
                    }
                }
                size /= 2;
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::finding::difference;
    use crate::fuzz::subject::NodeState;
    use crate::packets::mutants::Grammar;
    use crate::servers::Software;

    /// Stops if this is so.
    struct Stops<F>(F);

    impl<F: FnMut(&[Sent]) -> bool> Trial for Stops<F> {
        async fn shows(&mut self, sent: &[Sent]) -> Result<Option<Signature>, FuzzError> {
            Ok((self.0)(sent).then(|| Signature { nodes: vec![NodeState::silent(Vec::new())] }))
        }
    }

    const SHAPE: &str = "no server serves anything";

    fn suspects(count: usize) -> Vec<Suspect> {
        let grammar = Grammar::of(Software::ZooKeeper);
        let all = grammar.mutants(9).filter_map(|mutant| Sent::of(&grammar, &mutant).map(|sent| (mutant, sent)));
        all.take(count).collect()
    }

    #[tokio::test]
    async fn only_what_matters_is_left_of_a_sequence() {
        for needed in [vec![17], vec![3, 40], vec![0, 1, 63]] {
            let all = suspects(64);
            let bytes: Vec<Vec<u8>> = needed.iter().map(|&at: &usize| all[at].1.packet.bytes().to_vec()).collect();
            let mut trial =
                Stops(|sent: &[Sent]| bytes.iter().all(|bytes| sent.iter().any(|one| one.packet.bytes() == bytes)));
            let mut minimiser = Minimiser { trial: &mut trial, shape: SHAPE, tries_left: 500 };
            let left = minimiser.fewest_mutants(all).await.expect("no errors");
            assert_eq!(left.len(), needed.len(), "{needed:?}");
        }
    }

    #[tokio::test]
    async fn only_what_matters_is_left_of_the_bytes() {
        let mut all = suspects(1);
        let whole = all[0].1.whole.clone();
        let mut bytes = whole.bytes().to_vec();
        bytes[2..14].iter_mut().for_each(|byte| *byte ^= 0x55);
        all[0].1.packet = with_bytes(&whole, &bytes);
        let mut trial = Stops(|sent: &[Sent]| sent[0].packet.bytes()[9] == bytes[9]);
        let mut minimiser = Minimiser { trial: &mut trial, shape: SHAPE, tries_left: 100 };
        let left = minimiser.fewest_bytes(all).await.expect("no errors");
        assert_eq!(difference(left[0].1.packet.bytes(), whole.bytes()), 1);
    }

    #[tokio::test]
    async fn one_of_many_is_found_in_few_tries() {
        let all = suspects(64);
        let culprit = all[20].1.packet.bytes().to_vec();
        let mut tries = 0;
        let mut trial = Stops(|sent: &[Sent]| {
            tries += 1;
            sent.iter().any(|one| one.packet.bytes() == culprit)
        });
        let left = Minimiser { trial: &mut trial, shape: SHAPE, tries_left: 100 }.fewest_mutants(all).await;
        assert_eq!((left.expect("no errors").len(), tries), (1, 7));
    }

    #[tokio::test]
    async fn it_gives_up_when_its_tries_are_over_and_keeps_what_stops() {
        let all = suspects(64);
        let last = all[63].1.packet.bytes().to_vec();
        let mut tries = 0;
        let mut trial = Stops(|sent: &[Sent]| {
            tries += 1;
            sent.iter().any(|one| one.packet.bytes() == last)
        });
        let left = Minimiser { trial: &mut trial, shape: SHAPE, tries_left: 3 }.fewest_mutants(all).await;
        let left = left.expect("no errors");
        assert_eq!(tries, 3);
        assert!(left.iter().any(|(_, sent)| sent.packet.bytes() == last));
    }
}
