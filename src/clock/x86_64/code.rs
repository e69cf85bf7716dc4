//! The machine code of the hook.

use iced_x86::code_asm::*;
use iced_x86::{BlockEncoderOptions, Decoder, DecoderOptions, FlowControl, IcedError, Instruction};

use super::super::clocks::CLOCKS;
use super::super::page::{BLOCK_BYTES_LOG2, LINES, NOTE_OFFSET, NOTE_READING, NOTES, OFFSET, RATE, REFERENCE};
use super::JUMP_BYTES;
use super::vdso::Function;

const SECOND_NS: i32 = 1_000_000_000;

/// How the hook asks for the true time.
pub(super) enum Original {
    /// By the vDSO's own code: the instructions that the jump has overwritten, and where it goes on behind them.
    Relocated { overwritten: Vec<Instruction>, resume: u64 },
    /// By the system call, which takes about ten times as long.
    Syscall,
}

impl Original {
    /// The fast way if the beginning of the function can stand elsewhere, else the system call.
    pub(super) fn relocated(function: &Function<'_>) -> Original {
        relocate(function).unwrap_or(Original::Syscall)
    }
}

/// Takes whole instructions until there is room for the jump. `None` if these cannot be moved: because the function
/// ends before, or jumps back into them.
fn relocate(function: &Function<'_>) -> Option<Original> {
    let mut decoder = Decoder::with_ip(64, function.code, function.address, DecoderOptions::NONE);
    let mut overwritten = Vec::new();
    while decoder.position() < JUMP_BYTES {
        let instruction = decoder.decode();
        let goes_on = matches!(instruction.flow_control(), FlowControl::Next | FlowControl::ConditionalBranch);
        if instruction.is_invalid() || !goes_on {
            return None;
        }
        overwritten.push(instruction);
    }
    let resume = decoder.ip();
    let jumps_back =
        decoder.iter().any(|instruction| (function.address..resume).contains(&instruction.near_branch_target()));
    (!jumps_back).then_some(Original::Relocated { overwritten, resume })
}

/// The hook, ready to be written to where it was assembled for.
pub(super) struct Hook {
    pub(super) bytes: Vec<u8>,
    clock_gettime: u64,
    gettimeofday: u64,
    time: u64,
}

impl Hook {
    pub(super) fn assemble(original: &Original, code: u64, data: u64) -> Result<Hook, IcedError> {
        let mut asm = CodeAssembler::new(64)?;
        let mut ask_original = asm.create_label();
        let mut clock_gettime = asm.create_label();
        let mut gettimeofday = asm.create_label();
        let mut time = asm.create_label();

        asm.set_label(&mut ask_original)?;
        assemble_original(&mut asm, original)?;
        asm.set_label(&mut clock_gettime)?;
        assemble_clock_gettime(&mut asm, ask_original, data)?;
        asm.set_label(&mut gettimeofday)?;
        assemble_gettimeofday(&mut asm, clock_gettime)?;
        asm.set_label(&mut time)?;
        assemble_time(&mut asm, clock_gettime)?;

        let placed = asm.assemble_options(code, BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS)?;
        Ok(Hook {
            clock_gettime: placed.label_ip(&clock_gettime)?,
            gettimeofday: placed.label_ip(&gettimeofday)?,
            time: placed.label_ip(&time)?,
            bytes: placed.inner.code_buffer,
        })
    }

