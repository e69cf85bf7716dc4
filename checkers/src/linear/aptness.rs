//! Which model the operations of a history are meant for.

use super::judge::Model;
use crate::history::vocabulary::f;
use crate::history::{Event, Process};

/// The model that the words of a history allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apt {
    /// This one, and no other.
    Only(Model),
    /// That of some lock: the words do not tell whether it has owners, tokens or leases that end.
    SomeLock,
    /// None: no operation, operations of several kinds, or of one that no model knows.
    None,
}

/// The kinds of objects that a history may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Register,
    Kv,
    Lock,
}

const REGISTER: [&str; 4] = [f::READ, f::LOCAL_READ, f::WRITE, f::CAS];
const KV: [&str; 3] = ["get", "put", "append"];
const LOCK: [&str; 8] = [f::ACQUIRE, f::RENEW, f::RELEASE, f::READ, "lock", "unlock", "refresh", "keepalive"];

impl Family {
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Register => &REGISTER,
            Self::Kv => &KV,
            Self::Lock => &LOCK,
        }
    }

    fn of(model: &Model) -> Self {
        match model {
            Model::CasRegister => Self::Register,
            Model::Kv => Self::Kv,
            Model::Lock(_) => Self::Lock,
        }
    }
}

impl Apt {
    /// The model for these events, by the operations of clients.
    ///
    /// ```
    /// use leasehold_checkers::formats::{Options, Record};
    /// use leasehold_checkers::linear::{Apt, Model};
    ///
    /// let ops = "{:process 0 :type :invoke :f :put :value 1} {:process 0 :type :ok :f :put :value 1}";
    /// let record = Record::from_reader(ops.as_bytes(), &Options::default())?;
    /// assert_eq!(Apt::of(&record.events), Apt::Only(Model::Kv));
    /// # Ok::<(), leasehold_checkers::formats::Error>(())
    /// ```
    #[must_use]
    pub fn of(events: &[Event]) -> Self {
        let speak = |family: Family| {
            let mut words = client_words(events).peekable();
            words.peek().is_some() && words.all(|word| family.words().contains(&word))
        };
        // Reads alone are those of a register: that allows more orders than a lock nobody ever took.
        if speak(Family::Register) {
            Self::Only(Model::CasRegister)
        } else if speak(Family::Kv) {
            Self::Only(Model::Kv)
        } else if speak(Family::Lock) {
            Self::SomeLock
        } else {
            Self::None
        }
    }
}

/// Whether a client did anything that the model speaks about.
pub(super) fn is_about(events: &[Event], model: &Model) -> bool {
    let words = Family::of(model).words();
    client_words(events).any(|word| words.contains(&word))
}

fn client_words(events: &[Event]) -> impl Iterator<Item = &str> {
    events.iter().filter(|event| matches!(event.process, Process::Client(_))).map(|event| event.f.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Options, Record};

    fn apt(fs: &[&str]) -> Apt {
        let ops: String = fs.iter().map(|f| format!("{{:process 0 :type :invoke :f :{f}}}")).collect();
        let nemesis = "{:process :nemesis :type :info :f :start}";
        let record = Record::from_reader(format!("[{nemesis}{ops}]").as_bytes(), &Options::default());
        Apt::of(&record.expect("it is EDN").events)
    }

    #[test]
    fn models_by_their_words() {
        assert_eq!(apt(&["read", "write"]), Apt::Only(Model::CasRegister));
        assert_eq!(apt(&["read"]), Apt::Only(Model::CasRegister));
        assert_eq!(apt(&["get", "append"]), Apt::Only(Model::Kv));
        assert_eq!(apt(&["acquire", "read", "release"]), Apt::SomeLock);
        assert_eq!(apt(&["lock", "refresh"]), Apt::SomeLock);
        assert_eq!(apt(&["read", "write", "acquire"]), Apt::None);
        assert_eq!(apt(&["txn"]), Apt::None);
        assert_eq!(apt(&[]), Apt::None);
    }
}
