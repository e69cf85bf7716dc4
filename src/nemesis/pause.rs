//! Stops server processes and lets them go on.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FaultError, Package, wait};
use crate::NodeId;
use crate::cluster::Cluster;
use crate::sandbox::Threads;

pub(super) const PACKAGE: Package = Package {
    name: "pause",
    does: "stops a server process (SIGSTOP), and lets it go on at the end (SIGCONT)",
    settings: "target, lasts_ms",
    proof: "the state of every thread of the process, as the kernel shows it",
};

/// A thread stops when it next runs: nearly at once, but on a busy machine not quite.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) async fn inject(cluster: &Cluster, nodes: &[NodeId]) -> Result<Value, FaultError> {
    for &node in nodes {
        cluster.pause(node)?;
    }
    until_threads(cluster, nodes, Threads::all_stopped, "stopped").await
}

pub(super) async fn heal(cluster: &Cluster, nodes: &[NodeId]) -> Result<Value, FaultError> {
    for &node in nodes {
        cluster.resume(node)?;
    }
    until_threads(cluster, nodes, |threads| threads.stopped == 0, "running").await
}

async fn until_threads(
    cluster: &Cluster,
    nodes: &[NodeId],
    wanted: impl Fn(Threads) -> bool,
    word: &str,
) -> Result<Value, FaultError> {
    let mut proof = serde_json::Map::new();
    for &node in nodes {
        let threads = wait::until(LIMIT, async || cluster.threads(node).ok().filter(|&threads| wanted(threads))).await;
        let threads = threads.ok_or_else(|| FaultError::DidNotBite(format!("not all threads of {node} are {word}")))?;
        proof.insert(node.to_string(), json!({ "stopped": threads.stopped, "threads": threads.total }));
    }
    Ok(json!({ "stopped_threads": proof }))
}
