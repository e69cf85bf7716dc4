//! Stops clients and lets them go on.

use std::future::ready;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::LIMIT;
use crate::nemesis::package::{FaultError, Injection};
use crate::nemesis::{AimedClient, Field, wait};

/// Clients that stand still: their scripts, their timers and what they see of the network.
pub(super) struct PausedClients {
    pub field: Field,
    pub clients: Vec<AimedClient>,
}

#[async_trait]
impl Injection for PausedClients {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        for client in &self.clients {
            self.field.gates.gate(client.worker).shut();
        }
        let mut proof = serde_json::Map::new();
        for client in &self.clients {
            let gate = self.field.gates.gate(client.worker);
            let stands = wait::until(LIMIT, || ready(gate.stands_since())).await;
            let stands = stands
                .ok_or_else(|| FaultError::DidNotBite(format!("process {} does not stand still", client.process)))?;
            proof.insert(name(*client), json!({ "stood_ms": stands.elapsed().as_millis() as u64 }));
        }
        Ok(json!({ "standing": proof }))
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let mut proof = serde_json::Map::new();
        for client in &self.clients {
            let stood = self.field.gates.gate(client.worker).open();
            proof.insert(name(*client), json!({ "stood_ms": stood.as_millis() as u64 }));
        }
        Ok(json!({ "stood_still": proof }))
    }
}

fn name(client: AimedClient) -> String {
    format!("process {}", client.process)
}
