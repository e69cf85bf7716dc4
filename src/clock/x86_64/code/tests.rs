//! The assembled hook, called in this process and held against plain arithmetic, and which code can be moved.

use std::ffi::c_void;
use std::ptr::null_mut;

use nix::unistd::getpid;
use proptest::prelude::*;

use super::super::super::Skew;
use super::super::super::clocks::Clocks;
use super::super::super::line::Line;
use super::super::super::memory::Memory;
use super::super::super::page::DataPage;
use super::super::PAGE_BYTES;
use super::*;

const SECOND: i64 = 1_000_000_000;

type ClockGettime = unsafe extern "C" fn(i32, *mut libc::timespec) -> i32;
type Gettimeofday = unsafe extern "C" fn(*mut libc::timeval, *mut c_void) -> i32;
type Time = unsafe extern "C" fn(*mut i64) -> i64;

/// Where the true time comes from in these tests.
const TRUE_TIME: u64 = 2 * PAGE_BYTES;
/// The offset of that which the imitated `clock_gettime` returns.
const ANSWER: u64 = 16;

/// A hook in three pages of this process: code, data, and a true time that the tests choose.
struct Bench {
    pages: *mut c_void,
    hook: Hook,
    data: DataPage,
}

impl Bench {
    fn new() -> Bench {
        let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: new pages at an address of the kernel's choice overlap nothing.
        let pages = unsafe { libc::mmap(null_mut(), 3 * PAGE_BYTES as usize, all, flags, -1, 0) };
        assert_ne!(pages, libc::MAP_FAILED, "map three pages");
        let at = pages as u64;

        let original = imitation(at + TRUE_TIME).expect("assemble the imitation");
        let hook = Hook::assemble(&original, at, at + PAGE_BYTES).expect("assemble the hook");
        let memory = Memory::open(getpid()).expect("open our own memory");
        memory.write(at, &hook.bytes).expect("write the hook");
        Bench { pages, hook, data: DataPage::new(memory, at + PAGE_BYTES) }
    }

    fn set_true_time(&self, real_ns: i64, answer: i64) {
        let words = [real_ns.div_euclid(SECOND), real_ns.rem_euclid(SECOND), answer];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.data.memory().write(self.pages as u64 + TRUE_TIME, &bytes).expect("write our own memory");
    }

    fn set_line(&mut self, clock: usize, line: Line) {
        let mut clocks = Clocks::default();
        clocks.0[clock] = line;
        self.data.publish(&clocks).expect("write our own memory");
    }

    fn clock_gettime(&self, clock: i32) -> Result<i64, i32> {
        let mut shown = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the hook was assembled as a function of this type, and the pages live as long as `self`.
        let answer = unsafe {
            let function = std::mem::transmute::<u64, ClockGettime>(self.hook.clock_gettime);
            function(clock, &raw mut shown)
        };
        match answer {
            0 if (0..SECOND).contains(&shown.tv_nsec) => Ok(shown.tv_sec * SECOND + shown.tv_nsec),
            0 => panic!("{} is no nanosecond of a second", shown.tv_nsec),
            error => Err(error),
        }
    }

    fn gettimeofday(&self) -> (i64, i64) {
        let mut shown = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let mut zone = [0xffu8; 8];
        // SAFETY: as above; a timezone is two integers of four bytes.
        unsafe {
            let function = std::mem::transmute::<u64, Gettimeofday>(self.hook.gettimeofday);
            assert_eq!(function(&raw mut shown, zone.as_mut_ptr().cast()), 0);
            assert_ne!(zone, [0xff; 8], "the time zone is filled in");
            assert_eq!(function(&raw mut shown, null_mut()), 0);
            assert_eq!(function(null_mut(), null_mut()), 0);
        }
        (shown.tv_sec, shown.tv_usec)
    }

    fn time(&self) -> i64 {
        let mut stored = 0;
        // SAFETY: as above.
        unsafe {
            let function = std::mem::transmute::<u64, Time>(self.hook.time);
            assert_eq!(function(&raw mut stored), function(null_mut()));
        }
        stored
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // SAFETY: these are the pages that `new` mapped, and nothing refers to them any more.
        let answer = unsafe { libc::munmap(self.pages, 3 * PAGE_BYTES as usize) };
        assert_eq!(answer, 0, "unmap what was mapped");
    }
}

/// A `clock_gettime` that shows what stands at `time`.
fn imitation(time: u64) -> Result<Original, IcedError> {
    let mut asm = CodeAssembler::new(64)?;
    asm.mov(rax, time)?;
    asm.mov(rdx, qword_ptr(rax))?;
    asm.mov(qword_ptr(rsi), rdx)?;
    asm.mov(rdx, qword_ptr(rax + 8))?;
    asm.mov(qword_ptr(rsi + 8), rdx)?;
    asm.mov(rax, qword_ptr(rax + ANSWER as i32))?;
    asm.ret()?;
    Ok(Original::Relocated { overwritten: asm.instructions().to_vec(), resume: time })
}

