//! What a service promises about its leases.

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
    /// Whether each later grant of a lock carries a greater fencing token.
    pub fencing_tokens: bool,
    /// Where these promises are written down.
    pub source: String,
}

fn unless_told_otherwise() -> bool {
    true
}

/// The bound on how long a lease may outlive its TTL while the cluster can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatestExpiry {
    /// How long after its TTL a lease may still be seen, in milliseconds.
    pub grace_ms: u64,
    /// Whether a new leader gives every lease its full TTL again.
    pub restarts_at_leader_change: bool,
}
