//! What a member can be asked about itself, by a harness that asks it several times a second.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Client, ConnectOptions, GetOptions, StatusResponse};
use leasehold_checkers::history::vocabulary::ClockValue;
use tonic::codegen::http::Uri;

use super::{CLIENT_PORT, PEER_PORT, probing};
use crate::NodeId;
use crate::clients::etcd_v3::failure::in_words;
use crate::clients::{Credentials, etcd_v3, http};
use crate::servers::clock::Asked;
use crate::servers::probes::{Contents, LeaderView, ProbeError, Probes};

/// A member answers these questions from its own memory, so one that does not answer in this time is stuck.
const OWN_KNOWLEDGE: Duration = Duration::from_secs(1);
/// For its health a member asks the cluster for a consensus, and waits at least a second for it before it says no.
pub(super) const CONSENSUS: Duration = Duration::from_millis(2_500);
const CONNECT: Duration = Duration::from_secs(1);
/// The longest are the metrics: 150 KiB.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// What is read where nothing but the head of the answer matters. There is no such key.
pub(super) const NO_KEY: &str = "/leasehold/ready";

/// Asks the members of one cluster about themselves, over connections that stay open.
#[derive(Debug)]
pub struct EtcdProbes {
    nodes: BTreeMap<NodeId, Place>,
    /// What each connection says before anything else.
    options: ConnectOptions,
    /// What the servers are called, where they are reached at another address.
    origin: Option<Uri>,
    http: reqwest::Client,
    grpc: Mutex<BTreeMap<NodeId, Connection>>,
    /// Which node calls itself by which member id, as the nodes have told so far.
    members: Mutex<BTreeMap<u64, NodeId>>,
    /// The leader that was found last by the members' metrics, and its term.
    by_metrics: Mutex<Option<(u64, NodeId)>>,
}

/// Where a member answers.
#[derive(Clone, Copy, Debug)]
struct Place {
    clients: SocketAddr,
    /// Its address among the members, where that is known.
    peers: Option<Ipv4Addr>,
}

