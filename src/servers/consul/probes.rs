//! What a server can be asked about itself, by a harness that asks it several times a second.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use leasehold_checkers::history::vocabulary::ClockValue;
use reqwest::Method;
use reqwest::header::DATE;
use serde::Deserialize;

use super::CLIENT_PORT;
use crate::NodeId;
use crate::clients::http;
use crate::servers::Ability;
use crate::servers::clock::Asked;
use crate::servers::probes::{LeaderView, ProbeError, Probes};

/// A server answers these questions from its own memory, so one that does not answer in this time is stuck.
const OWN_KNOWLEDGE: Duration = Duration::from_secs(1);
/// A question that takes the leader waits for an election, up to 7 s; we do not wait as long.
pub(super) const CONSENSUS: Duration = Duration::from_millis(2_500);
const CONNECT: Duration = Duration::from_secs(1);
/// The whole state is read, or written and taken over by each server.
const STATE: Duration = Duration::from_secs(10);
const ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// HTTP's `Date` counts in seconds.
const DATE_STEP: Duration = Duration::from_secs(1);

/// Asks the servers of one cluster about themselves, over connections that stay open.
#[derive(Debug)]
pub struct ConsulProbes {
    nodes: BTreeMap<NodeId, Ipv4Addr>,
    http: reqwest::Client,
}

impl ConsulProbes {
    /// Probes for these nodes. It opens nothing yet.
    #[must_use]
    pub fn new(nodes: &[(NodeId, Ipv4Addr)]) -> Self {
        Self { nodes: nodes.iter().copied().collect(), http: http::client(CONNECT, None) }
    }

    async fn get(&self, node: NodeId, path: &str, within: Duration) -> Result<(u16, Vec<u8>), ProbeError> {
        self.exchange(node, Method::GET, path, within).await
    }

    /// What it answers with status 200.
    pub(super) async fn ask(
        &self,
        node: NodeId,
        method: Method,
        path: &str,
        within: Duration,
    ) -> Result<Vec<u8>, ProbeError> {
        match self.exchange(node, method, path, within).await? {
            (200, answer) => Ok(answer),
            refusal => Err(refused(node, refusal)),
        }
    }

    async fn exchange(
        &self,
        node: NodeId,
        method: Method,
        path: &str,
        within: Duration,
    ) -> Result<(u16, Vec<u8>), ProbeError> {
        self.exchange_with(node, method, path, None, within).await
    }

    async fn exchange_with(
        &self,
        node: NodeId,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        within: Duration,
    ) -> Result<(u16, Vec<u8>), ProbeError> {
        let question = async {
            let response = self.send(node, method, path, body).await?;
            let status = response.status().as_u16();
            let body = http::body(response, ANSWER_BYTES).await.map_err(|error| ProbeError::failed(node, &error))?;
            Ok((status, body))
        };
        tokio::time::timeout(within, question).await.unwrap_or(Err(ProbeError::Silent { node, within }))
    }

    async fn send(
        &self,
        node: NodeId,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<reqwest::Response, ProbeError> {
        let address = self.nodes.get(&node).ok_or(ProbeError::NoSuchNode(node))?;
        let url = format!("http://{address}:{CLIENT_PORT}/v1/{path}");
        let request = self.http.request(method, url);
        let request = body.into_iter().fold(request, reqwest::RequestBuilder::body);
        request.send().await.map_err(|error| ProbeError::failed(node, &error))
    }

    async fn of_itself(&self, node: NodeId) -> Result<AgentSelf, ProbeError> {
        let (_, answer) = self.get(node, "agent/self", OWN_KNOWLEDGE).await?;
        serde_json::from_slice(&answer).map_err(|error| ProbeError::nonsense(node, &error))
    }

    fn node_at(&self, address: Ipv4Addr) -> Option<NodeId> {
        self.nodes.iter().find(|(_, known)| **known == address).map(|(node, _)| *node)
    }
}

/// What `/agent/self` tells of Raft. All values are texts.
#[derive(Deserialize)]
struct AgentSelf {
    #[serde(rename = "Stats")]
    stats: Stats,
}

#[derive(Deserialize)]
struct Stats {
    consul: ConsulStats,
    raft: RaftStats,
}

#[derive(Deserialize)]
struct ConsulStats {
    /// `10.77.0.1:8300`, or nothing.
    leader_addr: String,
}

#[derive(Deserialize)]
struct RaftStats {
    term: String,
    last_snapshot_index: String,
}

/// What `/operator/autopilot/health` tells of each server.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Autopilot {
    servers: Vec<ServerHealth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServerHealth {
    name: String,
    healthy: bool,
}

/// A key, of which nothing is asked but that it is there.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "Key")]
    _key: String,
}

