//! What is known to stop a server already. It is not sent again, so that the search goes on to what else there is.

use std::collections::{BTreeMap, BTreeSet};

use super::minimise::Suspect;
use super::{Sent, Signature};
use crate::packets::Port;
use crate::packets::mutants::{Mutant, Role};

/// A sequence that is longer says little of any one of its messages.
const MOST_MESSAGES: usize = 3;

/// If so many messages do the same as soon as they cannot be read, all of their kind do.
const SAME_OF_MESSAGES: usize = 3;

/// All kinds of mutants that belong to a finding.
#[derive(Debug, Default)]
pub(super) struct Known {
    kinds: Vec<Kind>,
    classes: Vec<Class>,
}

/// Mutants of a message to a server of this role.
#[derive(Debug)]
struct Kind {
    message: String,
    to: Role,
    which: Which,
}

/// Which of them are known.
#[derive(Debug)]
enum Which {
    /// Those in which one of these fields is changed.
    Changed(BTreeSet<String>),
    /// Those of which this cannot be read.
    Unread(&'static str),
    /// The message does it whatever is changed.
    All,
}

/// A finding and its kin.
#[derive(Debug)]
struct Class {
    face: Face,
    /// By what of it could not be read, the messages that did it.
    unread: BTreeMap<&'static str, BTreeSet<String>>,
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
        let (changed, unread) = (changed_fields(mutant, sent), sent.unread());
        let is_of = |kind: &Kind| match &kind.which {
            Which::Changed(fields) => !fields.is_disjoint(&changed),
            Which::Unread(what) => unread == Some(what),
            Which::All => true,
        };
        let mut of_message = self.kinds.iter().filter(|kind| kind.message == mutant.message && kind.to == mutant.to);
        of_message.any(is_of) || self.classes.iter().any(|class| class.has(sent.port, unread))
    }

    /// The finding, by its index, that stops the same: the same shape through the same port, and the servers' logs say the same of it,
    /// or nothing of either.
    pub(super) fn like(&self, signature: &Signature, culprits: &[Suspect]) -> Option<usize> {
        let face = Face::of(signature, culprits);
        self.classes.iter().position(|Class { face: known, .. }| {
            known.shape == face.shape
                && known.ports.iter().any(|port| face.ports.contains(port))
                && (known.last_words == face.last_words || !known.last_words.is_disjoint(&face.last_words))
        })
    }

    /// Another finding: nothing like it is sent again. Where it is the whole message that does it, nothing of that message. The
    /// indices of findings are in the order in which they are added.
    pub(super) fn found(&mut self, signature: &Signature, culprits: &[Suspect], whole_messages: bool) {
        self.classes.push(Class { face: Face::of(signature, culprits), unread: BTreeMap::new() });
        self.note_unread(self.classes.len() - 1, culprits);
        self.leave_out(culprits, |(mutant, sent)| match whole_messages {
            true => Which::All,
            false => Which::Changed(changed_fields(mutant, sent)),
        });
    }

    /// More of a finding, of which it is not looked what of it matters.
    pub(super) fn kin(&mut self, of: usize, culprits: &[Suspect]) {
        self.note_unread(of, culprits);
        self.leave_out(culprits, |(_, sent)| sent.unread().map_or(Which::All, Which::Unread));
    }

    fn leave_out(&mut self, culprits: &[Suspect], which: impl Fn(&Suspect) -> Which) {
        if culprits.len() > MOST_MESSAGES {
            return;
        }
        self.kinds.extend(culprits.iter().map(|suspect| Kind {
            message: suspect.0.message.clone(),
            to: suspect.0.to,
            which: which(suspect),
        }));
    }

    fn note_unread(&mut self, of: usize, culprits: &[Suspect]) {
        // Of several it is not known which one did it.
        if let [(mutant, sent)] = culprits
            && let Some(unread) = sent.unread()
        {
            self.classes[of].unread.entry(unread).or_default().insert(mutant.message.clone());
        }
    }
}

impl Class {
    fn has(&self, port: Port, unread: Option<&'static str>) -> bool {
        let messages = unread.and_then(|unread| self.unread.get(unread));
        self.face.ports.contains(&port) && messages.is_some_and(|messages| messages.len() >= SAME_OF_MESSAGES)
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
    use crate::fuzz::signature::NodeState;
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
        known.found(&silent(""), &[(mutant.clone(), sent.clone())], false);
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
        known.found(&silent(""), &[(mutant.clone(), sent.clone())], true);
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
        known.found(&silent("12:01 ProcessThread(sid:3) died"), &first, false);
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

    /// The first mutant of a message of which this cannot be read.
    fn unread<'a>(all: &'a [Suspect], message: &str, what: &str) -> &'a Suspect {
        let is_meant = |(mutant, sent): &&Suspect| mutant.message == message && sent.unread() == Some(what);
        all.iter().find(is_meant).expect("there is one")
    }

    #[test]
    fn kin_that_cannot_be_read_leaves_what_can_be_read_of_its_message() {
        let all = suspects();
        let mut known = Known::default();
        known.found(&silent(""), &[one(&all, "create", "path length").clone()], false);
        let kin = unread(&all, "delete", "a change").clone();
        known.kin(0, std::slice::from_ref(&kin));
        for (other, sent) in all.iter().filter(|(other, _)| other.message == "delete") {
            let is_of_it = other.to == kin.0.to && sent.unread() == Some("a change");
            assert_eq!(known.has(other, sent), is_of_it, "{other:?}");
        }
    }

    #[test]
    fn what_three_messages_do_when_they_cannot_be_read_all_of_their_kind_do() {
        let all = suspects();
        let mut known = Known::default();
        known.found(&silent(""), &[unread(&all, "create", "a change").clone()], false);
        known.kin(0, &[unread(&all, "delete", "a change").clone()]);
        let is_known = |known: &Known, message, what| {
            let (mutant, sent) = unread(&all, message, what);
            known.has(mutant, sent)
        };
        assert!(!is_known(&known, "setACL", "a change"), "two are not enough");
        known.kin(0, &[unread(&all, "multi", "a change").clone()]);
        assert!(is_known(&known, "setACL", "a change"));
        assert!(!is_known(&known, "getData", "a question"), "of another kind");
        let (mutant, sent) = one(&all, "setACL", "version");
        assert!(!known.has(mutant, sent), "it can be read");
        let (mutant, mut at_another_port) = unread(&all, "setACL", "a change").clone();
        at_another_port.port = Port::Peer;
        assert!(!known.has(&mutant, &at_another_port));
    }
}
