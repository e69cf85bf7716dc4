//! Looks from outside for what a sandbox may have left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longer than any teardown takes on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// A process whose command line has the token of a scenario in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) pid: i32,
    /// Its pid in the innermost namespace: 1 is the sandbox's first process, 2 the harness.
    pub(crate) inner_pid: i32,
    /// In how many pid namespaces it has a pid.
    pub(crate) depth: usize,
}

/// All living processes with this token. Zombies have no command line, so they do not count.
pub(crate) fn members(token: &str) -> Vec<Member> {
    let Ok(processes) = fs::read_dir("/proc") else { panic!("no /proc") };
    processes.filter_map(|entry| member(entry.ok()?.file_name().to_str()?.parse().ok()?, token)).collect()
}

fn member(pid: i32, token: &str) -> Option<Member> {
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    if !command_line.split(|&byte| byte == 0).any(|word| word.ends_with(token.as_bytes())) {
        return None;
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let pids: Vec<i32> = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect();
    Some(Member { pid, inner_pid: *pids.last()?, depth: pids.len() })
}

/// Waits until nothing with this token lives.
pub(crate) fn await_none(token: &str) -> Result<Duration, String> {
    let start = Instant::now();
    loop {
        let left = members(token);
        if left.is_empty() {
            return Ok(start.elapsed());
        }
        if start.elapsed() > DEADLINE {
            return Err(format!("still alive after {DEADLINE:?}: {left:?}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The names of this network namespace's interfaces.
pub(crate) fn interfaces() -> Vec<String> {
    let table = fs::read_to_string("/proc/net/dev").expect("/proc/net/dev is there");
    let mut names: Vec<_> = table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect();
    names.sort();
    names
}

/// The mount points of this mount namespace.
pub(crate) fn mounts() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("/proc/self/mountinfo is there");
    let mut points: Vec<_> = table.lines().filter_map(|line| Some(line.split(' ').nth(4)?.to_owned())).collect();
    points.sort();
    points
}

/// The control groups that a run of this process has made.
pub(crate) fn groups_of(pid: u32) -> Vec<PathBuf> {
    let prefix = format!("leasehold-{pid}-");
    let top = Path::new("/sys/fs/cgroup");
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect()
    };
    let mut hierarchies = folders(top);
    hierarchies.push(top.to_owned());
    let is_ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
    hierarchies.iter().flat_map(|hierarchy| folders(hierarchy)).filter(is_ours).collect()
}
