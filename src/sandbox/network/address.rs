//! Who has which address: `n7` is 10.77.0.7, the client 10.77.0.100, and its worker 0 is 10.77.16.1.

use std::net::Ipv4Addr;

use crate::NodeId;
use crate::sandbox::Port;

/// The client's last byte. All nodes stay below it.
const CLIENT: u8 = 100;

/// As many nodes as there are addresses below the client's.
pub(super) const MOST_NODES: u8 = CLIENT - 1;

/// The one network of the sandbox. It exists only inside, so it cannot collide with one of the machine's.
pub(super) const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 0, 0);

/// The part of it in which the workers live, all of them on the client's host.
pub(super) const WORKERS: Ipv4Addr = Ipv4Addr::new(10, 77, FIRST_BLOCK, 1);
pub(super) const WORKERS_NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 240, 0);
const FIRST_BLOCK: u8 = 16;
const BLOCKS: u8 = 16;

/// As many workers as there are addresses for them: the first and the last are no host's.
pub(super) const MOST_WORKERS: u16 = ((BLOCKS as u16) << 8) - 2;

pub(in crate::sandbox) fn address_of(port: Port) -> Ipv4Addr {
    match port {
        Port::Client => Ipv4Addr::new(10, 77, 0, CLIENT),
        Port::Node(node) => Ipv4Addr::new(10, 77, 0, node.number()),
        Port::Worker(worker) => {
            assert!(worker < MOST_WORKERS, "there are addresses for {MOST_WORKERS} workers");
            let [block, last] = (worker + 1).to_be_bytes();
            Ipv4Addr::new(10, 77, FIRST_BLOCK + block, last)
        }
    }
}

/// Whose address it is, if it is anybody's in a network of `nodes` nodes.
pub(in crate::sandbox) fn port_at(address: Ipv4Addr, nodes: u8) -> Option<Port> {
    match address.octets() {
        [10, 77, 0, CLIENT] => Some(Port::Client),
        [10, 77, 0, number] if (1..=nodes).contains(&number) => Some(Port::Node(NodeId::new(number))),
        [10, 77, block @ FIRST_BLOCK..32, last] => {
            let place = u16::from_be_bytes([block - FIRST_BLOCK, last]);
            (1..=MOST_WORKERS).contains(&place).then(|| Port::Worker(place - 1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_NODES, MOST_WORKERS, Port, address_of, port_at};
    use crate::NodeId;
    use std::net::Ipv4Addr;

    #[test]
    fn addresses_and_ports_are_each_others_inverse() {
        let workers = (0..MOST_WORKERS).map(Port::Worker);
        for port in NodeId::first(MOST_NODES).map(Port::Node).chain([Port::Client]).chain(workers) {
            assert_eq!(port_at(address_of(port), MOST_NODES), Some(port));
        }
    }

    #[test]
    fn nobody_has_the_other_addresses() {
        for foreign in [[0, 0], [0, 4], [0, 255], [1, 1], [16, 0], [31, 255], [32, 1]]
            .map(|[third, last]| [10, 77, third, last])
            .into_iter()
            .chain([[127, 0, 0, 1], [224, 0, 0, 22]])
        {
            assert_eq!(port_at(Ipv4Addr::from(foreign), 3), None);
        }
    }
}
