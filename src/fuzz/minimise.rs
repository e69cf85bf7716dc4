//! Takes a finding apart until nothing of it can be left out.
//!
//! First the sequence: its shortest beginning is looked for, then its end alone is tried, and where that is not enough mutants are left out by
//! halves, then one by one. Then what was done to each message: all of it is left out, then one deed after the other. Then the bytes: those
//! that were changed are put back, by halves, then one by one. Each step is tried on a cluster without any past, and counts only if that
//! shows the same. What is left is a mutant like any other, of which fewer deeds are told.

use std::collections::BTreeSet;

use super::finding::difference;
use super::{FuzzError, Sent, Signature};
use crate::packets::mutants::{Grammar, Mutant, Role};

/// A mutant and how it is sent.
pub(super) type Suspect = (Mutant, Sent);

/// Whether a sequence still shows the same.
pub(super) trait Trial {
    /// What it shows, if anything.
    async fn shows(&mut self, sent: &[Sent]) -> Result<Option<Signature>, FuzzError>;
}

/// Tries so much and no more: each try starts a cluster.
pub(super) struct Minimiser<'a, T> {
    trial: &'a mut T,
    grammar: &'a Grammar,
    shape: &'static str,
    tries_left: u32,
    /// What did not show it. It is not tried again.
    harmless: BTreeSet<Vec<(String, Role, Vec<u8>)>>,
}

impl<'a, T: Trial> Minimiser<'a, T> {
    pub(super) fn new(trial: &'a mut T, grammar: &'a Grammar, shape: &'static str, tries: u32) -> Self {
        Self { trial, grammar, shape, tries_left: tries, harmless: BTreeSet::new() }
    }

