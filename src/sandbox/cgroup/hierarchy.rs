//! Where on this machine groups of our own may be made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, geteuid};

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// The processor.
    Cpu,
    /// The memory.
    Memory,
}

/// The two generations of the kernel's interface. They differ in the names and formats of all files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// A folder of the kernel's in which groups with a controller can be made, or one that is such a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    version: Version,
    folder: PathBuf,
}

/// Why there can be no groups with a controller.
#[derive(Debug, thiserror::Error)]
#[error("no control groups for the {controller}: {cause}")]
pub struct NoGroups {
    controller: &'static str,
    cause: String,
    remedy: &'static str,
    source: Option<io::Error>,
}

const RUN_AS_ROOT: &str = "run as root (`sudo -E`)";
const NOT_IN_KERNEL: &str = "mount the controller, or use a kernel that has it (CONFIG_MEMCG, CONFIG_CFS_BANDWIDTH)";
const HANDED_OUT: &str =
    "run outside of any container, as root, where the controllers can be handed down to new groups";

impl NoGroups {
    fn new(controller: Controller, cause: impl Into<String>, remedy: &'static str) -> Self {
        Self { controller: controller.what(), cause: cause.into(), remedy, source: None }
    }

    pub(super) fn refused(controller: Controller, source: io::Error) -> Self {
        Self { source: Some(source), ..Self::new(controller, "the kernel refuses to make one", HANDED_OUT) }
    }

    /// What to change.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        self.remedy
    }
}

impl Controller {
    /// What it limits, in words.
    fn what(self) -> &'static str {
        match self {
            Self::Cpu => "processor",
            Self::Memory => "memory",
        }
    }

    /// The kernel's name for it.
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }

    /// Whether groups with it can be made by us.
    ///
    /// # Errors
    /// If not; the error says why and what to change.
    pub fn available(self) -> Result<(), NoGroups> {
        self.place().map(drop)
    }

    /// Where groups with it can be made by us.
    pub(super) fn place(self) -> Result<Place, NoGroups> {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (mounts, own) = (read("/proc/self/mountinfo"), read("/proc/self/cgroup"));
        let Some(place) = self.place_in(&mounts, &own) else {
            return Err(NoGroups::new(self, "no mounted hierarchy has the controller", NOT_IN_KERNEL));
        };
        if access(place.folder(), AccessFlags::W_OK).is_err() {
            let folder = place.folder().display();
            return Err(NoGroups::new(self, format!("this user may make no groups in {folder}"), RUN_AS_ROOT));
        }
        place.enable(self).map_err(|source| NoGroups {
            source: Some(source),
            ..NoGroups::new(self, "the kernel does not hand the controller down to new groups", HANDED_OUT)
        })?;
        Ok(place)
    }

    /// The place by the tables of this process: the top of a hierarchy that has the controller, for there a later run finds
    /// what this one may leave. (A user who is not root has at most its own group.)
    fn place_in(self, mounts: &str, own: &str) -> Option<Place> {
        let hierarchies: Vec<Hierarchy<'_>> = mounts.lines().filter_map(Hierarchy::read).collect();
        if let Some(first) = hierarchies.iter().find(|mounted| mounted.is_first_version_of(self.name())) {
            return Some(Place { version: Version::One, folder: first.point.into() });
        }
        let second = hierarchies.iter().find(|mounted| mounted.kind == "cgroup2")?;
        let top = PathBuf::from(second.point);
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).map(|path| top.join(path));
        let folder = if geteuid().is_root() { top } else { own? };
        lists(&folder.join("cgroup.controllers"), self.name()).then_some(Place { version: Version::Two, folder })
    }
}

/// A mounted hierarchy, as the kernel's table of mounts has it.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy<'a> {
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Hierarchy<'a> {
    /// `31 23 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu`
    fn read(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1)?);
        kind.starts_with("cgroup").then_some(Self { point: left.split(' ').nth(4)?, kind, options })
    }

    fn is_first_version_of(&self, controller: &str) -> bool {
        self.kind == "cgroup" && self.options.split(',').any(|option| option == controller)
    }
}

/// Whether a file of the kernel's lists this word.
fn lists(file: &Path, word: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.split_whitespace().any(|listed| listed == word))
}

impl Place {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    pub(super) fn below(&self, folder: PathBuf) -> Self {
        Self { version: self.version, folder }
    }

    /// Has new groups in here have the controller, which those of the first version have by themselves.
    fn enable(&self, controller: Controller) -> io::Result<()> {
        self.hand_down(controller, &self.folder)
    }

    /// Has the groups in a folder of ours have the controller.
    pub(super) fn hand_down(&self, controller: Controller, folder: &Path) -> io::Result<()> {
        let list = folder.join("cgroup.subtree_control");
        if self.version == Version::One || lists(&list, controller.name()) {
            return Ok(());
        }
        fs::write(list, format!("+{}", controller.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
30 23 0:27 / /sys rw - sysfs sysfs rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn controllers_of_the_first_version_are_found_by_the_options_of_their_mounts() {
        let folder = |controller: Controller| controller.place_in(MOUNTS, "").expect("it is there").folder;
        assert_eq!(folder(Controller::Cpu), Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(folder(Controller::Memory), Path::new("/sys/fs/cgroup/memory"));
    }

    #[test]
    fn controllers_of_the_second_version_are_listed_by_the_group() {
        let root = tempfile::tempdir().expect("a folder");
        let own = root.path().join("own");
        fs::create_dir(&own).expect("a folder");
        for folder in [root.path(), &own] {
            fs::write(folder.join("cgroup.controllers"), "cpuset cpu pids\n").expect("a file");
        }
        let mounts = format!("41 31 0:38 / {} rw - cgroup2 cgroup2 rw\n", root.path().display());
        let place = |controller: Controller| controller.place_in(&mounts, "3:cpuset:/x\n0::/own\n");
        let folder = if geteuid().is_root() { root.path().to_owned() } else { own };
        assert_eq!(place(Controller::Cpu), Some(Place { version: Version::Two, folder }));
        assert_eq!(place(Controller::Memory), None);
    }

    #[test]
    fn a_controller_is_handed_down_once() {
        let root = tempfile::tempdir().expect("a folder");
        let list = root.path().join("cgroup.subtree_control");
        fs::write(&list, "cpu pids\n").expect("a file");
        let place = Place { version: Version::Two, folder: root.path().to_owned() };
        place.enable(Controller::Cpu).expect("it is handed down already");
        assert_eq!(fs::read_to_string(&list).expect("a file"), "cpu pids\n");
        place.enable(Controller::Memory).expect("the file can be written");
        assert_eq!(fs::read_to_string(&list).expect("a file"), "+memory");
    }

    #[test]
    fn without_a_hierarchy_there_is_no_place() {
        assert_eq!(Controller::Memory.place_in("30 23 0:27 / /sys rw - sysfs sysfs rw\ngarbage\n", "0::/\n"), None);
    }
}