#[async_trait]
impl Probes for ConsulProbes {
    fn nodes(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    async fn leader(&self, node: NodeId) -> Result<LeaderView, ProbeError> {
        let told = self.of_itself(node).await?;
        let term = told.stats.raft.term.parse().map_err(|error| ProbeError::nonsense(node, &error))?;
        let leader = match told.stats.consul.leader_addr.as_str() {
            "" => None,
            address => {
                let address: SocketAddr = address.parse().map_err(|error| ProbeError::nonsense(node, &error))?;
                let SocketAddr::V4(address) = address else {
                    return Err(ProbeError::Nonsense { node, why: format!("{address} leads, and is no address here") });
                };
                self.node_at(*address.ip())
            }
        };
        Ok(LeaderView { leader, term })
    }

    /// What the autopilot, asked through this node, says of this node. It runs at the leader and looks every few seconds.
    async fn health(&self, node: NodeId) -> Result<bool, ProbeError> {
        let (_, answer) = self.get(node, "operator/autopilot/health", CONSENSUS).await?;
        let told: Autopilot = serde_json::from_slice(&answer).map_err(|error| ProbeError::nonsense(node, &error))?;
        let name = node.to_string();
        let own = told.servers.iter().find(|server| server.name == name);
        Ok(own.is_some_and(|server| server.healthy))
    }

    /// A Consul server tells the time nowhere but in the `Date` of its answers, in seconds.
    async fn clock(&self, node: NodeId) -> Result<ClockValue, ProbeError> {
        let asked = Asked::now();
        let question = tokio::time::timeout(OWN_KNOWLEDGE, self.send(node, Method::GET, "status/peers", None));
        let response = question.await.unwrap_or(Err(ProbeError::Silent { node, within: OWN_KNOWLEDGE }))?;
        let round_trip = asked.round_trip();
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.ok_or_else(|| ProbeError::Nonsense { node, why: "it has no date".to_owned() })?;
        Ok(asked.answered(seconds(date).map_err(|error| ProbeError::nonsense(node, &error))?, DATE_STEP, round_trip))
    }

    async fn consensus(&self, node: NodeId) -> Result<(), ProbeError> {
        match self.get(node, "kv/leasehold/ready?consistent", CONSENSUS).await? {
            // There is no such key, and it took a consensus to know that.
            (404, _) => Ok(()),
            (200, answer) => match serde_json::from_slice::<Vec<Entry>>(&answer) {
                Ok(_) => Ok(()),
                Err(error) => Err(ProbeError::nonsense(node, &error)),
            },
            refusal => Err(refused(node, refusal)),
        }
    }

    async fn move_leader(&self, _to: NodeId) -> Result<(), ProbeError> {
        Err(ProbeError::NotOffered(Ability::NO_HAND_OVER_BY_CONSUL))
    }

    async fn members(&self, via: NodeId) -> Result<Vec<NodeId>, ProbeError> {
        self.told_members(via).await
    }

    async fn remove_member(&self, via: NodeId, node: NodeId) -> Result<(), ProbeError> {
        self.let_go(via, node).await
    }

    async fn add_member(&self, via: NodeId, node: NodeId) -> Result<Vec<NodeId>, ProbeError> {
        self.with(via, node).await
    }

    async fn snapshot(&self, via: NodeId) -> Result<Vec<u8>, ProbeError> {
        self.ask(via, Method::GET, "snapshot", STATE).await
    }

    async fn restore(&self, via: NodeId, state: &[u8]) -> Result<(), ProbeError> {
        let exchange = self.exchange_with(via, Method::PUT, "snapshot", Some(state.to_vec()), STATE);
        match exchange.await? {
            (200, _) => Ok(()),
            refusal => Err(refused(via, refusal)),
        }
    }

    async fn snapshot_index(&self, node: NodeId) -> Result<u64, ProbeError> {
        let told = self.of_itself(node).await?.stats.raft.last_snapshot_index;
        told.parse().map_err(|error| ProbeError::nonsense(node, &error))
    }
}

fn refused(node: NodeId, (status, answer): (u16, Vec<u8>)) -> ProbeError {
    ProbeError::Failed { node, why: format!("status {status}: {}", http::excerpt(&answer)) }
}

/// The time of an HTTP `Date`.
fn seconds(date: &str) -> Result<Timestamp, jiff::Error> {
    // RFC 9110 writes GMT where RFC 2822 writes an offset; the parser takes both.
    rfc2822::DateTimeParser::new().parse_timestamp(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_and_what_is_none_is_refused() {
        let read = seconds("Sat, 21 Nov 2026 22:23:55 GMT").expect("a date");
        assert_eq!(read, "2026-11-21T22:23:55Z".parse().expect("a time"));
        for hostile in ["", "yesterday", "Sat, 99 Nov 2026 22:23:55 GMT"] {
            assert!(seconds(hostile).is_err(), "{hostile}");
        }
    }
}
