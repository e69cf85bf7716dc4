//! The maps of a user namespace: users keep their own ids.
//!
//! A user who became 0 inside would trip the "not as root" checks of servers and see its files under
//! another name. The harness has its capabilities either way, since it never calls `exec`; servers lose
//! them by doing so.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};

use nix::unistd::{Pid, getegid, geteuid};

use crate::sandbox::status::ProcessStatus;

const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;

/// Who writes the maps of the new user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapWriter {
    /// The first process inside, which may map its own user and group and no other.
    Inside,
    /// The outer process: a root without the capabilities for namespaces keeps all the ids that it has.
    Outside,
}

impl MapWriter {
    pub(super) fn of_this_process() -> io::Result<Self> {
        let status = ProcessStatus::of_self()?;
        let may_map_others = [CAP_SETUID, CAP_SETGID].into_iter().all(|capability| status.has_capability(capability));
        Ok(if geteuid().is_root() && may_map_others { Self::Outside } else { Self::Inside })
    }
}

/// The ids of this process, to be mapped to themselves. They are read before the clone: inside, they are
/// not mapped yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    user: u32,
    group: u32,
}

impl Ids {
    pub(super) fn of_this_process() -> Self {
        Self { user: geteuid().as_raw(), group: getegid().as_raw() }
    }

    /// Maps these two ids, as the first process inside. The kernel insists on this order.
    pub(super) fn map_to_themselves(self) -> io::Result<()> {
        write_once("/proc/self/setgroups", "deny")?;
        write_once("/proc/self/uid_map", &format!("{0} {0} 1", self.user))?;
        write_once("/proc/self/gid_map", &format!("{0} {0} 1", self.group))
    }
}

/// Gives the user namespace of `child` every id of this process's own, unchanged.
pub(super) fn mirror_maps_into(child: Pid) -> io::Result<()> {
    for map in ["uid_map", "gid_map"] {
        let own = fs::read_to_string(format!("/proc/self/{map}"))?;
        write_once(&format!("/proc/{child}/{map}"), &mirrored(&own))?;
    }
    Ok(())
}

/// Turns each `first parent count` into `first first count`: what is the inside here is the parent there.
fn mirrored(map: &str) -> String {
    map.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (first, count) = (words.next()?, words.nth(1)?);
            Some(format!("{first} {first} {count}\n"))
        })
        .collect()
}

/// The kernel takes a map as one write, and only one.
fn write_once(path: &str, text: &str) -> io::Result<()> {
    let written = OpenOptions::new().write(true).open(path)?.write(text.as_bytes())?;
    if written == text.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

#[cfg(test)]
mod tests {
    use super::mirrored;

    #[test]
    fn maps_are_mirrored_line_by_line() {
        assert_eq!(mirrored("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(mirrored("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
    }
}
