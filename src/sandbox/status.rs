//! The two files of `/proc/PID` that the sandbox reads.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use nix::unistd::Pid;

/// `/proc/self/status`, as text.
#[derive(Debug)]
pub(super) struct ProcessStatus(String);

impl ProcessStatus {
    pub(super) fn of_self() -> io::Result<Self> {
        fs::read_to_string("/proc/self/status").map(Self)
    }

    /// Whether the capability of this number (`CAP_…` of `linux/capability.h`) is in effect.
    pub(super) fn has_capability(&self, capability: u32) -> bool {
        self.field("CapEff")
            .and_then(|hex| u64::from_str_radix(hex, 16).ok())
            .is_some_and(|effective| effective >> capability & 1 == 1)
    }

    /// Whether a seccomp filter stands between this process and the kernel, as in containers.
    pub(super) fn is_filtered(&self) -> bool {
        self.field("Seccomp") == Some("2")
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }
}

/// The state of a process as the kernel's one letter: `R` running, `S` asleep, `D` asleep for good reason,
/// `T` stopped by a signal, `t` stopped by its tracer, `Z` dead and not yet reaped, …
pub(super) fn state_of(pid: Pid) -> io::Result<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    state_in(&stat).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat has no state")))
}

/// How many threads a process has, and how many of them a signal has stopped.
///
/// A signal that stops a process stops each of its threads when that thread next runs: the state of the process alone
/// is that of its first thread, and others may go on for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    /// All of them.
    pub total: usize,
    /// Those that stand still.
    pub stopped: usize,
}

impl Threads {
    /// Whether the process does nothing any more.
    #[must_use]
    pub fn all_stopped(self) -> bool {
        self.stopped == self.total
    }
}

/// The threads of a process.
pub(super) fn threads_of(pid: Pid) -> io::Result<Threads> {
    let mut threads = Threads { total: 0, stopped: 0 };
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that has ended in the meantime is none.
        let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
        threads.total += 1;
        threads.stopped += usize::from(state_in(&stat) == Some('T'));
    }
    Ok(threads)
}

/// The threads of a process by their numbers, with their names.
pub type ThreadNames = BTreeMap<u32, String>;

/// The names of all threads of a process.
pub(super) fn thread_names_of(pid: Pid) -> io::Result<ThreadNames> {
    let mut names = ThreadNames::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        let number = task.file_name().to_str().and_then(|name| name.parse().ok());
        // A thread that has ended in the meantime is none.
        let Some((number, name)) = number.zip(fs::read_to_string(task.path().join("comm")).ok()) else { continue };
        names.insert(number, name.trim_end().to_owned());
    }
    Ok(names)
}

/// The program's name stands in parentheses and may hold any character, so the state is what follows the
/// last one.
fn state_in(stat: &str) -> Option<char> {
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

#[cfg(test)]
mod tests {
    use super::{ProcessStatus, state_in};

    #[test]
    fn a_state_is_found_behind_any_name() {
        assert_eq!(state_in("7 (etcd) S 1 7 7 0"), Some('S'));
        assert_eq!(state_in("7 (a) R) (b) T 1 7 7 0"), Some('T'));
        assert_eq!(state_in("7 etcd S"), None);
    }

    #[test]
    fn capabilities_and_the_filter_are_read() {
        let status =
            ProcessStatus("Name:\tx\nCapEff:\t0000000000201000\nSeccomp:\t2\nSeccomp_filters:\t1\n".to_owned());
        assert!(status.has_capability(21) && status.has_capability(12));
        assert!(!status.has_capability(13));
        assert!(status.is_filtered());
    }
}
