//! The data page: how the harness tells the hook what the clocks are to show.
//!
//! ```text
//! block 0      | current: 1 byte, the number of the block in force                                  |
//!              | from 64: 12 clocks x { reading_ns, offset_ns: 8 bytes each }, as the program last saw them |
//! block 1..=7  | generation: 8 bytes | 12 clocks x { offset_ns, reference_ns, rate_q32: 8 bytes each } |
//! ```
//!
//! The writer fills a block that is not in force, then turns `current` to it. One byte cannot be seen half-written,
//! whatever instruction the kernel copies it with. There are two things a reader has to fear, and one check against
//! both: a reader that the scheduler held up for so long that the block under its eyes is being filled anew sees a
//! generation of 0, or another generation after it has read the clock than before, and starts again from `current`,
//! which always names a finished block. So no reader ever waits for the writer: a harness that dies half-way through a
//! change leaves the change undone, and nothing else.

use super::ClockError;
use super::clocks::{CLOCKS, Clocks};
use super::memory::Memory;

pub(super) const BLOCK_BYTES_LOG2: u32 = 9;
const BLOCK_BYTES: u64 = 1 << BLOCK_BYTES_LOG2;
const LAST_BLOCK: u8 = 7;

/// Where the hook notes what the program has last read of each clock that is moved: apart from `current`, so that the
/// readers of that keep it in their caches. The two numbers of a note may stem from two threads that read the clock at the
/// same time; they are then of instants that lie as close together.
pub(super) const NOTES: u64 = 64;
/// A note: the reading of the kernel's clock, and by how much more the program was shown.
pub(super) const NOTE_READING: usize = 0;
pub(super) const NOTE_OFFSET: usize = 8;
/// As far apart as the lines, so that one number finds both.
const NOTE_BYTES: usize = LINE_BYTES;

/// Where the fields of a block lie.
pub(super) const LINES: u64 = 8;
/// Where the fields of a line lie.
pub(super) const OFFSET: usize = 0;
pub(super) const REFERENCE: usize = 8;
pub(super) const RATE: usize = 16;
const LINE_BYTES: usize = 24;

const BEING_FILLED: u64 = 0;

const _: () = assert!(NOTES as usize + CLOCKS * NOTE_BYTES <= BLOCK_BYTES as usize, "block 0 holds all notes");
const _: () = assert!(LINES as usize + CLOCKS * LINE_BYTES <= BLOCK_BYTES as usize, "a block holds all clocks");

/// The data page of one process.
#[derive(Debug)]
pub(super) struct DataPage {
    memory: Memory,
    address: u64,
    block: u8,
    generation: u64,
}

impl DataPage {
    /// The page of zeros that was mapped at `address`.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn new(memory: Memory, address: u64) -> DataPage {
        DataPage { memory, address, block: 0, generation: BEING_FILLED }
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Puts these lines in force.
    pub(super) fn publish(&mut self, clocks: &Clocks) -> Result<(), ClockError> {
        let block = self.block % LAST_BLOCK + 1;
        let generation = self.generation + 1;
        let at = self.address + u64::from(block) * BLOCK_BYTES;

        // Four writes, because only their order is certain, not the order of the bytes within one.
        self.memory.write(at, &BEING_FILLED.to_le_bytes())?;
        self.memory.write(at + LINES, &encode(clocks))?;
        self.memory.write(at, &generation.to_le_bytes())?;
        self.memory.write(self.address, &[block])?;

        self.block = block;
        self.generation = generation;
        Ok(())
    }
}

impl DataPage {
    /// What the program has last read of a clock: the kernel's reading, and by how much more it was shown. `None` if it has
    /// read nothing while that clock was moved.
    pub(super) fn note_on(&self, clock: usize) -> Result<Option<(i64, i64)>, ClockError> {
        let at = self.address + NOTES + (clock * NOTE_BYTES) as u64;
        let field = |offset: usize| {
            let mut bytes = [0; 8];
            self.memory.read(at + offset as u64, &mut bytes).map(|()| i64::from_le_bytes(bytes))
        };
        let (reading_ns, offset_ns) = (field(NOTE_READING)?, field(NOTE_OFFSET)?);
        Ok((reading_ns != 0).then_some((reading_ns, offset_ns)))
    }
}

fn encode(clocks: &Clocks) -> [u8; CLOCKS * LINE_BYTES] {
    let mut bytes = [0; CLOCKS * LINE_BYTES];
    for (line, room) in clocks.0.iter().zip(bytes.chunks_exact_mut(LINE_BYTES)) {
        room[OFFSET..][..8].copy_from_slice(&line.offset_ns.to_le_bytes());
        room[REFERENCE..][..8].copy_from_slice(&line.reference_ns.to_le_bytes());
        room[RATE..][..8].copy_from_slice(&line.rate_q32.to_le_bytes());
    }
    bytes
}
