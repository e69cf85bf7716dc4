//! How the servers of one cluster are started and asked, whatever they are.

use std::ffi::OsString;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::consul::{self, ConsulOptions, ConsulProbes};
use super::etcd::{self, ClusterState, EtcdOptions, EtcdProbes};
use super::zookeeper::{self, ZooKeeperOptions, ZooKeeperProbes};
use super::{Launch, Probes, ServerBinary, Software};
use crate::NodeId;
use crate::packets::Port;

/// What can be chosen about the servers of a run; what is left out is as the software's own module says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerSettings {
    /// ZooKeeper's unit of time, in milliseconds.
    pub tick_ms: Option<u32>,
    /// For how many ticks one of its followers may be out of touch with the leader.
    pub sync_limit_ticks: Option<u32>,
    /// The memory of each of its JVMs, in mebibytes.
    pub heap_mib: Option<u32>,
}

impl ServerSettings {
    /// What ZooKeeper servers are told.
    #[must_use]
    pub fn zookeeper(self) -> ZooKeeperOptions {
        let default = ZooKeeperOptions::default();
        ZooKeeperOptions {
            tick_ms: self.tick_ms.unwrap_or(default.tick_ms),
            sync_limit_ticks: self.sync_limit_ticks.unwrap_or(default.sync_limit_ticks),
            heap_mib: self.heap_mib.unwrap_or(default.heap_mib),
            ..default
        }
    }
}

/// The servers of one cluster: their program and what it is told.
#[derive(Clone, Debug)]
pub enum Deployment {
    /// etcd.
    Etcd {
        /// The program.
        program: PathBuf,
        /// What it is told.
        options: EtcdOptions,
    },
    /// Consul.
    Consul {
        /// The program.
        program: PathBuf,
        /// What it is told.
        options: ConsulOptions,
    },
    /// ZooKeeper.
    ZooKeeper {
        /// The Java runtime.
        java: PathBuf,
        /// The folder of its jars.
        jars: PathBuf,
        /// What it is told.
        options: ZooKeeperOptions,
    },
}

/// Why servers cannot be started here.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// They need a Java runtime.
    #[error(transparent)]
    NoJava(#[from] zookeeper::NoJava),
    /// Their jars cannot be looked into.
    #[error("cannot read the jars in {}", folder.display())]
    Jars {
        /// Where they are.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where one server of a cluster is started.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its node.
    pub node: NodeId,
    /// The members of the cluster and where they are, itself among them.
    pub members: &'a [(NodeId, Ipv4Addr)],
    /// The folder of its data.
    pub data: &'a Path,
    /// How it takes part in the cluster.
    pub part: Part,
}

/// How a server takes part in its cluster when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Without data it founds it, with the other members.
    Founds,
    /// Without data it joins it: those who are there have taken it in.
    Joins,
    /// It keeps its data, forgets the other members, and is a cluster of its own. Only etcd can ([`Ability::ForceNewCluster`]).
    ///
    /// [`Ability::ForceNewCluster`]: super::Ability::ForceNewCluster
    Alone,
}

impl Part {
    /// What a script of the user's own is told.
    fn word(self) -> &'static str {
        match self {
            Self::Founds => "new",
            Self::Joins => "existing",
            Self::Alone => "force-new",
        }
    }
}

impl Place<'_> {
    /// The same as variables, for a script of the user's own that starts a server in its own way: `docs/own-client.md`.
    ///
    /// # Panics
    /// If the node is none of the members.
    fn in_words(&self) -> [(OsString, OsString); 5] {
        let own =
            self.members.iter().find(|(node, _)| *node == self.node).expect("a server is a member of its cluster");
        let peers: Vec<String> = self.members.iter().map(|(node, address)| format!("{node}={address}")).collect();
        [
            ("LEASEHOLD_NODE".into(), self.node.to_string().into()),
            ("LEASEHOLD_ADDRESS".into(), own.1.to_string().into()),
            ("LEASEHOLD_PEERS".into(), peers.join(",").into()),
            ("LEASEHOLD_DATA".into(), self.data.into()),
            ("LEASEHOLD_CLUSTER".into(), self.part.word().into()),
        ]
    }
}

impl Deployment {
    /// The program for a network in which a packet and its answer take up to `longest_round_trip`.
    ///
    /// # Errors
    /// If it needs a Java runtime and there is none, or its jars cannot be read.
    pub fn new(
        software: Software,
        binary: &ServerBinary,
        longest_round_trip: Duration,
        settings: ServerSettings,
    ) -> Result<Self, DeploymentError> {
        let program = binary.path.clone();
        Ok(match software {
            Software::Etcd => Self::Etcd { program, options: EtcdOptions::for_round_trip(longest_round_trip) },
            Software::Consul => Self::Consul { program, options: ConsulOptions::default() },
            Software::ZooKeeper => {
                let reconfig = zookeeper::can_reconfigure(&program);
                let reconfig = reconfig.map_err(|source| DeploymentError::Jars { folder: program.clone(), source })?;
                let options = ZooKeeperOptions { reconfig, ..settings.zookeeper() };
                Self::ZooKeeper { java: zookeeper::java()?, jars: program, options }
            }
        })
    }

