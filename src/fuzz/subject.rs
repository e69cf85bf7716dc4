//! The cluster that mutants are sent to, and whether it still serves.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use leasehold_workloads::op::{Answer, Op, RegisterOp};
use leasehold_workloads::service::{Connect, LockService};

use super::replicas::{BETWEEN_LOOKS, Replicas, compared};
use super::signature::{NodeState, Signature};
use super::{Compared, FuzzError, Sent};
use crate::NodeId;
use crate::cluster::{Cluster, Layer, Leader};
use crate::packets::mutants::Role;
use crate::packets::{Reply, send_within};
use crate::servers::Contents;

/// How long a server may take for one write or read. To open a session is a part of it.
const OP: Duration = Duration::from_secs(2);

/// A server that serves nothing for so long has stopped: elections are over sooner.
const PATIENCE: Duration = Duration::from_secs(15);

/// One that serves nothing for so long may have. Enough to try by itself what it was sent last.
const SUSPICION: Duration = Duration::from_secs(5);

/// What a packet does to a process shows by then.
const SETTLING: Duration = Duration::from_millis(300);

/// A cluster without any past serves by then.
const START: Duration = Duration::from_secs(60);

/// For how long an answer to a mutant is waited for. Most have one at once, and some never.
const ANSWER: Duration = Duration::from_millis(150);

/// So many connections are open at once while a finding is sent again.
const LANES: usize = 8;

/// From one question for it to the next.
const SHORTLY: Duration = Duration::from_millis(10);

/// What was written shows on every server by then.
const CATCHING_UP: Duration = Duration::from_secs(5);

/// The register that tells whether writes are served.
const KEY: &str = "fuzz/alive";

/// A cluster of our own.
pub struct Subject {
    cluster: Arc<Cluster>,
    connect: Arc<dyn Connect>,
    layer: Layer,
    /// What was written last; no value comes twice.
    value: u64,
    /// How long each server's log was when it had no past.
    log_bytes: BTreeMap<NodeId, u64>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Subject {
    /// A cluster that serves.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, connect: Arc<dyn Connect>) -> Self {
        Self { cluster, connect, layer: Layer::new(), value: 0, log_bytes: BTreeMap::new() }
    }

    /// Makes it one that has no past: all servers are killed and come up with nothing.
    ///
    /// # Errors
    /// If it does not serve then.
    pub async fn begin_anew(&mut self) -> Result<(), FuzzError> {
        let nodes = self.cluster.nodes();
        self.cluster.take_down(self.layer, &nodes).await?;
        for &node in &nodes {
            let wiped = self.cluster.data(node)?.wipe();
            wiped.map_err(|source| FuzzError::Write { what: format!("the data of {node}"), source })?;
        }
        for &node in &nodes {
            self.cluster.bring_up(self.layer, node)?;
        }
        self.cluster.wait_ready(START).await?;
        self.prepare().await
    }

    /// Puts what tells whether it serves into place.
    ///
    /// # Errors
    /// If it does not serve.
    pub async fn prepare(&mut self) -> Result<(), FuzzError> {
        let began = Instant::now();
        loop {
            let prepared = self.connect.prepare(&[KEY.to_owned()]).await;
            let state = match prepared {
                Ok(()) => self.state().await?,
                Err(error) if began.elapsed() > START => return Err(FuzzError::NotServing(error.to_string())),
                Err(_) => continue,
            };
            if state.nodes.iter().all(NodeState::is_well) {
                self.note_logs();
                return Ok(());
            }
            if began.elapsed() > START {
                return Err(FuzzError::NotServing(state.to_string()));
            }
        }
    }

    /// Sends one mutant, and waits a moment for its answer. That there is none, or no connection, is what mutants are for.
    ///
    /// # Errors
    /// If there is no such server in the sandbox.
    pub async fn send(&self, sent: &Sent, leader: Option<Leader>) -> Result<Option<Reply>, FuzzError> {
        // Where nobody leads, what is of a term is of one that is over.
        let (leads, term) = (leader.map(|leader| leader.node), leader.map_or(1, |leader| leader.term));
        let follower = self.cluster.nodes().into_iter().find(|node| Some(*node) != leads);
        let node = match sent.to {
            Role::Leader => leads.or(follower),
            Role::Follower => follower,
        };
        let Some(node) = node else { return Ok(None) };
        let address = self.cluster.address_for_packets(node, sent.port)?;
        Ok(send_within(address, sent.handshake.as_ref(), &sent.packet_for(node, term), ANSWER).await.ok())
    }

    /// Who leads.
    pub async fn leader(&self) -> Option<Leader> {
        self.cluster.leader().await
    }

    /// What stopped, if anything: whoever does not serve is asked again until it is certain.
    ///
    /// # Errors
    /// If the cluster cannot be asked.
    pub async fn stopped(&mut self) -> Result<Option<Signature>, FuzzError> {
        self.silent_for(PATIENCE).await
    }

    /// Whether all servers hold the same, if all of them serve. Where they do not it takes until that is certain.
    ///
    /// # Errors
    /// If the cluster cannot be asked.
    pub async fn compared(&mut self) -> Result<Compared, FuzzError> {
        compared(self).await
    }

    /// The same as what stopped.
    ///
    /// # Errors
    /// If the cluster cannot be asked.
    pub async fn differing(&mut self) -> Result<Option<Signature>, FuzzError> {
        let Compared::Different(told) = self.compared().await? else { return Ok(None) };
        self.signature_of(told).await
    }

