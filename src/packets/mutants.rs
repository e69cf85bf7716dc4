//! Malformed messages without an end, the same ones for the same seed.

use std::collections::BTreeMap;
use std::fmt;

use leasehold_workloads::script::Dice;
use serde::{Deserialize, Serialize};

use super::mutate::{Deed, Done, Mutator, done};
use super::undone::{self, Place};
use super::{Builder, Packet, Port, consul, etcd, http, zookeeper};
use crate::NodeId;
use crate::servers::Software;

/// Keeps these dice apart from all others of a run.
const DICE: u64 = 0x6675_7a7a;

/// The share of mutants whose outermost length is put right afterwards, so that servers look at what is inside.
const REFRAMED: f64 = 0.7;

/// The time-out of the sessions in which requests are sent.
const SESSION_MS: i32 = 4_000;

/// A message that a server takes, in the packets that it consists of.
#[derive(Clone, Debug)]
pub struct Message {
    /// What the service calls it.
    pub name: String,
    /// Where it is sent.
    pub port: Port,
    /// What has to be answered before.
    pub handshake: Option<Packet>,
    /// What is sent.
    pub packets: Vec<Packet>,
    /// Puts the outermost length of a packet right.
    pub(super) reframe: fn(Packet) -> Packet,
    /// Tells what of such bytes a server cannot read, where that is known.
    pub unread: fn(&[u8]) -> Option<&'static str>,
    /// Puts the name of who is sent it, and the term in which, to where nothing was changed.
    pub addressed: fn(Packet, NodeId, u64) -> Packet,
}

/// Which server is sent a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The one that leads.
    Leader,
    /// One that does not.
    Follower,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "the leader",
            Self::Follower => "a follower",
        })
    }
}

/// A message and what was done to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutant {
    /// Its number among all of this seed.
    pub number: u64,
    /// The message.
    pub message: String,
    /// Who is sent it.
    pub to: Role,
    /// What was done, by which mutator, and to which field.
    pub deeds: Vec<Done>,
    /// Whether the outermost length was put right after that.
    pub reframed: bool,
}

/// All messages that are known of a service.
#[derive(Clone, Debug)]
pub struct Grammar(Vec<Message>);

impl Grammar {
    /// What clients and peers can send to these servers.
    #[must_use]
    pub fn of(software: Software) -> Self {
        Self(match software {
            Software::ZooKeeper => of_zookeeper(),
            Software::Etcd => of_etcd(),
            Software::Consul => of_consul(),
        })
    }

    /// The messages.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.0
    }

    /// The message that a mutant was made of.
    #[must_use]
    pub fn message(&self, mutant: &Mutant) -> Option<&Message> {
        self.0.iter().find(|message| message.name == mutant.message)
    }

    /// A mutant as it is sent: one packet after the other. `None` where it is of another grammar.
    #[must_use]
    pub fn packet(&self, mutant: &Mutant) -> Option<Packet> {
        let message = self.message(mutant)?;
        let deeds: Vec<Deed> = mutant.deeds.iter().map(|(_, _, deed)| deed.clone()).collect();
        let packets = done(&message.packets, &deeds).into_iter();
        let reframe = |packet| if mutant.reframed { (message.reframe)(packet) } else { packet };
        Some(packets.map(reframe).fold(Packet::builder(), Builder::packet).build())
    }

    /// The mutant without one of its deeds; those after it are done to the same bytes. `None` where it is of another grammar.
    #[must_use]
    pub fn without(&self, mutant: &Mutant, deed: usize) -> Option<Mutant> {
        let deeds = undone::without(&self.message(mutant)?.packets, &mutant.deeds, deed);
        Some(Mutant { deeds, ..mutant.clone() })
    }

    /// The bytes that were changed where they stood; none where it is of another grammar.
    #[must_use]
    pub fn changed(&self, mutant: &Mutant) -> Vec<Place> {
        self.message(mutant).map_or_else(Vec::new, |message| undone::changed(&message.packets, &mutant.deeds))
    }

    /// The mutant with these of them put back. `None` where it is of another grammar.
    #[must_use]
    pub fn put_back(&self, mutant: &Mutant, places: &[Place]) -> Option<Mutant> {
        let deeds = undone::put_back(&self.message(mutant)?.packets, &mutant.deeds, places);
        Some(Mutant { deeds, ..mutant.clone() })
    }

    /// Mutants without an end.
    pub fn mutants(&self, seed: u64) -> impl Iterator<Item = Mutant> + '_ {
        let mut dice = Dice::new(seed ^ DICE, 0);
        (0..).filter_map(move |number| self.mutant(number, &mut dice))
    }

    fn mutant(&self, number: u64, dice: &mut Dice) -> Option<Mutant> {
        let message = &self.0[dice.index(self.0.len())];
        let to = if dice.chance(0.5) { Role::Leader } else { Role::Follower };
        let count = [1, 1, 1, 1, 1, 1, 1, 2, 2, 3][dice.index(10)];
        let (mut packets, mut deeds) = (message.packets.clone(), Vec::new());
        for _ in 0..count {
            let mutator = Mutator::ALL[dice.index(Mutator::ALL.len())];
            if let Some(deed) = mutator.choose(&packets, dice) {
                let field = deed.field(&packets);
                packets = done(&packets, std::slice::from_ref(&deed));
                deeds.push((mutator, field, deed));
            }
        }
        let reframed = dice.chance(REFRAMED);
        (!deeds.is_empty()).then(|| Mutant { number, message: message.name.clone(), to, deeds, reframed })
    }
}

