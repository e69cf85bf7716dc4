//! The cluster under test: real servers in the sandbox, and what can be done to them.

mod error;
mod member;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use leasehold_checkers::history::vocabulary::ClockValue;
use nix::sys::signal::Signal;

pub use error::ClusterError;
use member::Member;

use crate::NodeId;
use crate::results::RunFolder;
use crate::sandbox::{LinkRule, Network, Port, Spawner, Switch, Threads};
use crate::servers::etcd::{CLIENT_PORT, EtcdOptions, EtcdProbes};
use crate::servers::{LeaderView, Probes, log_tail, wait_ready};

/// How long a cluster may take until all its nodes serve for the first time.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A node that leads, and since which election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The node.
    pub node: NodeId,
    /// Its term.
    pub term: u64,
}

/// The servers of a run.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
    addresses: Vec<(NodeId, Ipv4Addr)>,
    probes: EtcdProbes,
    switch: Switch,
    spawner: Spawner,
}

/// What a cluster is started from.
#[derive(Clone, Debug)]
pub struct ClusterPlan {
    /// The server program.
    pub program: PathBuf,
    /// The wall-clock offset of each node from its start on, in milliseconds; 0 for those after the last.
    pub clock_offsets_ms: Vec<i64>,
    /// Whether clocks can be moved at all on this machine; without, no fault may move them.
    pub clocks: Clocks,
}

/// Whether the servers' clocks are hooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// They can be moved.
    Hooked,
    /// They are the machine's.
    Untouched,
}

impl Cluster {
    /// Starts one server on each node of the network and waits until all of them serve.
    ///
    /// # Errors
    /// If one cannot be started or ends, or they do not serve in time: then the error shows the end of its log.
    pub async fn start(network: &Network, plan: &ClusterPlan, folder: &RunFolder) -> Result<Self, ClusterError> {
        let addresses: Vec<_> = network.nodes().map(|node| (node, network.address(node))).collect();
        let mut members = Vec::with_capacity(addresses.len());
        for (index, &(node, _)) in addresses.iter().enumerate() {
            let data = folder.data().join(node.to_string());
            let command =
                crate::servers::etcd::command_line(&plan.program, node, &addresses, &data, &EtcdOptions::default());
            let offset_ms = plan.clock_offsets_ms.get(index).copied().unwrap_or(0);
            members.push(Member::new(node, command, folder.log_of(node)?, plan.clocks, offset_ms));
        }
        let cluster = Self {
            members,
            probes: EtcdProbes::new(&addresses),
            addresses,
            switch: network.switch(),
            spawner: network.spawner(),
        };
        for node in cluster.nodes() {
            cluster.start_node(node)?;
        }
        tokio::select! {
            ready = cluster.wait_ready(START_LIMIT) => ready?,
            error = cluster.first_end() => return Err(error),
        }
        Ok(cluster)
    }

    /// Waits until the first of the servers ends, and says so.
    async fn first_end(&self) -> ClusterError {
        let ends = self.members.iter().map(|member| Box::pin(async move { (member, member.ended().await) }));
        let ((member, ended), ..) = select_all(ends).await;
        let (node, log_end) = (member.node(), log_tail::end_of(member.log()));
        ended.map_or_else(|error| error, |how| ClusterError::EndedEarly { node, how, log_end })
    }

