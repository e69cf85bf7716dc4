//! That servers which were down serve again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::NodeId;
use crate::cluster::{Layer, Standing};
use crate::nemesis::package::FaultError;
use crate::nemesis::{Field, wait};

/// How long a restarted server may take until it answers.
const RESTART_LIMIT: Duration = Duration::from_secs(20);

/// Starts these servers, as far as nothing else keeps them down, and waits until each answers that can.
pub(super) async fn bring_up(field: &Field, layer: Layer, nodes: &[NodeId]) -> Result<Value, FaultError> {
    let started = tokio::time::Instant::now();
    for &node in nodes {
        field.cluster.bring_up(layer, node)?;
    }
    let mut proof = serde_json::Map::new();
    for &node in nodes {
        let recovered = wait::until(RESTART_LIMIT, || async move {
            match field.cluster.standing(node).ok()? {
                Standing::Up if field.cluster.answers(node).await => {
                    Some(json!({ "answers_after_ms": started.elapsed().as_millis() as u64 }))
                }
                Standing::Up => None,
                Standing::Paused => Some(json!("started, and paused by another fault")),
                Standing::Down if field.cluster.is_kept_down(node).ok()? => Some(json!("kept down by another fault")),
                // It has ended by itself. Another fault may start it again.
                Standing::Down => None,
            }
        });
        let Some(recovered) = recovered.await else {
            let why = field.cluster.has_ended(node)?.unwrap_or_else(|| "does not answer".to_owned());
            return Err(FaultError::DidNotBite(format!("{node} was started again and {why}")));
        };
        proof.insert(node.to_string(), recovered);
    }
    Ok(Value::Object(proof))
}
