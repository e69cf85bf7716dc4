//! Stops server processes and lets them go on.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FaultError, Package, wait};
use crate::NodeId;
use crate::cluster::Cluster;

pub(super) const PACKAGE: Package = Package {
    name: "pause",
    does: "stops a server process (SIGSTOP), and lets it go on at the end (SIGCONT)",
    settings: "target, at_ms, lasts_ms",
    proof: "the state of the process as the kernel shows it",
};

/// The kernel stops a process when its threads next run: nearly at once.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) async fn inject(cluster: &Cluster, nodes: &[NodeId]) -> Result<Value, FaultError> {
    for &node in nodes {
        cluster.pause(node)?;
    }
    states(cluster, nodes, |state| state == 'T', "stopped").await
}

pub(super) async fn heal(cluster: &Cluster, nodes: &[NodeId]) -> Result<Value, FaultError> {
    for &node in nodes {
        cluster.resume(node)?;
    }
    states(cluster, nodes, |state| state != 'T', "running").await
}

async fn states(
    cluster: &Cluster,
    nodes: &[NodeId],
    wanted: impl Fn(char) -> bool,
    word: &str,
) -> Result<Value, FaultError> {
    let mut proof = serde_json::Map::new();
    for &node in nodes {
        let state = wait::until(LIMIT, async || cluster.process_state(node).ok().filter(|&state| wanted(state))).await;
        let state = state.ok_or_else(|| FaultError::DidNotBite(format!("{node} is not {word}")))?;
        proof.insert(node.to_string(), json!(state.to_string()));
    }
    Ok(json!({ "process_state": proof }))
}
