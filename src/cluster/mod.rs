//! The cluster under test, and what can be done to it: real servers in the sandbox, or a cluster that runs already, whose servers are
//! not ours to touch.

mod clock_layers;
mod data;
mod error;
mod layer;
mod leader;
mod links;
mod member;
mod membership;
mod poison;
mod topology;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Add;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use leasehold_checkers::history::vocabulary::ClockValue;

pub use data::{Amount, DataFolder, SavedData};
pub use error::ClusterError;
pub use layer::Layer;
pub use leader::Leader;
pub use links::LinkLayer;
use links::Links;
pub use member::{ClockMove, Standing};
use member::{Disk, Limits, Member};
pub use topology::Topology;

use crate::NodeId;
use crate::attach::{Relays, worker_address};
use crate::clients::SourceOf;
use crate::clock::Skew;
use crate::disk::Gate;
use crate::results::RunFolder;
use crate::sandbox::{ControlGroups, LinkCounters, Network, Side, Spawner, Threads, Throttled};
use crate::servers::{Ability, Contents, Deployment, LeaderView, Part, Place, Probes, log_tail, wait_ready};

/// How long a cluster may take until all its nodes serve for the first time.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The servers of a run.
#[derive(Debug)]
pub struct Cluster {
    /// Where clients reach each node.
    doors: Vec<(NodeId, SocketAddr)>,
    probes: Box<dyn Probes>,
    topology: Topology,
    links: Links,
    /// What there is only of servers that the run has started itself.
    own: Option<Own>,
}

/// The servers that the run has started itself.
#[derive(Debug)]
struct Own {
    deployment: Deployment,
    members: Vec<Member>,
    addresses: Vec<(NodeId, Ipv4Addr)>,
    spawner: Spawner,
}

/// What a cluster is started from.
#[derive(Clone, Debug)]
pub struct ClusterPlan {
    /// What the servers are.
    pub deployment: Deployment,
    /// The wall-clock offset of each node from its start on, in milliseconds; 0 for those after the last.
    pub clock_offsets_ms: Vec<i64>,
    /// Where the nodes stand.
    pub topology: Topology,
    /// Whether clocks can be moved at all on this machine; without, no fault may move them.
    pub clocks: Clocks,
    /// Whether calls to the disks can be held up on this machine; without, no fault may do so.
    pub disks: Disks,
}

