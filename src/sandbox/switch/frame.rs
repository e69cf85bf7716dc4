//! What a packet says, and how one is spoilt.
//!
//! A frame is what a wire carries: the offload header (`struct virtio_net_hdr`), whatever the medium puts before the packet,
//! and the packet.

use std::net::Ipv4Addr;
use std::ops::Range;

const VERSION_4: u8 = 4;

/// A header without options.
const SHORTEST_HEADER: usize = 20;
const TOTAL_LENGTH: Range<usize> = 2..4;
const FRAGMENT: Range<usize> = 6..8;
const PROTOCOL: usize = 9;
const HEADER_CHECKSUM: Range<usize> = 10..12;
const SOURCE: Range<usize> = 12..16;
const DESTINATION: Range<usize> = 16..20;

const TCP: u8 = 6;
const UDP: u8 = 17;

// Of the offload header.
const OFFLOAD_FLAGS: usize = 0;
const OFFLOAD_SEGMENT: Range<usize> = 4..6;
const OFFLOAD_HEADER: Range<usize> = 0..10;
/// The checksum is still to be filled in, and the receiver takes it for right.
const NEEDS_CHECKSUM: u8 = 1;

/// The source and the destination of an IPv4 packet. `None` is anything else: nobody here speaks it.
pub(super) fn addresses(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let header = packet.get(..SHORTEST_HEADER)?;
    let address = |at: Range<usize>| -> Option<Ipv4Addr> { Some(<[u8; 4]>::try_from(&header[at]).ok()?.into()) };
    (header[0] >> 4 == VERSION_4).then_some(())?;
    Some((address(SOURCE)?, address(DESTINATION)?))
}

/// The TCP port that a packet is addressed to.
pub(super) fn tcp_port(packet: &[u8]) -> Option<u16> {
    let segment = Segment::of(packet)?;
    (packet[PROTOCOL] == TCP).then(|| number(packet, segment.start + 2..segment.start + 4))
}

/// Where the parts of a packet of TCP or UDP are.
struct Segment {
    /// The header of TCP or UDP.
    start: usize,
    /// Its checksum.
    checksum: Range<usize>,
    /// What follows the header. Not all packets have data.
    data: Range<usize>,
}

impl Segment {
    fn of(packet: &[u8]) -> Option<Self> {
        addresses(packet)?;
        let start = usize::from(packet[0] & 0xf) * 4;
        let end = packet.len().min(usize::from(number(packet, TOTAL_LENGTH)));
        // A later fragment has no header.
        if start < SHORTEST_HEADER || number(packet, FRAGMENT) & 0x1fff != 0 {
            return None;
        }
        let (checksum, header) = match packet[PROTOCOL] {
            TCP => (start + 16, usize::from(packet.get(start + 12)? >> 4) * 4),
            UDP => (start + 6, 8),
            _ => return None,
        };
        let data = start + header;
        (checksum + 2 <= data && data <= end).then_some(Self {
            start,
            checksum: checksum..checksum + 2,
            data: data..end,
        })
    }

    /// The checksum that its bytes ought to have.
    fn right_checksum(&self, packet: &[u8]) -> [u8; 2] {
        let length = self.data.end - self.start;
        let mut sum = Sum::default();
        sum.add(&packet[SOURCE.start..DESTINATION.end]);
        sum.add(&[0, packet[PROTOCOL]]);
        sum.add(&(length as u16).to_be_bytes());
        sum.add(&packet[self.start..self.checksum.start]);
        sum.add(&packet[self.checksum.end..self.data.end]);
        sum.finish()
    }
}

/// What a packet carries, and between which ports.
pub(super) struct Payload<'a> {
    /// From and to.
    pub(super) ports: [u16; 2],
    /// There are some.
    pub(super) data: &'a [u8],
}

/// The data of a packet, if it has any, which can be spoilt.
pub(super) fn payload(packet: &[u8]) -> Option<Payload<'_>> {
    let segment = Segment::of(packet)?;
    let ports =
        [number(packet, segment.start..segment.start + 2), number(packet, segment.start + 2..segment.start + 4)];
    Some(Payload { ports, data: &packet[segment.data] }).filter(|payload| !payload.data.is_empty())
}

/// What [`spoil`] leaves of the data of a packet.
pub(super) fn first_segment(frame: &[u8], ip_offset: usize) -> Option<Payload<'_>> {
    let Payload { ports, data } = payload(&frame[ip_offset..])?;
    let length = match segment_bytes(frame) {
        0 => data.len(),
        bytes => data.len().min(bytes),
    };
    Some(Payload { ports, data: &data[..length] })
}

