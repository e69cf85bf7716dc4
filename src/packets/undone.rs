//! Takes back some of what was done to a message: a deed, or bytes of one. What is left says again what was done to which field.

use std::slice;

use super::Packet;
use super::mutate::{Deed, Done, done};

/// A byte that a deed changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the deeds.
    deed: usize,
    /// Which of the bytes that it writes.
    byte: usize,
}

/// The packets of a message while things are done to them, and which of its packets each was in the beginning.
#[derive(Clone)]
struct Row {
    packets: Vec<Packet>,
    origins: Vec<usize>,
}

/// What is left without one deed. Those after it are done to the same bytes, wherever they stand then; what finds nothing to be done to
/// any more is left out as well.
#[must_use]
pub fn without(packets: &[Packet], deeds: &[Done], left_out: usize) -> Vec<Done> {
    let mut before = Row { packets: packets.to_vec(), origins: (0..packets.len()).collect() };
    let mut now = before.clone();
    let mut left = Vec::new();
    for (index, (mutator, _, deed)) in deeds.iter().enumerate() {
        if index != left_out
            && let Some(moved) = moved(deed, &before, &now)
        {
            left.push((*mutator, moved.field(&now.packets), moved.clone()));
            now.take(&moved);
        }
        before.take(deed);
    }
    left
}

/// The bytes that these deeds changed where they stood.
#[must_use]
pub fn changed(packets: &[Packet], deeds: &[Done]) -> Vec<Place> {
    let mut now = packets.to_vec();
    let mut places = Vec::new();
    for (index, (_, _, deed)) in deeds.iter().enumerate() {
        if let Some((with, there)) = written(deed, &now) {
            let differs = |byte: &usize| with[*byte] != there[*byte];
            places.extend((0..with.len().min(there.len())).filter(differs).map(|byte| Place { deed: index, byte }));
        }
        now = done(&now, slice::from_ref(deed));
    }
    places
}

/// What is left with these bytes put back; a deed that changes nothing then is left out.
#[must_use]
pub fn put_back(packets: &[Packet], deeds: &[Done], places: &[Place]) -> Vec<Done> {
    let mut now = packets.to_vec();
    let mut left = Vec::new();
    for (index, (mutator, _, deed)) in deeds.iter().enumerate() {
        let bytes = places.iter().filter(|place| place.deed == index).map(|place| place.byte);
        if let Some(less) = less(deed, &now, bytes) {
            left.push((*mutator, less.field(&now), less.clone()));
            now = done(&now, &[less]);
        }
    }
    left
}

impl Row {
    fn take(&mut self, deed: &Deed) {
        self.packets = done(&self.packets, slice::from_ref(deed));
        match *deed {
            Deed::Duplicate { packet } if packet < self.origins.len() => {
                self.origins.insert(packet + 1, self.origins[packet]);
            }
            Deed::Swap { packet, with } if packet.max(with) < self.origins.len() => self.origins.swap(packet, with),
            _ => {}
        }
    }

    /// Where a packet of another row stands in this one. A copy that was not made here is the packet itself.
    fn place_of(&self, other: &Self, packet: usize) -> Option<usize> {
        let origin = other.origins.get(packet)?;
        let copies_before = other.origins[..packet].iter().filter(|it| *it == origin).count();
        let places = (0..self.origins.len()).filter(|&place| self.origins[place] == *origin);
        places.take(copies_before + 1).last()
    }
}

/// A deed to packets that stood like this, done to the same bytes of packets that stand like that.
fn moved(deed: &Deed, before: &Row, now: &Row) -> Option<Deed> {
    let place = |packet: usize| now.place_of(before, packet);
    let place_of_byte = |packet: usize, at: usize| {
        let (from, to) = (before.packets.get(packet)?, &now.packets[place(packet)?]);
        let index = from.fields().iter().position(|field| field.at.contains(&at))?;
        let offset = at - from.fields()[index].at.start;
        to.fields().get(index).filter(|field| offset < field.at.len()).map(|field| field.at.start + offset)
    };
    Some(match deed {
        Deed::Overwrite { packet, field, with } => {
            let packet = place(*packet).filter(|&packet| *field < now.packets[packet].fields().len())?;
            Deed::Overwrite { packet, field: *field, with: with.clone() }
        }
        Deed::Patch { packet, at, with } => {
            Deed::Patch { packet: place(*packet)?, at: place_of_byte(*packet, *at)?, with: with.clone() }
        }
        Deed::Truncate { packet, length } => {
            Deed::Truncate { packet: place(*packet)?, length: place_of_byte(*packet, *length)? }
        }
        Deed::Duplicate { packet } => Deed::Duplicate { packet: place(*packet)? },
        Deed::Swap { packet, with } => Deed::Swap { packet: place(*packet)?, with: place(*with)? },
    })
}

