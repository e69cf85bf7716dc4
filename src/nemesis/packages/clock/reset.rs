//! Puts wall clocks right, as a time service does that steps them.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::shown::{Shown, TOLERANCE_NS, look, shown_by_all};
use crate::NodeId;
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Need, Package, parse};
use crate::nemesis::{Aim, Field};

pub(in crate::nemesis::packages) static PACKAGE: Package = Package {
    name: "clock-reset",
    does: "puts the wall clock of a server process right in one step, whatever moved it: other faults, or the scenario's \
           clock_offsets_ms; one that drifts goes on drifting from there",
    settings: &[],
    proof: "the offset that the process itself shows, asked before and after",
    aims: Aims::AtTarget,
    course: Course::Instant,
    needs: &[Need::ClockHook],
    colour: 0x5d_4a_9c,
    parse: parse::<Reset>,
};

/// The wall clock is put right.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {}

impl Fault for Reset {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        "clock reset".to_owned()
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        Box::new(PutRight { field: field.clone(), nodes: aim.nodes })
    }
}

struct PutRight {
    field: Field,
    nodes: Vec<NodeId>,
}

#[async_trait]
impl Injection for PutRight {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        let mut before = serde_json::Map::new();
        let mut any_was_off = false;
        for &node in &self.nodes {
            let shown = look(cluster, node).await?;
            any_was_off |= shown.offset_ns.unsigned_abs() > TOLERANCE_NS.saturating_add(shown.uncertainty_ns);
            before.insert(node.to_string(), json!({ "offset_ns": shown.offset_ns }));
            cluster.reset_clock(node)?;
        }
        let after = shown_by_all(cluster, &self.nodes, Shown::OnceUp).await?;
        if !any_was_off {
            return Err(FaultError::DidNotBite("no clock was off, so none was put right".to_owned()));
        }
        Ok(json!({ "before": before, "after": after["measured"] }))
    }

    /// A clock that was put right stays so; there is nothing to take back.
    async fn heal(&mut self) -> Result<Value, FaultError> {
        Ok(Value::Null)
    }
}
