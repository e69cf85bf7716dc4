//! Who leads the cluster, by the latest answers of the probes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::NodeId;
use crate::cluster::Leader;

/// What each node said last. Clones are the same.
///
/// It costs no question of its own, and it is as old as the rhythm of the probes: what must be right at this very moment
/// asks the cluster.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<watch::Sender<Views>>);

#[derive(Debug, Default)]
struct Views {
    said: BTreeMap<NodeId, Said>,
    answers: u64,
    leader: Option<NodeId>,
    /// Who led before that.
    former: Option<NodeId>,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    leader: Option<NodeId>,
    term: u64,
    /// The how-many-eth answer it was.
    answer: u64,
}

impl Default for Leadership {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Views::default())))
    }
}

impl Leadership {
    /// A node has answered.
    pub fn said(&self, node: NodeId, leader: Option<NodeId>, term: u64) {
        self.0.send_modify(|views| {
            views.answers += 1;
            views.said.insert(node, Said { leader, term, answer: views.answers });
            if let Some(Leader { node: now, .. }) = self::leader(views)
                && views.leader != Some(now)
            {
                views.former = views.leader.replace(now);
            }
        });
    }

    /// Who leads: the node that says so itself, in the latest term that any node knows. While a new leader is still seen
    /// under the old term, the one that said so last.
    #[must_use]
    pub fn leader(&self) -> Option<Leader> {
        leader(&self.0.borrow())
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
            let now = leader(&views.borrow_and_update());
            if let Some(now) = now.filter(|now| old.is_none_or(|old| now.node != old.node && now.term >= old.term)) {
                return now;
            }
            // It lives as long as this value does.
            let _ = views.changed().await;
        }
    }
}

fn leader(views: &Views) -> Option<Leader> {
    let term = views.said.values().map(|said| said.term).max()?;
    let claims = views.said.iter().filter(|(node, said)| said.term == term && said.leader == Some(**node));
    claims.max_by_key(|(_, said)| said.answer).map(|(&node, _)| Leader { node, term })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_latest_term_decides_and_then_the_latest_word() {
        let [n1, n2] = [1, 2].map(NodeId::new);
        let leadership = Leadership::default();
        assert_eq!((leadership.leader(), leadership.former()), (None, None));
        leadership.said(n1, Some(n1), 3);
        leadership.said(n2, Some(n1), 3);
        let first = leadership.leader();
        assert_eq!(first, Some(Leader { node: n1, term: 3 }));
        // A new leader is seen under the old term for a moment.
        leadership.said(n2, Some(n2), 3);
        assert_eq!(leadership.leader(), Some(Leader { node: n2, term: 3 }));
        assert_eq!(leadership.former(), Some(n1));
        // A node that stands still says nothing new, whatever it said before.
        leadership.said(n2, Some(n2), 4);
        assert_eq!(leadership.other_than(first).await, Leader { node: n2, term: 4 });
        // While nobody leads, the one who led last is still the last.
        leadership.said(n1, None, 5);
        assert_eq!((leadership.leader(), leadership.former()), (None, Some(n1)));
    }
}
