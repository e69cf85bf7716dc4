//! The folder of a suite.
//!
//! ```text
//! plan.json       the runs, and which of them are this folder's
//! cells.jsonl     what came of each, a line as each ends
//! cells/<id>/     the folder of each run
//! report.json, summary.md, junit.xml
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::{Cell, CellResult, Plan, Shard, SuiteError};
use crate::results::{ResultsError, write_atomically};

/// The folder of a suite that is run, or was.
#[derive(Debug)]
pub struct SuiteFolder {
    path: PathBuf,
    contents: Contents,
}

/// What stands in `plan.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    plan: Plan,
    shard: Shard,
}

impl SuiteFolder {
    /// Makes the folder of a suite that has not begun.
    ///
    /// # Errors
    /// If it cannot be made, or holds a suite already.
    pub fn create(path: &Path, plan: Plan, shard: Shard) -> Result<Self, SuiteError> {
        if path.join("plan.json").exists() {
            return Err(ResultsError::Taken { path: path.to_owned() }.into());
        }
        let cannot = |source| ResultsError::Folder { path: path.to_owned(), source };
        fs::create_dir_all(path.join("cells")).map_err(cannot)?;
        let folder = Self { path: path.canonicalize().map_err(cannot)?, contents: Contents { plan, shard } };
        let text = serde_json::to_string_pretty(&folder.contents).unwrap_or_default();
        folder.write("plan.json", &text)?;
        Ok(folder)
    }

    /// Opens the folder of a suite that was begun.
    ///
    /// # Errors
    /// If it holds none.
    pub fn open(path: &Path) -> Result<Self, SuiteError> {
        let file = path.join("plan.json");
        let no_suite = |why: String| SuiteError::NoSuite { path: path.to_owned(), why };
        let text = fs::read_to_string(&file).map_err(|error| no_suite(format!("{}: {error}", file.display())))?;
        let contents = serde_json::from_str(&text).map_err(|error| no_suite(format!("{}: {error}", file.display())))?;
        let path = path.canonicalize().map_err(|source| SuiteError::Unreadable { path: path.to_owned(), source })?;
        Ok(Self { path, contents })
    }

    /// Keeps other processes from running this suite, for as long as the answer lives.
    ///
    /// # Errors
    /// If one does.
    pub fn lock(&self) -> Result<impl Drop + use<>, SuiteError> {
        let path = self.path.join("lock");
        let file = File::create(&path).map_err(|source| ResultsError::Write { path, source })?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| SuiteError::InUse(self.path.clone()))
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The suite.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.contents.plan
    }

    /// Which of its runs are this folder's.
    #[must_use]
    pub fn shard(&self) -> Shard {
        self.contents.shard
    }

    /// The runs of this folder.
    #[must_use]
    pub fn cells(&self) -> Vec<&Cell> {
        self.plan().of_shard(self.shard())
    }

    /// The folder of a run.
    #[must_use]
    pub fn of_cell(&self, cell: &Cell) -> PathBuf {
        self.path.join("cells").join(&cell.id)
    }

    /// What came of the runs that have ended, in the order in which they did. A last line that was cut short is none.
    ///
    /// # Errors
    /// If what is there makes no sense.
    pub fn results(&self) -> Result<Vec<CellResult>, SuiteError> {
        let file = self.path.join("cells.jsonl");
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(SuiteError::Unreadable { path: file, source }),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut results = Vec::new();
        for (index, line) in text[..whole].lines().enumerate() {
            let result: CellResult = serde_json::from_str(line).map_err(|error| SuiteError::Wrong {
                origin: format!("{}:{}", file.display(), index + 1),
                message: error.to_string(),
            })?;
            results.push(result);
        }
        Ok(results)
    }

    /// Takes down what came of a run: on disk when this returns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&self, result: &CellResult) -> Result<(), SuiteError> {
        let path = self.path.join("cells.jsonl");
        let write = || -> io::Result<()> {
            let mut file = File::options().create(true).append(true).open(&path)?;
            let mut line = serde_json::to_vec(result)?;
            line.push(b'\n');
            file.write_all(&line)?;
            file.sync_data()
        };
        write().map_err(|source| ResultsError::Write { path: path.clone(), source }.into())
    }

    /// Removes a line that was cut short, so that the next one stands on its own.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn mend(&self) -> Result<(), SuiteError> {
        let path = self.path.join("cells.jsonl");
        let mend = || -> io::Result<()> {
            let text = match fs::read(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            if whole == text.len() { Ok(()) } else { File::options().write(true).open(&path)?.set_len(whole as u64) }
        };
        mend().map_err(|source| ResultsError::Write { path: path.clone(), source }.into())
    }

    /// Writes one of its files, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<(), SuiteError> {
        let path = self.path.join(name);
        write_atomically(&path, text.as_bytes()).map_err(|source| ResultsError::Write { path, source }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(cell: &str) -> CellResult {
        CellResult {
            cell: cell.to_owned(),
            verdict: None,
            exit: Some(69),
            found: Vec::new(),
            why: "w".to_owned(),
            latency: None,
            took_ms: 1,
        }
    }

    fn folder(root: &Path) -> SuiteFolder {
        let plan = Plan::load("smoke").expect("it comes along");
        SuiteFolder::create(&root.join("suite"), plan, Shard::WHOLE).expect("a new folder")
    }

    #[test]
    fn what_was_taken_down_is_read_again_up_to_the_last_whole_line() {
        let root = tempfile::tempdir().expect("a folder");
        let made = folder(root.path());
        assert_eq!(made.results().expect("none yet"), []);
        made.add(&result("a")).expect("room");
        let file = made.path().join("cells.jsonl");
        let mut text = fs::read_to_string(&file).expect("a file");
        text.push_str("{\"cell\":\"b\",\"ver");
        fs::write(&file, text).expect("room");
        let opened = SuiteFolder::open(made.path()).expect("a suite");
        assert_eq!(opened.results().expect("one"), [result("a")]);
        opened.mend().expect("it can be written");
        opened.add(&result("c")).expect("room");
        assert_eq!(opened.results().expect("two"), [result("a"), result("c")]);
        assert_eq!(opened.plan(), made.plan());
    }

    #[test]
    fn a_suite_has_one_folder_and_one_process() {
        let root = tempfile::tempdir().expect("a folder");
        let made = folder(root.path());
        let plan = made.plan().clone();
        assert!(SuiteFolder::create(made.path(), plan, Shard::WHOLE).is_err());
        let lock = made.lock().expect("nobody has it");
        assert!(matches!(SuiteFolder::open(made.path()).expect("a suite").lock(), Err(SuiteError::InUse(_))));
        drop(lock);
        assert!(made.lock().is_ok());
    }

    #[test]
    fn what_is_no_suite_is_told() {
        let root = tempfile::tempdir().expect("a folder");
        let told = SuiteFolder::open(root.path()).expect_err("it is empty").to_string();
        assert!(told.contains("holds no suite"), "{told}");
        fs::write(root.path().join("plan.json"), "{}").expect("room");
        assert!(SuiteFolder::open(root.path()).is_err());
    }
}
