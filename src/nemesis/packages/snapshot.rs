//! Takes a snapshot of the service's state, and restores it.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::NodeId;
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, parse};
use crate::nemesis::{Aim, Field, wait};
use crate::servers::Ability;

pub(super) static PACKAGE: Package = Package {
    name: "snapshot",
    does: "takes a snapshot of the service's state by its own means, and restores it at the end: what was written meanwhile \
           is undone; Consul only",
    settings: &[],
    proof: "the snapshot's size; at the end, up to where in its log the server has one put aside, before and after",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[],
    colour: 0x4b_5e_2a,
    parse: parse::<Snapshot>,
};

/// A restored state is put aside at once.
const BITE_LIMIT: Duration = Duration::from_secs(5);

/// The state is put back at the end to what it was at the beginning.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {}

impl Fault for Snapshot {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        "snapshot taken and restored".to_owned()
    }

    fn asks(&self) -> Option<Ability> {
        Some(Ability::Snapshot)
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        Box::new(Taken { field: field.clone(), nodes: aim.nodes, state: None })
    }
}

struct Taken {
    field: Field,
    nodes: Vec<NodeId>,
    /// What was taken.
    state: Option<Vec<u8>>,
}

impl Taken {
    /// The node that is asked.
    fn via(&self) -> Result<NodeId, FaultError> {
        self.nodes.first().copied().ok_or_else(|| FaultError::NoTarget("there is no node to ask".to_owned()))
    }
}

#[async_trait]
impl Injection for Taken {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let state = self.field.cluster.snapshot(self.via()?).await?;
        let proof = json!({ "snapshot_bytes": state.len() });
        self.state = Some(state);
        Ok(proof)
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let (cluster, via) = (&self.field.cluster, self.via()?);
        let Some(state) = &self.state else {
            return Err(FaultError::DidNotBite("no snapshot was taken".to_owned()));
        };
        let before = cluster.snapshot_index(via).await?;
        cluster.restore(via, state).await?;
        let after = wait::until(BITE_LIMIT, || async {
            cluster.snapshot_index(via).await.ok().filter(|&after| after > before)
        });
        let after = after.await.ok_or_else(|| {
            FaultError::DidNotBite(format!("{via} still has its snapshot of entry {before} put aside"))
        })?;
        Ok(json!({ "snapshot_index_before": before, "snapshot_index_now": after }))
    }
}