/// Whether the servers' calls to their disks go through a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disks {
    /// They can be held up.
    Gated,
    /// They go straight to the kernel.
    Untouched,
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
    pub async fn start(
        network: &Network,
        plan: &ClusterPlan,
        groups: &ControlGroups,
        folder: &RunFolder,
    ) -> Result<Self, ClusterError> {
        let distances = network.switch().layer();
        distances.lay(plan.topology.rules());
        let addresses: Vec<_> = network.nodes().map(|node| (node, network.address(node))).collect();
        let mut members = Vec::with_capacity(addresses.len());
        let mut logs = BTreeMap::new();
        for (index, &(node, _)) in addresses.iter().enumerate() {
            let data = DataFolder::mount(folder.data().join(node.to_string()))
                .map_err(|source| ClusterError::Data { node, what: "mount a file system for", source })?;
            let place = Place { node, members: &addresses, data: data.path(), part: Part::Founds };
            let command = plan.deployment.launch(&place);
            let disk = Disk { data, gate: (plan.disks == Disks::Gated).then(Gate::default) };
            let offset_ms = plan.clock_offsets_ms.get(index).copied().unwrap_or(0);
            let limits = Limits::new(node, groups)?;
            let log = folder.log_of(node)?;
            logs.insert(node, log.clone());
            members.push(Member::new(node, command, log, disk, plan.clocks, offset_ms, limits));
        }
        let port = plan.deployment.client_port();
        let cluster = Self {
            doors: addresses.iter().map(|&(node, address)| (node, (address, port).into())).collect(),
            probes: plan.deployment.probes(&addresses, |node| logs[&node].clone()),
            topology: plan.topology.clone(),
            links: Links::Switch(network.switch()),
            own: Some(Own { deployment: plan.deployment.clone(), members, addresses, spawner: network.spawner() }),
        };
        for member in cluster.members() {
            member.start(&network.spawner())?;
        }
        tokio::select! {
            ready = cluster.wait_ready(START_LIMIT) => ready?,
            error = cluster.first_end() => return Err(error),
        }
        Ok(cluster)
    }

    /// A cluster that runs already, as its relays and probes reach it.
    #[must_use]
    pub fn attached(relays: Relays, probes: Box<dyn Probes>) -> Self {
        let (doors, links) = (relays.doors(), Links::Relays(relays));
        Self { doors, probes, topology: Topology::default(), links, own: None }
    }

    /// Waits until the first of the servers ends, and says so.
    async fn first_end(&self) -> ClusterError {
        let ends = self.members().iter().map(|member| Box::pin(async move { (member, member.ended().await) }));
        let ((member, ended), ..) = select_all(ends).await;
        let (node, log_end) = (member.node(), log_tail::end_of(member.log()));
        ended.map_or_else(|error| error, |how| ClusterError::EndedEarly { node, how, log_end })
    }

    /// Its nodes, in order.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.doors.iter().map(|&(node, _)| node).collect()
    }

    /// Which node stands where.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Where clients reach each node.
    #[must_use]
    pub fn client_endpoints(&self) -> Vec<(NodeId, SocketAddr)> {
        self.doors.clone()
    }

    /// Where a server answers the other servers; nowhere as far as anybody knows, if it is not ours.
    #[must_use]
    pub fn peer_ports(&self) -> &'static [u16] {
        self.own.as_ref().map_or(&[], |own| own.deployment.peer_ports())
    }

    /// Where a server of ours answers clients; `None` if it is not ours.
    #[must_use]
    pub fn client_port(&self) -> Option<u16> {
        self.own.as_ref().map(|own| own.deployment.client_port())
    }

    /// Where each worker's connections come from.
    #[must_use]
    pub fn sources(&self) -> SourceOf {
        match self.links {
            Links::Switch(_) => |worker| Network::worker_address(worker).map(IpAddr::from),
            Links::Relays(_) => worker_address,
        }
    }

    /// Waits until every node serves and all agree on the leader.
    ///
    /// # Errors
    /// If they do not in time.
    pub async fn wait_ready(&self, limit: Duration) -> Result<(), ClusterError> {
        let log_of = |node| self.member(node).ok().map(|member| member.log().to_owned());
        wait_ready(self.probes.as_ref(), limit, log_of).await?;
        Ok(())
    }

    /// Who leads, as one node sees it.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn view_of(&self, node: NodeId) -> Result<LeaderView, ClusterError> {
        Ok(self.probes.leader(node).await?)
    }

    /// The node that leads, asked of every node now.
    pub async fn leader(&self) -> Option<Leader> {
        let view = async |node| Some((node, self.probes.leader(node).await.ok()?));
        let views: Vec<_> = join_all(self.nodes().into_iter().map(view)).await.into_iter().flatten().collect();
        Leader::among(&views)
    }

    /// What a node says of its own health.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn health_of(&self, node: NodeId) -> Result<bool, ClusterError> {
        Ok(self.probes.health(node).await?)
    }

    /// What a node holds by itself.
    ///
    /// # Errors
    /// If it does not tell.
    pub async fn contents_of(&self, node: NodeId) -> Result<Contents, ClusterError> {
        Ok(self.probes.contents(node).await?)
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

    /// How far a node's monotonic clock is from where it would be had no fault moved it, as its own process last read it.
    /// `None` where it has not looked at it for a second, or none was moved.
    ///
    /// # Errors
    /// If the process cannot be reached.
    pub fn measure_monotonic(&self, node: NodeId) -> Result<Option<ClockValue>, ClusterError> {
        const FRESH_NS: u64 = 1_000_000_000;
        if self.own.is_none() {
            return Ok(None);
        }
        let reading = self.member(node)?.monotonic_reading()?.filter(|reading| reading.age_ns < FRESH_NS);
        // It may have drifted since by as much as time has passed, if its rate was doubled.
        Ok(reading.map(|reading| ClockValue { offset_ns: reading.offset_ns, uncertainty_ns: reading.age_ns }))
    }

    /// A fault's part in a node's clocks is this from now on. A process that does not run gets it when it starts.
    ///
    /// # Errors
    /// If clocks cannot be moved here, or so far.
    pub fn move_clock(&self, layer: Layer, node: NodeId, to: ClockMove) -> Result<(), ClusterError> {
        self.member(node)?.move_clock(layer, to)
    }

    /// Takes a fault's part in a node's clocks back, and no other's.
    ///
    /// # Errors
    /// If clocks cannot be moved here.
    pub fn free_clock(&self, layer: Layer, node: NodeId) -> Result<(), ClusterError> {
        self.member(node)?.free_clock(layer)
    }

    /// Puts a node's wall clock right, whatever has moved it. One that drifts goes on drifting from there.
    ///
    /// # Errors
    /// If clocks cannot be moved here.
    pub fn reset_clock(&self, node: NodeId) -> Result<(), ClusterError> {
        self.member(node)?.reset_clock()
    }

    /// How far a node's wall clock is to be off now, by the scenario and all faults together, and how fast it is to drift.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn intended_clock(&self, node: NodeId) -> Result<Skew, ClusterError> {
        Ok(self.member(node)?.intended_clock())
    }

    /// The same of the monotonic clock of the process that runs; those of its successors begin anew.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn intended_monotonic(&self, node: NodeId) -> Result<Skew, ClusterError> {
        Ok(self.member(node)?.intended_monotonic())
    }

    /// The nodes whose wall clocks are off when no fault moves them, and by how many milliseconds.
    #[must_use]
    pub fn resting_clocks(&self) -> Vec<(NodeId, i64)> {
        let clocks = self.members().iter().map(|member| (member.node(), member.resting_offset_ms()));
        clocks.filter(|&(_, offset_ms)| offset_ms != 0).collect()
    }

    /// What a node's process is at.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn standing(&self, node: NodeId) -> Result<Standing, ClusterError> {
        Ok(self.member(node)?.standing())
    }

    /// Whether a fault keeps a node's server down.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn is_kept_down(&self, node: NodeId) -> Result<bool, ClusterError> {
        Ok(self.member(node)?.is_kept_down())
    }

    /// Stops a node's process, until each layer that paused it has resumed it.
    ///
    /// # Errors
    /// If none runs; one that is started in the meantime is stopped all the same.
    pub fn pause(&self, layer: Layer, node: NodeId) -> Result<(), ClusterError> {
        self.member(node)?.pause(layer)
    }

    /// Lets a node's process go on, unless another layer pauses it.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn resume(&self, layer: Layer, node: NodeId) -> Result<(), ClusterError> {
        self.member(node)?.resume(layer)
    }

    /// For how long a node's process has run.
    ///
    /// # Errors
    /// If there never was one.
    pub fn up_for(&self, node: NodeId) -> Result<Duration, ClusterError> {
        self.member(node)?.up_for()
    }

    /// How many threads a node's process has, and how many of them stand still.
    ///
    /// # Errors
    /// If it does not run.
    pub fn threads(&self, node: NodeId) -> Result<Threads, ClusterError> {
        self.member(node)?.threads()
    }

    /// How much time on a processor a node's process has had.
    ///
    /// # Errors
    /// If it does not run.
    pub fn cpu_time(&self, node: NodeId) -> Result<Duration, ClusterError> {
        self.member(node)?.cpu_time()
    }

    /// Kills the processes of these nodes at once, and keeps them down until each layer that took them down has brought
    /// them up. Returns how each has ended, in words.
    ///
    /// # Errors
    /// If one has never run.
    pub async fn take_down(&self, layer: Layer, nodes: &[NodeId]) -> Result<Vec<(NodeId, String)>, ClusterError> {
        for &node in nodes {
            self.member(node)?.take_down(layer)?;
        }
        let mut ends = Vec::with_capacity(nodes.len());
        for &node in nodes {
            ends.push((node, self.member(node)?.ended().await?));
        }
        Ok(ends)
    }

    /// Starts a node's server, with the data it has and under all that is in force, unless another layer keeps it down or
    /// it runs.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn bring_up(&self, layer: Layer, node: NodeId) -> Result<(), ClusterError> {
        self.member(node)?.bring_up(layer, &self.own(node)?.spawner)
    }

    /// Waits for the end of a node's process, and returns how it ended, in words.
    ///
    /// # Errors
    /// If it has never run.
    pub async fn ended(&self, node: NodeId) -> Result<String, ClusterError> {
        self.member(node)?.ended().await
    }

    /// Whether there is a control group by which a node's share of the processor can be limited.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn can_limit_cpu(&self, node: NodeId) -> Result<bool, ClusterError> {
        Ok(self.member(node)?.limits().has_cpu())
    }

    /// Lets a node run for at most this share of one processor; `None` takes that back. Of several layers' shares the least
    /// is in force.
    ///
    /// # Errors
    /// If the run has no group for it.
    pub fn limit_cpu(&self, layer: Layer, node: NodeId, percent: Option<u32>) -> Result<(), ClusterError> {
        self.member(node)?.limits().limit_cpu(layer, percent)
    }

    /// How often a node had to wait for its share of the processor so far.
    ///
    /// # Errors
    /// If the run has no group for it.
    pub fn throttled(&self, node: NodeId) -> Result<Throttled, ClusterError> {
        self.member(node)?.limits().throttled()
    }

    /// Lets a node have at most this much memory, in bytes, besides its data, which lie in memory here; `None` takes that
    /// back. Of several layers' limits the least is in force. Returns the limit that is in force now: one that has more
    /// already may keep what it has, and gets no more.
    ///
    /// # Errors
    /// If the run has no group for it.
    pub fn limit_memory(&self, layer: Layer, node: NodeId, bytes: Option<u64>) -> Result<Option<u64>, ClusterError> {
        self.member(node)?.limits().limit_memory(layer, bytes)
    }

    /// How many of a node's processes the kernel has killed so far because they had too much memory.
    ///
    /// # Errors
    /// If the run has no group for it.
    pub fn killed_for_memory(&self, node: NodeId) -> Result<u64, ClusterError> {
        self.member(node)?.limits().killed()
    }

    /// How a node's process ended; `None` if it runs or has never run.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    pub fn has_ended(&self, node: NodeId) -> Result<Option<String>, ClusterError> {
        self.member(node)?.has_ended()
    }

    /// What stands between a node's server and its disk.
    ///
    /// # Errors
    /// If this run left the disks alone.
    pub fn gate(&self, node: NodeId) -> Result<&Gate, ClusterError> {
        self.member(node)?.gate()
    }

    /// A node's disk.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn data(&self, node: NodeId) -> Result<&DataFolder, ClusterError> {
        Ok(self.member(node)?.data())
    }

    /// Asks the leader to hand over to another node.
    ///
    /// # Errors
    /// If it refuses.
    pub async fn move_leader(&self, to: NodeId) -> Result<(), ClusterError> {
        Ok(self.probes.move_leader(to).await?)
    }

    /// Has the cluster give out its whole state through this node.
    ///
    /// # Errors
    /// If it does not.
    pub async fn snapshot(&self, via: NodeId) -> Result<Vec<u8>, ClusterError> {
        Ok(self.probes.snapshot(via).await?)
    }

    /// Has the cluster go back, through this node, to a state that it gave out.
    ///
    /// # Errors
    /// If it refuses.
    pub async fn restore(&self, via: NodeId, state: &[u8]) -> Result<(), ClusterError> {
        Ok(self.probes.restore(via, state).await?)
    }

    /// Up to where in its log of decisions a node has put aside a snapshot.
    ///
    /// # Errors
    /// If it does not say.
    pub async fn snapshot_index(&self, node: NodeId) -> Result<u64, ClusterError> {
        Ok(self.probes.snapshot_index(node).await?)
    }

    /// Whether the servers can be asked for this.
    #[must_use]
    pub fn offers(&self, ability: Ability) -> bool {
        self.own.as_ref().is_some_and(|own| own.deployment.offers(ability).is_ok())
    }

    /// A layer of rules of its own for whoever asks, over all links between the servers and their clients.
    #[must_use]
    pub fn link_layer(&self) -> LinkLayer {
        self.links.layer()
    }

    /// The links from here to every node but itself. A worker's are those of its requests.
    #[must_use]
    pub fn links_from(&self, side: impl Into<Side>) -> Vec<(Side, Side)> {
        let from = side.into();
        self.nodes().into_iter().map(Side::from).filter(|&to| to != from).map(|to| (from, to)).collect()
    }

    /// The links from every other node to here. A worker's are those of its answers.
    #[must_use]
    pub fn links_to(&self, side: impl Into<Side>) -> Vec<(Side, Side)> {
        self.links_from(side).into_iter().map(|(here, node)| (node, here)).collect()
    }

    /// What became so far of the packets on these links, together.
    #[must_use]
    pub fn counters(&self, links: &[(Side, Side)]) -> LinkCounters {
        links.iter().map(|&(from, to)| self.links.counters(from, to)).fold(LinkCounters::default(), Add::add)
    }

    /// None, where they are not ours.
    fn members(&self) -> &[Member] {
        self.own.as_ref().map_or(&[], |own| &own.members)
    }

    fn member(&self, node: NodeId) -> Result<&Member, ClusterError> {
        let members = &self.own(node)?.members;
        members.iter().find(|member| member.node() == node).ok_or(ClusterError::NoSuchNode(node))
    }

    fn own(&self, node: NodeId) -> Result<&Own, ClusterError> {
        self.own.as_ref().ok_or(ClusterError::NotOurs(node))
    }
}
