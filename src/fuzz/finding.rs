//! What was found: the fewest messages, with the fewest bytes changed, that still stop something.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::FuzzError;
use super::signature::HOLD_DIFFERENT_DATA;
use crate::NodeId;
use crate::packets::mutants::{Grammar, Mutant, Role};
use crate::packets::{Packet, Port, bytes_of};

/// A mutant as it is sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Who is sent it.
    pub to: Role,
    /// Where.
    pub port: Port,
    /// What has to be answered before.
    pub handshake: Option<Packet>,
    /// What is sent.
    pub packet: Packet,
    /// What it was made of, for comparison.
    pub whole: Packet,
    /// Tells what of such bytes a server cannot read.
    tell_unread: fn(&[u8]) -> Option<&'static str>,
    /// Puts the name of who is sent it into it.
    address: fn(Packet, NodeId, u64) -> Packet,
}

impl Sent {
    /// A mutant of this grammar.
    #[must_use]
    pub fn of(grammar: &Grammar, mutant: &Mutant) -> Option<Self> {
        let message = grammar.message(mutant)?;
        let whole = Mutant { deeds: Vec::new(), reframed: false, ..mutant.clone() };
        Some(Self {
            to: mutant.to,
            port: message.port,
            handshake: message.handshake.clone(),
            packet: grammar.packet(mutant)?,
            tell_unread: message.unread,
            address: message.addressed,
            whole: grammar.packet(&whole)?,
        })
    }

    /// The packet for this server, in this term.
    pub(super) fn packet_for(&self, node: NodeId, term: u64) -> Packet {
        (self.address)(self.packet.clone(), node, term)
    }

    /// What of it a server cannot read, where that can be told: a word for the kind of request.
    pub(super) fn unread(&self) -> Option<&'static str> {
        (self.tell_unread)(self.packet.bytes())
    }
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Finding {
    /// The servers.
    pub servers: String,
    /// The shape of what stopped.
    pub shape: String,
    /// What stopped, of each server.
    pub signature: String,
    /// How often it was seen again, of how many times that it was tried.
    pub replayed: [u32; 2],
    /// How many bytes have to be replaced, put in or left out to make well-formed messages of them.
    pub bytes_changed: usize,
    /// The mutants, with what is left of what was done to them.
    pub mutants: Vec<Mutant>,
    /// What is sent, in hexadecimal digits, one for each of the mutants.
    pub bytes: Vec<String>,
    /// What the servers' logs said of something that died.
    #[serde(default)]
    pub last_words: Vec<String>,
    /// Other mutants that stopped the same, each by itself. They were not taken apart any further.
    #[serde(default)]
    pub kin: Vec<Mutant>,
}

impl Finding {
    /// What is sent.
    #[must_use]
    pub fn sent(&self, grammar: &Grammar) -> Option<Vec<Sent>> {
        let all = self.mutants.iter().zip(&self.bytes);
        all.map(|(mutant, hex)| {
            let sent = Sent::of(grammar, mutant)?;
            Some(Sent { packet: with_bytes(&sent.packet, &bytes_of(hex).ok()?), ..sent })
        })
        .collect()
    }

    /// Whether all servers serve after it, and hold different data.
    #[must_use]
    pub fn is_of_data(&self) -> bool {
        self.shape == HOLD_DIFFERENT_DATA
    }

    /// Reads one that was written. `mutants.jsonl:128` is the mutant of that number in such a log, whatever it does.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, FuzzError> {
        if let Some((log, number)) = place_in_a_log(path) {
            return Self::of_the_log(&log, number);
        }
        let error = |source| FuzzError::Read { what: path.display().to_string(), source };
        let text = std::fs::read_to_string(path).map_err(error)?;
        serde_json::from_str(&text).map_err(|wrong| error(wrong.into()))
    }

    /// A mutant of which nothing is known but what is sent.
    fn of_the_log(log: &Path, number: u64) -> Result<Self, FuzzError> {
        #[derive(Deserialize)]
        struct Line {
            mutant: Mutant,
            bytes: String,
        }
        let file = log.display().to_string();
        let error = |source| FuzzError::Read { what: file.clone(), source };
        for line in BufReader::new(File::open(log).map_err(error)?).lines() {
            let line: Line = serde_json::from_str(&line.map_err(error)?).map_err(|wrong| error(wrong.into()))?;
            if line.mutant.number == number {
                return Ok(Self { mutants: vec![line.mutant], bytes: vec![line.bytes], ..Self::default() });
            }
        }
        Err(FuzzError::NoMutant { file, number })
    }

    /// Writes it with a dump of its packets, and gives the path by which it is sent again.
    ///
    /// # Errors
    /// If that is not possible.
    pub fn write(&self, folder: &Path, number: usize, sent: &[Sent], again: &str) -> Result<PathBuf, FuzzError> {
        let path = folder.join(format!("finding-{number}.json"));
        let error = |source| FuzzError::Write { what: path.display().to_string(), source };
        let mut text = format!("{}\nagain: {again} --mutant {}\n", self.signature, path.display());
        self.last_words.iter().for_each(|line| text.push_str(&format!("log: {line}\n")));
        if self.is_of_data() && sent.iter().any(|one| one.port != Port::Client) {
            text.push_str("It came through a port at which servers believe each other: it may be a lie that nobody can see through.\n");
        }
        for one in sent {
            text.push_str(&format!("\nto the {} of {}:\n{}", one.port, one.to, one.packet.annotated()));
        }
        for mutant in &self.kin {
            let fields: Vec<&str> = mutant.deeds.iter().map(|(_, field, _)| field.as_str()).collect();
            text.push_str(&format!(
                "\nso does number {}: {} to {}, {}",
                mutant.number,
                mutant.message,
                mutant.to,
                fields.join(", ")
            ));
        }
        let json = serde_json::to_string_pretty(self).map_err(|wrong| error(wrong.into()))?;
        std::fs::write(&path, json).map_err(error)?;
        std::fs::write(path.with_extension("txt"), text).map_err(error)?;
        Ok(path)
    }
}

