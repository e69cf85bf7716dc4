//! The groups of one node.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::hierarchy::{Place, Version};

/// How often the kernel gives a group its share anew.
const PERIOD_US: u64 = 100_000;

/// By which a node's share of the processor is limited.
#[derive(Debug)]
pub struct CpuGroup(Group);

/// By which a node's memory is limited. Its processes do not swap.
#[derive(Debug)]
pub struct MemoryGroup(Group);

/// How often a group had to wait for its share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttled {
    /// In how many periods of the kernel's.
    pub periods: u64,
    /// For how long in all, in nanoseconds.
    pub time_ns: u64,
}

impl CpuGroup {
    pub(super) fn create(place: &Place) -> io::Result<Self> {
        Ok(Self(Group::create(place)?))
    }

    /// Takes a process in.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn take_in(&self, pid: Pid) -> io::Result<()> {
        self.0.take_in(pid)
    }

    /// Lets the group run for this share of one processor, or without a limit.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn limit(&self, percent: Option<u32>) -> io::Result<()> {
        let quota_us = percent.map(|percent| PERIOD_US * u64::from(percent) / 100);
        match self.0.version {
            Version::One => {
                self.0.write("cpu.cfs_period_us", &PERIOD_US)?;
                match quota_us {
                    Some(quota_us) => self.0.write("cpu.cfs_quota_us", &quota_us),
                    None => self.0.write("cpu.cfs_quota_us", &-1),
                }
            }
            Version::Two => {
                let quota = quota_us.map_or_else(|| "max".to_owned(), |quota_us| quota_us.to_string());
                self.0.write("cpu.max", &format!("{quota} {PERIOD_US}"))
            }
        }
    }

    /// How often it had to wait so far.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn throttled(&self) -> io::Result<Throttled> {
        let periods = self.0.count("cpu.stat", "nr_throttled")?;
        let time_ns = match self.0.version {
            Version::One => self.0.count("cpu.stat", "throttled_time")?,
            Version::Two => self.0.count("cpu.stat", "throttled_usec")? * 1_000,
        };
        Ok(Throttled { periods, time_ns })
    }
}

impl MemoryGroup {
    pub(super) fn create(place: &Place) -> io::Result<Self> {
        let group = Group::create(place)?;
        // A machine without swap has none of these files, and needs none.
        let _ = match group.version {
            Version::One => group.write("memory.swappiness", &0),
            Version::Two => group.write("memory.swap.max", &0),
        };
        Ok(Self(group))
    }

    /// Takes a process in. What it has used before counts elsewhere.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn take_in(&self, pid: Pid) -> io::Result<()> {
        self.0.take_in(pid)
    }

    /// Lets the group have this much memory, in bytes, or without a limit. Where it has more and cannot give it back, the
    /// limit is what it has: then the next page is too much. Returns the limit that is in force.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn limit(&self, bytes: Option<u64>) -> io::Result<Option<u64>> {
        match (self.0.version, bytes) {
            (Version::One, None) => self.0.write("memory.limit_in_bytes", &-1)?,
            (Version::Two, None) => self.0.write("memory.max", &"max")?,
            (Version::Two, Some(bytes)) => self.0.write("memory.max", &bytes)?,
            (Version::One, Some(bytes)) => return self.limit_to_what_is_used(bytes).map(Some),
        }
        Ok(bytes)
    }

    /// The first version refuses a limit that would have to be enforced at once.
    fn limit_to_what_is_used(&self, bytes: u64) -> io::Result<u64> {
        const ATTEMPTS: u32 = 100;
        // Before it refuses, the kernel takes back what it can, such as files that are cached.
        let mut possible = bytes;
        for _ in 0..ATTEMPTS {
            match self.0.write("memory.limit_in_bytes", &possible) {
                Ok(()) => return Ok(possible),
                // It has more, or has taken more since.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => possible = bytes.max(self.used()?),
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EBUSY))
    }

    /// How much memory it has now, in bytes, files in memory among it.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn used(&self) -> io::Result<u64> {
        match self.0.version {
            Version::One => self.0.number("memory.usage_in_bytes"),
            Version::Two => self.0.number("memory.current"),
        }
    }

    /// How much of that are files in memory: in a sandbox the servers' data lie there.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn files(&self) -> io::Result<u64> {
        self.0.count("memory.stat", "shmem")
    }

    /// How many processes the kernel has killed in it because the limit was reached.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn killed(&self) -> io::Result<u64> {
        match self.0.version {
            Version::One => self.0.count("memory.oom_control", "oom_kill"),
            Version::Two => self.0.count("memory.events", "oom_kill"),
        }
    }
}

