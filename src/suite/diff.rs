//! What became of a suite from one time to the next.

use std::collections::BTreeMap;
use std::fmt;

use leasehold_checkers::verdict::Verdict;

use super::{CellResult, Kind, SuiteError, SuiteFolder};

/// How a run differs from the time before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Its verdict is worse, or more is found.
    Worse,
    /// Other kinds are found, none of them new and none gone alone.
    Other,
    /// Its verdict is better, or less is found.
    Better,
    /// It was not run before.
    New,
    /// It is not run any more.
    Gone,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Worse => "worse",
            Self::Other => "other",
            Self::Better => "better",
            Self::New => "new",
            Self::Gone => "gone",
        })
    }
}

/// A run that differs from the time before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How.
    pub change: Change,
    /// The run.
    pub cell: String,
    /// What it came to before, in words; empty where it was not run.
    pub before: String,
    /// What it came to afterwards.
    pub after: String,
}

/// What differs between two times that suites were run, worst first.
///
/// # Errors
/// If one of the folders holds none.
pub fn diff(old: &SuiteFolder, new: &SuiteFolder) -> Result<Vec<Difference>, SuiteError> {
    let by_id = |results: Vec<CellResult>| -> BTreeMap<String, CellResult> {
        results.into_iter().map(|result| (result.cell.clone(), result)).collect()
    };
    let (old, new) = (by_id(old.results()?), by_id(new.results()?));
    let mut differences = Vec::new();
    for (cell, after) in &new {
        let before = old.get(cell);
        let change = match before {
            None => Some(Change::New),
            Some(before) => change(before, after),
        };
        if let Some(change) = change {
            let before = before.map(in_words).unwrap_or_default();
            differences.push(Difference { change, cell: cell.clone(), before, after: in_words(after) });
        }
    }
    for (cell, before) in old.iter().filter(|(cell, _)| !new.contains_key(*cell)) {
        let (before, after) = (in_words(before), String::new());
        differences.push(Difference { change: Change::Gone, cell: cell.clone(), before, after });
    }
    differences.sort_by(|a, b| (a.change, &a.cell).cmp(&(b.change, &b.cell)));
    Ok(differences)
}

fn change(before: &CellResult, after: &CellResult) -> Option<Change> {
    // A run that came to no verdict is worse than one that found something: nobody knows.
    let rank = |result: &CellResult| match result.verdict {
        Some(Verdict::Valid) => 0,
        Some(Verdict::Invalid) => 1,
        Some(Verdict::Unknown) => 2,
        None => 3,
    };
    let kinds = |result: &CellResult| -> Vec<Kind> {
        let mut kinds: Vec<Kind> = result.found.iter().map(|found| found.kind).collect();
        kinds.sort_unstable();
        kinds
    };
    let (old, new) = (kinds(before), kinds(after));
    match rank(after).cmp(&rank(before)) {
        std::cmp::Ordering::Greater => Some(Change::Worse),
        std::cmp::Ordering::Less => Some(Change::Better),
        std::cmp::Ordering::Equal if old == new => None,
        std::cmp::Ordering::Equal if old.iter().all(|kind| new.contains(kind)) => Some(Change::Worse),
        std::cmp::Ordering::Equal if new.iter().all(|kind| old.contains(kind)) => Some(Change::Better),
        std::cmp::Ordering::Equal => Some(Change::Other),
    }
}

fn in_words(result: &CellResult) -> String {
    let Some(verdict) = result.verdict else { return "did not run".to_owned() };
    if result.found.is_empty() {
        return verdict.to_string();
    }
    let kinds: Vec<&str> = result.found.iter().map(|found| found.kind.name()).collect();
    format!("{verdict}: {}", kinds.join(", "))
}

#[cfg(test)]
mod tests {
    use leasehold_checkers::verdict::AnomalyKind;

    use super::*;
    use crate::suite::Found;

    fn result(verdict: Option<Verdict>, kinds: &[Kind]) -> CellResult {
        let found = kinds.iter().map(|&kind| Found { kind, count: 1, margin_ns: 1 }).collect();
        CellResult { cell: "c".to_owned(), verdict, exit: None, found, why: String::new(), took_ms: 1 }
    }

    #[test]
    fn what_became_worse_or_better_is_told_from_what_is_merely_other() {
        use AnomalyKind::{DoubleAcquisition as Double, Fencing, PrematureExpiry as Early};
        let valid = result(Some(Verdict::Valid), &[]);
        let early = result(Some(Verdict::Invalid), &[Early]);
        let both = result(Some(Verdict::Invalid), &[Double, Early]);
        assert_eq!(change(&valid, &early), Some(Change::Worse));
        assert_eq!(change(&early, &valid), Some(Change::Better));
        assert_eq!(change(&early, &both), Some(Change::Worse));
        assert_eq!(change(&both, &early), Some(Change::Better));
        assert_eq!(change(&early, &result(Some(Verdict::Invalid), &[Fencing])), Some(Change::Other));
        assert_eq!(change(&both, &both), None);
        assert_eq!(change(&early, &result(None, &[])), Some(Change::Worse));
    }
}