/// A gRPC connection to one member.
struct Connection(Client);

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl EtcdProbes {
    /// Probes for these nodes. It opens nothing yet.
    #[must_use]
    pub fn new(nodes: &[(NodeId, Ipv4Addr)]) -> Self {
        let place = |address: Ipv4Addr| Place { clients: (address, CLIENT_PORT).into(), peers: Some(address) };
        Self::at(nodes.iter().map(|&(node, address)| (node, place(address))).collect(), ConnectOptions::new(), None)
    }

    /// Probes for members of which only the clients' doors are known, as somebody.
    #[must_use]
    pub fn at_doors(doors: &[(NodeId, SocketAddr)], credentials: &Credentials, origin: Option<Uri>) -> Self {
        let nodes = doors.iter().map(|&(node, clients)| (node, Place { clients, peers: None })).collect();
        Self::at(nodes, etcd_v3::options_of(credentials), origin)
    }

    fn at(nodes: BTreeMap<NodeId, Place>, options: ConnectOptions, origin: Option<Uri>) -> Self {
        let http = http::client(CONNECT, None, &Credentials::None);
        Self {
            nodes,
            options,
            origin,
            http,
            grpc: Mutex::default(),
            members: Mutex::default(),
            by_metrics: Mutex::default(),
        }
    }

    /// The node that leads by its own account, or else by another's.
    async fn any_leader(&self) -> Result<NodeId, ProbeError> {
        let mut named = None;
        for node in self.nodes() {
            match self.leader(node).await {
                Ok(LeaderView { leader: Some(leader), .. }) if leader == node => return Ok(node),
                Ok(LeaderView { leader, .. }) => named = named.or(leader),
                Err(_) => {} // One of the others may know.
            }
        }
        named.ok_or(ProbeError::NoLeader)
    }

    /// The node that calls itself by this member id. Asks the nodes where none has said so yet.
    async fn name_of(&self, member: u64, source: NodeId) -> Result<NodeId, ProbeError> {
        if let Some(node) = locked(&self.members).get(&member) {
            return Ok(*node);
        }
        for node in self.nodes().into_iter().filter(|node| *node != source) {
            // A node that is down may be the one, but then nobody can tell.
            let _ = self.status(node).await;
            if let Some(node) = locked(&self.members).get(&member) {
                return Ok(*node);
            }
        }
        Err(ProbeError::Nonsense { node: source, why: format!("member {member:x} leads, and no node goes by that id") })
    }

    /// Who leads by what every user is told: the term in the head of an answer, and the metrics of whoever leads in it. That nobody
    /// leads any more shows only when the next one does.
    async fn told_to_all(&self, node: NodeId) -> Result<LeaderView, ProbeError> {
        let client = self.client(node).await?;
        let read = async { client.kv_client().get(NO_KEY, Some(GetOptions::new().with_serializable())).await };
        let answer = self.bounded(node, OWN_KNOWLEDGE, read).await?;
        let term = answer.header().map_or(0, etcd_client::ResponseHeader::raft_term);
        let known = |found: Option<(u64, NodeId)>| found.filter(|(of, _)| *of == term).map(|(_, leader)| leader);
        if known(*locked(&self.by_metrics)).is_none() {
            for other in self.nodes() {
                let metrics = self.get(other, self.place(other)?.clients, "metrics", OWN_KNOWLEDGE).await;
                // One that is down may be the one, but then nobody can tell.
                let leads = metrics.is_ok_and(|metrics| says_that_it_leads(&metrics));
                if leads {
                    *locked(&self.by_metrics) = Some((term, other));
                    break;
                }
            }
        }
        Ok(LeaderView { leader: known(*locked(&self.by_metrics)), term })
    }

    async fn member_id(&self, node: NodeId) -> Result<u64, ProbeError> {
        let known = locked(&self.members).iter().find(|(_, known)| **known == node).map(|(member, _)| *member);
        match known {
            Some(member) => Ok(member),
            None => member_of(&self.status(node).await?, node),
        }
    }

    /// The member's own status, from which it also learns by which id the node goes.
    async fn status(&self, node: NodeId) -> Result<StatusResponse, ProbeError> {
        let client = self.client(node).await?;
        let status = async { client.maintenance_client().status().await };
        let status = self.bounded(node, OWN_KNOWLEDGE, status).await?;
        let member = member_of(&status, node)?;
        let mut members = locked(&self.members);
        members.retain(|id, known| *known != node || *id == member); // A node that was wiped comes back under a new id.
        members.insert(member, node);
        Ok(status)
    }

    pub(super) async fn client(&self, node: NodeId) -> Result<Client, ProbeError> {
        if let Some(Connection(client)) = locked(&self.grpc).get(&node) {
            return Ok(client.clone());
        }
        let endpoint = etcd_v3::endpoint(self.place(node)?.clients, self.origin.as_ref());
        // Without credentials this opens nothing: the first question does. With them they are shown.
        let client = etcd_v3::open(endpoint, self.options.clone());
        let client = tokio::time::timeout(CONSENSUS, client).await;
        let client = client.map_err(|_| ProbeError::Silent { node, within: CONSENSUS })?;
        let client = client.map_err(|error| ProbeError::Failed { node, why: in_words(&error) })?;
        locked(&self.grpc).insert(node, Connection(client.clone()));
        Ok(client)
    }

    /// Waits for a question over gRPC. After one that failed the next goes over a new connection, for the old one may have
    /// been cut and would be tried again only after a wait that doubles each time.
    pub(super) async fn bounded<T>(
        &self,
        node: NodeId,
        within: Duration,
        question: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, ProbeError> {
        let answer = match tokio::time::timeout(within, question).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Err(ProbeError::Failed { node, why: in_words(&error) }),
            Err(_) => Err(ProbeError::Silent { node, within }),
        };
        locked(&self.grpc).remove(&node);
        answer
    }

    async fn get(&self, node: NodeId, at: SocketAddr, path: &str, within: Duration) -> Result<Vec<u8>, ProbeError> {
        let question = async {
            let response = self.head(node, at, path).await?;
            http::body(response, ANSWER_BYTES).await.map_err(|error| ProbeError::failed(node, &error))
        };
        tokio::time::timeout(within, question).await.unwrap_or(Err(ProbeError::Silent { node, within }))
    }

    async fn head(&self, node: NodeId, at: SocketAddr, path: &str) -> Result<reqwest::Response, ProbeError> {
        self.http.get(format!("http://{at}/{path}")).send().await.map_err(|error| ProbeError::failed(node, &error))
    }

    /// A member tells its time to the millisecond to other members only. To clients it tells it in seconds, in the head of
    /// whatever it answers.
    async fn clock_of_clients(&self, node: NodeId, clients: SocketAddr) -> Result<ClockValue, ProbeError> {
        let asked = Asked::now();
        let question = tokio::time::timeout(OWN_KNOWLEDGE, self.head(node, clients, "version"));
        let answer = question.await.unwrap_or(Err(ProbeError::Silent { node, within: OWN_KNOWLEDGE }))?;
        asked.answered_by_head(node, answer.headers())
    }

    pub(super) fn address(&self, node: NodeId) -> Result<Ipv4Addr, ProbeError> {
        self.place(node)?.peers.ok_or(ProbeError::NotOffered("where the members reach each other is not known here"))
    }

    fn place(&self, node: NodeId) -> Result<Place, ProbeError> {
        self.nodes.get(&node).copied().ok_or(ProbeError::NoSuchNode(node))
    }
}

