//! Runs of one suite that were made on other servers the next time: a regression is looked for from one version to another.

use std::collections::{BTreeMap, BTreeSet};

use super::CellResult;

/// A run by what it has in common with those on other servers: what comes before the servers in its name, their software, and the seed.
type Twins<'a> = (&'a str, &'a str, &'a str);

/// The parts of `SCENARIO/SOFTWARE@VERSION/SEED`; the first may hold the mark of a client and of a run without faults as well.
fn parts(cell: &str) -> Option<(Twins<'_>, &str)> {
    let (rest, seed) = cell.rsplit_once('/')?;
    let (run, servers) = rest.rsplit_once('/')?;
    let (software, _) = servers.split_once('@')?;
    Some(((run, software, seed), servers))
}

/// The runs of before under the names of those that took their place, and for each such name, and that of its group, the servers of
/// before. One takes another's place if it differs in the version alone, and no other run of either time does: else nobody could say
/// which is to be held against which.
pub(super) fn on_the_new_servers(
    mut old: Vec<CellResult>,
    new: &[CellResult],
) -> (Vec<CellResult>, BTreeMap<String, String>) {
    let names =
        |results: &[CellResult]| -> BTreeSet<String> { results.iter().map(|result| result.cell.clone()).collect() };
    let (before, after) = (names(&old), names(new));
    let gone = alone(before.difference(&after));
    let come = alone(after.difference(&before));
    let mut was_on = BTreeMap::new();
    for result in &mut old {
        let Some((twins, servers)) = parts(&result.cell) else { continue };
        if gone.get(&twins) == Some(&Some(servers))
            && let Some(Some(now)) = come.get(&twins)
        {
            let (run, _, seed) = twins;
            let group = format!("{run}/{now}");
            let cell = format!("{group}/{seed}");
            was_on.insert(group, servers.to_owned());
            was_on.insert(cell.clone(), servers.to_owned());
            result.cell = cell;
        }
    }
    (old, was_on)
}

/// The servers of runs that have no twin among these; `None` for those that have.
fn alone<'a>(cells: impl Iterator<Item = &'a String>) -> BTreeMap<Twins<'a>, Option<&'a str>> {
    let mut alone = BTreeMap::new();
    for (twins, servers) in cells.filter_map(|cell| parts(cell)) {
        alone.entry(twins).and_modify(|servers| *servers = None).or_insert(Some(servers));
    }
    alone
}

#[cfg(test)]
mod tests {
    use leasehold_checkers::verdict::Verdict;

    use super::*;

    fn runs(cells: &[&str]) -> Vec<CellResult> {
        let run = |cell: &&str| CellResult {
            cell: (*cell).to_owned(),
            verdict: Some(Verdict::Valid),
            exit: Some(0),
            found: Vec::new(),
            why: String::new(),
            latency: None,
            took_ms: 1,
        };
        cells.iter().map(run).collect()
    }

    fn renamed(old: &[&str], new: &[&str]) -> Vec<String> {
        let (old, _) = on_the_new_servers(runs(old), &runs(new));
        old.into_iter().map(|result| result.cell).collect()
    }

    #[test]
    fn a_run_takes_the_place_of_the_one_that_differs_in_its_version_alone() {
        let (old, was_on) =
            on_the_new_servers(runs(&["./a/calm/etcd@1/7", "b/etcd@1/7"]), &runs(&["./a/calm/etcd@own/7"]));
        assert_eq!((&*old[0].cell, &*old[1].cell), ("./a/calm/etcd@own/7", "b/etcd@1/7"));
        let was_on: Vec<_> = was_on.iter().map(|(cell, servers)| (&**cell, &**servers)).collect();
        assert_eq!(was_on, [("./a/calm/etcd@own", "etcd@1"), ("./a/calm/etcd@own/7", "etcd@1")]);
    }

    #[test]
    fn a_run_keeps_its_name_where_it_is_not_clear_which_took_its_place() {
        for (old, new) in [
            // There still.
            (&["a/etcd@1/1"][..], &["a/etcd@1/1", "a/etcd@2/1"][..]),
            // Two took the place of one, one that of two.
            (&["a/etcd@1/1"], &["a/etcd@2/1", "a/etcd@3/1"]),
            (&["a/etcd@1/1", "a/etcd@2/1"], &["a/etcd@3/1"]),
            // Another seed, another scenario, other software, no name of a run.
            (&["a/etcd@1/1"], &["a/etcd@2/2"]),
            (&["a/etcd@1/1"], &["b/etcd@2/1"]),
            (&["a/etcd@1/1"], &["a/consul@1/1"]),
            (&["a"], &["b"]),
        ] {
            assert_eq!(renamed(old, new), old, "{new:?}");
        }
    }
}
