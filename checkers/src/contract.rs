//! What a service promises about its leases.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a service promises about its leases, as far as a checker needs it.
///
/// It stands in the history's header, so that a stored history can be judged without the program that recorded it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The service in a word, for example `etcd-v3`.
    pub service: String,
    /// By how much a lease may end before its TTL has passed, in milliseconds. 0 for etcd.
    pub early_slack_ms: u64,
    /// When a lease must have ended at the latest; `None` where the service names no bound.
    pub latest_expiry: Option<LatestExpiry>,
    /// Whether the service reckons a lease's end from when a renewal reached it, and not from when the renewal took effect. Then
    /// an older renewal that takes effect after a newer one brings the end forward. Taken for granted where the history
    /// does not say, for that accuses less.
    #[serde(default = "unless_told_otherwise")]
    pub counts_from_request: bool,
    /// What is promised of a renewal where the server that answers it is not the one that keeps the leases; `None` where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_hand: Option<SecondHand>,
    /// Whether a lease belongs to the server over which it was made, and may end with that one's place in the cluster, whatever its
    /// TTL. Then nothing is promised of it from when a fault hits that server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_with_its_server: bool,
    /// Whether each later grant of a lock carries a greater fencing token.
    pub fencing_tokens: bool,
    /// For how long nobody is given a lock whose holder lost it without a release, in milliseconds; `None` where the service
    /// promises no such delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_delay_ms: Option<u64>,
    /// How long the cluster may leave its clients waiting before that is a lockup.
    #[serde(default, skip_serializing_if = "Patience::is_usual")]
    pub patience: Patience,
    /// Where these promises are written down.
    pub source: String,
}

fn unless_told_otherwise() -> bool {
    true
}

/// How long a cluster that ought to serve may leave its clients waiting. No service promises a bound, so these are ours:
/// long enough that no disk, election or busy machine that was met in practice comes near them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Patience {
    /// For how long a single op, or all ops of one node, may go without an answer, in milliseconds.
    pub op_ms: u64,
    /// For how long no write may succeed on any node, in milliseconds.
    pub cluster_ms: u64,
    /// For how long a lock that nobody can hold may be refused to everybody, in milliseconds.
    pub lock_ms: u64,
    /// How long after the end of a fault the cluster may need to recover, in milliseconds; or as long as the fault lasted,
    /// if that is longer, for connections that were cut are tried again at intervals that double.
    pub recovery_ms: u64,
    /// Whether it proves anything that something took too long. `false` where the cluster is not the run's own, so that the record may
    /// not tell of all that was wrong with it: then lockups and overdue expiries are no more than possible.
    pub is_conclusive: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self { op_ms: 15_000, cluster_ms: 15_000, lock_ms: 15_000, recovery_ms: 10_000, is_conclusive: true }
    }
}

impl Patience {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// The bound on how long a lease may outlive its TTL while the cluster can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatestExpiry {
    /// How many TTLs a lease may live on after its last renewal: 1, or 2 for Consul, which ends a session at twice its TTL.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub ttls: u32,
    /// How long after these TTLs a lease may still be seen, in milliseconds.
    pub grace_ms: u64,
    /// Whether a new leader gives every lease its full TTL again.
    pub restarts_at_leader_change: bool,
}

impl LatestExpiry {
    /// How long after its TTL a lease may still be seen.
    #[must_use]
    pub fn after_ttl(&self, ttl: Duration) -> Duration {
        ttl.saturating_mul(self.ttls.saturating_sub(1)).saturating_add(Duration::from_millis(self.grace_ms))
    }
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_one(ttls: &u32) -> bool {
    *ttls == 1
}

/// A service whose servers answer renewals from what they know, and tell the one that keeps the leases a moment later.
///
/// Such a renewal promises something only where word of it certainly arrived: see `checkers/src/second_hand.rs`. And the servers
/// take whatever a client asks for a sign of life, so a release that does not end a lease prolongs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondHand {
    /// How long after its answer a renewal is known to the server that keeps the leases, if nothing disturbs the cluster, in
    /// milliseconds.
    pub known_within_ms: u64,
    /// For how long a server may go on answering that is cut off or no longer in office, in milliseconds.
    pub out_of_touch_for_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_counts_whole_ttls_and_then_its_grace() {
        let after = |ttls, ttl_ms| {
            let latest = LatestExpiry { ttls, grace_ms: 500, restarts_at_leader_change: true };
            latest.after_ttl(Duration::from_millis(ttl_ms)).as_millis()
        };
        assert_eq!([after(1, 3_000), after(2, 3_000), after(0, 3_000)], [500, 3_500, 500]);
        // Whatever a history claims.
        assert!(after(u32::MAX, u64::MAX) > 0);
    }

    #[test]
    fn a_bound_that_names_no_number_of_ttls_means_one() {
        let text = r#"{"grace_ms":500,"restarts_at_leader_change":true}"#;
        let latest: LatestExpiry = serde_json::from_str(text).expect("a bound of an old history");
        assert_eq!(latest.ttls, 1);
        assert_eq!(serde_json::to_string(&latest).expect("it can be written"), text);
    }
}
