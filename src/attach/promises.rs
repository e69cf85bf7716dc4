//! What may be proven of a cluster to which things may happen that the record does not tell of.

use leasehold_checkers::contract::{Contract, SecondHand};

/// Longer than any run.
const NEVER_MS: u64 = 100 * 365 * 24 * 3_600 * 1_000;

/// What a service promises, as far as it can be held to it where nobody knows what else is done to its servers.
///
/// * A renewal that a server answers from hearsay proves nothing: nobody knows whether the leader heard of it, for a follower may be
///   cut off without a sign of that. The acquisition counts, for that takes the consensus. (Of etcd's v3 interface all renewals
///   count: the leader itself answers them.)
/// * Nothing is too late and nothing is locked up beyond doubt: the servers may be out of each other's reach.
///
/// What a service promises whatever happens to it stands: that no lease ends before its time, that no lock is given to two, that
/// tokens grow, that answers can be put in an order.
#[must_use]
pub fn with_unseen_faults(mut contract: Contract) -> Contract {
    let hearsay = SecondHand { known_within_ms: NEVER_MS, out_of_touch_for_ms: NEVER_MS };
    contract.second_hand = contract.second_hand.map(|_| hearsay);
    contract.patience.is_conclusive = false;
    contract.source.push_str(
        ". The cluster is not the run's own: what may be due to faults that nobody recorded is not held against it",
    );
    contract
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::{Consul, EtcdV3, Recipe};
    use leasehold_workloads::service::Connect;

    #[test]
    fn renewals_by_hearsay_count_for_nothing_and_others_as_ever() {
        let consul = with_unseen_faults(Consul::new(Vec::new()).contract());
        assert_eq!(consul.second_hand.map(|hearsay| hearsay.known_within_ms), Some(NEVER_MS));
        let etcd = with_unseen_faults(EtcdV3::new(Vec::new(), Recipe::Txn).contract());
        assert_eq!(etcd.second_hand, None);
        assert!(!consul.patience.is_conclusive && !etcd.patience.is_conclusive);
    }
}