    async fn still(&mut self, suspects: &[Suspect]) -> Result<bool, FuzzError> {
        let told = |(mutant, sent): &Suspect| (mutant.message.clone(), mutant.to, sent.packet.bytes().to_vec());
        let tried: Vec<_> = suspects.iter().map(told).collect();
        if self.tries_left == 0 || self.harmless.contains(&tried) {
            return Ok(false);
        }
        self.tries_left -= 1;
        let sent: Vec<Sent> = suspects.iter().map(|(_, sent)| sent.clone()).collect();
        let shows = self.trial.shows(&sent).await?.is_some_and(|signature| signature.shape() == self.shape);
        if !shows {
            self.harmless.insert(tried);
        }
        Ok(shows)
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

    /// The same sequence with as little done to each of its messages as possible.
    pub(super) async fn least_done(&mut self, mut all: Vec<Suspect>) -> Result<Vec<Suspect>, FuzzError> {
        for index in 0..all.len() {
            self.fewest_deeds(&mut all, index).await?;
            self.as_framed_in_the_beginning(&mut all, index).await?;
            self.fewest_bytes(&mut all, index).await?;
        }
        Ok(all)
    }

    async fn fewest_deeds(&mut self, all: &mut [Suspect], index: usize) -> Result<(), FuzzError> {
        // Where nothing has to be done, it is the well-formed message that does it.
        let whole = Mutant { deeds: Vec::new(), reframed: false, ..all[index].0.clone() };
        if self.does_as_well(all, index, Some(whole)).await? {
            return Ok(());
        }
        let mut deed = 0;
        while deed < all[index].0.deeds.len() {
            let without = self.grammar.without(&all[index].0, deed);
            // Without one of them another may be spared that was not before.
            deed = if self.does_as_well(all, index, without).await? { 0 } else { deed + 1 };
        }
        Ok(())
    }

    /// The outermost length is put right, or not, as it is nearer to the well-formed message.
    async fn as_framed_in_the_beginning(&mut self, all: &mut [Suspect], index: usize) -> Result<(), FuzzError> {
        let (mutant, sent) = &all[index];
        let other = Mutant { reframed: !mutant.reframed, ..mutant.clone() };
        let from_whole = |sent: &Sent| difference(sent.packet.bytes(), sent.whole.bytes());
        let is_nearer = Sent::of(self.grammar, &other)
            .is_some_and(|tried| (from_whole(&tried), other.reframed) < (from_whole(sent), mutant.reframed));
        if is_nearer {
            self.does_as_well(all, index, Some(other)).await?;
        }
        Ok(())
    }

    async fn fewest_bytes(&mut self, all: &mut [Suspect], index: usize) -> Result<(), FuzzError> {
        let mut size = self.grammar.changed(&all[index].0).len().div_ceil(2);
        while size > 0 && self.tries_left > 0 {
            let mut at = 0;
            loop {
                let changed = self.grammar.changed(&all[index].0);
                if at >= changed.len() {
                    break;
                }
                let end = changed.len().min(at + size);
                let less = self.grammar.put_back(&all[index].0, &changed[at..end]);
                if !self.does_as_well(all, index, less).await? {
                    at = end;
                }
            }
            size /= 2;
        }
        Ok(())
    }

    /// Puts this mutant into the place of one of them, if the sequence does the same with it.
    async fn does_as_well(
        &mut self,
        all: &mut [Suspect],
        index: usize,
        other: Option<Mutant>,
    ) -> Result<bool, FuzzError> {
        let Some(other) = other else { return Ok(false) };
        let Some(sent) = Sent::of(self.grammar, &other) else { return Ok(false) };
        let is_the_same = sent.packet.bytes() == all[index].1.packet.bytes();
        let before = std::mem::replace(&mut all[index], (other, sent));
        let does = is_the_same || self.still(all).await?;
        if !does {
            all[index] = before;
        }
        Ok(does)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::signature::NodeState;
    use crate::packets::mutate::{Deed, Mutator};
    use crate::servers::Software;

    /// Stops if this is so.
    struct Stops<F>(F);

    impl<F: FnMut(&[Sent]) -> bool> Trial for Stops<F> {
        async fn shows(&mut self, sent: &[Sent]) -> Result<Option<Signature>, FuzzError> {
            Ok((self.0)(sent).then(|| Signature { nodes: vec![NodeState::silent(Vec::new())] }))
        }
    }

    const SHAPE: &str = "no server serves anything";

    fn suspect(grammar: &Grammar, mutant: Mutant) -> Suspect {
        let sent = Sent::of(grammar, &mutant).expect("its own");
        (mutant, sent)
    }

    fn suspects(count: usize) -> Vec<Suspect> {
        let grammar = Grammar::of(Software::ZooKeeper);
        grammar.mutants(9).take(count).map(|mutant| suspect(&grammar, mutant)).collect()
    }

    /// A message to which this was done.
    fn mutant(message: &str, deeds: &[Deed], reframed: bool) -> Mutant {
        let deeds = deeds.iter().map(|deed| (Mutator::Block, "some field".to_owned(), deed.clone())).collect();
        Mutant { number: 0, message: message.to_owned(), to: Role::Leader, deeds, reframed }
    }

    /// What is left of a mutant if bytes like this stop something, and how many tries that took.
    async fn least(software: Software, mutant: Mutant, stops: impl Fn(&[u8]) -> bool) -> (Suspect, u32) {
        let grammar = Grammar::of(software);
        let mut tries = 0;
        let mut trial = Stops(|sent: &[Sent]| {
            tries += 1;
            stops(sent[0].packet.bytes())
        });
        let all = vec![suspect(&grammar, mutant)];
        let mut left = Minimiser::new(&mut trial, &grammar, SHAPE, 100).least_done(all).await.expect("no errors");
        let (mutant, sent) = left.remove(0);
        assert!(stops(sent.packet.bytes()), "what is left stops it");
        let of_mutant = grammar.packet(&mutant).expect("its own");
        assert_eq!(of_mutant.bytes(), sent.packet.bytes(), "what is told is what is sent");
        ((mutant, sent), tries)
    }

    fn has(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    #[tokio::test]
    async fn only_what_matters_is_left_of_a_sequence() {
        let grammar = Grammar::of(Software::ZooKeeper);
        for needed in [vec![17], vec![3, 40], vec![0, 1, 63]] {
            let all = suspects(64);
            let bytes: Vec<Vec<u8>> = needed.iter().map(|&at: &usize| all[at].1.packet.bytes().to_vec()).collect();
            let mut trial =
                Stops(|sent: &[Sent]| bytes.iter().all(|bytes| sent.iter().any(|one| one.packet.bytes() == bytes)));
            let mut minimiser = Minimiser::new(&mut trial, &grammar, SHAPE, 500);
            let left = minimiser.fewest_mutants(all).await.expect("no errors");
            assert_eq!(left.len(), needed.len(), "{needed:?}");
        }
    }

    #[tokio::test]
    async fn only_what_matters_is_left_of_the_bytes() {
        let create = mutant("create", &[Deed::Patch { packet: 0, at: 2, with: vec![0x55; 12] }], false);
        let ((mutant, sent), _) = least(Software::ZooKeeper, create, |bytes| bytes[9] == 0x55).await;
        assert_eq!(difference(sent.packet.bytes(), sent.whole.bytes()), 1);
        let [(_, field, deed)] = &mutant.deeds[..] else { panic!("{mutant:?}") };
        assert_eq!((field.as_str(), deed), ("opcode", &Deed::Patch { packet: 0, at: 9, with: vec![0x55] }));
    }

    /// All but the deed that grows a field of the message is left out, although nothing stands where it stood.
    #[tokio::test]
    async fn only_the_deeds_that_matter_are_left_where_bytes_have_moved() {
        let grammar = Grammar::of(Software::Etcd);
        let put = &grammar.messages().iter().find(|message| message.name.ends_with("Put")).expect("there is one");
        let data = &put.packets[2];
        let key_length = data.find("key length").expect("it has one");
        let value = data.fields()[data.find("value").expect("it has one")].at.start;
        let long = vec![0x86, 0x80, 0x80, 0x00];
        let moved = value + long.len() - 1;
        let deeds = [
            Deed::Overwrite { packet: 2, field: key_length, with: long.clone() },
            Deed::Patch { packet: 2, at: moved, with: b"w".to_vec() },
            Deed::Duplicate { packet: 1 },
        ];
        let stops = |bytes: &[u8]| has(bytes, &long);
        let ((left, sent), tries) = least(Software::Etcd, mutant(&put.name, &deeds, false), stops).await;
        assert_eq!(left.deeds.iter().map(|(_, _, deed)| deed).collect::<Vec<_>>(), [&deeds[0]]);
        assert_eq!((difference(sent.packet.bytes(), sent.whole.bytes()), tries), (4, 5));
        // The one behind it is found at its place, and done there.
        let stops = |bytes: &[u8]| has(bytes, b"\x12\x01w");
        let ((left, sent), _) = least(Software::Etcd, mutant(&put.name, &deeds, false), stops).await;
        let [(_, field, deed)] = &left.deeds[..] else { panic!("{left:?}") };
        assert_eq!((field.as_str(), deed), ("value", &Deed::Patch { packet: 2, at: value, with: b"w".to_vec() }));
        assert_eq!(difference(sent.packet.bytes(), sent.whole.bytes()), 1);
    }

    #[tokio::test]
    async fn of_two_deeds_that_matter_both_are_left() {
        let deeds = [
            Deed::Patch { packet: 0, at: 11, with: vec![0x77] },
            Deed::Patch { packet: 0, at: 6, with: vec![0x33] },
            Deed::Truncate { packet: 0, length: 20 },
        ];
        let stops = |bytes: &[u8]| bytes[11] == 0x77 && bytes.len() == 20;
        let ((left, _), _) = least(Software::ZooKeeper, mutant("create", &deeds, true), stops).await;
        let left: Vec<&Deed> = left.deeds.iter().map(|(_, _, deed)| deed).collect();
        assert_eq!(left, [&deeds[0], &deeds[2]]);
    }

    #[tokio::test]
    async fn a_length_that_was_put_right_is_as_it_was_unless_it_matters() {
        let cut = mutant("create", &[Deed::Truncate { packet: 0, length: 20 }], true);
        let length = |bytes: &[u8]| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let ((left, sent), _) = least(Software::ZooKeeper, cut.clone(), |bytes| bytes.len() == 20).await;
        assert!(!left.reframed);
        assert_eq!(sent.packet.bytes()[..4], sent.whole.bytes()[..4]);
        let ((left, _), _) = least(Software::ZooKeeper, cut, |bytes| length(bytes) == 16).await;
        assert!(left.reframed);
    }

    #[tokio::test]
    async fn of_a_well_formed_message_nothing_is_left_after_one_try() {
        let create = mutant("create", &[Deed::Patch { packet: 0, at: 2, with: vec![0x55; 12] }], true);
        let ((left, sent), tries) = least(Software::ZooKeeper, create, |_| true).await;
        assert_eq!((left.deeds.len(), left.reframed, tries), (0, false, 1));
        assert_eq!(sent.packet.bytes(), sent.whole.bytes());
    }

    #[tokio::test]
    async fn one_of_many_is_found_in_few_tries() {
        let (grammar, all) = (Grammar::of(Software::ZooKeeper), suspects(64));
        let culprit = all[20].1.packet.bytes().to_vec();
        let mut tries = 0;
        let mut trial = Stops(|sent: &[Sent]| {
            tries += 1;
            sent.iter().any(|one| one.packet.bytes() == culprit)
        });
        let left = Minimiser::new(&mut trial, &grammar, SHAPE, 100).fewest_mutants(all).await;
        assert_eq!((left.expect("no errors").len(), tries), (1, 7));
    }

    #[tokio::test]
    async fn it_gives_up_when_its_tries_are_over_and_keeps_what_stops() {
        let (grammar, all) = (Grammar::of(Software::ZooKeeper), suspects(64));
        let last = all[63].1.packet.bytes().to_vec();
        let mut tries = 0;
        let mut trial = Stops(|sent: &[Sent]| {
            tries += 1;
            sent.iter().any(|one| one.packet.bytes() == last)
        });
        let left = Minimiser::new(&mut trial, &grammar, SHAPE, 3).fewest_mutants(all).await;
        let left = left.expect("no errors");
        assert_eq!(tries, 3);
        assert!(left.iter().any(|(_, sent)| sent.packet.bytes() == last));
    }
}
