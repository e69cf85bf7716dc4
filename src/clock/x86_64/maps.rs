//! What lies where in a process, from `/proc/PID/maps`.

use std::fs;

use nix::unistd::Pid;

use super::super::ClockError;

/// A jump reaches 2 GiB; the rest is for the size of the vDSO and of the data before it that its code refers to.
const REACH: u64 = (1 << 31) - (1 << 20);

/// The stack grows downwards into what is free below it. The kernel itself keeps at least so much room there.
const STACK_ROOM: u64 = 128 << 20;

/// The kernel gives nothing to programs below and above these.
const LOWEST: u64 = 1 << 20;
const HIGHEST: u64 = (1 << 47) - (1 << 20);

pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    name: String,
}

/// The mappings of a process, in the order of their addresses.
pub(super) struct Maps {
    pid: Pid,
    mappings: Vec<Mapping>,
}

impl Maps {
    pub(super) fn of(pid: Pid) -> Result<Maps, ClockError> {
        match fs::read_to_string(format!("/proc/{pid}/maps")) {
            Ok(text) => Ok(Maps { pid, mappings: text.lines().filter_map(parse).collect() }),
            Err(source) => Err(ClockError::Proc { pid, file: "maps", source }),
        }
    }

    pub(super) fn vdso(&self) -> Result<&Mapping, ClockError> {
        let missing = ClockError::Vdso { pid: self.pid, reason: "none is mapped" };
        self.mappings.iter().find(|mapping| mapping.name == "[vdso]").ok_or(missing)
    }

    /// The free places of this size that a jump from `from` reaches, the nearest first: both ends of every gap.
    pub(super) fn free_near(&self, from: u64, bytes: u64) -> Vec<u64> {
        let mut places: Vec<u64> = self
            .gaps()
            .filter(|(start, end)| end.saturating_sub(*start) >= bytes)
            .flat_map(|(start, end)| [start, end - bytes])
            .filter(|place| place.abs_diff(from) < REACH)
            .collect();
        places.sort_unstable_by_key(|place| place.abs_diff(from));
        places
    }

    fn gaps(&self) -> impl Iterator<Item = (u64, u64)> {
        let starts = std::iter::once(LOWEST).chain(self.mappings.iter().map(|mapping| mapping.end));
        let ends = self.mappings.iter().map(top_below).chain(std::iter::once(HIGHEST));
        starts.zip(ends).map(|(start, end)| (start, end.min(HIGHEST)))
    }
}

/// Where a gap has to end before this mapping.
fn top_below(mapping: &Mapping) -> u64 {
    match mapping.name.as_str() {
        "[stack]" => mapping.start.saturating_sub(STACK_ROOM),
        _ => mapping.start,
    }
}

/// One line: `start-end permissions offset device inode   name`.
fn parse(line: &str) -> Option<Mapping> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        name: fields.nth(4).unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "\
00400000-00f0c000 r-xp 00000000 fe:01 123   /usr/bin/etcd
7ffff7fc0000-7ffff7fc4000 r--p 00000000 00:00 0    [vvar]
7ffff7fc4000-7ffff7fc6000 r-xp 00000000 00:00 0    [vdso]
7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0    [stack]
";

    fn program() -> Maps {
        Maps { pid: Pid::from_raw(1), mappings: PROGRAM.lines().filter_map(parse).collect() }
    }

    #[test]
    fn the_vdso_is_found_by_name() {
        let maps = program();
        let vdso = maps.vdso().expect("it is there");
        assert_eq!((vdso.start, vdso.end), (0x7fff_f7fc_4000, 0x7fff_f7fc_6000));
    }

    #[test]
    fn the_nearest_free_place_comes_first_and_the_stack_can_grow() {
        let places = program().free_near(0x7fff_f7fc_4000, 0x2000);
        assert_eq!(places[..2], [0x7fff_f7fc_6000, 0x7fff_f7fb_e000], "above the vDSO, then below its data");
        assert!(!places.contains(&0x7fff_fffd_c000), "not right below the stack");
        assert!(!places.contains(&0x00f0_c000), "not where the jump does not reach");
    }
}
