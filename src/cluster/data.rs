//! The disk of one server: a file system of its own, in memory and of bounded size, so that a server that fills it takes
//! nothing from the others.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::statvfs;
use nix::unistd::{Whence, lseek};

/// More than etcd lets its database grow to (2 GB) and its logs beside it. Only what is written takes memory.
const BYTES: u64 = 4 << 30;
/// The least that a memory file system can have: to it, 0 means no limit.
const PAGE: u64 = 4096;
const FLAGS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);
/// A server may write between the look at its disk and the change of its size.
const TRIES: u32 = 100;

/// The disk of one server.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// How many faults keep it full.
    kept_full: Mutex<u32>,
}

/// How much is in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many files.
    pub files: u64,
    /// How long they are together.
    pub bytes: u64,
}

impl DataFolder {
    /// Mounts an empty one. It vanishes with the sandbox.
    pub(super) fn mount(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        let options = format!("mode=0700,size={BYTES}");
        mount(Some("leasehold"), &path, Some("tmpfs"), FLAGS, Some(options.as_str()))?;
        Ok(Self { path, kept_full: Mutex::new(0) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes away all room that is left: whatever needs more gets `ENOSPC` from the kernel. What is there stays, and may be
    /// written anew. Each call of it needs one of [`DataFolder::make_room`].
    ///
    /// # Errors
    /// If the kernel does not change the size.
    pub fn fill(&self) -> io::Result<()> {
        let mut kept_full = self.kept_full.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..TRIES {
            match self.resize(self.used_bytes()?.max(PAGE)) {
                // More is in use by now than was just seen.
                Err(Errno::EINVAL) => {}
                Err(errno) => return Err(errno.into()),
                Ok(()) if self.free_bytes()? == 0 => {
                    *kept_full += 1;
                    return Ok(());
                }
                Ok(()) => {}
            }
        }
        Err(io::Error::other("more is written all the time than can be taken away"))
    }

    /// Gives the room back, unless another fault keeps it full.
    ///
    /// # Errors
    /// If the kernel does not change the size.
    pub fn make_room(&self) -> io::Result<()> {
        let mut kept_full = self.kept_full.lock().unwrap_or_else(PoisonError::into_inner);
        *kept_full = kept_full.saturating_sub(1);
        if *kept_full == 0 {
            self.resize(BYTES)?;
        }
        Ok(())
    }

    /// How much room is left, as the kernel tells.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let told = statvfs(&self.path)?;
        Ok(told.blocks_available() * told.fragment_size())
    }

    /// Removes all that is in it, and tells how much that was. Its server must not run.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn wipe(&self) -> io::Result<Amount> {
        let amount = amount(&files_in(&self.path)?);
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        Ok(amount)
    }

    /// Copies all that is in it to a new folder beside it. Where its server stands still or does not run, the copy is that
    /// of one instant.
    ///
    /// # Errors
    /// If something cannot be copied.
    pub fn save(&self) -> io::Result<SavedData> {
        static COPIES: AtomicU64 = AtomicU64::new(0);
        let path = self.path.with_extension(format!("copy-{}", COPIES.fetch_add(1, Ordering::Relaxed)));
        let saved = SavedData { path, originals: files_in(&self.path)? };
        copy(&self.path, &saved.path)?;
        Ok(saved)
    }

    /// Puts what was saved into the place of what is there, and tells how many files have been written, made or removed
    /// since. Its server must not run.
    ///
    /// # Errors
    /// If something cannot be removed or copied.
    pub fn restore(&self, saved: &SavedData) -> io::Result<usize> {
        let now = files_in(&self.path)?;
        let written = now.iter().filter(|(name, file)| saved.originals.get(*name) != Some(file)).count();
        let removed = saved.originals.keys().filter(|name| !now.contains_key(*name)).count();
        self.wipe()?;
        copy(&saved.path, &self.path)?;
        Ok(written + removed)
    }

    fn used_bytes(&self) -> io::Result<u64> {
        let told = statvfs(&self.path)?;
        Ok((told.blocks() - told.blocks_free()) * told.fragment_size())
    }

    fn resize(&self, bytes: u64) -> nix::Result<()> {
        let options = format!("size={bytes}");
        mount(None::<&str>, &self.path, None::<&str>, FLAGS | MsFlags::MS_REMOUNT, Some(options.as_str()))
    }
}

/// A copy of a server's data. It is removed when it is dropped.
#[derive(Debug)]
pub struct SavedData {
    path: PathBuf,
    /// What was copied, as it was then.
    originals: Files,
}

/// Files by their names, each with its length and when it was last written.
type Files = BTreeMap<PathBuf, (u64, SystemTime)>;

impl SavedData {
    /// How much it is.
    #[must_use]
    pub fn amount(&self) -> Amount {
        amount(&self.originals)
    }
}

impl Drop for SavedData {
    fn drop(&mut self) {
        // Should that fail, it vanishes with the sandbox.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn amount(files: &Files) -> Amount {
    Amount { files: files.len() as u64, bytes: files.values().map(|(bytes, _)| bytes).sum() }
}

fn files_in(folder: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (name, about) = (PathBuf::from(entry.file_name()), entry.metadata()?);
        if about.is_dir() {
            files.extend(files_in(&entry.path())?.into_iter().map(|(below, file)| (name.join(below), file)));
        } else {
            files.insert(name, (about.len(), about.modified()?));
        }
    }
    Ok(files)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !to.is_dir() {
        fs::create_dir(to)?;
        fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() { copy(&entry.path(), &to)? } else { copy_file(&entry.path(), &to)? }
    }
    Ok(())
}

/// Copies what was written and leaves out the room that was only asked for: a log of 64 MB is mostly that, and the server
/// stands still meanwhile.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let (mut source, mut target) = (File::open(from)?, File::create_new(to)?);
    let about = source.metadata()?;
    target.set_permissions(about.permissions())?;
    target.set_len(about.len())?;
    let mut end = 0;
    loop {
        let start = match lseek(&source, end, Whence::SeekData) {
            Ok(start) => start,
            // There is no more data behind this place.
            Err(Errno::ENXIO) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        end = lseek(&source, start, Whence::SeekHole)?;
        source.seek(SeekFrom::Start(start.unsigned_abs()))?;
        target.seek(SeekFrom::Start(start.unsigned_abs()))?;
        io::copy(&mut source.by_ref().take((end - start).unsigned_abs()), &mut target)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that is not mounted: all but its size is the same.
    fn folder() -> (tempfile::TempDir, DataFolder) {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("n1");
        fs::create_dir_all(path.join("member/wal")).expect("a folder");
        fs::write(path.join("member/wal/0"), "log").expect("a file");
        (root, DataFolder { path, kept_full: Mutex::new(0) })
    }

    #[test]
    fn what_was_saved_comes_back_and_what_came_later_is_forgotten() {
        let (root, data) = folder();
        let saved = data.save().expect("it can be copied");
        assert_eq!(saved.amount(), Amount { files: 1, bytes: 3 });
        assert_eq!(data.restore(&saved).expect("it can be copied back"), 0, "nothing has changed");
        fs::write(data.path().join("member/wal/0"), "log and more").expect("a file");
        fs::write(data.path().join("member/wal/1"), "new").expect("a file");
        assert_eq!(data.restore(&saved).expect("it can be copied back"), 2);
        assert_eq!(fs::read_to_string(data.path().join("member/wal/0")).expect("it is back"), "log");
        assert!(!data.path().join("member/wal/1").exists());
        drop(saved);
        assert_eq!(fs::read_dir(root.path()).expect("a folder").count(), 1, "no copy is left");
    }

    #[test]
    fn a_copy_is_as_long_as_the_original_and_takes_no_more_room() {
        let (_root, data) = folder();
        let log = data.path().join("member/wal/0");
        let mut file = File::options().write(true).open(&log).expect("it is there");
        file.set_len(64 << 20).expect("it can be long");
        file.seek(SeekFrom::Start(32 << 20)).expect("it is that long");
        io::Write::write_all(&mut file, b"more").expect("it can be written to");
        let saved = data.save().expect("it can be copied");
        let copy = saved.path.join("member/wal/0");
        assert!(fs::read(&copy).expect("it is there") == fs::read(&log).expect("it is there"));
        let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&copy).expect("it is there"));
        assert!(blocks * 512 < 1 << 20, "{blocks} blocks");
    }

    #[test]
    fn a_wiped_folder_is_empty_and_there() {
        let (_root, data) = folder();
        assert_eq!(data.wipe().expect("it can be emptied"), Amount { files: 1, bytes: 3 });
        assert_eq!(fs::read_dir(data.path()).expect("it is there").count(), 0);
    }
}
