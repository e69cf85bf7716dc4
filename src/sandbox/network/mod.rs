//! The hosts of the sandbox and what lies between them.
//!
//! Each node has a network namespace with a loopback interface and one card, `eth0`; so has the client side, which is the harness
//! itself. There is no way out of any of them. Behind every card sits the [`Switch`].

mod address;
pub(in crate::sandbox) mod interface;
mod namespace;
mod netlink;
mod tun;
mod veth;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::thread;

pub(super) use address::{address_of, port_at};
pub(super) use namespace::Namespace;

use super::SandboxError;
use super::spawn::Spawner;
use super::switch::{Port, Switch, Wire};
use crate::NodeId;
use address::{MOST_NODES, NETMASK};

/// The card of every host.
const CARD: &str = "eth0";

/// What the hosts' cards are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// TUN interfaces: the faster medium, which needs access to `/dev/net/tun`.
    Tun,
    /// Pairs of Ethernet interfaces with packet sockets: needs no device.
    Veth,
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tun => "TUN",
            Self::Veth => "veth with packet sockets",
        })
    }
}

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

/// The namespaces of the nodes, by which servers get into them.
pub(super) type Hosts = BTreeMap<NodeId, Namespace>;

impl Network {
    pub(super) fn build(medium: Medium, nodes: u8) -> Result<Self, SandboxError> {
        if !(1..=MOST_NODES).contains(&nodes) {
            return Err(SandboxError::NodeCount {
                asked: nodes,
                most: MOST_NODES,
            });
        }
        let (hosts, wires) = build_hosts(medium, nodes)?;
        let switch = Switch::start(wires).map_err(|source| SandboxError::Thread {
            what: "switch",
            source,
        })?;
        let spawner = Spawner::start(Arc::new(hosts)).map_err(|source| SandboxError::Thread {
            what: "spawner",
            source,
        })?;
        Ok(Self {
            nodes,
            medium,
            switch,
            spawner,
        })
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

    /// The address of the harness, as the servers see it: `10.77.0.100`.
    #[must_use]
    pub fn client_address(&self) -> Ipv4Addr {
        address_of(Port::Client)
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

/// Builds them on a thread of its own: it wanders through the namespaces, and one that failed midway could not be trusted to
/// stand in the client's.
fn build_hosts(medium: Medium, nodes: u8) -> Result<(Hosts, Vec<Wire>), SandboxError> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("hosts".to_owned())
            .spawn_scoped(scope, || {
                Builder {
                    medium,
                    hosts: Hosts::new(),
                    wires: Vec::new(),
                }
                .build(nodes)
            })
            .map_err(|source| SandboxError::Thread {
                what: "builder of the hosts",
                source,
            })?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

struct Builder {
    medium: Medium,
    hosts: Hosts,
    wires: Vec<Wire>,
}

impl Builder {
    fn build(mut self, nodes: u8) -> Result<(Hosts, Vec<Wire>), SandboxError> {
        let client = Namespace::current().doing("open the network namespace", Port::Client)?;
        let behind = match self.medium {
            Medium::Tun => None,
            Medium::Veth => Some(
                Namespace::make_and_enter()
                    .doing("make the switch's network namespace", Port::Client)?,
            ),
        };
        namespace::furnish().doing("set up the network namespace", Port::Client)?;
        client
            .enter()
            .doing("enter the network namespace", Port::Client)?;
        self.furnish(Port::Client, &client, behind.as_ref())?;
        for node in NodeId::first(nodes) {
            let port = Port::Node(node);
            let host = Namespace::make_and_enter().doing("make a network namespace", port)?;
            self.furnish(port, &host, behind.as_ref())?;
            self.hosts.insert(node, host);
        }
        Ok((self.hosts, self.wires))
    }

    /// Makes a host of the namespace in which this thread stands.
    fn furnish(
        &mut self,
        port: Port,
        host: &Namespace,
        behind: Option<&Namespace>,
    ) -> Result<(), SandboxError> {
        namespace::furnish().doing("set up the network namespace", port)?;
        let wire = match behind {
            None => tun::make(CARD, port).doing("make the TUN interface", port)?,
            Some(behind) => {
                let far_end = port.to_string();
                veth::make_pair(CARD, &far_end, behind)
                    .doing("make the pair of interfaces", port)?;
                behind
                    .enter()
                    .doing("enter the switch's network namespace", port)?;
                interface::up_without_arp(&far_end).doing("bring up the switch's end", port)?;
                let wire = veth::open_wire(&far_end, port).doing("open the packet socket", port)?;
                host.enter()
                    .doing("go back to the network namespace", port)?;
                wire
            }
        };
        interface::set_address(CARD, address_of(port), NETMASK).doing("set the address", port)?;
        interface::up_without_arp(CARD).doing("bring up the interface", port)?;
        self.wires.push(wire);
        Ok(())
    }
}

/// Names what was being done for which host.
trait Doing<T> {
    fn doing(self, doing: &'static str, port: Port) -> Result<T, SandboxError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, port: Port) -> Result<T, SandboxError> {
        self.map_err(|source| SandboxError::Network {
            doing,
            port,
            source,
        })
    }
}
