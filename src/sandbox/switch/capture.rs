//! A copy of all packets, in a file that the usual programs read.
//!
//! The file is of the format pcapng, with one interface for each host. A packet stands in it twice: when its sender hands it
//! to the switch, as one that goes out of the sender's interface, and when its receiver takes it, as one that comes in at the
//! receiver's. What has no second entry was dropped on its way, or is still being held back when the file ends.
//!
//! The thread of the switch only copies; another one writes. Where that one does not keep up, packets are missing from the
//! file, never from the network.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Switch;
use super::port::Port;

/// So many packets may wait to be written.
const WAITING: usize = 2048;

// Of the format.
const SECTION: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const VERSION: [u16; 2] = [1, 0];
const UNKNOWN_LENGTH: u64 = u64::MAX;
const INTERFACE: u32 = 1;
/// Bare packets of IPv4. (Of the type for packets of both versions, libpcap 1.10 reads files with one interface only.)
const IPV4: u16 = 228;
const LONGEST_PACKET: u32 = 1 << 18;
const PACKET: u32 = 6;
const OPTION_END: u16 = 0;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_RESOLUTION: u16 = 9;
const NANOSECONDS: u8 = 9;
const PACKET_FLAGS: u16 = 2;

/// Which way a packet goes, as seen from an interface.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    In = 1,
    Out = 2,
}

/// One entry of the file.
struct Entry {
    interface: usize,
    way: Way,
    at: Duration,
    packet: Box<[u8]>,
}

/// The end in the switch.
pub(super) struct Tap {
    entries: SyncSender<Entry>,
    ip_offset: usize,
    start: Instant,
    missed: Arc<AtomicU64>,
    is_full: Arc<AtomicBool>,
}

impl Tap {
    pub(super) fn saw(&self, interface: usize, way: Way, frame: &[u8]) {
        if self.is_full.load(Ordering::Relaxed) {
            return;
        }
        let packet = frame[self.ip_offset..].into();
        let entry = Entry { interface, way, at: self.start.elapsed(), packet };
        if self.entries.try_send(entry).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A file to which the packets are being copied.
#[derive(Debug)]
pub struct Capture {
    switch: Switch,
    writer: JoinHandle<io::Result<Captured>>,
    missed: Arc<AtomicU64>,
}

/// What a file of packets holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Captured {
    /// Entries, of which a packet that arrived has two.
    pub entries: u64,
    /// Entries that are missing because they came too fast.
    pub missed: u64,
    /// When the file had its full size, since its beginning. What came later is not in it.
    pub full_after: Option<Duration>,
}

impl Capture {
    /// Begins to copy all packets to a new file of at most this size.
    pub(super) fn start(switch: &Switch, path: &Path, most_bytes: u64) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        file.write_all(&head(switch.hosts()))?;
        let (entries, queue) = sync_channel(WAITING);
        let (missed, is_full) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (start, since_1970) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let full = Arc::clone(&is_full);
        let writer = thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || write(file, &queue, since_1970, most_bytes, &full))?;
        let counted = Arc::clone(&missed);
        switch.ask(move |board| {
            let ip_offset = board.links.ip_offset();
            board.tap = Some(Tap { entries, ip_offset, start, missed: counted, is_full });
        });
        Ok(Self { switch: switch.clone(), writer, missed })
    }

    /// Ends the file.
    ///
    /// # Errors
    /// If it could not be written whole.
    pub fn finish(self) -> io::Result<Captured> {
        // With its tap the writer's queue ends.
        self.switch.ask(|board| board.tap = None);
        let captured = self.writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(Captured { missed: self.missed.load(Ordering::Relaxed), ..captured })
    }
}

/// Writes entries until there are no more, or the file is full.
fn write(
    mut file: impl Write,
    queue: &Receiver<Entry>,
    since_1970: Duration,
    most_bytes: u64,
    is_full: &AtomicBool,
) -> io::Result<Captured> {
    let mut captured = Captured::default();
    let mut bytes = 0;
    while let Ok(entry) = queue.recv() {
        let block = packet(&entry, since_1970);
        bytes += block.len() as u64;
        if bytes > most_bytes {
            is_full.store(true, Ordering::Relaxed);
            captured.full_after = Some(entry.at);
            break;
        }
        file.write_all(&block).inspect_err(|_| is_full.store(true, Ordering::Relaxed))?;
        captured.entries += 1;
    }
    file.flush()?;
    Ok(captured)
}

