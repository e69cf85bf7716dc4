//! Kills server processes and starts them again with the data they had.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::NodeId;
use crate::cluster::Cluster;
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, parse};
use crate::nemesis::{Aim, Field, wait};

pub(super) static PACKAGE: Package = Package {
    name: "kill",
    does: "kills a server process (SIGKILL), and starts it again with its data at the end",
    settings: &[],
    proof: "how the process ended; at the end, that the new one answers",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[],
    colour: 0x7a_4a_21,
    parse: parse::<Kill>,
};

/// How long a restarted server may take until it answers.
pub(super) const RESTART_LIMIT: Duration = Duration::from_secs(20);

/// A process is killed, and started again at the end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kill {}

impl Fault for Kill {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        "kill".to_owned()
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        Box::new(Killed { field: field.clone(), nodes: aim.nodes })
    }
}

struct Killed {
    field: Field,
    nodes: Vec<NodeId>,
}

#[async_trait]
impl Injection for Killed {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let mut proof = serde_json::Map::new();
        for &node in &self.nodes {
            proof.insert(node.to_string(), json!(self.field.cluster.kill(node).await?));
        }
        Ok(json!({ "ended": proof }))
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        Ok(json!({ "restarted": started_again(&self.field.cluster, &self.nodes).await? }))
    }
}

/// Starts servers with the data they have, and waits until they answer.
pub(super) async fn started_again(cluster: &Cluster, nodes: &[NodeId]) -> Result<Value, FaultError> {
    for &node in nodes {
        cluster.start_node(node)?;
    }
    let mut proof = serde_json::Map::new();
    for &node in nodes {
        let started = tokio::time::Instant::now();
        wait::until(RESTART_LIMIT, || async move { cluster.answers(node).await.then_some(()) })
            .await
            .ok_or_else(|| FaultError::DidNotBite(format!("{node} was started again and does not answer")))?;
        proof.insert(node.to_string(), json!({ "answers_after_ms": started.elapsed().as_millis() as u64 }));
    }
    Ok(Value::Object(proof))
}