/// How long the pieces are into which the receiver would have to take a large packet; 0 if it is none.
fn segment_bytes(frame: &[u8]) -> usize {
    u16::from_ne_bytes([frame[OFFLOAD_SEGMENT.start], frame[OFFLOAD_SEGMENT.start + 1]]).into()
}

/// Changes a packet's data so that the receiver does not notice. The checksum is right in the end, or left for the receiver to take
/// for right.
pub(super) fn spoil_unnoticed(frame: &mut [u8], ip_offset: usize, change: impl FnOnce(&mut [u8])) {
    let filled_in = frame[OFFLOAD_FLAGS] & NEEDS_CHECKSUM == 0;
    let packet = &mut frame[ip_offset..];
    let Some(segment) = Segment::of(packet) else { return };
    change(&mut packet[segment.data.clone()]);
    // A checksum of zero says that there is none.
    if filled_in && packet[segment.checksum.clone()] != [0, 0] {
        let checksum = segment.right_checksum(packet);
        packet[segment.checksum].copy_from_slice(&checksum);
    }
}

/// Changes a packet's data against its checksum, so that the receiver drops it, and returns the new length of the
/// frame. Of a large packet, which the receiver would have to take apart first, only the first segment is left: the receiver
/// drops one or the other all the same.
pub(super) fn spoil(frame: &mut [u8], ip_offset: usize, change: impl FnOnce(&mut [u8])) -> usize {
    let (segment_bytes, length) = (segment_bytes(frame), frame.len());
    let packet = &mut frame[ip_offset..];
    let Some(mut segment) = Segment::of(packet) else { return length };
    if segment_bytes > 0 && segment.data.len() > segment_bytes {
        segment.data.end = segment.data.start + segment_bytes;
        packet[TOTAL_LENGTH].copy_from_slice(&(segment.data.end as u16).to_be_bytes());
        packet[HEADER_CHECKSUM].copy_from_slice(&[0, 0]);
        let mut sum = Sum::default();
        sum.add(&packet[..segment.start]);
        packet[HEADER_CHECKSUM].copy_from_slice(&sum.finish());
    }
    let checksum = segment.right_checksum(packet);
    packet[segment.checksum.clone()].copy_from_slice(&checksum);
    change(&mut packet[segment.data.clone()]);
    // One change in 65536 leaves the sum as it was.
    if segment.right_checksum(packet) == packet[segment.checksum.clone()] {
        packet[segment.checksum.start] ^= 1;
    }
    frame[OFFLOAD_HEADER].fill(0);
    ip_offset + segment.data.end
}

fn number(packet: &[u8], at: Range<usize>) -> u16 {
    u16::from_be_bytes([packet[at.start], packet[at.start + 1]])
}

/// The sum of the Internet's protocols: of 16-bit numbers, in ones' complement.
#[derive(Default)]
struct Sum(u64);

impl Sum {
    /// All pieces but the last must be of even length.
    fn add(&mut self, bytes: &[u8]) {
        let (pairs, rest) = bytes.as_chunks::<2>();
        self.0 += pairs.iter().map(|&pair| u64::from(u16::from_be_bytes(pair))).sum::<u64>();
        self.0 += rest.first().map_or(0, |&last| u64::from(last) << 8);
    }

    fn finish(self) -> [u8; 2] {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IP_OFFSET: usize = 10;

    /// A frame of a TUN interface with a packet of TCP, its checksum filled in.
    fn frame(data: &[u8]) -> Vec<u8> {
        let tcp = [&[0x12, 0x34, 0x09, 0x4b][..], &[0; 8], &[0x50, 0x18], &[0xff; 2], &[0; 4], data].concat();
        let length = (20 + tcp.len() as u16).to_be_bytes();
        let ip = [&[0x45, 0][..], &length, &[0; 4], &[64, TCP, 0, 0], &[10, 77, 0, 1], &[10, 77, 0, 2]].concat();
        let mut frame = [vec![0; IP_OFFSET], ip, tcp].concat();
        let segment = Segment::of(&frame[IP_OFFSET..]).expect("it is one");
        let checksum = segment.right_checksum(&frame[IP_OFFSET..]);
        frame[IP_OFFSET..][segment.checksum].copy_from_slice(&checksum);
        frame
    }

    fn turn_a_bit(data: &mut [u8]) {
        if let Some(first) = data.first_mut() {
            *first ^= 8;
        }
    }

    fn checksum_is_right(frame: &[u8]) -> bool {
        let packet = &frame[IP_OFFSET..];
        let segment = Segment::of(packet).expect("it is one");
        segment.right_checksum(packet) == packet[segment.checksum]
    }

    fn bits_turned(before: &[u8], after: &[u8]) -> u32 {
        before.iter().zip(after).map(|(before, after)| (before ^ after).count_ones()).sum()
    }

    #[test]
    fn a_packet_tells_where_from_and_where_to() {
        let packet = &frame(b"payload")[IP_OFFSET..];
        assert_eq!(addresses(packet), Some((Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2))));
        assert_eq!(tcp_port(packet), Some(0x094b));
        let payload = payload(packet).expect("it has data");
        assert_eq!((payload.ports, payload.data), ([0x1234, 0x094b], &b"payload"[..]));
        assert!(super::payload(&frame(b"")[IP_OFFSET..]).is_none());
    }

