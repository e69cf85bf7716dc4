//! What is known to stop a server already. It is not sent again, so that the search goes on to what else there is.

use std::collections::BTreeSet;

use super::minimise::Suspect;
use super::{Sent, Signature};
use crate::packets::Port;
use crate::packets::mutants::{Mutant, Role};

/// A sequence that is longer says little of any one of its messages.
const MOST_MESSAGES: usize = 3;

/// All kinds of mutants that belong to a finding.
#[derive(Debug, Default)]
pub(super) struct Known {
    kinds: Vec<Kind>,
    faces: Vec<Face>,
}

/// Mutants of a message to a server of this role, in which one of these fields is changed.
#[derive(Debug)]
struct Kind {
    message: String,
    to: Role,
    /// None: the message stops it whatever is changed.
    fields: BTreeSet<String>,
}

/// What is seen of a finding: by that another is told to be of the same class.
#[derive(Debug)]
struct Face {
    shape: &'static str,
    ports: Vec<Port>,
    last_words: BTreeSet<String>,
}

impl Known {
    /// Whether it is known what this mutant does.
    pub(super) fn has(&self, mutant: &Mutant, sent: &Sent) -> bool {
        let changed = changed_fields(mutant, sent);
        self.kinds.iter().any(|kind| {
            kind.message == mutant.message
                && kind.to == mutant.to
                && (kind.fields.is_empty() || !kind.fields.is_disjoint(&changed))
        })
    }

    /// The finding, by its index, that stops the same: the same shape through the same port, and the servers' logs say the same of it,
    /// or nothing of either.
    pub(super) fn like(&self, signature: &Signature, culprits: &[Suspect]) -> Option<usize> {
        let face = Face::of(signature, culprits);
        self.faces.iter().position(|known| {
            known.shape == face.shape
                && known.ports.iter().any(|port| face.ports.contains(port))
                && (known.last_words == face.last_words || !known.last_words.is_disjoint(&face.last_words))
        })
    }

    /// Another finding. Their indices are in the order in which they are added.
    pub(super) fn found(&mut self, signature: &Signature, culprits: &[Suspect]) {
        self.faces.push(Face::of(signature, culprits));
    }

    /// Nothing of the kind of these is sent again: no such change of these messages to servers of these roles, or no change at all.
    pub(super) fn leave_out(&mut self, culprits: &[Suspect], whole_messages: bool) {
        if culprits.len() > MOST_MESSAGES {
            return;
        }
        self.kinds.extend(culprits.iter().map(|(mutant, sent)| Kind {
            message: mutant.message.clone(),
            to: mutant.to,
            fields: if whole_messages { BTreeSet::new() } else { changed_fields(mutant, sent) },
        }));
    }
}

impl Face {
    fn of(signature: &Signature, culprits: &[Suspect]) -> Self {
        Self {
            shape: signature.shape(),
            ports: culprits.iter().map(|(_, sent)| sent.port).collect(),
            last_words: signature.last_words(),
        }
    }
}

/// The fields that hold other bytes than in the well-formed message. Where bytes have moved, those that something was done to.
fn changed_fields(mutant: &Mutant, sent: &Sent) -> BTreeSet<String> {
    let (now, whole) = (sent.packet.bytes(), &sent.whole);
    if now.len() != whole.bytes().len() {
        return mutant.deeds.iter().map(|(_, field, _)| field.clone()).collect();
    }
    let differs = |at: std::ops::Range<usize>| now[at.clone()] != whole.bytes()[at];
    whole.fields().iter().filter(|field| differs(field.at.clone())).map(|field| field.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::subject::NodeState;
    use crate::packets::mutants::Grammar;
    use crate::servers::Software;

    fn suspects() -> Vec<Suspect> {
        let grammar = Grammar::of(Software::ZooKeeper);
        let all = grammar.mutants(4).filter_map(|mutant| Sent::of(&grammar, &mutant).map(|sent| (mutant, sent)));
        all.take(3_000).collect()
    }

    fn one<'a>(all: &'a [Suspect], message: &str, field: &str) -> &'a Suspect {
        let is_meant = |(mutant, sent): &&Suspect| {
            mutant.message == message && changed_fields(mutant, sent) == BTreeSet::from([field.to_owned()])
        };
        all.iter().find(is_meant).expect("there is one")
    }

    fn silent(says: &str) -> Signature {
        Signature { nodes: vec![NodeState::silent(vec![says.to_owned()])] }
    }

    #[test]
    fn what_is_known_is_not_sent_again_and_the_rest_of_the_message_is() {
        let all = suspects();
        let (mutant, sent) = one(&all, "create", "path length");
        let mut known = Known::default();
        assert!(!known.has(mutant, sent));
        known.leave_out(&[(mutant.clone(), sent.clone())], false);
        for (other, sent) in &all {
            let is_of_it = other.message == "create"
                && other.to == mutant.to
                && changed_fields(other, sent).contains("path length");
            assert_eq!(known.has(other, sent), is_of_it, "{other:?}");
        }
    }

    #[test]
    fn a_message_that_does_it_by_itself_is_not_sent_again_in_any_form() {
        let all = suspects();
        let (mutant, sent) = one(&all, "check", "version");
        let mut known = Known::default();
        known.leave_out(&[(mutant.clone(), sent.clone())], true);
        for (other, sent) in &all {
            assert_eq!(known.has(other, sent), other.message == "check" && other.to == mutant.to);
        }
    }

    #[test]
    fn of_one_class_is_what_looks_the_same_and_dies_with_the_same_words() {
        let all = suspects();
        let culprit = |message, field| vec![one(&all, message, field).clone()];
        let first = culprit("create", "path length");
        let mut known = Known::default();
        known.found(&silent("12:01 ProcessThread(sid:3) died"), &first);
        let same_death = silent("12:07 ProcessThread(sid:1) died");
        let another = silent("12:07 CommitProcessor:1 died");
        assert_eq!(known.like(&same_death, &culprit("delete", "path length")), Some(0));
        assert_eq!(known.like(&another, &culprit("delete", "path length")), None);
        assert_eq!(known.like(&silent(""), &first), None, "no word");
        let ended = Signature {
            nodes: vec![NodeState { ended: Some("by signal 6".to_owned()), ..same_death.nodes[0].clone() }],
        };
        assert_eq!(known.like(&ended, &first), None, "another shape");
        assert_eq!(known.like(&same_death, &culprit("quorum ack", "zxid")), None, "another port");
    }
}