/// What stands before the first packet.
fn head(hosts: impl Iterator<Item = Port>) -> Vec<u8> {
    let version = VERSION.map(u16::to_ne_bytes).concat();
    let mut head = block(SECTION, &[&BYTE_ORDER.to_ne_bytes()[..], &version, &UNKNOWN_LENGTH.to_ne_bytes()].concat());
    for host in hosts {
        let link_type = [IPV4, 0].map(u16::to_ne_bytes).concat();
        let options = [
            option(INTERFACE_NAME, host.to_string().as_bytes()),
            option(INTERFACE_RESOLUTION, &[NANOSECONDS]),
            option(OPTION_END, &[]),
        ];
        head.extend(block(INTERFACE, &[&link_type[..], &LONGEST_PACKET.to_ne_bytes(), &options.concat()].concat()));
    }
    head
}

fn packet(entry: &Entry, since_1970: Duration) -> Vec<u8> {
    let ns = (since_1970 + entry.at).as_nanos() as u64;
    let length = entry.packet.len() as u32;
    let numbers = [entry.interface as u32, (ns >> 32) as u32, ns as u32, length, length].map(u32::to_ne_bytes).concat();
    let flags = option(PACKET_FLAGS, &(entry.way as u32).to_ne_bytes());
    block(PACKET, &[&numbers[..], &padded(&entry.packet), &flags, &option(OPTION_END, &[])].concat())
}

/// A block has its length before and behind its body.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 12).to_ne_bytes();
    [&kind.to_ne_bytes()[..], &length, body, &length].concat()
}

fn option(code: u16, value: &[u8]) -> Vec<u8> {
    [&code.to_ne_bytes()[..], &(value.len() as u16).to_ne_bytes(), &padded(value)].concat()
}

/// Everything begins at multiples of four.
fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(4), 0);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;

    fn number(bytes: &[u8]) -> u32 {
        u32::from_ne_bytes(bytes[..4].try_into().expect("four bytes"))
    }

    /// The kinds and bodies of all blocks.
    fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let mut blocks = Vec::new();
        while !file.is_empty() {
            let length = number(&file[4..]) as usize;
            assert!(length.is_multiple_of(4) && number(&file[length - 4..]) as usize == length);
            blocks.push((number(file), file[8..length - 4].to_vec()));
            file = &file[length..];
        }
        blocks
    }

    fn entry(packet: &[u8], at: Duration) -> Entry {
        Entry { interface: 1, way: Way::Out, at, packet: packet.into() }
    }

    #[test]
    fn the_file_names_its_interfaces_and_holds_whole_packets() {
        let mut file = head([Port::Client, NodeId::new(1).into()].into_iter());
        file.extend(packet(&entry(b"seven b", Duration::from_nanos(7)), Duration::from_secs(5)));
        let blocks = blocks(&file);
        assert_eq!(blocks.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [SECTION, INTERFACE, INTERFACE, PACKET]);
        assert!(blocks[1].1.windows(6).any(|window| window == b"client"));
        let body = &blocks[3].1;
        let ns = u64::from(number(&body[4..])) << 32 | u64::from(number(&body[8..]));
        assert_eq!((number(body), ns), (1, 5_000_000_007));
        assert_eq!((number(&body[12..]), &body[20..27]), (7, &b"seven b"[..]));
    }

    #[test]
    fn a_full_file_says_since_when() {
        let (entries, queue) = sync_channel(10);
        for second in 1..=5 {
            entries.send(entry(&[0; 100], Duration::from_secs(second))).expect("there is room");
        }
        drop(entries);
        let (mut file, is_full) = (Vec::new(), AtomicBool::new(false));
        let captured = write(&mut file, &queue, Duration::ZERO, 400, &is_full).expect("memory takes all");
        assert_eq!((captured.entries, captured.full_after), (2, Some(Duration::from_secs(3))));
        assert!(is_full.into_inner());
        assert_eq!(blocks(&file).len(), 2);
    }
}
