//! How the hosts come about.

use std::collections::BTreeMap;
use std::io;
use std::thread;

use super::address::{NETMASK, WORKERS, WORKERS_NETMASK, address_of};
use super::medium::Medium;
use super::namespace::{self, Namespace};
use super::{interface, tun, veth};
use crate::NodeId;
use crate::sandbox::SandboxError;
use crate::sandbox::switch::{Port, Wire};

/// The card of every host.
const CARD: &str = "eth0";

/// A second address of the loopback interface. Of that interface a host owns every address of the network, not only the one
/// it is given: so each worker has its own without further ado.
const WORKERS_CARD: &str = "lo:w";

/// The namespaces of the nodes, by which servers get into them.
pub(in crate::sandbox) type Hosts = BTreeMap<NodeId, Namespace>;

/// Builds the hosts of a network, the client's first, on a thread of its own: it wanders through the
/// namespaces, and one that failed midway could not be trusted to stand in the client's.
pub(super) fn build(medium: Medium, nodes: u8) -> Result<(Hosts, Vec<Wire>), SandboxError> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("hosts".to_owned())
            .spawn_scoped(scope, || Builder { medium, hosts: Hosts::new(), wires: Vec::new() }.build(nodes))
            .map_err(|source| SandboxError::Thread { what: "builder of the hosts", source })?
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
            Medium::Veth => {
                Some(Namespace::make_and_enter().doing("make the switch's network namespace", Port::Client)?)
            }
        };
        namespace::furnish().doing("set up the network namespace", Port::Client)?;
        client.enter().doing("enter the network namespace", Port::Client)?;
        self.furnish(Port::Client, &client, behind.as_ref())?;
        interface::set_address(WORKERS_CARD, WORKERS, WORKERS_NETMASK)
            .doing("set the workers' addresses", Port::Client)?;
        for node in NodeId::first(nodes) {
            let port = Port::Node(node);
            let host = Namespace::make_and_enter().doing("make a network namespace", port)?;
            self.furnish(port, &host, behind.as_ref())?;
            self.hosts.insert(node, host);
        }
        Ok((self.hosts, self.wires))
    }

    /// Makes a host of the namespace in which this thread stands.
    fn furnish(&mut self, port: Port, host: &Namespace, behind: Option<&Namespace>) -> Result<(), SandboxError> {
        namespace::furnish().doing("set up the network namespace", port)?;
        let wire = match behind {
            None => tun::make(CARD, port).doing("make the TUN interface", port)?,
            Some(behind) => {
                let far_end = port.to_string();
                veth::make_pair(CARD, &far_end, behind).doing("make the pair of interfaces", port)?;
                behind.enter().doing("enter the switch's network namespace", port)?;
                interface::up_without_arp(&far_end).doing("bring up the switch's end", port)?;
                let wire = veth::open_wire(&far_end, port).doing("open the packet socket", port)?;
                host.enter().doing("go back to the network namespace", port)?;
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
        self.map_err(|source| SandboxError::Network { doing, port, source })
    }
}
