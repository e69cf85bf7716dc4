//! Kills server processes and starts them again with the data they had.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::recovery;
use crate::NodeId;
use crate::cluster::{Layer, Standing};
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, parse};
use crate::nemesis::{Aim, Field};

pub(super) static PACKAGE: Package = Package {
    name: "kill",
    does: "kills a server process (SIGKILL), several at once, and starts it again with its data at the end",
    settings: &[],
    proof: "how the process ended; at the end, that the new one answers",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[],
    colour: 0x7a_4a_21,
    parse: parse::<Kill>,
};

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
        Box::new(Killed { layer: Layer::new(), field: field.clone(), nodes: aim.nodes })
    }
}

struct Killed {
    layer: Layer,
    field: Field,
    nodes: Vec<NodeId>,
}

#[async_trait]
impl Injection for Killed {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        let were_down: Vec<NodeId> = self
            .nodes
            .iter()
            .copied()
            .filter(|&node| cluster.standing(node).is_ok_and(|now| now == Standing::Down))
            .collect();
        let mut proof = serde_json::Map::new();
        for (node, how) in cluster.take_down(self.layer, &self.nodes).await? {
            let how = if were_down.contains(&node) { format!("was down already ({how}), and stays so") } else { how };
            proof.insert(node.to_string(), json!(how));
        }
        Ok(json!({ "ended": proof }))
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        Ok(json!({ "restarted": recovery::bring_up(&self.field, self.layer, &self.nodes).await? }))
    }
}
