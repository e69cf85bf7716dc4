//! The corpus: packets that are known to have stopped servers, each with its public issue and the release that mended it.
//!
//! Nothing stands here that is not public and fixed (`SECURITY.md`).

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::mutants::{Grammar, Message, message};
use super::{Builder, NoSuchField, Packet, consul, zookeeper};
use crate::causes;
use crate::servers::Software;

/// A packet with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What it asks for, in a sentence.
    pub summary: String,
    /// The servers that it is for.
    pub service: Software,
    /// Where it is sent.
    pub port: Port,
    /// What has to be answered before.
    pub handshake: Option<Packet>,
    /// The public report.
    pub issue: String,
    /// The versions that it harms.
    pub affected: String,
    /// The first versions that it does not.
    pub fixed: String,
    /// What is to be seen of it, by the names of `docs/poison.md` where it has one.
    pub signature: String,
    /// Whether nothing is seen of it before the leader dies.
    pub latent: bool,
    /// What is sent.
    pub packet: Packet,
}

/// Which port of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Port {
    /// Where it serves clients.
    Client,
    /// Where servers elect their leader.
    Election,
    /// Where servers pass on what is written.
    Peer,
    /// Where servers tell each other who is there.
    Gossip,
    /// The same, without a connection.
    GossipDatagrams,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client port",
            Self::Election => "election port",
            Self::Peer => "peer port",
            Self::Gossip => "gossip port",
            Self::GossipDatagrams => "gossip port, as a datagram,",
        })
    }
}

/// A case of the corpus is wrong, or there is none of that name.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// There is none.
    #[error("there is no case `{0}`; `leasehold poison --list` lists them")]
    Unknown(String),
    /// Its text cannot be read.
    #[error("cannot read it")]
    Text(#[from] toml::de::Error),
    /// No grammar has such a message.
    #[error("no message is called `{0}`")]
    NoMessage(String),
    /// The message has no such field.
    #[error(transparent)]
    NoField(#[from] NoSuchField),
    /// Bytes are written as hexadecimal digits, two for each.
    #[error("`{0}` is no row of bytes: they are written as two hexadecimal digits each")]
    NoBytes(String),
    /// It is for servers that are not known.
    #[error("no servers are called `{0}`")]
    NoService(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    summary: String,
    service: String,
    issue: String,
    affected: String,
    fixed: String,
    signature: String,
    #[serde(default)]
    latent: bool,
    packet: Recipe,
}

/// How a packet is made: a message of a grammar, and what is done to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    message: String,
    /// What is put into which fields.
    #[serde(default)]
    set: BTreeMap<String, String>,
    /// The last field that is sent.
    cut_after: Option<String>,
}

macro_rules! texts {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../fixtures/packets/", $name, ".toml")))),*]
    };
}

/// The names and texts of all cases.
const TEXTS: &[(&str, &str)] = texts![
    "create-path-length",
    "create-acl-scheme-length",
    "delete-path-length",
    "setdata-path-length",
    "setacl-scheme-length",
    "multi-path-length",
    "getdata-path-length",
    "exists-path-length",
    "sync-path-length",
    "auth-scheme-length",
    "election-short-vote",
    "alarm-without-type",
    "role-without-name",
    "gossip-count",
];

/// The names of all cases.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|(name, _)| *name)
}

impl Case {
    /// The case of this name.
    ///
    /// # Errors
    /// If there is none, or what comes along is broken.
    pub fn named(name: &str) -> Result<Self, CaseError> {
        let text = TEXTS.iter().find(|(known, _)| *known == name);
        text.map_or_else(|| Err(CaseError::Unknown(name.to_owned())), |(name, text)| read(name, text))
    }
}

fn read(name: &'static str, text: &str) -> Result<Case, CaseError> {
    let file: File = toml::from_str(text)?;
    let service = Software::named(&file.service).ok_or(CaseError::NoService(file.service))?;
    let File { summary, issue, affected, fixed, signature, latent, packet: recipe, .. } = file;
    let whole = whole(service, &recipe.message).ok_or_else(|| CaseError::NoMessage(recipe.message.clone()))?;
    let Message { port, handshake, .. } = whole.clone();
    let packet = made(whole, &recipe)?;
    Ok(Case { name, summary, service, port, handshake, issue, affected, fixed, signature, latent, packet })
}

/// The message of this name with nothing wrong with it: one of the service's grammar, or one that is only good for a case.
fn whole(service: Software, name: &str) -> Option<Message> {
    let only_here = |port, packet| Some(message(name, port, vec![packet], zookeeper::reframed));
    match (service, name) {
        (Software::ZooKeeper, "short vote") => only_here(Port::Election, zookeeper::message(name)?),
        (Software::Consul, "gossip compound") => only_here(Port::GossipDatagrams, consul::compound()),
        _ => Grammar::of(service).messages().iter().find(|message| message.name == name).cloned(),
    }
}