/// How often each field of each message was changed by each mutator.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Coverage {
    /// By message and field, `create: path length`, and by mutator.
    pub fields: BTreeMap<String, BTreeMap<String, u64>>,
    /// By mutator.
    pub mutators: BTreeMap<String, u64>,
}

impl Coverage {
    /// Counts a mutant.
    pub fn count(&mut self, mutant: &Mutant) {
        for (mutator, field, _) in &mutant.deeds {
            let of_field = self.fields.entry(format!("{}: {field}", mutant.message)).or_default();
            *of_field.entry(mutator.to_string()).or_default() += 1;
            *self.mutators.entry(mutator.to_string()).or_default() += 1;
        }
    }
}

/// A message to anybody that needs no handshake.
pub(super) fn message(name: &str, port: Port, packets: Vec<Packet>, reframe: fn(Packet) -> Packet) -> Message {
    let name = name.to_owned();
    Message { name, port, handshake: None, packets, reframe, unread: not_told, addressed: to_anybody }
}

fn of_zookeeper() -> Vec<Message> {
    use zookeeper::learner::QuorumPacket;
    let in_session = |request: zookeeper::Request| Message {
        handshake: Some(zookeeper::handshake(SESSION_MS)),
        unread: zookeeper::unread_request,
        ..message(request.name(), Port::Client, vec![request.packet()], zookeeper::reframed)
    };
    let greeting = vec![zookeeper::handshake(SESSION_MS), zookeeper::Request::Create.packet()];
    let hello = Message {
        unread: zookeeper::unread_greeting,
        ..message("handshake", Port::Client, greeting, zookeeper::reframed)
    };
    let quorum = |name: &str, packet: QuorumPacket| message(name, Port::Peer, vec![packet.packet()], keep);
    let mut all: Vec<Message> = zookeeper::Request::ALL.into_iter().map(in_session).collect();
    all.push(hello);
    all.extend(zookeeper::message("vote").map(|vote| message("vote", Port::Election, vec![vote], keep)));
    all.extend([
        quorum("quorum request", QuorumPacket::Request(zookeeper::Request::Create)),
        quorum("quorum ack", QuorumPacket::Ack),
        quorum("quorum ping", QuorumPacket::Ping),
    ]);
    all
}

fn of_etcd() -> Vec<Message> {
    let call =
        |request: etcd::Request| message(request.path().trim_start_matches('/'), Port::Client, request.packets(), keep);
    let among_members = |(name, packet)| Message {
        addressed: etcd::addressed,
        ..message(name, Port::Peer, vec![packet], http::relengthed)
    };
    let mut all: Vec<Message> = etcd::Request::ALL.into_iter().map(call).collect();
    all.push(message("v2 form", Port::Client, vec![etcd::form()], http::relengthed));
    all.extend(etcd::peer_messages().into_iter().map(among_members));
    all
}

fn of_consul() -> Vec<Message> {
    let request = |(name, packet)| message(name, Port::Client, vec![packet], http::relengthed);
    let call = |(method, body)| message(&format!("rpc {method}"), Port::Peer, consul::rpc(method, body), keep);
    let mut all: Vec<Message> = consul::requests().into_iter().map(request).collect();
    all.extend(consul::calls().into_iter().map(call));
    all.push(message("multiplexed rpc", Port::Peer, consul::multiplexed(), keep));
    all.push(message("gossip push and pull", Port::Gossip, vec![consul::push_pull()], keep));
    all.push(message("gossip ping", Port::Gossip, vec![consul::ping()], keep));
    all
}

fn keep(packet: Packet) -> Packet {
    packet
}

fn to_anybody(packet: Packet, _: NodeId, _: u64) -> Packet {
    packet
}

