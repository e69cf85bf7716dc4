//! Closes a port of a node, as a changed firewall does.

use serde::Deserialize;

use super::cut::{Cut, Link};
use crate::nemesis::package::{Aims, Course, Fault, Injection, Package, Setting, parse};
use crate::nemesis::{Aim, Field};
use crate::sandbox::{LinkRule, Side};

pub(super) static PACKAGE: Package = Package {
    name: "closed-port",
    does: "drops what is addressed to one port of a node, as a changed firewall does; connections that the node itself \
           opens still work",
    settings: &[Setting { name: "port", says: "`client` (for all clients) or `peer` (for all other nodes)" }],
    proof: "packets dropped at the port, by the switch's own count",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[],
    colour: 0x8a_5a_00,
    parse: parse::<ClosedPort>,
};

/// A port is closed until the end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClosedPort {
    port: Service,
}

impl ClosedPort {
    /// The peers' port is closed.
    pub(super) fn for_peers() -> Self {
        Self { port: Service::Peer }
    }
}

/// Who is served at a port.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Service {
    /// Clients.
    Client,
    /// The other nodes.
    Peer,
}

impl Fault for ClosedPort {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        match self.port {
            Service::Client => "client port closed".to_owned(),
            Service::Peer => "peer port closed".to_owned(),
        }
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        let nodes = aim.nodes.iter().copied();
        // The harness's own probes go on: they are there to see what happens.
        let (links, rule): (Vec<Link>, LinkRule) = match self.port {
            Service::Client => {
                let links = nodes.map(|node| (Side::Workers, node.into())).collect();
                (links, LinkRule::closed(field.cluster.client_port().as_slice()))
            }
            Service::Peer => {
                let links = nodes.flat_map(|node| field.cluster.links_to(node)).collect();
                (links, LinkRule::closed(field.cluster.peer_ports()))
            }
        };
        Box::new(Cut::new(field, links, rule))
    }
}