    #[test]
    fn other_protocols_and_stumps_say_nothing() {
        let packet = &mut frame(b"payload")[IP_OFFSET..];
        assert_eq!(addresses(&packet[..19]), None);
        packet[0] = 0x60;
        assert_eq!((addresses(packet), tcp_port(packet)), (None, None));
        packet[0] = 0x45;
        packet[7] = 1; // A later fragment.
        assert_eq!(tcp_port(packet), None);
    }

    #[test]
    fn the_checksum_is_that_of_the_protocols() {
        // The example of RFC 1071.
        let mut sum = Sum::default();
        sum.add(&[0x00, 0x01, 0xf2, 0x03]);
        sum.add(&[0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), (!0xddf2_u16).to_be_bytes());
    }

    #[test]
    fn what_is_spoilt_unnoticed_has_a_right_checksum() {
        for data in [&b"even"[..], b"odd"] {
            let (before, mut after) = (frame(data), frame(data));
            spoil_unnoticed(&mut after, IP_OFFSET, turn_a_bit);
            assert!(checksum_is_right(&after));
            assert_eq!(bits_turned(&before[IP_OFFSET + 40..], &after[IP_OFFSET + 40..]), 1);
        }
        // One that is not filled in yet stays so.
        let mut open = frame(b"data");
        open[OFFLOAD_FLAGS] = NEEDS_CHECKSUM;
        let before = open.clone();
        spoil_unnoticed(&mut open, IP_OFFSET, turn_a_bit);
        assert_eq!(bits_turned(&before, &open), 1);
    }

    #[test]
    fn what_is_spoilt_has_a_wrong_checksum_that_counts() {
        let mut after = frame(b"data");
        after[OFFLOAD_FLAGS] = NEEDS_CHECKSUM;
        let length = after.len();
        assert_eq!(spoil(&mut after, IP_OFFSET, turn_a_bit), length);
        assert!(!checksum_is_right(&after));
        assert_eq!(after[OFFLOAD_FLAGS], 0, "the receiver is to look at it");
    }

    #[test]
    fn what_leaves_the_sum_as_it_was_is_noticed_all_the_same() {
        let mut after = frame(&[0; 4]);
        spoil(&mut after, IP_OFFSET, |data| data.fill(0xff));
        assert!(!checksum_is_right(&after));
    }

    #[test]
    fn of_a_large_packet_the_first_segment_is_left() {
        let mut large = frame(&[7; 4000]);
        large[OFFLOAD_SEGMENT].copy_from_slice(&1448_u16.to_ne_bytes());
        assert_eq!(first_segment(&large, IP_OFFSET).map(|payload| payload.data.len()), Some(1448));
        let length = spoil(&mut large, IP_OFFSET, turn_a_bit);
        assert_eq!(length, IP_OFFSET + 40 + 1448);
        assert_eq!(number(&large[IP_OFFSET..], TOTAL_LENGTH), 1488);
        let mut sum = Sum::default();
        sum.add(&large[IP_OFFSET..IP_OFFSET + 20]);
        assert_eq!(sum.finish(), [0, 0], "the header's own checksum is right");
        assert!(!checksum_is_right(&large[..length]));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(mut bytes in proptest::collection::vec(any::<u8>(), 10..128), first in 0x40_u8..0x50) {
            if let Some(byte) = bytes.get_mut(IP_OFFSET) {
                *byte = first;
            }
            let _ = (addresses(&bytes), tcp_port(&bytes), payload(&bytes).is_some(), first_segment(&bytes, IP_OFFSET).is_some());
            spoil_unnoticed(&mut bytes.clone(), IP_OFFSET, |data| data.fill(0xff));
            spoil(&mut bytes, IP_OFFSET, |data| data.fill(0xff));
        }
    }
}
