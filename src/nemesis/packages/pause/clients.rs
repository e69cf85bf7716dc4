//! Stops clients and lets them go on.

use std::future::ready;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::LIMIT;
use crate::cluster::LinkLayer;
use crate::nemesis::package::{FaultError, Injection};
use crate::nemesis::{Aim, AimedClient, Field, wait};
use crate::run::Gate;
use crate::sandbox::{LinkCounters, LinkRule, Port, Side};

/// Clients that stand still. Their scripts do nothing and see nothing, no timer of theirs goes off, and no packet from them or
/// to them gets through: what is on its way waits and arrives when they go on, as with a host that is frozen.
pub(super) struct PausedClients {
    field: Field,
    clients: Vec<Client>,
    layer: LinkLayer,
}

struct Client {
    aimed: AimedClient,
    gate: Gate,
    /// Its requests and its answers.
    links: Vec<(Side, Side)>,
    /// What its links had done before.
    before: LinkCounters,
}

impl PausedClients {
    pub(super) fn new(field: &Field, aim: Aim) -> Self {
        let client = |aimed: AimedClient| {
            let side = Side::from(Port::Worker(aimed.worker.port()));
            let links = [field.cluster.links_from(side), field.cluster.links_to(side)].concat();
            Client { aimed, gate: field.gates.gate(aimed.worker), links, before: LinkCounters::default() }
        };
        let clients = aim.clients.into_iter().map(client).collect();
        Self { field: field.clone(), clients, layer: field.cluster.link_layer() }
    }
}

#[async_trait]
impl Injection for PausedClients {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let shut = Instant::now();
        for client in &self.clients {
            client.gate.shut();
        }
        let hold = LinkRule::delayed(Duration::MAX);
        self.layer
            .lay(self.clients.iter().flat_map(|client| &client.links).map(|&(from, to)| (from, to, hold.clone())));
        let mut proof = Map::new();
        for client in &mut self.clients {
            client.before = self.field.cluster.counters(&client.links);
            let stands = wait::until(LIMIT, || ready(client.gate.stands_since())).await;
            let stands = stands.ok_or_else(|| {
                FaultError::DidNotBite(format!("process {} does not stand still", client.aimed.process))
            })?;
            let after = stands.saturating_duration_since(shut);
            proof.insert(client.name(), json!({ "stands_still_after_us": after.as_micros() as u64 }));
        }
        Ok(json!({ "clients": proof }))
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let mut proof = Map::new();
        for client in &self.clients {
            let packets = self.field.cluster.counters(&client.links) - client.before;
            proof.insert(
                client.name(),
                json!({ "packets_let_through": packets.forwarded, "packets_held": packets.delayed }),
            );
        }
        // Its answers come first, so that it finds them when it looks again.
        self.layer.lift();
        for client in &self.clients {
            proof[&client.name()]["stood_still_ms"] = json!(client.gate.open().as_millis() as u64);
        }
        Ok(json!({ "clients": proof }))
    }
}

impl Client {
    fn name(&self) -> String {
        format!("process {}", self.aimed.process)
    }
}
