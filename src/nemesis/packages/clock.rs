//! Moves the wall clock of server processes.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::NodeId;
use crate::cluster::Cluster;
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Need, Package, Setting, parse};
use crate::nemesis::{Aim, Field};

pub(super) static PACKAGE: Package = Package {
    name: "clock",
    does: "moves the wall clock of a server process, and back at the end; no other process sees it",
    settings: &[Setting { name: "offset_ms", says: "by how many milliseconds; negative for back" }],
    proof: "the offset that the process itself shows, asked before and after",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[Need::ClockHook],
    colour: 0x7b_3f_b5,
    parse: parse::<Clock>,
};

/// The measured offset may differ from the intended one by what the measurement leaves open and this much.
const TOLERANCE_NS: i64 = 50_000_000;

/// The wall clock is moved by this much, and back at the end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::nemesis) struct Clock {
    pub(in crate::nemesis) offset_ms: i64,
}

impl Fault for Clock {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        format!("clock {:+} s", self.offset_ms as f64 / 1000.0)
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        Box::new(Moved { offset_ms: self.offset_ms, field: field.clone(), nodes: aim.nodes })
    }
}

struct Moved {
    offset_ms: i64,
    field: Field,
    nodes: Vec<NodeId>,
}

#[async_trait]
impl Injection for Moved {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        move_all(&self.field.cluster, &self.nodes, self.offset_ms).await
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        move_all(&self.field.cluster, &self.nodes, 0).await
    }
}

/// Moves the clocks this far from where they rest, and measures where they are.
pub(in crate::nemesis) async fn move_all(
    cluster: &Cluster,
    nodes: &[NodeId],
    offset_ms: i64,
) -> Result<Value, FaultError> {
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
