//! Who led the cluster, and since when.

use leasehold_checkers::history::{LeaderView, RunTime};

use crate::report::words;

/// A time over which one node led, as far as the probes saw.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Reign {
    /// When a probe first saw it.
    pub since: RunTime,
    /// The leader.
    pub leader: String,
    /// Its term or epoch.
    pub term: u64,
}

impl Reign {
    /// The leader's name, fit to be shown.
    pub(in crate::report) fn name(&self) -> String {
        words::one_line(&self.leader, 20)
    }
}

/// Reads the reigns off what the nodes said. A node that was cut off may go on naming a leader long deposed: an answer
/// with a lower term than one seen before tells nothing new.
pub(super) fn of(views: &[LeaderView]) -> Vec<Reign> {
    let mut reigns: Vec<Reign> = Vec::new();
    for view in views {
        let Some(leader) = &view.leader else { continue };
        let is_new = reigns
            .last()
            .is_none_or(|last| view.term > last.term || (view.term == last.term && *leader != last.leader));
        if is_new {
            reigns.push(Reign { since: view.time, leader: leader.clone(), term: view.term });
        }
    }
    reigns
}