    /// Where a server answers clients.
    #[must_use]
    pub fn client_port(&self) -> u16 {
        match self {
            Self::Etcd { .. } => etcd::CLIENT_PORT,
            Self::Consul { .. } => consul::CLIENT_PORT,
            Self::ZooKeeper { .. } => zookeeper::CLIENT_PORT,
        }
    }

    /// Where a server answers the other servers.
    #[must_use]
    pub fn peer_ports(&self) -> &'static [u16] {
        match self {
            Self::Etcd { .. } => &[etcd::PEER_PORT],
            Self::Consul { .. } => &[consul::SERVER_PORT, consul::GOSSIP_PORT],
            Self::ZooKeeper { .. } => &[zookeeper::QUORUM_PORT, zookeeper::ELECTION_PORT],
        }
    }

    /// The number of a port; `None` where these servers have no such one.
    #[must_use]
    pub fn port(&self, port: Port) -> Option<u16> {
        match (self, port) {
            (_, Port::Client) => Some(self.client_port()),
            (_, Port::Peer) => self.peer_ports().first().copied(),
            (Self::ZooKeeper { .. }, Port::Election) => Some(zookeeper::ELECTION_PORT),
            (Self::Consul { .. }, Port::Gossip | Port::GossipDatagrams) => Some(consul::GOSSIP_PORT),
            (Self::Etcd { .. } | Self::Consul { .. }, Port::Election) => None,
            (Self::Etcd { .. } | Self::ZooKeeper { .. }, Port::Gossip | Port::GossipDatagrams) => None,
        }
    }

    /// How a server is started, the first time as every later one.
    ///
    /// # Panics
    /// If it is none of the members.
    #[must_use]
    pub fn launch(&self, place: &Place<'_>) -> Launch {
        let Place { node, members, data, part } = *place;
        let mut launch = match self {
            Self::Etcd { program, options } => {
                let cluster_state = match part {
                    Part::Founds => ClusterState::New,
                    Part::Joins => ClusterState::Existing,
                    Part::Alone => ClusterState::ForceNew,
                };
                let options = EtcdOptions { cluster_state, ..options.clone() };
                etcd::command_line(program, node, members, data, &options)
            }
            Self::Consul { program, options } => {
                let joins = part == Part::Joins;
                consul::launch(program, node, members, data, &ConsulOptions { joins, ..options.clone() })
            }
            Self::ZooKeeper { java, jars, options } => zookeeper::launch(java, jars, node, members, data, options),
        };
        launch.environment.extend(place.in_words());
        launch
    }

    /// What asks these servers about themselves; `log_of` says where each writes its log.
    #[must_use]
    pub fn probes(&self, nodes: &[(NodeId, Ipv4Addr)], log_of: impl Fn(NodeId) -> PathBuf) -> Box<dyn Probes> {
        match self {
            Self::Etcd { .. } => Box::new(EtcdProbes::new(nodes)),
            Self::Consul { .. } => Box::new(ConsulProbes::new(nodes)),
            Self::ZooKeeper { .. } => {
                let with_logs = nodes.iter().map(|&(node, address)| (node, address, log_of(node)));
                Box::new(ZooKeeperProbes::new(with_logs))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_its_place_in_variables_too() {
        let members: Vec<_> = NodeId::first(2).map(|node| (node, Ipv4Addr::new(10, 0, 0, node.number()))).collect();
        let etcd = Deployment::Etcd { program: "etcd".into(), options: EtcdOptions::default() };
        let place = Place { node: NodeId::new(2), members: &members, data: Path::new("/data/n2"), part: Part::Joins };
        let told = etcd.launch(&place).environment;
        let told = told.iter().map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()));
        assert_eq!(
            told.collect::<Vec<_>>().join(" "),
            "GOMAXPROCS=2 LEASEHOLD_NODE=n2 LEASEHOLD_ADDRESS=10.0.0.2 LEASEHOLD_PEERS=n1=10.0.0.1,n2=10.0.0.2 \
             LEASEHOLD_DATA=/data/n2 LEASEHOLD_CLUSTER=existing"
        );
    }

    #[test]
    fn one_that_forgets_the_others_is_told_so_by_its_flag() {
        let members = [(NodeId::new(2), Ipv4Addr::new(10, 0, 0, 2))];
        let etcd = Deployment::Etcd { program: "etcd".into(), options: EtcdOptions::default() };
        let launch =
            |part| etcd.launch(&Place { node: NodeId::new(2), members: &members, data: Path::new("/data/n2"), part });
        let is_forced = |part| launch(part).arguments.contains(&"--force-new-cluster".into());
        assert_eq!([Part::Founds, Part::Joins, Part::Alone].map(is_forced), [false, false, true]);
        assert!(launch(Part::Alone).environment.contains(&("LEASEHOLD_CLUSTER".into(), "force-new".into())));
        let consul = Deployment::Consul { program: "consul".into(), options: ConsulOptions::default() };
        let refused = consul.offers(crate::servers::Ability::ForceNewCluster).expect_err("it has no such flag");
        assert!(refused.to_string().contains("only etcd"), "{refused}");
    }
}