    /// Its nodes, in order.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.members.iter().map(Member::node).collect()
    }

    /// Where clients reach each node.
    #[must_use]
    pub fn client_endpoints(&self) -> Vec<(NodeId, SocketAddr)> {
        self.addresses.iter().map(|&(node, address)| (node, (address, CLIENT_PORT).into())).collect()
    }

    /// Waits until every node serves and all agree on the leader.
    ///
    /// # Errors
    /// If they do not in time.
    pub async fn wait_ready(&self, limit: Duration) -> Result<(), ClusterError> {
        let log_of = |node| self.member(node).ok().map(|member| member.log().to_owned());
        wait_ready(&self.probes, limit, log_of).await?;
        Ok(())
    }

    /// Who leads, as one node sees it.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn view_of(&self, node: NodeId) -> Result<LeaderView, ClusterError> {
        Ok(self.probes.leader(node).await?)
    }

    /// The node that leads: one that says so itself, in the latest term that any node knows.
    pub async fn leader(&self) -> Option<Leader> {
        let view = async |node| (node, self.probes.leader(node).await.ok());
        let views = join_all(self.nodes().into_iter().map(view)).await;
        let latest = views.iter().filter_map(|(_, view)| view.map(|view| view.term)).max()?;
        views
            .iter()
            .filter_map(|&(node, view)| view.map(|view| (node, view)))
            .find(|(node, view)| view.term == latest && view.leader == Some(*node))
            .map(|(node, view)| Leader { node, term: view.term })
    }

    /// What a node says of its own health.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn health_of(&self, node: NodeId) -> Result<bool, ClusterError> {
        Ok(self.probes.health(node).await?)
    }

    /// Whether a node answers at all.
    pub async fn answers(&self, node: NodeId) -> bool {
        self.probes.leader(node).await.is_ok()
    }

    /// How far a node's wall clock is from the harness's, as its own process tells.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn measure_clock(&self, node: NodeId) -> Result<ClockValue, ClusterError> {
        Ok(self.probes.clock(node).await?)
    }

    /// Moves a node's wall clock to this far from where it is by the scenario, and returns the offset from the machine's
    /// clock that it has now, in nanoseconds.
    ///
    /// # Errors
    /// If clocks cannot be moved here.
    pub fn move_clock(&self, node: NodeId, offset_ms: i64) -> Result<i64, ClusterError> {
        self.member(node)?.move_clock(offset_ms)
    }

    /// The nodes whose wall clocks are off when no fault moves them, and by how many milliseconds.
    #[must_use]
    pub fn resting_clocks(&self) -> Vec<(NodeId, i64)> {
        let clocks = self.members.iter().map(|member| (member.node(), member.resting_offset_ms()));
        clocks.filter(|&(_, offset_ms)| offset_ms != 0).collect()
    }

    /// Stops a node's process.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&self, node: NodeId) -> Result<(), ClusterError> {
        self.member(node)?.signal(Signal::SIGSTOP)
    }

    /// Lets a node's process go on.
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&self, node: NodeId) -> Result<(), ClusterError> {
        self.member(node)?.signal(Signal::SIGCONT)
    }

    /// How many threads a node's process has, and how many of them stand still.
    ///
    /// # Errors
    /// If it does not run.
    pub fn threads(&self, node: NodeId) -> Result<Threads, ClusterError> {
        self.member(node)?.threads()
    }

    /// Kills a node's process and returns how it ended, in words.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn kill(&self, node: NodeId) -> Result<String, ClusterError> {
        self.member(node)?.kill().await
    }

    /// Starts a node's server, with the data it has and the clock it is to have.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_node(&self, node: NodeId) -> Result<(), ClusterError> {
        self.member(node)?.start(&self.spawner)
    }

    /// Asks the leader to hand over to another node.
    ///
    /// # Errors
    /// If it refuses.
    pub async fn move_leader(&self, to: NodeId) -> Result<(), ClusterError> {
        Ok(self.probes.move_leader(to).await?)
    }

    /// Drops every packet from one node to another.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.switch.set(Port::Node(from), Port::Node(to), LinkRule::cut());
    }

    /// Forwards the packets from one node to another again.
    pub fn join(&self, from: NodeId, to: NodeId) {
        self.switch.set(Port::Node(from), Port::Node(to), LinkRule::default());
    }

    /// How many packets from one node to another were dropped so far.
    #[must_use]
    pub fn dropped(&self, from: NodeId, to: NodeId) -> u64 {
        self.switch.counters(Port::Node(from), Port::Node(to)).dropped
    }

    fn member(&self, node: NodeId) -> Result<&Member, ClusterError> {
        self.members.iter().find(|member| member.node() == node).ok_or(ClusterError::NoSuchNode(node))
    }
}