fn not_told(_: &[u8]) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::packets::FieldKind;

    const ALL: [Software; 3] = [Software::Etcd, Software::Consul, Software::ZooKeeper];

    /// The bytes of a dump, as they stand in it.
    fn dumped(packet: &Packet) -> String {
        let digits = |line: &str| line[6..line.len().min(29)].replace(' ', "");
        packet.annotated().lines().map(digits).collect()
    }

    /// What a length says, where it stands in so few bytes that it is only one of all its ways of writing.
    fn said(kind: FieldKind, bytes: &[u8]) -> Option<usize> {
        match (kind, bytes) {
            (FieldKind::Length, [short @ 0xa0..0xc0]) => Some(usize::from(short & 0x1f)),
            (FieldKind::Length, bytes) => Some(bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))),
            (FieldKind::Varint, bytes) => {
                Some(bytes.iter().rev().fold(0, |number, byte| number << 7 | usize::from(byte & 0x7f)))
            }
            (FieldKind::Digits, bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            _ => None,
        }
    }

    #[test]
    fn every_length_of_a_whole_message_says_what_comes_after_it() {
        for software in ALL {
            let mut count = 0;
            for message in Grammar::of(software).messages() {
                for packet in &message.packets {
                    let fields = packet.fields();
                    for (index, field) in fields.iter().enumerate() {
                        let Some(of) = field.name.strip_suffix(" length") else { continue };
                        let says = said(field.kind, packet.bytes_of(field));
                        // A frame of HTTP/2 has six more bytes of a head, and HTTP an empty line.
                        let head = match field.kind {
                            FieldKind::Digits => 4,
                            _ if of.ends_with(" frame") => 6,
                            _ => 0,
                        };
                        // A message in a message ends where one of its fields does.
                        let end = says.map(|bytes| field.at.end + head + bytes);
                        let is_so = match fields.get(index + 1) {
                            Some(next) if next.name == of => end == Some(next.at.end),
                            _ if says == Some(u32::MAX as usize) => true,
                            _ => end == Some(field.at.end) || fields[index..].iter().any(|it| Some(it.at.end) == end),
                        };
                        assert!(
                            is_so,
                            "{software}: {}: {}: {says:?}\n{}",
                            message.name,
                            field.name,
                            packet.annotated()
                        );
                        count += 1;
                    }
                }
            }
            assert!(count > 20, "{software}: {count}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn every_byte_of_a_mutant_stands_in_its_dump_once_and_in_its_place(seed: u64, software in 0..ALL.len()) {
            let grammar = Grammar::of(ALL[software]);
            for mutant in grammar.mutants(seed).take(60) {
                let packet = grammar.packet(&mutant).expect("its own");
                prop_assert_eq!(dumped(&packet), packet.hex(), "{:?}\n{}", mutant, packet.annotated());
                let mut end = 0;
                for field in packet.fields() {
                    prop_assert_eq!(field.at.start, end);
                    end = field.at.end;
                }
                prop_assert_eq!(end, packet.bytes().len());
            }
        }

        #[test]
        fn a_mutant_is_made_again_from_its_seed_or_from_what_was_written(seed: u64, software in 0..ALL.len()) {
            let grammar = Grammar::of(ALL[software]);
            for (mutant, again) in grammar.mutants(seed).zip(Grammar::of(ALL[software]).mutants(seed)).take(60) {
                let text = serde_json::to_string(&mutant).expect("JSON");
                let read: Mutant = serde_json::from_str(&text).expect("a mutant");
                let bytes = |mutant: &Mutant| grammar.packet(mutant).map(|packet| packet.hex());
                prop_assert_eq!(bytes(&read), bytes(&mutant));
                prop_assert_eq!(&read, &again);
            }
        }
    }

    #[test]
    fn another_seed_makes_other_mutants() {
        for software in ALL {
            let grammar = Grammar::of(software);
            let some = |seed| grammar.mutants(seed).take(300).collect::<Vec<_>>();
            assert_ne!(some(7), some(8));
        }
    }

    #[test]
    fn nearly_every_mutant_is_another_message_than_the_one_that_it_was_made_of() {
        for software in ALL {
            let grammar = Grammar::of(software);
            let differs = |mutant: &Mutant| {
                let whole = Mutant { deeds: Vec::new(), ..mutant.clone() };
                grammar.packet(mutant).expect("its own").bytes() != grammar.packet(&whole).expect("its own").bytes()
            };
            let count = grammar.mutants(1).take(1_000).filter(differs).count();
            assert!(count > 850, "{software}: {count}");
        }
    }

    #[test]
    fn in_time_every_message_every_mutator_and_every_length_has_its_turn() {
        for software in ALL {
            let grammar = Grammar::of(software);
            let mut coverage = Coverage::default();
            grammar.mutants(1).take(20_000).for_each(|mutant| coverage.count(&mutant));
            assert_eq!(coverage.mutators.len(), Mutator::ALL.len());
            for message in grammar.messages() {
                let fields: BTreeSet<&str> = message
                    .packets
                    .iter()
                    .flat_map(Packet::fields)
                    .filter(|field| field.name.ends_with("length"))
                    .map(|field| field.name.as_str())
                    .collect();
                for field in fields {
                    assert!(coverage.fields.contains_key(&format!("{}: {field}", message.name)), "{field}");
                }
            }
        }
    }
}