/// What a deed writes, and what stands there before it, if none of that moves.
fn written<'a>(deed: &'a Deed, packets: &'a [Packet]) -> Option<(&'a [u8], &'a [u8])> {
    match deed {
        Deed::Overwrite { packet, field, with } => {
            let packet = packets.get(*packet)?;
            let there = packet.bytes_of(packet.fields().get(*field)?);
            (there.len() == with.len()).then_some((with, there))
        }
        Deed::Patch { packet, at, with } => Some((with, packets.get(*packet)?.bytes().get(*at..)?)),
        Deed::Truncate { .. } | Deed::Duplicate { .. } | Deed::Swap { .. } => None,
    }
}

/// The same deed with some of its bytes as they were; `None` where it changes nothing any more.
fn less(deed: &Deed, packets: &[Packet], bytes: impl Iterator<Item = usize>) -> Option<Deed> {
    let Some((with, there)) = written(deed, packets) else { return Some(deed.clone()) };
    let mut with = with.to_vec();
    bytes.for_each(|byte| with[byte] = there[byte]);
    let differs = |byte: &usize| with[*byte] != there[*byte];
    let changes: Vec<usize> = (0..with.len().min(there.len())).filter(differs).collect();
    let (&first, &last) = (changes.first()?, changes.last()?);
    Some(match deed {
        Deed::Patch { packet, at, .. } => {
            Deed::Patch { packet: *packet, at: at + first, with: with[first..=last].to_vec() }
        }
        Deed::Overwrite { packet, field, .. } => Deed::Overwrite { packet: *packet, field: *field, with },
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packets::FieldKind;
    use crate::packets::mutants::Grammar;
    use crate::packets::mutate::Mutator;
    use crate::servers::Software;

    fn letters(text: &[u8]) -> Packet {
        Packet::builder()
            .field("length", FieldKind::Varint, &[text.len() as u8])
            .field("text", FieldKind::Text, text)
            .build()
    }

    fn message() -> Vec<Packet> {
        vec![letters(b"abc"), letters(b"defgh")]
    }

    /// These deeds, each said to be done to the field that it is done to.
    fn named(deeds: &[Deed]) -> Vec<Done> {
        let name = |index: usize| deeds[index].field(&done(&message(), &deeds[..index]));
        deeds.iter().enumerate().map(|(index, deed)| (Mutator::Bit, name(index), deed.clone())).collect()
    }

    /// What is left of these deeds without one, as it is sent.
    fn sent_without(deeds: &[Deed], left_out: usize) -> Vec<u8> {
        sent(&without(&message(), &named(deeds), left_out))
    }

    fn sent(deeds: &[Done]) -> Vec<u8> {
        let deeds: Vec<Deed> = deeds.iter().map(|(_, _, deed)| deed.clone()).collect();
        done(&message(), &deeds).iter().flat_map(Packet::bytes).copied().collect()
    }

    fn longer(packet: usize) -> Deed {
        Deed::Overwrite { packet, field: 0, with: vec![0x83, 0x80, 0] }
    }

    #[test]
    fn what_comes_after_a_deed_is_done_to_the_same_bytes_without_it() {
        // The fifth byte is `b` in a packet that has grown by two.
        let patched = Deed::Patch { packet: 0, at: 4, with: b"B".to_vec() };
        assert_eq!(sent_without(&[longer(0), patched.clone()], 0), b"\x03aBc\x05defgh");
        assert_eq!(sent_without(&[longer(0), patched], 1), b"\x83\x80\x00abc\x05defgh");
        let cut = Deed::Truncate { packet: 0, length: 5 };
        assert_eq!(sent_without(&[longer(0), cut], 0), b"\x03ab\x05defgh");
    }

    #[test]
    fn packets_are_found_again_when_their_order_is_another() {
        let second = Deed::Patch { packet: 0, at: 1, with: b"D".to_vec() };
        let swapped = Deed::Swap { packet: 0, with: 1 };
        assert_eq!(sent_without(&[swapped.clone(), second.clone()], 0), b"\x03abc\x05Defgh");
        // What is done to a copy is done to the packet itself, and what stands behind a copy moves up.
        let twice = Deed::Duplicate { packet: 0 };
        let copy = Deed::Patch { packet: 1, at: 1, with: b"A".to_vec() };
        let behind = Deed::Patch { packet: 2, at: 1, with: b"D".to_vec() };
        assert_eq!(sent_without(&[twice.clone(), copy], 0), b"\x03Abc\x05defgh");
        assert_eq!(sent_without(&[twice.clone(), behind], 0), b"\x03abc\x05Defgh");
        assert_eq!(sent_without(&[twice, swapped, second], 1), b"\x03Dbc\x03abc\x05defgh");
    }

    #[test]
    fn what_has_nothing_to_be_done_to_is_left_out_as_well() {
        let in_what_grew = Deed::Patch { packet: 0, at: 2, with: vec![9] };
        let deeds = named(&[longer(0), in_what_grew]);
        assert_eq!(without(&message(), &deeds, 0), []);
    }

    #[test]
    fn bytes_are_put_back_one_by_one_and_what_is_left_names_its_field() {
        let deeds = named(&[Deed::Patch { packet: 1, at: 0, with: b"\x06dXfY".to_vec() }]);
        assert_eq!(deeds[0].1, "length");
        let places = changed(&message(), &deeds);
        assert_eq!(places.iter().map(|place| place.byte).collect::<Vec<_>>(), [0, 2, 4]);
        let left = put_back(&message(), &deeds, &places[..1]);
        assert_eq!(sent(&left), b"\x03abc\x05dXfYh");
        let patch = Deed::Patch { packet: 1, at: 2, with: b"XfY".to_vec() };
        assert_eq!(left, [(Mutator::Bit, "text".to_owned(), patch)]);
        assert_eq!(put_back(&message(), &deeds, &places), []);
        // Of what is overwritten with another length no byte has a place of its own.
        assert_eq!(changed(&message(), &named(&[longer(0)])), []);
        let same_length = named(&[Deed::Overwrite { packet: 0, field: 1, with: b"ABc".to_vec() }]);
        let places = changed(&message(), &same_length);
        assert_eq!(sent(&put_back(&message(), &same_length, &places[..1])), b"\x03aBc\x05defgh");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn what_is_left_of_a_mutant_names_what_it_is_done_to(seed: u64, software in 0_usize..3) {
            let grammar = Grammar::of([Software::Etcd, Software::Consul, Software::ZooKeeper][software]);
            for mutant in grammar.mutants(seed).take(60) {
                let packets = &grammar.message(&mutant).expect("its own").packets;
                for index in 0..mutant.deeds.len() {
                    let left = without(packets, &mutant.deeds, index);
                    prop_assert!(left.len() < mutant.deeds.len());
                    let mut now = packets.clone();
                    for (_, field, deed) in &left {
                        prop_assert_eq!(field, &deed.field(&now));
                        now = done(&now, slice::from_ref(deed));
                    }
                }
                let last = mutant.deeds.len() - 1;
                prop_assert_eq!(&without(packets, &mutant.deeds, last), &mutant.deeds[..last]);
            }
        }

        #[test]
        fn when_all_bytes_are_put_back_only_what_moves_others_is_left(seed: u64, software in 0_usize..3) {
            let grammar = Grammar::of([Software::Etcd, Software::Consul, Software::ZooKeeper][software]);
            for mutant in grammar.mutants(seed).take(60) {
                let packets = &grammar.message(&mutant).expect("its own").packets;
                // A deed that wrote what an earlier one had written changes something once that is put back.
                let again = |deeds: Vec<Done>| put_back(packets, &deeds, &changed(packets, &deeds));
                let left = mutant.deeds.iter().fold(mutant.deeds.clone(), |deeds, _| again(deeds));
                prop_assert_eq!(changed(packets, &left), []);
                prop_assert!(!left.iter().any(|(_, _, deed)| matches!(deed, Deed::Patch { .. })), "{left:?}");
            }
        }
    }
}
