//! Where a packet wants to go.

use std::net::Ipv4Addr;

const VERSION_4: u8 = 4;

/// The destination is the last field of a header without options.
const SHORTEST_HEADER: usize = 20;
const DESTINATION: usize = 16;

/// The destination of an IPv4 packet. `None` is anything else: nobody here speaks it.
pub(super) fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let header = packet.get(..SHORTEST_HEADER)?;
    let address: [u8; 4] = header[DESTINATION..].try_into().ok()?;
    (header[0] >> 4 == VERSION_4).then(|| Ipv4Addr::from(address))
}

#[cfg(test)]
mod tests {
    use super::destination;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn packet(first: u8, to: [u8; 4]) -> Vec<u8> {
        [&[first][..], &[0; 11], &[10, 77, 0, 1], &to, b"payload"].concat()
    }

    #[test]
    fn the_destination_is_read() {
        assert_eq!(destination(&packet(0x45, [10, 77, 0, 2])), Some(Ipv4Addr::new(10, 77, 0, 2)));
        assert_eq!(
            destination(&packet(0x4f, [10, 77, 0, 2])),
            Some(Ipv4Addr::new(10, 77, 0, 2)),
            "options come after it"
        );
    }

    #[test]
    fn other_protocols_and_stumps_have_none() {
        assert_eq!(destination(&packet(0x60, [10, 77, 0, 2])), None);
        assert_eq!(destination(&packet(0x45, [10, 77, 0, 2])[..19]), None);
        assert_eq!(destination(&[]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = destination(&bytes);
        }
    }
}
