//! Who believes to hold which lock, while the run is on.
//!
//! The workers tell it and the nemesis aims by it. The record knows nothing of it: what a client was entitled to believe
//! the checkers work out for themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_checkers::history::RunTime;
use tokio::sync::watch;

use super::WorkerId;
use crate::NodeId;

/// A lock that a client believes to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belief {
    /// The worker.
    pub worker: WorkerId,
    /// The process that it is at present.
    pub process: u64,
    /// The node that it talks to.
    pub node: NodeId,
    /// The lock.
    pub key: String,
    /// The name of its acquisition.
    pub owner: String,
    /// When it learnt that the lock is its own.
    pub since: RunTime,
    /// Until when it may believe, by its own count: the TTL, from when it asked.
    pub expires: RunTime,
    /// When it means to renew; `None` if it lets the lock go before.
    pub renews: Option<RunTime>,
}

/// What all workers believe. Clones are the same.
#[derive(Clone, Debug)]
pub struct Holders(Arc<watch::Sender<BTreeMap<WorkerId, Belief>>>);

impl Default for Holders {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(BTreeMap::new())))
    }
}

impl Holders {
    /// A worker believes to hold this now, and nothing else.
    pub fn believes(&self, belief: Belief) {
        self.0.send_modify(|beliefs| {
            beliefs.insert(belief.worker, belief);
        });
    }

    /// What a worker believes to hold, whether or not its time is over.
    #[must_use]
    pub fn of(&self, worker: WorkerId) -> Option<Belief> {
        self.0.borrow().get(&worker).cloned()
    }

    /// A worker believes no more.
    pub fn ends(&self, worker: WorkerId) {
        self.0.send_if_modified(|beliefs| beliefs.remove(&worker).is_some());
    }

    /// The beliefs whose time is not over yet, of all locks or of one.
    #[must_use]
    pub fn at(&self, now: RunTime, key: Option<&str>) -> Vec<Belief> {
        let beliefs = self.0.borrow();
        let is_asked_for = |belief: &&Belief| belief.expires > now && key.is_none_or(|key| belief.key == key);
        beliefs.values().filter(is_asked_for).cloned().collect()
    }

    /// Tells of each change from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes(self.0.subscribe())
    }
}

/// Tells of changes of belief.
#[derive(Debug)]
pub struct Changes(watch::Receiver<BTreeMap<WorkerId, Belief>>);

impl Changes {
    /// Waits for the next change.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could change anything.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn belief(worker: u64, key: &str, expires: u64) -> Belief {
        Belief {
            worker: WorkerId(worker),
            process: worker,
            node: NodeId::new(1),
            key: key.to_owned(),
            owner: format!("p{worker}.1"),
            since: RunTime(0),
            expires: RunTime(expires),
            renews: None,
        }
    }

    #[test]
    fn a_belief_ends_with_its_time_or_when_its_worker_says_so() {
        let holders = Holders::default();
        holders.believes(belief(1, "a", 100));
        holders.believes(belief(2, "b", 200));
        let at = |now, key| holders.at(RunTime(now), key).iter().map(|belief| belief.worker.0).collect::<Vec<_>>();
        assert_eq!(at(99, None), [1, 2]);
        assert_eq!(at(100, None), [2]);
        assert_eq!(at(0, Some("a")), [1]);
        assert!(holders.of(WorkerId(1)).is_some(), "its time is over, and it does not know");
        holders.ends(WorkerId(2));
        assert_eq!(at(0, None), [1]);
    }

    #[tokio::test]
    async fn whoever_listens_hears_of_changes_and_of_nothing_else() {
        let holders = Holders::default();
        let mut changes = holders.changes();
        holders.ends(WorkerId(1));
        assert!(!changes.0.has_changed().expect("somebody may still change it"));
        holders.believes(belief(1, "a", 100));
        changes.next().await;
    }
}