proptest! {
    #[test]
    fn the_hook_computes_what_a_line_says(
        real_ns in 0..4_102_444_800_000_000_000i64,
        since in -1_000_000_000_000i64..1_000_000_000_000_000,
        offset_ns in -3_000_000_000_000_000_000i64..1_600_000_000_000_000_000,
        rate_ppm in -1_000_000..=9_000_000i64,
    ) {
        let mut bench = Bench::new();
        let line = Line::through(real_ns - since, Skew { offset_ns, rate_ppm });
        let expected = real_ns + line.skew_at(real_ns).offset_ns;
        bench.set_true_time(real_ns, 0);

        bench.set_line(libc::CLOCK_REALTIME as usize, line);
        prop_assert_eq!(bench.clock_gettime(libc::CLOCK_REALTIME), Ok(expected));
        prop_assert_eq!(bench.clock_gettime(libc::CLOCK_MONOTONIC), Ok(real_ns), "another clock");
        let timeval = (expected.div_euclid(SECOND), expected.rem_euclid(SECOND) / 1000);
        prop_assert_eq!(bench.gettimeofday(), timeval);

        bench.set_line(libc::CLOCK_REALTIME_COARSE as usize, line);
        prop_assert_eq!(bench.time(), expected.div_euclid(SECOND));
    }
}

#[test]
fn every_clock_has_its_own_line() {
    let mut bench = Bench::new();
    bench.set_true_time(5 * SECOND, 0);
    for moved in 0..CLOCKS {
        bench.set_line(moved, Line::through(0, Skew { offset_ns: SECOND, rate_ppm: 0 }));
        for clock in [-1, -6, 12, 16, i32::MIN, i32::MAX].into_iter().chain(0..CLOCKS as i32) {
            let expected = if clock == moved as i32 { 6 * SECOND } else { 5 * SECOND };
            assert_eq!(bench.clock_gettime(clock), Ok(expected), "clock {clock} where {moved} is moved");
        }
    }
}

#[test]
fn an_error_of_the_original_is_the_callers() {
    let mut bench = Bench::new();
    bench.set_line(0, Line::through(0, Skew { offset_ns: SECOND, rate_ppm: 0 }));
    bench.set_true_time(0, -22);
    assert_eq!(bench.clock_gettime(libc::CLOCK_REALTIME), Err(-22));
}

const FUNCTION: u64 = 0x7fff_0000_1000;

fn can_be_moved(code: &[u8]) -> bool {
    relocate(&Function { address: FUNCTION, code }).is_some()
}

#[test]
fn only_code_that_can_stand_elsewhere_is_moved() {
    let rest = [0x90; 16];
    let followed = |code: &[u8]| can_be_moved(&[code, &rest].concat());
    assert!(followed(&[0x55, 0x48, 0x89, 0xe5, 0x41, 0x56]), "push rbp; mov rbp, rsp; push r14");
    assert!(followed(&[0xf3, 0x0f, 0x1e, 0xfa, 0x55]), "endbr64; push rbp");
    assert!(followed(&[0x83, 0xff, 0x0b, 0x77, 0x10]), "cmp edi, 11; ja further down");
    assert!(followed(&[0x48, 0x8d, 0x05, 0, 0, 0, 0]), "lea rax, [rip]");
    assert!(!followed(&[0x31, 0xc0, 0xc3]), "xor eax, eax; ret");
    assert!(!followed(&[0x55, 0xeb, 0x7f]), "push rbp; jmp further down");
    assert!(!followed(&[0x90, 0x90, 0x90, 0x90, 0x90, 0xeb, 0xfa]), "a jump back into the second instruction");
    assert!(!can_be_moved(&[0x55, 0x48]), "a function that ends in the middle of an instruction");
}

#[test]
fn moved_code_does_the_same() {
    // cmp edi, 11; ja +4: a short jump, which has to be a long one where it stands then.
    let code = [0x83, 0xff, 0x0b, 0x77, 0x04, 0x90, 0x90, 0x90, 0x90, 0xc3];
    let Some(original) = relocate(&Function { address: FUNCTION, code: &code }) else {
        panic!("it can be moved");
    };
    let hook = Hook::assemble(&original, FUNCTION + PAGE_BYTES, FUNCTION + 2 * PAGE_BYTES).expect("assemble the hook");
    let mut moved = Decoder::with_ip(64, &hook.bytes, FUNCTION + PAGE_BYTES, DecoderOptions::NONE);
    let first: Vec<Instruction> = moved.iter().take(3).collect();
    let mnemonics: Vec<String> = first.iter().map(|instruction| format!("{:?}", instruction.mnemonic())).collect();
    assert_eq!(mnemonics, ["Cmp", "Ja", "Jmp"], "what was overwritten, and back to the rest");
    let targets = (first[1].near_branch_target(), first[2].near_branch_target());
    assert_eq!(targets, (FUNCTION + 9, FUNCTION + 5));
}
