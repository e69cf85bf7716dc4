//! Stops server processes and lets them go on.

use std::future::ready;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::NodeId;
use crate::cluster::Cluster;
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, parse};
use crate::nemesis::{Aim, Field, wait};
use crate::sandbox::Threads;

pub(super) static PACKAGE: Package = Package {
    name: "pause",
    does: "stops a server process (SIGSTOP), and lets it go on at the end (SIGCONT)",
    settings: &[],
    proof: "the state of every thread of the process, as the kernel shows it",
    aims: Aims::AtTarget,
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

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        Box::new(Paused { field: field.clone(), nodes: aim.nodes })
    }
}

struct Paused {
    field: Field,
    nodes: Vec<NodeId>,
}

#[async_trait]
impl Injection for Paused {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        for &node in &self.nodes {
            cluster.pause(node)?;
        }
        until_threads(cluster, &self.nodes, Threads::all_stopped, "stopped").await
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        for &node in &self.nodes {
            cluster.resume(node)?;
        }
        until_threads(cluster, &self.nodes, |threads| threads.stopped == 0, "running").await
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
