//! Kills server processes and starts them again with the data they had.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FaultError, Package, wait};
use crate::NodeId;
use crate::cluster::Cluster;

pub(super) const PACKAGE: Package = Package {
    name: "kill",
    does: "kills a server process (SIGKILL), and starts it again with its data at the end",
    settings: "target, lasts_ms",
    proof: "how the process ended; at the end, that the new one answers",
};

/// How long a restarted server may take until it answers.
const RESTART_LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn inject(cluster: &Cluster, nodes: &[NodeId]) -> Result<Value, FaultError> {
    let mut proof = serde_json::Map::new();
    for &node in nodes {
        proof.insert(node.to_string(), json!(cluster.kill(node).await?));
    }
    Ok(json!({ "ended": proof }))
}

pub(super) async fn heal(cluster: &Cluster, nodes: &[NodeId]) -> Result<Value, FaultError> {
    for &node in nodes {
        cluster.start_node(node)?;
    }
    let mut proof = serde_json::Map::new();
    for &node in nodes {
        let started = tokio::time::Instant::now();
        wait::until(RESTART_LIMIT, async || cluster.answers(node).await.then_some(()))
            .await
            .ok_or_else(|| FaultError::DidNotBite(format!("{node} was started again and does not answer")))?;
        proof.insert(node.to_string(), json!({ "answers_after_ms": started.elapsed().as_millis() as u64 }));
    }
    Ok(json!({ "restarted": proof }))
}
