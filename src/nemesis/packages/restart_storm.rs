//! Kills server processes and starts them again, over and over.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::recovery;
use crate::NodeId;
use crate::cluster::{ClusterError, Layer};
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, Setting, parse};
use crate::nemesis::{Aim, Field};

pub(super) static PACKAGE: Package = Package {
    name: "restart-storm",
    does: "kills a server process (SIGKILL) and starts it again with its data, over and over, several at once",
    settings: &[
        Setting { name: "up_ms", says: "for how long it runs each time, in milliseconds" },
        Setting { name: "down_ms", says: "for how long it stays dead each time, in milliseconds" },
    ],
    proof: "how the first process ended, and how long it took to start the next; at the end, how often that was done, and that \
            the last one answers",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[],
    colour: 0xb3_5c_1e,
    parse: parse::<RestartStorm>,
};

/// Processes are killed and started again, over and over.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestartStorm {
    up_ms: u64,
    down_ms: u64,
}

impl Fault for RestartStorm {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        format!("restarts ({} ms up, {} ms down)", self.up_ms, self.down_ms)
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        Box::new(Storm { storm: *self, layer: Layer::new(), field: field.clone(), nodes: aim.nodes, kills: 0 })
    }
}

struct Storm {
    storm: RestartStorm,
    layer: Layer,
    field: Field,
    nodes: Vec<NodeId>,
    kills: u64,
}

impl Storm {
    /// Kills them all, and starts them all again; returns how they ended.
    async fn round(&mut self) -> Result<Vec<(NodeId, String)>, ClusterError> {
        let cluster = &self.field.cluster;
        let ends = cluster.take_down(self.layer, &self.nodes).await?;
        self.kills += 1;
        tokio::time::sleep(Duration::from_millis(self.storm.down_ms)).await;
        for &node in &self.nodes {
            cluster.bring_up(self.layer, node)?;
        }
        Ok(ends)
    }
}

#[async_trait]
impl Injection for Storm {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let started = tokio::time::Instant::now();
        let ends = self.round().await?;
        let down_ms = started.elapsed().as_millis() as u64;
        let ends: serde_json::Map<_, _> = ends.into_iter().map(|(node, how)| (node.to_string(), json!(how))).collect();
        Ok(json!({ "ended": ends, "down_ms": down_ms }))
    }

    async fn keep_up(&mut self) {
        loop {
            tokio::time::sleep(Duration::from_millis(self.storm.up_ms)).await;
            if let Err(error) = self.round().await {
                // What is down then is started at the end, or said to be down.
                tracing::warn!("the restarts end early: {error}");
                return;
            }
        }
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let restarted = recovery::bring_up(&self.field, self.layer, &self.nodes).await?;
        Ok(json!({ "kills": self.kills, "restarted": restarted }))
    }
}
