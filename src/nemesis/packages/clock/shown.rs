//! What the processes themselves show of their clocks, held against what they are to show.

use std::time::Duration;

use leasehold_checkers::history::vocabulary::ClockValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::NodeId;
use crate::cluster::{Cluster, Standing};
use crate::nemesis::package::FaultError;

/// What is shown may differ from what is meant by what the measurement leaves open, and by this much for the time between
/// the measurement and our look at what is meant.
pub(super) const TOLERANCE_NS: u64 = 2_000_000;

pub(super) const ASK_AGAIN: Duration = Duration::from_millis(50);

/// By when a clock must show what it is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// At once: the process runs. What is measured must be certain to less than this.
    Now { certain_to_ns: u64 },
    /// As soon as the process runs. Where there is none, its successor comes up with the right clock.
    OnceUp,
}

impl Shown {
    /// A process that runs answers in milliseconds. One that was started just now needs some seconds.
    fn limit(self) -> Duration {
        match self {
            Self::Now { .. } => Duration::from_secs(3),
            Self::OnceUp => Duration::from_secs(10),
        }
    }

    fn is_certain(self, measured: &ClockValue) -> bool {
        match self {
            Self::Now { certain_to_ns } => measured.uncertainty_ns.saturating_add(TOLERANCE_NS) < certain_to_ns,
            Self::OnceUp => true,
        }
    }
}

/// Measures the wall clocks of nodes, each of which must be where the sum of all faults puts it.
pub(super) async fn shown_by_all(cluster: &Cluster, nodes: &[NodeId], by: Shown) -> Result<Value, FaultError> {
    let mut proof = serde_json::Map::new();
    for &node in nodes {
        proof.insert(node.to_string(), shown_by(cluster, node, by).await?);
    }
    Ok(json!({ "measured": proof }))
}

async fn shown_by(cluster: &Cluster, node: NodeId, by: Shown) -> Result<Value, FaultError> {
    let deadline = Instant::now() + by.limit();
    loop {
        if by == Shown::OnceUp && cluster.standing(node)? == Standing::Down {
            return Ok(json!("down, so that it shows none"));
        }
        let failure = match look(cluster, node).await {
            Ok(measured) if !by.is_certain(&measured) => {
                FaultError::DidNotBite(format!("the clock of {node} cannot be measured so exactly"))
            }
            Ok(measured) => {
                return Ok(json!({ "offset_ns": measured.offset_ns, "uncertainty_ns": measured.uncertainty_ns }));
            }
            Err(failure) => failure,
        };
        if Instant::now() >= deadline {
            return Err(failure);
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// One look at a wall clock, which must be right.
pub(super) async fn look(cluster: &Cluster, node: NodeId) -> Result<ClockValue, FaultError> {
    let before_ns = cluster.intended_clock(node)?.offset_ns;
    let measured = cluster.measure_clock(node).await?;
    let after_ns = cluster.intended_clock(node)?.offset_ns;
    if is_between(&measured, before_ns, after_ns) {
        return Ok(measured);
    }
    Err(FaultError::DidNotBite(format!(
        "the clock of {node} was to be off by {} ms and is by {} ms",
        after_ns / 1_000_000,
        measured.offset_ns / 1_000_000
    )))
}

/// Whether what was measured agrees with one of two offsets, or with one between them.
pub(super) fn is_between(measured: &ClockValue, one_ns: i64, other_ns: i64) -> bool {
    let open_ns = i64::try_from(TOLERANCE_NS.saturating_add(measured.uncertainty_ns)).unwrap_or(i64::MAX);
    let least = one_ns.min(other_ns).saturating_sub(open_ns);
    let most = one_ns.max(other_ns).saturating_add(open_ns);
    (least..=most).contains(&measured.offset_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_must_lie_between_what_is_meant() {
        let measured = |offset_ms: i64, uncertainty_ms: u64| ClockValue {
            offset_ns: offset_ms * 1_000_000,
            uncertainty_ns: uncertainty_ms * 1_000_000,
        };
        let second = 1_000_000_000;
        assert!(is_between(&measured(1_001, 0), second, second));
        assert!(!is_between(&measured(1_003, 0), second, second));
        assert!(is_between(&measured(1_003, 1), second, second));
        assert!(is_between(&measured(700, 0), second, 0) && is_between(&measured(700, 0), 0, second));
        assert!(!is_between(&measured(-3, 0), 0, second));
    }
}
