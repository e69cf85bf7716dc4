//! The hosts of the sandbox and what lies between them.
//!
//! Each node has a network namespace with a loopback interface and one card, `eth0`; so has the client
//! side, which is the harness itself. There is no way out of any of them. Behind every card sits the
//! [`Switch`].

mod address;
mod builder;
pub(in crate::sandbox) mod interface;
mod medium;
mod namespace;
mod netlink;
mod tun;
mod veth;

use std::net::Ipv4Addr;
use std::sync::Arc;

pub use medium::Medium;

pub(super) use address::port_at;
pub(super) use builder::Hosts;

use super::SandboxError;
use super::spawn::Spawner;
use super::switch::{Port, Switch};
use crate::NodeId;
use address::{MOST_NODES, MOST_WORKERS, address_of};

/// The hosts of the sandbox, connected by a running switch.
///
/// It stands until this process ends, even if the value is dropped: servers may still be using it.
#[derive(Debug)]
pub struct Network {
    nodes: u8,
    medium: Medium,
    switch: Switch,
    spawner: Spawner,
}

impl Network {
    pub(super) fn build(medium: Medium, nodes: u8) -> Result<Self, SandboxError> {
        if !(1..=MOST_NODES).contains(&nodes) {
            return Err(SandboxError::NodeCount { asked: nodes, most: MOST_NODES });
        }
        let (hosts, wires) = builder::build(medium, nodes)?;
        let switch = Switch::start(wires).map_err(|source| SandboxError::Thread { what: "switch", source })?;
        let spawner =
            Spawner::start(Arc::new(hosts)).map_err(|source| SandboxError::Thread { what: "spawner", source })?;
        Ok(Self { nodes, medium, switch, spawner })
    }

    /// The nodes, in order.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = NodeId> + Clone {
        NodeId::first(self.nodes)
    }

    /// The address of a node, `10.77.0.<n>`.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Ipv4Addr {
        address_of(Port::Node(node))
    }

    /// Which node of a sandbox has this address, if any may.
    #[must_use]
    pub fn node_at(address: Ipv4Addr) -> Option<NodeId> {
        match port_at(address, MOST_NODES) {
            Some(Port::Node(node)) => Some(node),
            _ => None,
        }
    }

    /// The address of the harness, as the servers see it: `10.77.0.100`.
    #[must_use]
    pub fn client_address(&self) -> Ipv4Addr {
        address_of(Port::Client)
    }

    /// The address of a worker of the harness, `10.77.16.1` for the first. Whoever binds to it talks as that worker. `None`
    /// beyond the 4094 that there are addresses for: those talk as the harness does.
    #[must_use]
    pub fn worker_address(worker: u64) -> Option<Ipv4Addr> {
        let worker = u16::try_from(worker).ok().filter(|&worker| worker < MOST_WORKERS)?;
        Some(address_of(Port::Worker(worker)))
    }

    /// What the hosts' cards are made of.
    #[must_use]
    pub fn medium(&self) -> Medium {
        self.medium
    }

    /// The switch between all hosts.
    #[must_use]
    pub fn switch(&self) -> Switch {
        self.switch.clone()
    }

    /// What starts servers on the nodes.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }
}
