//! Finding functions in the vDSO: just enough ELF for that.

use nix::unistd::Pid;

use super::super::ClockError;
use super::super::memory::Memory;
use super::maps::Maps;

/// More than any kernel's; the image is read as a whole.
const LARGEST_BYTES: u64 = 1 << 20;

const CLASS_64: u8 = 2;
const LOAD: u64 = 1;
const DYNAMIC: u64 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const PROGRAM_HEADER_BYTES: u64 = 56;
const SYMBOL_BYTES: u64 = 24;

/// The vDSO of a process, as it is in its memory.
pub(super) struct Vdso {
    pid: Pid,
    base: u64,
    image: Vec<u8>,
}

/// One of its functions.
pub(super) struct Function<'a> {
    pub(super) address: u64,
    pub(super) code: &'a [u8],
}

impl Vdso {
    pub(super) fn read(memory: &Memory, maps: &Maps) -> Result<Vdso, ClockError> {
        let mapping = maps.vdso()?;
        let mut image = vec![0; (mapping.end - mapping.start).min(LARGEST_BYTES) as usize];
        memory.read(mapping.start, &mut image)?;
        let vdso = Vdso { pid: memory.pid(), base: mapping.start, image };
        if !vdso.image.starts_with(b"\x7fELF") || vdso.image.get(4) != Some(&CLASS_64) {
            return Err(vdso.amiss("it is no 64-bit ELF image"));
        }
        Ok(vdso)
    }

    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// A system call instruction for the process to run on our behalf. Any two bytes that read so will do.
    pub(super) fn syscall_instruction(&self) -> Result<u64, ClockError> {
        let position = self.image.windows(2).position(|bytes| bytes == [0x0f, 0x05]);
        position.map(|at| self.base + at as u64).ok_or_else(|| self.amiss("it has no syscall instruction"))
    }

    pub(super) fn function(&self, name: &str) -> Result<Function<'_>, ClockError> {
        self.find(name).ok_or_else(|| self.amiss("it does not export its functions of time"))
    }

    fn find(&self, name: &str) -> Option<Function<'_>> {
        let load_address = self.word(self.segment(LOAD)? + 16)?;
        let dynamic = self.word(self.segment(DYNAMIC)? + 8)?;
        let strings = self.dynamic_entry(dynamic, DT_STRTAB)?.checked_sub(load_address)?;
        let symbols = self.dynamic_entry(dynamic, DT_SYMTAB)?.checked_sub(load_address)?;

        // No table says how many symbols there are. The kernel's linker script puts the strings right behind them.
        let mut all = (symbols..strings).step_by(SYMBOL_BYTES as usize);
        let symbol = all.find(|&symbol| self.symbol_name(symbol, strings) == Some(name.as_bytes()))?;
        let start = self.word(symbol + 8)?.checked_sub(load_address)?;
        let bytes = self.word(symbol + 16)?;
        let code = self.image.get(start as usize..start.checked_add(bytes)? as usize)?;
        (code.len() >= super::JUMP_BYTES).then_some(Function { address: self.base + start, code })
    }

    /// The first program header of this kind.
    fn segment(&self, kind: u64) -> Option<u64> {
        let first = self.word(32)?;
        let count = self.word(56)? & 0xffff;
        (0..count)
            .map(|n| first + n * PROGRAM_HEADER_BYTES)
            .find(|&header| self.word(header).is_some_and(|type_and_flags| type_and_flags & 0xffff_ffff == kind))
    }

    fn dynamic_entry(&self, table: u64, tag: u64) -> Option<u64> {
        let mut entries = (table..self.image.len() as u64).step_by(16);
        let entry = entries.find(|&entry| self.word(entry) == Some(tag))?;
        self.word(entry + 8)
    }

    fn symbol_name(&self, symbol: u64, strings: u64) -> Option<&[u8]> {
        let start = strings + (self.word(symbol)? & 0xffff_ffff);
        self.image.get(start as usize..)?.split(|&byte| byte == 0).next()
    }

    fn word(&self, at: u64) -> Option<u64> {
        let bytes = self.image.get(at as usize..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    }

    fn amiss(&self, reason: &'static str) -> ClockError {
        ClockError::Vdso { pid: self.pid, reason }
    }
}