fn made(message: Message, recipe: &Recipe) -> Result<Packet, CaseError> {
    let Message { mut packets, reframe, .. } = message;
    for (field, bytes) in &recipe.set {
        let (packet, index) = place(&packets, field)?;
        packets[packet].overwrite(index, &bytes_of(bytes)?);
    }
    if let Some(last) = &recipe.cut_after {
        let (packet, index) = place(&packets, last)?;
        let end = packets[packet].fields()[index].at.end;
        packets[packet].truncate(end);
        packets.truncate(packet + 1);
    }
    Ok(joined(packets.into_iter().map(reframe)))
}

/// Which of the packets has the field of this name, and its index among the fields of that one.
fn place(packets: &[Packet], field: &str) -> Result<(usize, usize), NoSuchField> {
    let mut index = joined(packets.iter().cloned()).find(field)?;
    let mut number = 0;
    while packets[number].fields().len() <= index {
        index -= packets[number].fields().len();
        number += 1;
    }
    Ok((number, index))
}

fn joined(packets: impl Iterator<Item = Packet>) -> Packet {
    packets.fold(Packet::builder(), Builder::packet).build()
}

/// Bytes from their hexadecimal digits.
///
/// # Errors
/// If there are others, or an odd number.
pub fn bytes_of(digits: &str) -> Result<Vec<u8>, CaseError> {
    let wrong = || CaseError::NoBytes(digits.chars().take(80).collect());
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    let has_signs = digits.contains('+');
    (0..digits.len()).step_by(2).map(byte).collect::<Option<_>>().filter(|_| !has_signs).ok_or_else(wrong)
}

impl<'de> Deserialize<'de> for Case {
    /// A case by its name.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).map_err(|error| serde::de::Error::custom(causes::in_one_line(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_whole_and_says_where_it_is_fixed() {
        for name in names() {
            let case = Case::named(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!case.issue.is_empty() && !case.affected.is_empty() && !case.fixed.is_empty(), "{name}");
            assert!(case.signature.starts_with('S') || case.signature == "the process ends", "{name}");
            assert!(!case.packet.bytes().is_empty(), "{name}");
            let in_a_session = case.service == Software::ZooKeeper && case.port == Port::Client;
            assert_eq!(case.handshake.is_some(), in_a_session, "{name}");
        }
    }

    #[test]
    fn the_packets_are_those_that_were_measured() {
        let hex = |name: &str| Case::named(name).expect("it comes along").packet.hex();
        assert_eq!(hex("create-path-length"), "0000000c00001234000000017fffffff");
        assert_eq!(
            hex("create-acl-scheme-length"),
            "000000370000123400000001000000072f706f69736f6e0000000176000000010000001f7fffffff776f726c6400000006616e796f6e6500000000"
        );
        assert_eq!(hex("getdata-path-length"), "0000001400001234000000047fffffff2f706f69736f6e00");
        assert_eq!(hex("auth-scheme-length"), "0000001d0000123400000064000000007fffffff64696765737400000003613a62");
        assert_eq!(hex("election-short-vote"), format!("00000000000000030000001e{}", "00".repeat(30)));
        assert_eq!(hex("gossip-count"), "0780");
        // The frame of the data, the length of the message in it, and the message: to set something off, for nobody, of no type.
        assert!(hex("alarm-without-type").ends_with("00000b0001000000010000000006080110001800"));
        assert!(hex("role-without-name").ends_with("00000d00010000000100000000081206706f69736f6e"));
    }

    #[test]
    fn of_a_message_in_several_packets_each_field_is_found_and_what_follows_the_last_is_not_sent() {
        let recipe = |text: &str| toml::from_str::<Recipe>(text).expect("a recipe");
        let made = |text: &str| {
            let recipe = recipe(text);
            made(whole(Software::Etcd, &recipe.message).expect("a message"), &recipe).expect("a packet")
        };
        let put = "message = \"etcdserverpb.KV/Put\"\n";
        let whole = made(put);
        let changed = made(&format!("{put}set = {{ lease = \"07\", preface = \"50\" }}"));
        assert_eq!(changed.bytes()[0], 0x50);
        assert_eq!(changed.bytes().len(), whole.bytes().len() - 23);
        assert!(changed.hex().contains("18072001"));
        let cut = made(&format!("{put}cut_after = \"headers stream\""));
        assert!(cut.fields().last().is_some_and(|last| last.name == "headers stream"));
        assert!(whole.bytes().starts_with(cut.bytes()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let good = TEXTS[0].1;
        let error = |from: &str, to: &str| read("x", &good.replacen(from, to, 1)).expect_err("it is wrong").to_string();
        assert!(error("path length", "length of path").contains("no field `length of path`"));
        assert!(error("7fffffff", "7ffffff").contains("two hexadecimal digits"));
        assert!(error("7fffffff", "+fffffff").contains("two hexadecimal digits"));
        assert!(error("\"create\"", "\"make\"").contains("no message is called `make`"));
        assert!(Case::named("nothing").is_err_and(|error| error.to_string().contains("poison --list")));
    }
}
