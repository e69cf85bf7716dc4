//! Clusters of Consul.

use std::time::Duration;

use leasehold::clients::Consul;
use leasehold::clients::consul::Settings;
use leasehold::servers::consul::{CLIENT_PORT, ConsulOptions, ConsulProbes, launch};
use leasehold_workloads::op::Owner;
use serde_json::Value;

use super::servers;
pub(super) use super::servers::{PATIENCE, eventually, own_addresses};

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// What a busy machine may add to a time.
pub(super) const NOISE: Duration = Duration::from_secs(1);

/// A cluster of Consul servers, which ends with this value.
pub(super) type Cluster = servers::Cluster<ConsulProbes>;

impl Cluster {
    pub(super) async fn start(size: u8) -> Self {
        let prepared = Self::prepare(
            "consul@1.8.7",
            size,
            |program, node, addresses, data| launch(program, node, addresses, data, &ConsulOptions::default()),
            |addresses, _| ConsulProbes::new(addresses),
        );
        prepared.started().await
    }

    pub(super) fn consul(&self) -> Consul {
        Consul::new(self.endpoints(CLIENT_PORT))
    }

    pub(super) fn with_lock_delay(&self, lock_delay: Duration) -> Consul {
        self.consul().with_settings(Settings { lock_delay, ..Settings::default() })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}:{CLIENT_PORT}/v1/{path}", self.addresses[0].1)
    }

    pub(super) async fn sessions(&self) -> Vec<Value> {
        let listed = reqwest::get(self.url("session/list")).await.expect("an answer");
        listed.json().await.expect("a list")
    }

    pub(super) async fn destroy_session_of(&self, owner: Owner) {
        let name = format!(" {owner}");
        let is_its_own = |session: &Value| session["Name"].as_str().is_some_and(|told| told.ends_with(&name));
        let session = self.sessions().await.into_iter().find(is_its_own);
        let id = session.expect("it has a session")["ID"].as_str().expect("a name").to_owned();
        let destroyed = reqwest::Client::new().put(self.url(&format!("session/destroy/{id}"))).send().await;
        assert!(destroyed.expect("an answer").status().is_success());
    }
}
