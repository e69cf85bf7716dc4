//! The folder of unpacked servers: `<cache>/etcd/3.4.23/usr/bin/etcd`, `<cache>/zookeeper/3.8.0/lib/`.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::FetchError;
use crate::servers::manifest::{Entry, MadeOf};

/// Where the folder of a server keeps the jars of a Java program.
pub(super) const JARS: &str = "lib";

/// Where the server's program is once it has been fetched: a file, or the folder of its jars.
pub(super) fn program(cache: &Path, entry: &Entry) -> PathBuf {
    let home = home(cache, entry);
    match &entry.made_of {
        MadeOf::Program(program) => home.join(program),
        MadeOf::Jars(_) => home.join(JARS),
    }
}

fn home(cache: &Path, entry: &Entry) -> PathBuf {
    let spec = entry.spec();
    cache.join(spec.service).join(spec.version)
}

/// The cache while this process alone may add to it.
///
/// Readers need no lock: a server appears in one rename, whole. The kernel lets go of the lock when the process ends, however
/// it ends.
pub(super) struct Cache {
    folder: PathBuf,
    _lock: File,
}

impl Cache {
    pub(super) fn lock(folder: &Path, progress: &mut dyn FnMut(&str)) -> Result<Self, FetchError> {
        let doing = |verb: &str| format!("{verb} the cache {}", folder.display());
        let failed = |source| FetchError::Cache { doing: doing("lock"), source };
        fs::create_dir_all(folder).map_err(|source| FetchError::Cache { doing: doing("make"), source })?;
        let lock = File::create(folder.join(".lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress("waiting for another run that is fetching");
                lock.lock().map_err(failed)?;
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// An empty folder to work in, on the same file system. What a run that was cut off left in it is removed.
    pub(super) fn staging(&self) -> Result<PathBuf, FetchError> {
        let staging = self.folder.join(".staging");
        let made = remove_if_there(&staging).and_then(|()| fs::create_dir(&staging));
        made.map_err(|source| FetchError::Cache { doing: format!("make {}", staging.display()), source })?;
        Ok(staging)
    }

    /// Takes an unpacked server into the cache, and clears the staging folder.
    pub(super) fn admit(&self, unpacked: &Path, entry: &Entry) -> Result<(), FetchError> {
        let home = home(&self.folder, entry);
        let admitted = (|| {
            fs::create_dir_all(home.parent().unwrap_or(&self.folder))?;
            // A folder without the program, else nobody would have fetched: somebody meddled with the cache.
            remove_if_there(&home)?;
            fs::rename(unpacked, &home)?;
            remove_if_there(&self.folder.join(".staging"))
        })();
        admitted.map_err(|source| FetchError::Cache { doing: format!("put {} into the cache", entry.label()), source })
    }
}

fn remove_if_there(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
