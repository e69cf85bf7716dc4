//! Who has which address: `n7` is 10.77.0.7, the client 10.77.0.100.

use std::net::Ipv4Addr;

use crate::NodeId;
use crate::sandbox::Port;

/// The client's last byte. All nodes stay below it.
const CLIENT: u8 = 100;

/// As many nodes as there are addresses below the client's.
pub(super) const MOST_NODES: u8 = CLIENT - 1;

/// The one network of the sandbox. It exists only inside, so it cannot collide with one of the machine's.
pub(super) const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);

pub(in crate::sandbox) fn address_of(port: Port) -> Ipv4Addr {
    match port {
        Port::Client => Ipv4Addr::new(10, 77, 0, CLIENT),
        Port::Node(node) => Ipv4Addr::new(10, 77, 0, node.number()),
    }
}

/// Whose address it is, if it is anybody's in a network of `nodes` nodes.
pub(in crate::sandbox) fn port_at(address: Ipv4Addr, nodes: u8) -> Option<Port> {
    match address.octets() {
        [10, 77, 0, CLIENT] => Some(Port::Client),
        [10, 77, 0, number] if (1..=nodes).contains(&number) => Some(Port::Node(NodeId::new(number))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_NODES, Port, address_of, port_at};
    use crate::NodeId;
    use std::net::Ipv4Addr;

    #[test]
    fn addresses_and_ports_are_each_others_inverse() {
        for port in NodeId::first(MOST_NODES).map(Port::Node).chain([Port::Client]) {
            assert_eq!(port_at(address_of(port), MOST_NODES), Some(port));
        }
    }

    #[test]
    fn nobody_has_the_other_addresses() {
        for foreign in
            [[10, 77, 0, 0], [10, 77, 0, 4], [10, 77, 0, 255], [10, 77, 1, 1], [127, 0, 0, 1], [224, 0, 0, 22]]
        {
            assert_eq!(port_at(Ipv4Addr::from(foreign), 3), None);
        }
    }
}
