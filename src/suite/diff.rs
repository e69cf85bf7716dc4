//! What became of a suite from one time to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use leasehold_checkers::verdict::Verdict;

use super::cell::group_of;
use super::twins;
use super::{CellResult, Expectation, Kind, Outcome, SuiteError, SuiteFolder};

/// How many times as long requests must take, and by how many microseconds longer, to count as slower: a busy machine does less.
const SLOWER_TIMES: u64 = 2;
const SLOWER_BY_US: u64 = 1_000;

/// How a run differs from the time before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It came to what was expected and does not any more; or its verdict is worse, or more is found.
    Worse,
    /// Runs that differ in their seeds only came to one verdict before, and now to several.
    Flaky,
    /// Requests took much longer, in the median.
    Slower,
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
            Self::Flaky => "flaky",
            Self::Slower => "slower",
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
    /// The run; or the runs, by scenario and servers, where it is about all seeds.
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
    let expected: BTreeMap<&str, &Expectation> =
        new.plan().cells.iter().map(|cell| (&*cell.id, &cell.expect)).collect();
    let (old, new) = (old.results()?, new.results()?);
    Ok(between(old, new, &expected))
}

fn between(old: Vec<CellResult>, new: Vec<CellResult>, expected: &BTreeMap<&str, &Expectation>) -> Vec<Difference> {
    let (old, was_on) = twins::on_the_new_servers(old, &new);
    let mut differences = of_groups(&old, &new);
    let by_id = |results: Vec<CellResult>| -> BTreeMap<String, CellResult> {
        results.into_iter().map(|result| (result.cell.clone(), result)).collect()
    };
    let (old, new) = (by_id(old), by_id(new));
    for (cell, after) in &new {
        let before = old.get(cell);
        let change = match before {
            None => Some(Change::New),
            Some(before) => change(before, after, expected.get(cell.as_str()).copied().unwrap_or(&Expectation::Valid)),
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
    for difference in differences.iter_mut().filter(|difference| !difference.before.is_empty()) {
        if let Some(servers) = was_on.get(&*difference.cell) {
            difference.before = format!("{} on {servers}", difference.before);
        }
    }
    differences.sort_by(|a, b| (a.change, &a.cell).cmp(&(b.change, &b.cell)));
    differences
}

/// Runs that differ in their seeds only.
#[derive(Default)]
struct Group {
    verdicts: BTreeSet<Option<Verdict>>,
    /// The median of the requests of each run.
    p50s_us: Vec<u64>,
}

impl Group {
    fn all(results: &[CellResult]) -> BTreeMap<&str, Self> {
        let mut groups: BTreeMap<&str, Self> = BTreeMap::new();
        for result in results {
            let group = groups.entry(group_of(&result.cell)).or_default();
            group.verdicts.insert(result.verdict);
            group.p50s_us.extend(result.latency.map(|latency| latency.p50_us));
        }
        groups.values_mut().for_each(|group| group.p50s_us.sort_unstable());
        groups
    }

    fn p50_us(&self) -> Option<u64> {
        self.p50s_us.get(self.p50s_us.len() / 2).copied()
    }

    fn verdicts(&self) -> String {
        let word = |verdict: &Option<Verdict>| verdict.map_or_else(|| "none".to_owned(), |verdict| verdict.to_string());
        self.verdicts.iter().map(word).collect::<Vec<_>>().join(" or ")
    }
}

fn of_groups(old: &[CellResult], new: &[CellResult]) -> Vec<Difference> {
    let old = Group::all(old);
    let mut differences = Vec::new();
    for (name, after) in Group::all(new) {
        let Some(before) = old.get(name) else { continue };
        let mut add =
            |change, before, after| differences.push(Difference { change, cell: name.to_owned(), before, after });
        if before.verdicts.len() == 1 && after.verdicts.len() > 1 {
            add(Change::Flaky, before.verdicts(), after.verdicts());
        }
        if let (Some(was), Some(is)) = (before.p50_us(), after.p50_us())
            && is > was * SLOWER_TIMES
            && is - was > SLOWER_BY_US
        {
            add(Change::Slower, in_ms(was), in_ms(is));
        }
    }
    differences
}

fn in_ms(us: u64) -> String {
    format!("{}.{} ms", us / 1_000, us % 1_000 / 100)
}

fn change(before: &CellResult, after: &CellResult, expect: &Expectation) -> Option<Change> {
    // A run that is there to find something is worse off if it finds nothing.
    let is_good = |result: &CellResult| Outcome::of(result, expect) <= Outcome::Known;
    match (is_good(before), is_good(after)) {
        (true, false) => return Some(Change::Worse),
        (false, true) => return Some(Change::Better),
        _ => {}
    }

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
    use crate::suite::{Found, Latency};

    fn result(verdict: Option<Verdict>, kinds: &[Kind]) -> CellResult {
        let found = kinds.iter().map(|&kind| Found { kind, count: 1, margin_ns: 1 }).collect();
        CellResult { cell: "c".to_owned(), verdict, exit: None, found, why: String::new(), latency: None, took_ms: 1 }
    }

    #[test]
    fn what_became_worse_or_better_is_told_from_what_is_merely_other() {
        use AnomalyKind::{DoubleAcquisition as Double, Fencing, PrematureExpiry as Early};
        let change = |before: &CellResult, after: &CellResult| change(before, after, &Expectation::Valid);
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

    #[test]
    fn a_run_that_is_to_find_something_is_worse_if_it_finds_nothing() {
        let kinds = vec![AnomalyKind::PrematureExpiry];
        let expect = Expectation::Invalid { kinds: kinds.clone(), also: Vec::new() };
        let (valid, found) = (result(Some(Verdict::Valid), &[]), result(Some(Verdict::Invalid), &kinds));
        assert_eq!(change(&found, &valid, &expect), Some(Change::Worse));
        assert_eq!(change(&valid, &found, &expect), Some(Change::Better));
    }

    #[test]
    fn a_run_is_held_against_the_one_on_other_servers_before() {
        let run = |cell: &str, verdict, p50_us| CellResult {
            cell: cell.to_owned(),
            latency: Some(Latency { p50_us, p99_us: p50_us }),
            ..result(Some(verdict), &[])
        };
        let old = vec![run("calm/etcd@1/1", Verdict::Valid, 900), run("calm/etcd@1/2", Verdict::Valid, 900)];
        let new = vec![run("calm/etcd@2/1", Verdict::Valid, 9_000), run("calm/etcd@2/2", Verdict::Unknown, 9_000)];
        let told: Vec<String> = between(old, new, &BTreeMap::new())
            .into_iter()
            .map(|d| format!("{} {}: {} -> {}", d.change, d.cell, d.before, d.after))
            .collect();
        assert_eq!(
            told,
            [
                "worse calm/etcd@2/2: valid on etcd@1 -> unknown",
                "flaky calm/etcd@2: valid on etcd@1 -> valid or unknown",
                "slower calm/etcd@2: 0.9 ms on etcd@1 -> 9.0 ms",
            ]
        );
    }

    #[test]
    fn runs_that_waver_or_wait_are_told_of_together() {
        let run = |seed: u64, verdict, p50_us| CellResult {
            cell: format!("calm/etcd@1/{seed}"),
            latency: Some(Latency { p50_us, p99_us: p50_us }),
            ..result(Some(verdict), &[])
        };
        let steady = [1, 2, 3].map(|seed| run(seed, Verdict::Valid, 900));
        let told = |after: &[CellResult]| -> Vec<String> {
            let told = of_groups(&steady, after);
            told.into_iter().map(|d| format!("{} {} {} -> {}", d.change, d.cell, d.before, d.after)).collect()
        };
        assert_eq!(told(&steady), Vec::<String>::new());
        let wavers = [run(1, Verdict::Valid, 900), run(2, Verdict::Unknown, 900)];
        assert_eq!(told(&wavers), ["flaky calm/etcd@1 valid -> valid or unknown"]);
        let slow = [run(1, Verdict::Valid, 900), run(2, Verdict::Valid, 2_950), run(3, Verdict::Valid, 9_000)];
        assert_eq!(told(&slow), ["slower calm/etcd@1 0.9 ms -> 2.9 ms"]);
        // Three times as long, and too little to tell from a busy machine.
        assert_eq!(of_groups(&[run(1, Verdict::Valid, 300)], &[run(1, Verdict::Valid, 1_000)]), []);
    }
}
