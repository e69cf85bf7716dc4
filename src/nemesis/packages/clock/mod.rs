//! Moves the clocks of server processes: by a step, at a rate, to and fro, and back to the machine's time.
//!
//! Every fault is a layer of its own: those that overlap on one node add up, and each takes back what it has added.

mod drift;
mod reset;
mod shown;
mod strobe;

use async_trait::async_trait;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::NodeId;
use crate::clock::Skew;
use crate::cluster::{ClockMove, Layer};
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Need, Package, Setting, parse};
use crate::nemesis::{Aim, Field};
use shown::{Shown, shown_by_all};

pub(super) use {drift::PACKAGE as DRIFT, reset::PACKAGE as RESET, strobe::PACKAGE as STROBE};

pub(super) static PACKAGE: Package = Package {
    name: "clock",
    does: "moves the wall clock of a server process by a step, and back at the end; no other process sees it",
    settings: &[Setting { name: "offset_ms", says: "by how many milliseconds; negative for back" }],
    proof: "the offset that the process itself shows, asked before and after",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[Need::ClockHook],
    colour: 0x7b_3f_b5,
    parse: parse::<Clock>,
};

/// The wall clock is moved by this much, and back at the end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::nemesis) struct Clock {
    #[serde(deserialize_with = "offset_ms")]
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
        Box::new(Moved { offset_ms: self.offset_ms, layer: Layer::new(), field: field.clone(), nodes: aim.nodes })
    }
}

struct Moved {
    offset_ms: i64,
    layer: Layer,
    field: Field,
    nodes: Vec<NodeId>,
}

#[async_trait]
impl Injection for Moved {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        move_all(&self.field, self.layer, &self.nodes, step(self.offset_ms))?;
        shown_by_all(&self.field.cluster, &self.nodes, certain_to(self.offset_ms)).await
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        free_all(&self.field, self.layer, &self.nodes)?;
        shown_by_all(&self.field.cluster, &self.nodes, Shown::OnceUp).await
    }
}

/// What the clock of a node shows that is off by the scenario.
pub(in crate::nemesis) async fn at_rest(field: &Field, node: NodeId, offset_ms: i64) -> Result<Value, FaultError> {
    shown_by_all(&field.cluster, &[node], certain_to(offset_ms)).await
}

/// At once, and so exactly that what is shown would not be shown without the fault.
fn certain_to(offset_ms: i64) -> Shown {
    Shown::Now { certain_to_ns: offset_ms.unsigned_abs().saturating_mul(1_000_000) }
}

fn step(offset_ms: i64) -> ClockMove {
    const NS_PER_MS: i64 = 1_000_000;
    ClockMove::Wall(Skew { offset_ns: offset_ms.saturating_mul(NS_PER_MS), rate_ppm: 0 })
}

fn move_all(field: &Field, layer: Layer, nodes: &[NodeId], to: ClockMove) -> Result<(), FaultError> {
    Ok(nodes.iter().try_for_each(|&node| field.cluster.move_clock(layer, node, to))?)
}

fn free_all(field: &Field, layer: Layer, nodes: &[NodeId]) -> Result<(), FaultError> {
    Ok(nodes.iter().try_for_each(|&node| field.cluster.free_clock(layer, node))?)
}

/// An offset by which a clock can be moved, and can be seen to be.
fn offset_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    const YEARS_50_MS: u64 = 50 * 365 * 86_400 * 1_000;
    let offset_ms = i64::deserialize(deserializer)?;
    match offset_ms.unsigned_abs() {
        5..=YEARS_50_MS => Ok(offset_ms),
        _ => Err(D::Error::custom(
            "`offset_ms` must be at least 5, so that it can be measured, and at most 50 years, either way",
        )),
    }
}
