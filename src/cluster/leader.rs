//! Who leads, from what every node says of it.

use crate::NodeId;
use crate::servers::LeaderView;

/// A node that leads, and since which election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The node.
    pub node: NodeId,
    /// Its term.
    pub term: u64,
}

impl Leader {
    /// The node that says so itself in the latest term, unless most nodes are in a later term: those have left it. Of two that
    /// say so in one term, the one whose word is the later in the list.
    ///
    /// The latest term of all decides nothing: without a vote before the vote, a node that is cut off stands for election again
    /// and again, and its term runs ahead of that in which the others have long elected their leader.
    #[must_use]
    pub fn among(views: &[(NodeId, LeaderView)]) -> Option<Self> {
        let claims = views.iter().filter(|(node, view)| view.leader == Some(*node));
        let latest = claims.max_by_key(|(_, view)| view.term).map(|&(node, view)| Self { node, term: view.term })?;
        let later = views.iter().filter(|(_, view)| view.term > latest.term).count();
        (later <= views.len() / 2).then_some(latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who leads by these views: each node in turn, whom it names, and its term.
    fn among(views: &[(Option<u8>, u64)]) -> Option<(u8, u64)> {
        let views: Vec<(NodeId, LeaderView)> = (1..)
            .zip(views)
            .map(|(node, &(leader, term))| (NodeId::new(node), LeaderView { leader: leader.map(NodeId::new), term }))
            .collect();
        Leader::among(&views).map(|leader| (leader.node.number(), leader.term))
    }

    #[test]
    fn the_claim_of_the_latest_term_counts() {
        assert_eq!(among(&[(Some(1), 3), (Some(2), 4), (Some(2), 4)]), Some((2, 4)));
        assert_eq!(among(&[(Some(2), 4), (Some(2), 4), (None, 4)]), Some((2, 4)));
        assert_eq!(among(&[]), None);
    }

    #[test]
    fn a_node_that_only_hears_of_a_leader_does_not_make_one() {
        assert_eq!(among(&[(Some(2), 3), (None, 3), (Some(2), 3)]), None);
    }

    #[test]
    fn a_node_that_is_cut_off_and_stands_for_election_takes_nothing_from_the_leader_of_the_others() {
        assert_eq!(among(&[(None, 9), (Some(2), 4), (Some(2), 4)]), Some((2, 4)));
    }

    #[test]
    fn a_leader_that_most_nodes_have_left_leads_no_more() {
        assert_eq!(among(&[(Some(1), 3), (None, 4), (None, 4)]), None);
        assert_eq!(among(&[(Some(1), 3), (None, 4), (Some(1), 3)]), Some((1, 3)));
    }

    #[test]
    fn of_two_claims_in_one_term_the_later_word_counts() {
        assert_eq!(among(&[(Some(1), 3), (Some(2), 3)]), Some((2, 3)));
    }
}