/// `mutants.jsonl:128`, taken apart.
fn place_in_a_log(path: &Path) -> Option<(PathBuf, u64)> {
    let (log, number) = path.to_str()?.rsplit_once(':')?;
    let is_a_log = Path::new(log).extension().is_some_and(|extension| extension == "jsonl");
    Some((PathBuf::from(log), number.parse().ok()?)).filter(|_| is_a_log)
}

/// The packet with these bytes in the place of its own, as many of them as there are of both.
fn with_bytes(packet: &Packet, bytes: &[u8]) -> Packet {
    let mut packet = packet.clone();
    packet.patch(0, bytes);
    packet
}

/// In how many bytes two packets differ: so many have to be replaced, put in or left out to make the other of one.
pub(super) fn difference(one: &[u8], other: &[u8]) -> usize {
    strsim::generic_levenshtein(&one.to_vec(), &other.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Software;

    #[test]
    fn a_finding_is_sent_again_as_it_was_written() {
        let grammar = Grammar::of(Software::ZooKeeper);
        let mutants: Vec<Mutant> = grammar.mutants(5).take(3).collect();
        let sent: Vec<Sent> = mutants.iter().filter_map(|mutant| Sent::of(&grammar, mutant)).collect();
        let finding = Finding {
            servers: "zookeeper@3.4.6".to_owned(),
            shape: "a server ended".to_owned(),
            signature: "a server ended; n1".to_owned(),
            replayed: [3, 3],
            bytes_changed: 4,
            mutants,
            bytes: sent.iter().map(|sent| sent.packet.hex()).collect(),
            last_words: vec!["ProcessThread died".to_owned()],
            kin: grammar.mutants(6).take(1).collect(),
        };
        let folder = tempfile::tempdir().expect("a folder");
        let path = finding.write(folder.path(), 1, &sent, "leasehold poison zookeeper@3.4.6").expect("it is written");
        let again = Finding::read(&path).expect("it is read").sent(&grammar).expect("it is of this grammar");
        let bytes = |sent: &[Sent]| sent.iter().map(|sent| sent.packet.bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(bytes(&again), bytes(&sent));
        let text = std::fs::read_to_string(path.with_extension("txt")).expect("a dump");
        assert!(
            ["--mutant", "0000  ", "log: ProcessThread died", "so does number 0"]
                .iter()
                .all(|part| text.contains(part)),
            "{text}"
        );
    }

    #[test]
    fn any_mutant_of_a_log_is_sent_again_by_its_number() {
        let grammar = Grammar::of(Software::Etcd);
        let mutants: Vec<Mutant> = grammar.mutants(3).take(9).collect();
        let line = |mutant: &Mutant| {
            let sent = Sent::of(&grammar, mutant).expect("it can be sent");
            format!(
                "{}\n",
                serde_json::json!({ "mutant": mutant, "port": "any", "bytes": sent.packet.hex(), "answer": null })
            )
        };
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("mutants.jsonl");
        std::fs::write(&log, mutants.iter().map(line).collect::<String>()).expect("it is written");
        let read = |number: u64| Finding::read(Path::new(&format!("{}:{number}", log.display())));
        let number = mutants[7].number;
        let sent = read(number).expect("it is there").sent(&grammar).expect("it is of this grammar");
        let whole = Sent::of(&grammar, &mutants[7]).expect("it can be sent");
        assert_eq!((sent.len(), sent[0].packet.bytes()), (1, whole.packet.bytes()));
        assert!(
            read(99).is_err_and(|error| error.to_string().ends_with("mutants.jsonl has no mutant of the number 99"))
        );
        assert!(Finding::read(&log).is_err(), "without a number it is no finding");
    }

    #[test]
    fn bytes_that_differ_are_counted() {
        assert_eq!(difference(b"abc", b"abc"), 0);
        assert_eq!(difference(b"abc", b"axc"), 1);
        assert_eq!(difference(b"abcde", b"axc"), 3);
        assert_eq!(difference(b"abcde", b"a_bcde"), 1, "what has moved is the same");
    }
}