    /// That they hold different data; `None` where one does not serve by now.
    pub(super) async fn signature_of(&mut self, told: Vec<Vec<String>>) -> Result<Option<Signature>, FuzzError> {
        let mut state = self.state().await?;
        for (node, holds_alone) in state.nodes.iter_mut().zip(told) {
            node.holds_alone = holds_alone;
        }
        Ok(state.nodes.iter().all(NodeState::is_well).then_some(state))
    }

    async fn silent_for(&mut self, patience: Duration) -> Result<Option<Signature>, FuzzError> {
        let began = Instant::now();
        loop {
            let state = self.state().await?;
            if state.nodes.iter().all(NodeState::is_well) {
                return Ok(None);
            }
            let has_ended = state.nodes.iter().any(|node| node.ended.is_some());
            if has_ended || began.elapsed() > patience {
                return Ok(Some(self.with_last_words(state)));
            }
        }
    }

    fn note_logs(&mut self) {
        let length = |node| Some((node, self.cluster.log_length(node).ok()?));
        self.log_bytes = self.cluster.nodes().into_iter().filter_map(length).collect();
    }

    fn with_last_words(&self, mut state: Signature) -> Signature {
        for told in &mut state.nodes {
            let before = self.log_bytes.get(&told.node).copied().unwrap_or(0);
            told.last_words = self.cluster.last_words(told.node, before).unwrap_or_default();
        }
        state
    }

    /// What stopped, or is held by some only, after mutants that were sent in their order to a cluster without any past.
    ///
    /// # Errors
    /// If that does not come about.
    pub async fn stopped_by(&mut self, sent: &[Sent]) -> Result<Option<Signature>, FuzzError> {
        self.send_anew(sent).await?;
        match self.stopped().await? {
            Some(stopped) => Ok(Some(stopped)),
            None => self.differing().await,
        }
    }

    /// Sends each of these mutants when it is seen that the one before it stopped nothing, and says how many of them it took until something
    /// seems to have stopped. It is no more than a suspicion.
    ///
    /// # Errors
    /// See [`Subject::stopped_by`].
    pub async fn suspected_on_the_way(&mut self, sent: &[Sent]) -> Result<Option<usize>, FuzzError> {
        self.begin_anew().await?;
        for (index, one) in sent.iter().enumerate() {
            let leader = self.leader().await;
            self.send(one, leader).await?;
            if self.silent_for(SUSPICION).await?.is_some() {
                return Ok(Some(index + 1));
            }
        }
        Ok(None)
    }

    async fn send_anew(&mut self, sent: &[Sent]) -> Result<(), FuzzError> {
        self.begin_anew().await?;
        let leader = self.leader().await;
        // Each begins after the one before it, and none waits until that has its answer.
        let sending = stream::iter(sent).map(|one| self.send(one, leader));
        sending.buffered(LANES).try_for_each(async |_| Ok(())).await?;
        tokio::time::sleep(SETTLING).await;
        Ok(())
    }

    async fn state(&mut self) -> Result<Signature, FuzzError> {
        let nodes = self.cluster.nodes();
        let first = self.value;
        self.value += nodes.len() as u64;
        let states = nodes.iter().zip(first..).enumerate().map(async |(index, (&node, value))| {
            let ended = self.cluster.has_ended(node)?;
            let ((writes, reads), healthy) = tokio::join!(self.serves(index, value), self.cluster.health_of(node));
            Ok(NodeState {
                node,
                ended,
                writes,
                reads,
                healthy: healthy.ok(),
                last_words: Vec::new(),
                holds_alone: Vec::new(),
            })
        });
        let nodes = join_all(states).await.into_iter().collect::<Result<Vec<_>, FuzzError>>()?;
        Ok(Signature { nodes })
    }

    /// Whether a server serves a write, and a read: in one session, unless something goes wrong with that.
    async fn serves(&self, node: usize, value: u64) -> (bool, bool) {
        let register = |op| Op::Register { key: KEY.to_owned(), op };
        let mut connection = self.connect.connect(0, node);
        let reads = is_served(&mut *connection, &register(RegisterOp::Read { linearizable: false })).await;
        if !reads {
            connection = self.connect.connect(0, node);
        }
        let writes = is_served(&mut *connection, &register(RegisterOp::Write { value })).await;
        (writes, reads)
    }
}

impl Replicas for Subject {
    async fn contents(&mut self) -> Option<Vec<Contents>> {
        let asked = self.cluster.nodes().into_iter().map(|node| self.cluster.contents_of(node));
        join_all(asked).await.into_iter().collect::<Result<_, _>>().ok()
    }

    async fn catch_up(&mut self) -> Result<bool, FuzzError> {
        let began = Instant::now();
        let value = self.value;
        self.value += 1;
        let register = |op| Op::Register { key: KEY.to_owned(), op };
        let mut connection = self.connect.connect(0, 0);
        if !is_served(&mut *connection, &register(RegisterOp::Write { value })).await {
            return Ok(false);
        }
        let read = register(RegisterOp::Read { linearizable: false });
        for node in 0..self.cluster.nodes().len() {
            let mut connection = self.connect.connect(0, node);
            loop {
                let answer = tokio::time::timeout(OP, connection.perform(&read)).await;
                if answer == Ok(Ok(Answer::Value(Some(value)))) {
                    break;
                }
                if began.elapsed() > CATCHING_UP {
                    return Ok(false);
                }
                tokio::time::sleep(SHORTLY).await;
            }
        }
        Ok(true)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

async fn is_served(connection: &mut dyn LockService, op: &Op) -> bool {
    tokio::time::timeout(OP, connection.perform(op)).await.is_ok_and(|answer| answer.is_ok())
}
