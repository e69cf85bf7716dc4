//! What a server can be asked about itself, by a harness that asks it several times a second.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use leasehold_checkers::history::vocabulary::ClockValue;
use reqwest::Method;
use serde::Deserialize;

use super::CLIENT_PORT;
use crate::NodeId;
use crate::clients::{Credentials, http};
use crate::servers::Ability;
use crate::servers::clock::Asked;
use crate::servers::probes::{Contents, LeaderView, ProbeError, Probes};

/// A server answers these questions from its own memory, so one that does not answer in this time is stuck.
const OWN_KNOWLEDGE: Duration = Duration::from_secs(1);
/// A question that takes the leader waits for an election, up to 7 s; we do not wait as long.
pub(super) const CONSENSUS: Duration = Duration::from_millis(2_500);
const CONNECT: Duration = Duration::from_secs(1);
/// The whole state is read, or written and taken over by each server.
const STATE: Duration = Duration::from_secs(10);
const ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Asks the servers of one cluster about themselves, over connections that stay open.
#[derive(Debug)]
pub struct ConsulProbes {
    nodes: BTreeMap<NodeId, SocketAddr>,
    http: reqwest::Client,
    /// What each server calls itself, as far as they have told.
    known: Mutex<BTreeMap<NodeId, Known>>,
}

/// What a server calls itself.
#[derive(Clone, Debug)]
struct Known {
    name: String,
    /// Where it answers the other servers: `10.77.0.1:8300`.
    address: String,
}

impl ConsulProbes {
    /// Probes for these nodes. It opens nothing yet.
    #[must_use]
    pub fn new(nodes: &[(NodeId, Ipv4Addr)]) -> Self {
        let doors: Vec<_> = nodes.iter().map(|&(node, address)| (node, (address, CLIENT_PORT).into())).collect();
        Self::at_doors(&doors, &Credentials::None)
    }

    /// Probes for servers that answer clients there, as somebody.
    #[must_use]
    pub fn at_doors(doors: &[(NodeId, SocketAddr)], credentials: &Credentials) -> Self {
        let http = http::client(CONNECT, None, credentials);
        Self { nodes: doors.iter().copied().collect(), http, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<NodeId, Known>> {
        // No change of it can be interrupted by a panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a server tells of itself, by which the others' words of it are understood.
    async fn told_by(&self, node: NodeId) -> Result<AgentSelf, ProbeError> {
        let answer = self.ask(node, Method::GET, "agent/self", OWN_KNOWLEDGE).await?;
        let told: AgentSelf = serde_json::from_slice(&answer).map_err(|error| ProbeError::nonsense(node, &error))?;
        let address = format!("{}:{}", told.member.addr, told.member.tags.port);
        let known = Known { name: told.config.node_name.clone(), address };
        self.known().insert(node, known);
        Ok(told)
    }

    /// The server that is known by this. Asks the others where none has said so yet.
    async fn find(&self, source: NodeId, is_it: impl Fn(&Known) -> bool) -> Option<NodeId> {
        let find = || {
            let known = self.known();
            known.iter().find(|(_, known)| is_it(known)).map(|(node, _)| *node)
        };
        for node in self.nodes().into_iter().filter(|node| *node != source) {
            if find().is_some() {
                break;
            }
            // One that is down may be the one, but then nobody can tell.
            let _ = self.told_by(node).await;
        }
        find()
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

    pub(super) async fn exchange(
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
        let url = format!("http://{address}/v1/{path}");
        let request = self.http.request(method, url);
        let request = body.into_iter().fold(request, reqwest::RequestBuilder::body);
        request.send().await.map_err(|error| ProbeError::failed(node, &error))
    }
}

/// What `/agent/self` tells of Raft. All values are texts.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AgentSelf {
    config: Config,
    member: SelfMember,
    stats: Stats,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    node_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SelfMember {
    addr: String,
    tags: Tags,
}

#[derive(Deserialize)]
struct Tags {
    /// Where it answers the other servers. Only servers have it.
    port: String,
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
        let told = self.told_by(node).await?;
        let term = told.stats.raft.term.parse().map_err(|error| ProbeError::nonsense(node, &error))?;
        let leader = match told.stats.consul.leader_addr.as_str() {
            "" => None,
            address => {
                let leader = self.find(node, |known| known.address == address).await;
                let nobody =
                    || ProbeError::Nonsense { node, why: format!("{address} leads, and no node goes by that") };
                Some(leader.ok_or_else(nobody)?)
            }
        };
        Ok(LeaderView { leader, term })
    }

    /// What the autopilot, asked through this node, says of this node. It runs at the leader and looks every few seconds.
    async fn health(&self, node: NodeId) -> Result<bool, ProbeError> {
        let (_, answer) = self.get(node, "operator/autopilot/health", CONSENSUS).await?;
        let told: Autopilot = serde_json::from_slice(&answer).map_err(|error| ProbeError::nonsense(node, &error))?;
        if !self.known().contains_key(&node) {
            self.told_by(node).await?;
        }
        let known = self.known();
        let is_it = |server: &&ServerHealth| known.get(&node).is_some_and(|known| known.name == server.name);
        Ok(told.servers.iter().find(is_it).is_some_and(|server| server.healthy))
    }

    /// A Consul server tells the time nowhere but in the `Date` of its answers, in seconds.
    async fn clock(&self, node: NodeId) -> Result<ClockValue, ProbeError> {
        let asked = Asked::now();
        let question = tokio::time::timeout(OWN_KNOWLEDGE, self.send(node, Method::GET, "status/peers", None));
        let response = question.await.unwrap_or(Err(ProbeError::Silent { node, within: OWN_KNOWLEDGE }))?;
        asked.answered_by_head(node, response.headers())
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

    async fn contents(&self, node: NodeId) -> Result<Contents, ProbeError> {
        self.own_contents(node).await
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
        let told = self.told_by(node).await?.stats.raft.last_snapshot_index;
        told.parse().map_err(|error| ProbeError::nonsense(node, &error))
    }
}

pub(super) fn refused(node: NodeId, (status, answer): (u16, Vec<u8>)) -> ProbeError {
    ProbeError::Failed { node, why: format!("status {status}: {}", http::excerpt(&answer)) }
}