    /// Which function of the vDSO is to lead where. Their weak aliases (`clock_gettime`, ...) are the same code.
    pub(super) fn entries(&self) -> [(&'static str, u64); 3] {
        [
            ("__vdso_clock_gettime", self.clock_gettime),
            ("__vdso_gettimeofday", self.gettimeofday),
            ("__vdso_time", self.time),
        ]
    }
}

fn assemble_original(asm: &mut CodeAssembler, original: &Original) -> Result<(), IcedError> {
    match original {
        Original::Relocated { overwritten, resume } => {
            for instruction in overwritten {
                asm.add_instruction(*instruction)?;
            }
            asm.jmp(*resume)
        }
        Original::Syscall => {
            asm.mov(eax, libc::SYS_clock_gettime as i32)?;
            asm.syscall()?;
            asm.ret()
        }
    }
}

/// `int clock_gettime(clockid_t edi, struct timespec *rsi)`
///
/// Only registers that a callee may overwrite are used, besides a few words of stack: Go calls this on a stack of its
/// own, and signal handlers may call it again in the middle.
fn assemble_clock_gettime(asm: &mut CodeAssembler, ask_original: CodeLabel, data: u64) -> Result<(), IcedError> {
    let mut look_again = asm.create_label();
    let mut not_negative = asm.create_label();
    let mut untouched = asm.create_label();

    asm.push(rdi)?;
    asm.push(rsi)?;
    asm.sub(rsp, 8)?; // a call wants the stack aligned to 16 bytes
    asm.call(ask_original)?;
    asm.add(rsp, 8)?;
    asm.pop(rsi)?;
    asm.pop(rdi)?;
    asm.test(eax, eax)?;
    asm.jnz(untouched)?; // an error is the caller's
    asm.cmp(edi, CLOCKS as i32)?;
    asm.jae(untouched)?; // unsigned, because dynamic clocks have negative numbers

    // r9 offset, r10 reference, r11 rate of this clock, all from one generation of one block: see page.rs.
    asm.mov(r8, data)?;
    asm.mov(edi, edi)?; // the upper half of rdi is anybody's
    asm.lea(rdi, rdi + rdi * 2)?;
    let line = rcx + rdi * 8 + LINES as i32;
    asm.set_label(&mut look_again)?;
    asm.movzx(ecx, byte_ptr(r8))?;
    asm.shl(ecx, BLOCK_BYTES_LOG2)?;
    asm.add(rcx, r8)?;
    asm.mov(rdx, qword_ptr(rcx))?;
    asm.mov(r9, qword_ptr(line + OFFSET as i32))?;
    asm.mov(r10, qword_ptr(line + REFERENCE as i32))?;
    asm.mov(r11, qword_ptr(line + RATE as i32))?;
    asm.test(rdx, rdx)?;
    asm.jz(look_again)?;
    asm.cmp(rdx, qword_ptr(rcx))?;
    asm.jne(look_again)?;
    asm.mov(rdx, r9)?;
    asm.or(rdx, r11)?;
    asm.jz(untouched)?; // this clock is true, and eax is 0

    // rax = offset + ((reading - reference) * rate >> 32), which is noted for the harness, and then the reading on top.
    let note = r8 + rdi * 8 + NOTES as i32;
    asm.imul_3(rax, qword_ptr(rsi), SECOND_NS)?;
    asm.add(rax, qword_ptr(rsi + 8))?;
    asm.mov(rcx, rax)?;
    asm.sub(rax, r10)?;
    asm.imul(r11)?;
    asm.shrd(rax, rdx, 32)?;
    asm.add(rax, r9)?;
    asm.mov(qword_ptr(note + NOTE_OFFSET as i32), rax)?;
    asm.mov(qword_ptr(note + NOTE_READING as i32), rcx)?;
    asm.add(rax, rcx)?;

    // Back to seconds and nanoseconds, of which the latter are never negative.
    asm.mov(ecx, SECOND_NS)?;
    asm.cqo()?;
    asm.idiv(rcx)?;
    asm.test(rdx, rdx)?;
    asm.jns(not_negative)?;
    asm.add(rdx, rcx)?;
    asm.dec(rax)?;
    asm.set_label(&mut not_negative)?;
    asm.mov(qword_ptr(rsi), rax)?;
    asm.mov(qword_ptr(rsi + 8), rdx)?;
    asm.xor(eax, eax)?;
    asm.set_label(&mut untouched)?;
    asm.ret()
}

/// `int gettimeofday(struct timeval *rdi, struct timezone *rsi)`
fn assemble_gettimeofday(asm: &mut CodeAssembler, clock_gettime: CodeLabel) -> Result<(), IcedError> {
    let mut zone = asm.create_label();
    let mut done = asm.create_label();

    // At rsp: a timespec, 8 bytes for the alignment, the caller's rsi and rdi.
    asm.push(rdi)?;
    asm.push(rsi)?;
    asm.sub(rsp, 24)?;
    asm.test(rdi, rdi)?;
    asm.jz(zone)?;
    asm.mov(edi, libc::CLOCK_REALTIME)?;
    asm.mov(rsi, rsp)?;
    asm.call(clock_gettime)?;
    asm.test(eax, eax)?;
    asm.jnz(done)?;
    asm.mov(rdi, qword_ptr(rsp + 32))?;
    asm.mov(rax, qword_ptr(rsp))?;
    asm.mov(qword_ptr(rdi), rax)?;
    asm.mov(eax, dword_ptr(rsp + 8))?;
    asm.xor(edx, edx)?;
    asm.mov(ecx, 1000)?;
    asm.div(ecx)?;
    asm.mov(qword_ptr(rdi + 8), rax)?;

    // The time zone is the kernel's business; hardly anybody asks for it.
    asm.set_label(&mut zone)?;
    asm.mov(rsi, qword_ptr(rsp + 24))?;
    asm.xor(eax, eax)?;
    asm.test(rsi, rsi)?;
    asm.jz(done)?;
    asm.xor(edi, edi)?;
    asm.mov(eax, libc::SYS_gettimeofday as i32)?;
    asm.syscall()?;
    asm.set_label(&mut done)?;
    asm.add(rsp, 40)?;
    asm.ret()
}

/// `time_t time(time_t *rdi)`, which is the coarse clock, as it is in the kernel's.
fn assemble_time(asm: &mut CodeAssembler, clock_gettime: CodeLabel) -> Result<(), IcedError> {
    let mut done = asm.create_label();

    // At rsp: a timespec, the caller's rdi.
    asm.push(rdi)?;
    asm.sub(rsp, 16)?;
    asm.mov(edi, libc::CLOCK_REALTIME_COARSE)?;
    asm.mov(rsi, rsp)?;
    asm.call(clock_gettime)?;
    asm.mov(rax, qword_ptr(rsp))?;
    asm.add(rsp, 16)?;
    asm.pop(rdi)?;
    asm.test(rdi, rdi)?;
    asm.jz(done)?;
    asm.mov(qword_ptr(rdi), rax)?;
    asm.set_label(&mut done)?;
    asm.ret()
}

#[cfg(test)]
mod tests;
