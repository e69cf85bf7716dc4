//! What a fault may wait for, and the words for it.
//!
//! ```text
//! holder                    somebody holds a lock
//! holder on leader          … and talks to the leader; or `follower`, or a node like `n2`
//! leader is n2              this node leads
//! before expiry by 200 ms   so long before a holder's time is over, by its own count; or `renewal`
//! after grant by 50 ms      so long after a lock was given; or `leader change`, or `fault 2` for the end of the second
//!                           table's
//! ```
//!
//! `by …` may be left out: then it is at that very moment. Its unit is `ms` or `s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::NodeId;

/// What a fault waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Somebody holds a lock, and talks to such a node.
    Held(Place),
    /// This node leads.
    Leads(NodeId),
    /// So long before something that is foreseen.
    Before(Foreseen, Duration),
    /// So long after something has happened.
    After(Happened, Duration),
}

/// Which node a holder talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Any.
    Anywhere,
    /// The one that leads.
    Leader,
    /// One that does not lead.
    Follower,
    /// This one.
    Node(NodeId),
}

/// What a holder's own clock tells beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreseen {
    /// The end of its time.
    Expiry,
    /// Its next renewal.
    Renewal,
}

/// What can be seen to have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A client learnt that a lock is its own.
    Grant,
    /// Another node leads.
    LeaderChange,
    /// A fault of this `[[nemesis]]` table, counted from 1, was healed.
    Fault(u32),
}

/// The forms of a condition, as examples for whoever wrote none of them.
pub const CONDITION_FORMS: [&str; 9] = [
    "holder",
    "holder on leader",
    "holder on n1",
    "leader is n1",
    "before expiry by 200 ms",
    "before renewal by 50 ms",
    "after grant by 50 ms",
    "after leader change",
    "after fault 1",
];

impl Condition {
    /// Whether it comes true for the sake of one holder, whom `target = "holder"` then means.
    #[must_use]
    pub fn is_about_holders(self) -> bool {
        matches!(self, Self::Held(_) | Self::Before(..) | Self::After(Happened::Grant, _))
    }

    /// What keeps it from coming true more often than not, as an end of a sentence; mostly nothing.
    pub(super) fn hindrance(self) -> &'static str {
        match self {
            Self::Before(Foreseen::Expiry, _) => ": a holder that renews in time puts it off",
            _ => "",
        }
    }

    /// The node that it names.
    #[must_use]
    pub fn node(self) -> Option<NodeId> {
        match self {
            Self::Held(Place::Node(node)) | Self::Leads(node) => Some(node),
            _ => None,
        }
    }
}

/// The text is no condition.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no condition")]
pub struct NotACondition(String);

impl FromStr for Condition {
    type Err = NotACondition;

    fn from_str(text: &str) -> Result<Self, NotACondition> {
        read(&text.split_whitespace().collect::<Vec<_>>()).ok_or_else(|| NotACondition(text.to_owned()))
    }
}

fn read(words: &[&str]) -> Option<Condition> {
    Some(match words {
        ["holder"] => Condition::Held(Place::Anywhere),
        ["holder", "on", "leader"] => Condition::Held(Place::Leader),
        ["holder", "on", "follower"] => Condition::Held(Place::Follower),
        ["holder", "on", node] => Condition::Held(Place::Node(node.parse().ok()?)),
        ["leader", "is", node] => Condition::Leads(node.parse().ok()?),
        ["before", "expiry", by @ ..] => Condition::Before(Foreseen::Expiry, span(by)?),
        ["before", "renewal", by @ ..] => Condition::Before(Foreseen::Renewal, span(by)?),
        ["after", "grant", by @ ..] => Condition::After(Happened::Grant, span(by)?),
        ["after", "leader", "change", by @ ..] => Condition::After(Happened::LeaderChange, span(by)?),
        ["after", "fault", number, by @ ..] => Condition::After(Happened::Fault(number.parse().ok()?), span(by)?),
        _ => return None,
    })
}

/// `by 200 ms`, or nothing. At most a day: runs are not longer.
fn span(words: &[&str]) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let span = match words {
        [] => Duration::ZERO,
        ["by", number, "ms"] => Duration::from_millis(number.parse().ok()?),
        ["by", number, "s"] => Duration::from_secs(number.parse().ok()?),
        _ => return None,
    };
    (span <= DAY).then_some(span)
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self {
            Self::Held(Place::Anywhere) => return f.write_str("holder"),
            Self::Held(Place::Leader) => return f.write_str("holder on leader"),
            Self::Held(Place::Follower) => return f.write_str("holder on follower"),
            Self::Held(Place::Node(node)) => return write!(f, "holder on {node}"),
            Self::Leads(node) => return write!(f, "leader is {node}"),
            Self::Before(what, by) => {
                f.write_str(match what {
                    Foreseen::Expiry => "before expiry",
                    Foreseen::Renewal => "before renewal",
                })?;
                by
            }
            Self::After(what, by) => {
                match what {
                    Happened::Grant => f.write_str("after grant")?,
                    Happened::LeaderChange => f.write_str("after leader change")?,
                    Happened::Fault(number) => write!(f, "after fault {number}")?,
                }
                by
            }
        };
        if by.is_zero() { Ok(()) } else { write!(f, " by {} ms", by.as_millis()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_called_by_the_words_that_it_is_read_from() {
        for form in CONDITION_FORMS.into_iter().chain(["holder on follower", "after fault 12 by 1500 ms"]) {
            assert_eq!(form.parse::<Condition>().map(|condition| condition.to_string()), Ok(form.to_owned()));
        }
        assert_eq!("after  grant by 2 s".parse(), Ok(Condition::After(Happened::Grant, Duration::from_secs(2))));
    }

    #[test]
    fn other_words_are_no_condition() {
        let wrong = [
            "",
            "holder is n1",
            "holder on",
            "holder on leaders",
            "leader is leader",
            "before expiry by",
            "before expiry by 200",
            "before expiry by -1 ms",
            "before expiry 200 ms",
            "before grant",
            "after leader",
            "after fault",
            "after fault two",
            "after grant by 99999999999 s",
            "before expiry by 200 ms and more",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Condition>(), Err(NotACondition(text.to_owned())));
        }
    }
}
