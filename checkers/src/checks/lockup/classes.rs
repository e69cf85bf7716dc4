//! The classes of requests, each of which may stop by itself: a server that answers reads may answer no writes, and the other
//! way round.

use std::time::Duration;

use super::Lockup;
use super::calm::Calm;
use super::service::{Served, is_served, should_be_served};
use super::unserved::{REQUESTS, by_invocation, droughts};
use crate::checks::Run;
use crate::history::vocabulary::{code, f};
use crate::history::{Op, Outcome};
use crate::verdict::Grade;

/// A class of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Writes and swaps of the store itself.
    Write,
    /// Reads of any kind.
    Read,
    /// Renewals.
    KeepAlive,
    /// New sessions, where the service has such.
    NewSession,
    /// Acquisitions, in a session that was opened.
    Acquire,
    /// Releases.
    Release,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Write, Self::Read, Self::KeepAlive, Self::NewSession, Self::Acquire, Self::Release];

    /// What such requests are called, several of them.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Write => "writes",
            Self::Read => "reads",
            Self::KeepAlive => "keep-alives",
            Self::NewSession => "new sessions",
            Self::Acquire => "acquisitions",
            Self::Release => "releases",
        }
    }

    /// Whether the servers have to agree upon it, whatever the service.
    #[must_use]
    pub fn takes_agreement(self) -> bool {
        matches!(self, Self::Write | Self::NewSession | Self::Acquire | Self::Release)
    }

    /// To which classes an op belongs, and whether it was served there. An acquisition opens a session first, where the
    /// service has such: without one nothing was acquired, and with one that has worked.
    #[must_use]
    pub fn of(op: &Op) -> Vec<(Self, bool)> {
        let served = is_served(op);
        let class = match op.f.as_str() {
            f::ACQUIRE => {
                let came_to_no_session = op.outcome == Outcome::Fail
                    && op.error_code().is_some_and(|code| [code::NO_SESSION, code::REFUSED].contains(&code));
                return match (served, came_to_no_session) {
                    (true, _) => vec![(Self::NewSession, true), (Self::Acquire, true)],
                    (false, true) => vec![(Self::NewSession, false)],
                    (false, false) => vec![(Self::Acquire, false)],
                };
            }
            f::READ | f::LOCAL_READ => Self::Read,
            f::RENEW => Self::KeepAlive,
            f::RELEASE => Self::Release,
            f::WRITE | f::CAS | f::WORK => Self::Write,
            _ => return Vec::new(),
        };
        vec![(class, served)]
    }

    /// Whether an op shows that the class is not served.
    pub(super) fn is_missed_by(self, op: &Op) -> bool {
        should_be_served(op) && Self::of(op).contains(&(self, false))
    }
}

/// The lockups of single classes at single nodes.
pub(super) fn find(run: &Run<'_>, calm: &Calm) -> Vec<Lockup> {
    let bound = Duration::from_millis(run.header.contract.patience.op_ms);
    let unserved = by_invocation(run);
    let mut found = Vec::new();
    for ((node, class), served) in &run.service.classes {
        let at_node = |op: &&Op| op.node.as_ref() == Some(node) && class.is_missed_by(op);
        let ops: Vec<&Op> = unserved.iter().copied().filter(at_node).collect();
        for drought in droughts(Served::instants(served), &ops, &calm.serving_through(node), bound, run.end) {
            if drought.served_before && drought.tried >= REQUESTS {
                let what = format!("{node} locked up for {}: none of {} was served", class.plural(), drought.tried);
                found.push(Lockup { node: Some(node.to_string()), ..drought.lockup(Grade::Proven, what) });
            }
        }
    }
    found
}
