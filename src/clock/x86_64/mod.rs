//! Putting the hook into a process that has not run an instruction yet.

mod code;
mod maps;
mod tracee;
mod vdso;

use nix::unistd::Pid;

use self::code::{Hook, Original};
use self::maps::Maps;
use self::tracee::Tracee;
use self::vdso::Vdso;
use super::ClockError;
use super::clocks::Clocks;
use super::memory::Memory;
use super::page::DataPage;

const PAGE_BYTES: u64 = 4096;

/// Hooks the vDSO of `pid`, which then shows these clocks.
pub(super) fn inject(pid: Pid, clocks: &Clocks) -> Result<DataPage, ClockError> {
    inject_with(pid, clocks, Original::relocated)
}

/// The same with no use of the vDSO's own code.
#[cfg(test)]
pub(super) fn inject_by_syscall(pid: Pid, clocks: &Clocks) -> Result<DataPage, ClockError> {
    inject_with(pid, clocks, |_| Original::Syscall)
}

/// The same with a choice of how the hook asks for the true time.
fn inject_with(
    pid: Pid,
    clocks: &Clocks,
    original: impl FnOnce(&vdso::Function<'_>) -> Original,
) -> Result<DataPage, ClockError> {
    let memory = Memory::open(pid)?;
    let maps = Maps::of(pid)?;
    let vdso = Vdso::read(&memory, &maps)?;
    let tracee = Tracee::new(pid, vdso.syscall_instruction()?);

    let place = map_two_pages(&tracee, &maps, &vdso)?;
    let original = original(&vdso.function("__vdso_clock_gettime")?);
    let hook = Hook::assemble(&original, place.code, place.data)?;
    tracee.write(place.code, &hook.bytes)?;
    let mut page = DataPage::new(memory, place.data);
    page.publish(clocks)?;

    // Nothing leads into the hook before this point, so a failure above leaves the program as it was.
    for (name, target) in hook.entries() {
        let function = vdso.function(name)?;
        tracee.write(function.address, &jump(function.address, target))?;
    }
    Ok(page)
}

/// The two pages of the hook: next to each other, and a five-byte jump away from the vDSO.
struct Place {
    code: u64,
    data: u64,
}

fn map_two_pages(tracee: &Tracee, maps: &Maps, vdso: &Vdso) -> Result<Place, ClockError> {
    for code in maps.free_near(vdso.base(), 2 * PAGE_BYTES) {
        let data = code + PAGE_BYTES;
        if tracee.map(code, PAGE_BYTES, libc::PROT_READ | libc::PROT_EXEC)?
            && tracee.map(data, PAGE_BYTES, libc::PROT_READ | libc::PROT_WRITE)?
        {
            return Ok(Place { code, data });
        }
    }
    Err(ClockError::NoRoom { pid: tracee.pid() })
}

/// `jmp target`, as it reads at `from`. The caller has seen to it that the distance fits.
fn jump(from: u64, target: u64) -> [u8; JUMP_BYTES] {
    let distance = target.wrapping_sub(from + JUMP_BYTES as u64) as i64;
    let distance = i32::try_from(distance).expect("the hook lies within 2 GiB of the vDSO");
    let [a, b, c, d] = distance.to_le_bytes();
    [0xe9, a, b, c, d]
}

const JUMP_BYTES: usize = 5;
