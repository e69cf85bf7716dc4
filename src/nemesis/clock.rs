//! Moves the wall clock of server processes.

use serde_json::{Value, json};

use super::{FaultError, Package};
use crate::NodeId;
use crate::cluster::Cluster;

pub(super) const PACKAGE: Package = Package {
    name: "clock",
    does: "moves the wall clock of a server process, and back at the end; no other process sees it",
    settings: "offset_ms (negative for back), target, lasts_ms",
    proof: "the offset that the process itself shows, asked before and after",
};

/// The measured offset may differ from the intended one by what the measurement leaves open and this much.
const TOLERANCE_NS: i64 = 50_000_000;

pub(super) async fn inject(cluster: &Cluster, nodes: &[NodeId], offset_ms: i64) -> Result<Value, FaultError> {
    move_all(cluster, nodes, offset_ms).await
}

pub(super) async fn heal(cluster: &Cluster, nodes: &[NodeId]) -> Result<Value, FaultError> {
    move_all(cluster, nodes, 0).await
}

async fn move_all(cluster: &Cluster, nodes: &[NodeId], offset_ms: i64) -> Result<Value, FaultError> {
    let mut proof = serde_json::Map::new();
    for &node in nodes {
        let intended_ns = cluster.move_clock(node, offset_ms)?;
        let measured = cluster.measure_clock(node).await?;
        let uncertainty_ns = i64::try_from(measured.uncertainty_ns).unwrap_or(i64::MAX);
        let difference_ns = measured.offset_ns.abs_diff(intended_ns);
        if difference_ns > TOLERANCE_NS.saturating_add(uncertainty_ns).unsigned_abs() {
            return Err(FaultError::DidNotBite(format!(
                "the clock of {node} was to be off by {} ms and is by {} ms",
                intended_ns / 1_000_000,
                measured.offset_ns / 1_000_000
            )));
        }
        proof.insert(
            node.to_string(),
            json!({ "offset_ns": measured.offset_ns, "uncertainty_ns": measured.uncertainty_ns }),
        );
    }
    Ok(json!({ "measured": proof }))
}
