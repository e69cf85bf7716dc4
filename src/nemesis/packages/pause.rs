//! Stops server processes or clients and lets them go on.

mod clients;

use std::future::ready;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::NodeId;
use crate::cluster::{Cluster, Layer, Standing};
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, parse};
use crate::nemesis::{Aim, Field, Target, wait};
use crate::sandbox::Threads;
use clients::PausedClients;

pub(super) static PACKAGE: Package = Package {
    name: "pause",
    does: "stops a server process (SIGSTOP), and lets it go on at the end (SIGCONT); or a client, and its packets wait until then; for longer than the TTL it is a freeze",
    settings: &[],
    proof: "the state of every thread of the process, as the kernel shows it, and for how long they stood; for how long the client stood still, and that none of its packets got through",
    aims: Aims::AtTargetOrClient,
    course: Course::Lasts,
    needs: &[],
    colour: 0x1f_6f_c4,
    parse: parse::<Pause>,
};

/// A thread stops when it next runs: nearly at once, but on a busy machine not quite.
const LIMIT: Duration = Duration::from_secs(2);

/// A process stops, and goes on at the end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::nemesis) struct Pause {}

impl Fault for Pause {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        "pause".to_owned()
    }

    fn leaves_servers_alone(&self, target: &Target) -> bool {
        target.is_client()
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        if aim.clients.is_empty() {
            Box::new(Paused { layer: Layer::new(), field: field.clone(), nodes: aim.nodes, since: None })
        } else {
            Box::new(PausedClients::new(field, aim))
        }
    }
}

struct Paused {
    layer: Layer,
    field: Field,
    nodes: Vec<NodeId>,
    /// Since when they all stand still.
    since: Option<Instant>,
}

#[async_trait]
impl Injection for Paused {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        for &node in &self.nodes {
            cluster.pause(self.layer, node)?;
        }
        let stopped = until_threads(cluster, &self.nodes, Threads::all_stopped, "stopped").await?;
        self.since = Some(Instant::now());
        Ok(stopped)
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        let paused_ms = self.since.map(|since| since.elapsed().as_millis() as u64);
        for &node in &self.nodes {
            cluster.resume(self.layer, node)?;
        }
        let mut running = Vec::new();
        let mut others = serde_json::Map::new();
        for &node in &self.nodes {
            match cluster.standing(node)? {
                Standing::Up => running.push(node),
                Standing::Paused => drop(others.insert(node.to_string(), json!("paused by another fault"))),
                Standing::Down => drop(others.insert(node.to_string(), json!("down by another fault"))),
            }
        }
        let resumed = until_threads(cluster, &running, |threads| threads.stopped == 0, "running").await?;
        Ok(json!({ "paused_ms": paused_ms, "resumed": resumed, "not_resumed": others }))
    }
}

pub(super) async fn until_threads(
    cluster: &Cluster,
    nodes: &[NodeId],
    wanted: impl Fn(Threads) -> bool,
    word: &str,
) -> Result<Value, FaultError> {
    let mut proof = serde_json::Map::new();
    for &node in nodes {
        let threads = wait::until(LIMIT, || ready(cluster.threads(node).ok().filter(|&threads| wanted(threads)))).await;
        let threads = threads.ok_or_else(|| FaultError::DidNotBite(format!("not all threads of {node} are {word}")))?;
        proof.insert(node.to_string(), json!({ "stopped": threads.stopped, "threads": threads.total }));
    }
    Ok(json!({ "stopped_threads": proof }))
}
