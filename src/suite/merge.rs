//! Putting the parts of a suite together.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{CellResult, Plan, Report, Shard, SuiteError, SuiteFolder};
use crate::results::ResultsError;

/// What is taken along of each run. The records are large, and stay where they were made.
const TAKEN_ALONG: &[&str] = &["run.json", "verdict.json", "summary.md", "report.html"];

/// A suite that was run in parts, put together.
#[derive(Debug)]
pub struct Merged {
    /// The suite.
    pub plan: Plan,
    /// What came of each of its runs, and the folder of the run.
    results: BTreeMap<String, (CellResult, PathBuf)>,
}

impl Merged {
    /// What came of it.
    #[must_use]
    pub fn report(&self) -> Report {
        let results: Vec<CellResult> = self.results.values().map(|(result, _)| result.clone()).collect();
        Report::new(&self.plan, &self.plan.cells.iter().collect::<Vec<_>>(), &results)
    }

    /// Makes a folder of it as if all had been run on one machine, but for the records of the runs.
    ///
    /// # Errors
    /// If it cannot be written, or holds a suite already.
    pub fn write_to(&self, path: &Path) -> Result<SuiteFolder, SuiteError> {
        let folder = SuiteFolder::create(path, self.plan.clone(), Shard::WHOLE)?;
        for cell in &self.plan.cells {
            let Some((result, from)) = self.results.get(&cell.id) else { continue };
            let to = folder.of_cell(cell);
            fs::create_dir_all(&to).map_err(|source| ResultsError::Folder { path: to.clone(), source })?;
            for name in TAKEN_ALONG.iter().filter(|name| from.join(name).exists()) {
                let (from, path) = (from.join(name), to.join(name));
                fs::copy(from, &path).map_err(|source| ResultsError::Write { path, source })?;
            }
            folder.add(result)?;
        }
        Ok(folder)
    }
}

/// The suite whose parts were run in these folders.
///
/// # Errors
/// If they are not parts of one suite, a run has a result in two of them, or one has none.
pub fn merge(folders: &[impl AsRef<Path>]) -> Result<Merged, SuiteError> {
    let mut plan: Option<Plan> = None;
    let mut results: BTreeMap<String, (CellResult, PathBuf)> = BTreeMap::new();
    let mut places: BTreeMap<String, &Path> = BTreeMap::new();
    for path in folders {
        let path = path.as_ref();
        let folder = SuiteFolder::open(path)?;
        let cells: BTreeMap<&str, PathBuf> =
            folder.plan().cells.iter().map(|cell| (&*cell.id, folder.of_cell(cell))).collect();
        match &plan {
            None => plan = Some(folder.plan().clone()),
            Some(plan) if plan == folder.plan() => {}
            Some(plan) => {
                let message =
                    format!("{} is of another suite than {}, or of another edition of it", path.display(), plan.name);
                return Err(SuiteError::NoWhole(message));
            }
        }
        for result in folder.results()? {
            let no_whole = |message: String| Err(SuiteError::NoWhole(message));
            let Some(run) = cells.get(&*result.cell) else {
                return no_whole(format!(
                    "{} has a result of {}, which is no run of the suite",
                    path.display(),
                    result.cell
                ));
            };
            if let Some(place) = places.insert(result.cell.clone(), path) {
                return no_whole(format!(
                    "{} has a result in {} and in {}",
                    result.cell,
                    place.display(),
                    path.display()
                ));
            }
            results.insert(result.cell.clone(), (result, run.clone()));
        }
    }
    let plan = plan.ok_or_else(|| SuiteError::NoWhole("there are none".to_owned()))?;
    let missing: Vec<&str> = plan.cells.iter().map(|cell| &*cell.id).filter(|id| !results.contains_key(*id)).collect();
    if let Some(first) = missing.first() {
        let (missing, all) = (missing.len(), plan.cells.len());
        let message = format!("{missing} of {all} runs have no result, the first of them {first}");
        return Err(SuiteError::NoWhole(message));
    }
    Ok(Merged { plan, results })
}

#[cfg(test)]
mod tests {
    use leasehold_checkers::verdict::Verdict;

    use super::*;
    use crate::suite::Shard;

    fn part(root: &Path, number: usize, of: usize) -> SuiteFolder {
        let plan = Plan::load("smoke").expect("it comes along");
        let path = root.join(format!("{number}-of-{of}"));
        let folder = SuiteFolder::create(&path, plan, Shard { number, of }).expect("a new folder");
        for cell in folder.cells() {
            let result = CellResult {
                cell: cell.id.clone(),
                verdict: Some(Verdict::Valid),
                exit: Some(0),
                found: Vec::new(),
                why: String::new(),
                latency: None,
                took_ms: 1,
            };
            folder.add(&result).expect("room");
        }
        folder
    }

    #[test]
    fn parts_make_a_whole_only_if_nothing_is_missing_or_there_twice() {
        let root = tempfile::tempdir().expect("a folder");
        let (one, two) = (part(root.path(), 1, 2), part(root.path(), 2, 2));
        let whole = merge(&[one.path(), two.path()]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(whole.report().rows.len(), one.plan().cells.len());
        let run = one.cells()[0];
        std::fs::create_dir_all(one.of_cell(run)).expect("room");
        std::fs::write(one.of_cell(run).join("report.html"), "a page").expect("room");
        let written = whole.write_to(&root.path().join("whole")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((written.shard(), written.plan()), (Shard::WHOLE, one.plan()));
        assert_eq!(written.results().expect("all").len(), one.plan().cells.len());
        assert_eq!(std::fs::read_to_string(written.of_cell(run).join("report.html")).expect("copied"), "a page");
        let error_of = |folders: &[&Path]| merge(folders).expect_err("no whole").to_string();
        assert!(error_of(&[one.path()]).contains("have no result"));
        assert!(error_of(&[one.path(), two.path(), part(root.path(), 1, 3).path()]).contains("has a result in"));
    }
}
