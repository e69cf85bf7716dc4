//! Control groups of our own: how the kernel is told that a server gets less of the processor, or of the memory.
//!
//! Groups are folders in a file system of the kernel, and the only thing of a sandbox that has a name on this machine. So
//! they are made and removed by the outer process, in one folder for each run and controller. The folder is locked for as
//! long as any process of the run lives; a run that was killed leaves empty folders without a lock, which the next one
//! removes.

mod group;
mod hierarchy;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

pub use group::{CpuGroup, MemoryGroup, Throttled};
pub use hierarchy::{Controller, NoGroups};

use crate::NodeId;
use hierarchy::Place;

/// What the names of our folders begin with.
const PREFIX: &str = "leasehold-";

/// The groups of one run. They are removed when this is dropped, which is to happen outside of the sandbox when no process of
/// it lives any more: a group with processes stays.
#[derive(Debug, Default)]
pub struct ControlGroups {
    cpu: Option<Folder>,
    memory: Option<Folder>,
}

impl ControlGroups {
    /// Makes a folder for the groups of a run with each of these controllers. To be called outside of the sandbox, by the
    /// process that will remove it.
    ///
    /// # Errors
    /// If a controller is not to be had here; the error says why and what to change.
    pub fn create(controllers: &[Controller]) -> Result<Self, NoGroups> {
        let folder = |controller| controllers.contains(&controller).then(|| Folder::create(controller)).transpose();
        Ok(Self { cpu: folder(Controller::Cpu)?, memory: folder(Controller::Memory)? })
    }

    /// The group by which a node's share of the processor is limited, where there is one.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn cpu_of(&self, node: NodeId) -> io::Result<Option<CpuGroup>> {
        self.cpu.as_ref().map(|folder| CpuGroup::create(&folder.place_of(node))).transpose()
    }

    /// The group by which a node's memory is limited, where there is one.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn memory_of(&self, node: NodeId) -> io::Result<Option<MemoryGroup>> {
        self.memory.as_ref().map(|folder| MemoryGroup::create(&folder.place_of(node))).transpose()
    }
}

/// Removes what runs have left that were killed before they could. Returns how many folders there were.
///
/// # Errors
/// If an abandoned folder cannot be removed.
pub fn sweep() -> io::Result<usize> {
    let mut removed = 0;
    for place in [Controller::Cpu, Controller::Memory].into_iter().filter_map(|controller| controller.place().ok()) {
        removed += sweep_in(place.folder())?;
    }
    Ok(removed)
}

fn sweep_in(place: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // Whoever holds the lock lives. A folder that has gone meanwhile was swept by another.
        let Some(folder) = ours.then(|| File::open(entry.path()).ok()).flatten() else { continue };
        if Flock::lock(folder, FlockArg::LockExclusiveNonblock).is_ok() && remove_groups(&entry.path()).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

/// The folder of a run, with one controller.
#[derive(Debug)]
struct Folder {
    place: Place,
    path: PathBuf,
    /// Inherited by the harness, and closed by servers: it ends with the last of us.
    _lock: Flock<File>,
}

impl Folder {
    fn create(controller: Controller) -> Result<Self, NoGroups> {
        let place = controller.place()?;
        let refused = |source| NoGroups::refused(controller, source);
        // One who sweeps at this very moment may take a folder away before it is locked.
        for attempt in 0..100 {
            let path = place.folder().join(format!("{PREFIX}{}-{attempt}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(refused(error)),
            }
            let locked =
                File::open(&path).ok().and_then(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock).ok());
            match locked {
                Some(lock) if path.exists() => {
                    place.hand_down(controller, &path).map_err(refused)?;
                    return Ok(Self { place, path, _lock: lock });
                }
                _ => {}
            }
        }
        Err(refused(io::ErrorKind::AlreadyExists.into()))
    }

    fn place_of(&self, node: NodeId) -> Place {
        self.place.below(self.path.join(node.to_string()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A process that has ended may count for a moment longer.
        const PATIENCE: Duration = Duration::from_secs(2);
        let start = Instant::now();
        while let Err(error) = remove_groups(&self.path) {
            if start.elapsed() > PATIENCE {
                tracing::warn!("cannot remove {}: {error}; the next run tries again", self.path.display());
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Removes a folder with the groups in it. The files in them are the kernel's, and go with them.
fn remove_groups(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir(entry.path())?;
        }
    }
    fs::remove_dir(path)
}
