//! Who leads the cluster, by the latest answers of the probes.

use std::sync::Arc;

use tokio::sync::watch;

use crate::NodeId;
use crate::cluster::Leader;
use crate::servers::LeaderView;

/// What each node said last. Clones are the same.
///
/// It costs no question of its own, and it is as old as the rhythm of the probes: what must be right at this very moment
/// asks the cluster.
#[derive(Clone, Debug, Default)]
pub struct Leadership(Arc<watch::Sender<Views>>);

#[derive(Debug, Default)]
struct Views {
    /// What each node that has ever answered said last; the latest word stands last.
    said: Vec<(NodeId, LeaderView)>,
    leader: Option<NodeId>,
    /// Who led before that.
    former: Option<NodeId>,
}

impl Leadership {
    /// A node has answered.
    pub fn said(&self, node: NodeId, view: LeaderView) {
        self.0.send_modify(|views| {
            views.said.retain(|&(known, _)| known != node);
            views.said.push((node, view));
            if let Some(Leader { node: now, .. }) = Leader::among(&views.said)
                && views.leader != Some(now)
            {
                views.former = views.leader.replace(now);
            }
        });
    }

    /// Who leads. While a new leader is still seen under the old term, the one that said so last.
    #[must_use]
    pub fn leader(&self) -> Option<Leader> {
        Leader::among(&self.0.borrow().said)
    }

    /// Who led before the one that leads, or led last.
    #[must_use]
    pub fn former(&self) -> Option<NodeId> {
        self.0.borrow().former
    }

    /// Waits until another leads than this one, and tells who.
    pub async fn other_than(&self, old: Option<Leader>) -> Leader {
        let mut views = self.0.subscribe();
        loop {
            let now = Leader::among(&views.borrow_and_update().said);
            if let Some(now) = now.filter(|now| old.is_none_or(|old| now.node != old.node && now.term >= old.term)) {
                return now;
            }
            // It lives as long as this value does.
            let _ = views.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_latest_term_decides_and_then_the_latest_word() {
        let [n1, n2] = [1, 2].map(NodeId::new);
        let leadership = Leadership::default();
        assert_eq!((leadership.leader(), leadership.former()), (None, None));
        leadership.said(n1, LeaderView { leader: Some(n1), term: 3 });
        leadership.said(n2, LeaderView { leader: Some(n1), term: 3 });
        let first = leadership.leader();
        assert_eq!(first, Some(Leader { node: n1, term: 3 }));
        // A new leader is seen under the old term for a moment.
        leadership.said(n2, LeaderView { leader: Some(n2), term: 3 });
        assert_eq!(leadership.leader(), Some(Leader { node: n2, term: 3 }));
        assert_eq!(leadership.former(), Some(n1));
        // A node that stands still says nothing new, whatever it said before.
        leadership.said(n2, LeaderView { leader: Some(n2), term: 4 });
        assert_eq!(leadership.other_than(first).await, Leader { node: n2, term: 4 });
        // While nobody leads, the one who led last is still the last.
        leadership.said(n1, LeaderView { leader: None, term: 5 });
        leadership.said(n2, LeaderView { leader: None, term: 5 });
        assert_eq!((leadership.leader(), leadership.former()), (None, Some(n1)));
    }
}
