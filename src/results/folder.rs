//! Layout of a run folder.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Something could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The folder of the run cannot be made.
    #[error("cannot make the run's folder {}; `--out DIR` puts it elsewhere", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder that `--out` names holds a run already.
    #[error("{} holds a run already; name another folder with `--out DIR`", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {}: is the disk full, or the folder not yours?", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The record in the folder of a run.
    #[must_use]
    pub fn history_in(folder: &Path) -> PathBuf {
        folder.join("history.jsonl")
    }

    /// The verdict in the folder of a run.
    #[must_use]
    pub fn verdict_in(folder: &Path) -> PathBuf {
        folder.join("verdict.json")
    }

    /// Makes the folder of a new run: `out`, or one named after the scenario, the time and the seed below `results`,
    /// and points `results/latest` at it.
    ///
    /// # Errors
    /// If the folder cannot be made, or holds a run already.
    pub fn create(out: Option<&Path>, scenario: &str, start: &str, seed: u64) -> Result<Self, ResultsError> {
        match out {
            Some(path) => Self::create_at(path),
            None => {
                let results = Path::new("results");
                let name = format!("{scenario}/{start}-{seed}");
                let folder = Self::create_at(&results.join(&name))?;
                point_latest_at(results, &name)
                    .map_err(|source| ResultsError::Write { path: results.join("latest"), source })?;
                Ok(folder)
            }
        }
    }

    fn create_at(path: &Path) -> Result<Self, ResultsError> {
        if Self::history_in(path).exists() {
            return Err(ResultsError::Taken { path: path.to_owned() });
        }
        let folder_error = |source| ResultsError::Folder { path: path.to_owned(), source };
        fs::create_dir_all(path.join("logs")).map_err(folder_error)?;
        let path = path.canonicalize().map_err(folder_error)?;
        Ok(Self { path })
    }

    /// The folder itself, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The record of the run.
    #[must_use]
    pub fn history(&self) -> PathBuf {
        Self::history_in(&self.path)
    }

    /// Where a node's output goes.
    ///
    /// # Errors
    /// If its folder cannot be made.
    pub fn log_of(&self, node: crate::NodeId) -> Result<PathBuf, ResultsError> {
        let folder = self.path.join("logs").join(node.to_string());
        fs::create_dir_all(&folder).map_err(|source| ResultsError::Folder { path: folder.clone(), source })?;
        Ok(folder.join("server.log"))
    }

    /// The folder of what client programs of the user's own write to standard error.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn client_logs(&self) -> Result<PathBuf, ResultsError> {
        let folder = self.path.join("logs").join("clients");
        fs::create_dir_all(&folder).map_err(|source| ResultsError::Folder { path: folder.clone(), source })?;
        Ok(folder)
    }

    /// Where all packets of the run are copied to, if that is asked for.
    #[must_use]
    pub fn packets(&self) -> PathBuf {
        self.path.join("packets.pcapng")
    }

    /// Where the servers keep their data while they run.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Writes one of the small files of the folder, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), ResultsError> {
        let path = self.path.join(name);
        write_atomically(&path, contents).map_err(|source| ResultsError::Write { path, source })
    }
}

/// Writes a file whole or not at all: under another name first, then renamed.
///
/// # Errors
/// If that fails, for example because the disk is full.
pub fn write_atomically(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let result = (|| {
        let mut file = fs::File::create(&draft)?;
        file.write_all(contents)?;
        file.sync_data()?;
        fs::rename(&draft, path)
    })();
    if result.is_err() {
        // What matters is the first error; the draft is of no use to anybody.
        let _ = fs::remove_file(&draft);
    }
    result
}

fn point_latest_at(results: &Path, name: &str) -> io::Result<()> {
    let draft = results.join(format!(".latest-{}", std::process::id()));
    symlink(name, &draft)?;
    fs::rename(&draft, results.join("latest")).inspect_err(|_| {
        let _ = fs::remove_file(&draft);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_holds_a_run_is_not_used_again() {
        let root = tempfile::tempdir().expect("a folder");
        let out = root.path().join("run");
        let folder = RunFolder::create(Some(&out), "s", "t", 1).expect("a new folder");
        fs::write(folder.history(), "{}\n").expect("a history");
        assert!(matches!(RunFolder::create(Some(&out), "s", "t", 1), Err(ResultsError::Taken { .. })));
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_no_draft() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("missing").join("file");
        assert!(write_atomically(&path, b"x").is_err());
        assert!(!root.path().join("missing").exists());
    }
}
