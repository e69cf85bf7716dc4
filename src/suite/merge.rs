//! Putting the parts of a suite together.

use std::collections::BTreeMap;
use std::path::Path;

use super::{CellResult, Plan, Report, SuiteError, SuiteFolder};

/// The report of a suite whose parts were run in these folders.
///
/// # Errors
/// If they are not parts of one suite, a run has a result in two of them, or one has none.
pub fn merge(folders: &[impl AsRef<Path>]) -> Result<Report, SuiteError> {
    let mut plan: Option<Plan> = None;
    let mut results: BTreeMap<String, (CellResult, &Path)> = BTreeMap::new();
    for path in folders {
        let path = path.as_ref();
        let folder = SuiteFolder::open(path)?;
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
            if let Some((known, place)) = results.get(&result.cell) {
                let message = format!("{} has a result in {} and in {}", known.cell, place.display(), path.display());
                return Err(SuiteError::NoWhole(message));
            }
            results.insert(result.cell.clone(), (result, path));
        }
    }
    let plan = plan.ok_or_else(|| SuiteError::NoWhole("there are none".to_owned()))?;
    let results: Vec<CellResult> = results.into_values().map(|(result, _)| result).collect();
    let report = Report::new(&plan, &plan.cells.iter().collect::<Vec<_>>(), &results);
    if let Some(first) = report.missing.first() {
        let message = format!(
            "{} of {} runs have no result, the first of them {}",
            report.missing.len(),
            plan.cells.len(),
            first.id
        );
        return Err(SuiteError::NoWhole(message));
    }
    Ok(report)
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
        assert_eq!(whole.rows.len(), one.plan().cells.len());
        let error_of = |folders: &[&Path]| merge(folders).expect_err("no whole").to_string();
        assert!(error_of(&[one.path()]).contains("have no result"));
        assert!(error_of(&[one.path(), two.path(), part(root.path(), 1, 3).path()]).contains("has a result in"));
    }
}