#[derive(Debug)]
struct Group {
    version: Version,
    folder: PathBuf,
}

impl Group {
    fn create(place: &Place) -> io::Result<Self> {
        match fs::create_dir(place.folder()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(Self { version: place.version(), folder: place.folder().to_owned() }),
        }
    }

    fn take_in(&self, pid: Pid) -> io::Result<()> {
        self.write("cgroup.procs", &pid)
    }

    /// The kernel takes each value as one write.
    fn write(&self, file: &str, value: &dyn fmt::Display) -> io::Result<()> {
        fs::write(self.folder.join(file), value.to_string())
    }

    fn number(&self, file: &str) -> io::Result<u64> {
        let text = fs::read_to_string(self.folder.join(file))?;
        text.trim().parse().map_err(|_| self.nonsense(file))
    }

    /// The number that a file has for this word.
    fn count(&self, file: &str, word: &str) -> io::Result<u64> {
        let text = fs::read_to_string(self.folder.join(file))?;
        count_in(&text, word).ok_or_else(|| self.nonsense(file))
    }

    fn nonsense(&self, file: &str) -> io::Error {
        let file: &Path = &self.folder.join(file);
        io::Error::new(io::ErrorKind::InvalidData, format!("{} does not say what it should", file.display()))
    }
}

fn count_in(text: &str, word: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
        .and_then(|number| number.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group_of(version: Version, files: &[(&str, &str)]) -> (tempfile::TempDir, Group) {
        let root = tempfile::tempdir().expect("a folder");
        for (file, text) in files {
            fs::write(root.path().join(file), text).expect("a file");
        }
        let folder = root.path().to_owned();
        (root, Group { version, folder })
    }

    #[test]
    fn counts_are_found_by_their_whole_word() {
        let text = "oom 3\noom_kill_disable 0\nunder_oom 0\noom_kill 7\n";
        assert_eq!(count_in(text, "oom_kill"), Some(7));
        assert_eq!(count_in(text, "oom"), Some(3));
        assert_eq!(count_in(text, "oom_group_kill"), None);
    }

    #[test]
    fn both_versions_are_read_in_nanoseconds() {
        let (_root, group) =
            group_of(Version::One, &[("cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_time 5000\n")]);
        assert_eq!(CpuGroup(group).throttled().expect("a count"), Throttled { periods: 4, time_ns: 5_000 });
        let (_root, group) =
            group_of(Version::Two, &[("cpu.stat", "usage_usec 1\nnr_throttled 4\nthrottled_usec 5\n")]);
        assert_eq!(CpuGroup(group).throttled().expect("a count"), Throttled { periods: 4, time_ns: 5_000 });
    }

    #[test]
    fn limits_are_said_in_the_words_of_the_version() {
        let (root, group) = group_of(Version::Two, &[]);
        let read = |file: &str| fs::read_to_string(root.path().join(file)).expect("it was written");
        let cpu = CpuGroup(group);
        cpu.limit(Some(5)).expect("it can be written");
        assert_eq!(read("cpu.max"), "5000 100000");
        cpu.limit(None).expect("it can be written");
        assert_eq!(read("cpu.max"), "max 100000");
        let memory = MemoryGroup(cpu.0);
        assert_eq!(memory.limit(Some(4096)).expect("it can be written"), Some(4096));
        assert_eq!(read("memory.max"), "4096");

        let (root, group) = group_of(Version::One, &[]);
        let read = |file: &str| fs::read_to_string(root.path().join(file)).expect("it was written");
        let memory = MemoryGroup(group);
        assert_eq!(memory.limit(Some(4096)).expect("it can be written"), Some(4096));
        assert_eq!(read("memory.limit_in_bytes"), "4096");
        memory.limit(None).expect("it can be written");
        assert_eq!(read("memory.limit_in_bytes"), "-1");
        CpuGroup(memory.0).limit(Some(20)).expect("it can be written");
        assert_eq!(read("cpu.cfs_quota_us"), "20000");
    }
}