#[async_trait]
impl Probes for EtcdProbes {
    fn nodes(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    /// etcd tells the term of the last entry that the member has applied, so for a moment a new leader is seen under the old
    /// term.
    async fn leader(&self, node: NodeId) -> Result<LeaderView, ProbeError> {
        let status = match self.status(node).await {
            // Later versions keep their status from users who are not `root`.
            Err(ProbeError::Failed { why, .. }) if why.contains("permission denied") => {
                return self.told_to_all(node).await;
            }
            status => status?,
        };
        let leader = match status.leader() {
            0 => None,
            member => Some(self.name_of(member, node).await?),
        };
        Ok(LeaderView { leader, term: status.raft_term() })
    }

    /// A member says no where it finds no consensus.
    async fn health(&self, node: NodeId) -> Result<bool, ProbeError> {
        let answer = self.get(node, self.place(node)?.clients, "health", CONSENSUS).await?;
        // {"health":"true"}, and later versions add a reason. An unhealthy member says so with status 503.
        let claim: serde_json::Value =
            serde_json::from_slice(&answer).map_err(|error| ProbeError::nonsense(node, &error))?;
        claim["health"]
            .as_str()
            .map(|health| health == "true")
            .ok_or_else(|| ProbeError::Nonsense { node, why: "it says nothing of its health".to_owned() })
    }

    async fn clock(&self, node: NodeId) -> Result<ClockValue, ProbeError> {
        let Place { clients, peers } = self.place(node)?;
        let Some(peers) = peers else { return self.clock_of_clients(node, clients).await };
        let asked = Asked::now();
        let answer = self.get(node, (peers, PEER_PORT).into(), "raft/probing", OWN_KNOWLEDGE).await?;
        let round_trip = asked.round_trip();
        let member = probing::parse(&answer).map_err(|error| ProbeError::nonsense(node, &error))?;
        Ok(asked.answered(member, Duration::ZERO, round_trip))
    }

    async fn move_leader(&self, to: NodeId) -> Result<(), ProbeError> {
        let target = self.member_id(to).await?;
        let leader = self.any_leader().await?;
        if leader == to {
            return Ok(());
        }
        let client = self.client(leader).await?;
        let handed_over = async { client.maintenance_client().move_leader(target).await };
        self.bounded(leader, CONSENSUS, handed_over).await.map(drop)
    }

    async fn contents(&self, node: NodeId) -> Result<Contents, ProbeError> {
        self.own_contents(node).await
    }

    async fn members(&self, via: NodeId) -> Result<Vec<NodeId>, ProbeError> {
        Ok(self.told_members(via).await?.iter().map(|member| member.node).collect())
    }

    async fn remove_member(&self, via: NodeId, node: NodeId) -> Result<(), ProbeError> {
        self.let_go(via, node).await
    }

    async fn add_member(&self, via: NodeId, node: NodeId) -> Result<Vec<NodeId>, ProbeError> {
        self.take_in(via, node).await
    }

    async fn consensus(&self, node: NodeId) -> Result<(), ProbeError> {
        let client = self.client(node).await?;
        let read = async { client.kv_client().get(NO_KEY, None).await };
        self.bounded(node, OWN_KNOWLEDGE, read).await.map(drop)
    }
}

fn member_of(status: &StatusResponse, node: NodeId) -> Result<u64, ProbeError> {
    let header = status.header().ok_or_else(|| ProbeError::Nonsense { node, why: "it has no header".to_owned() })?;
    Ok(header.member_id())
}

/// Whether a member's metrics say that it leads.
fn says_that_it_leads(metrics: &[u8]) -> bool {
    String::from_utf8_lossy(metrics).lines().any(|line| line.trim() == "etcd_server_is_leader 1")
}

/// The locks are held for a look-up only, so what a panic left behind is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
