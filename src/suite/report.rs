//! What came of a suite.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use leasehold_checkers::verdict::Verdict;

use super::{Cell, CellResult, Outcome, Plan};

/// What came of a suite, or of a part of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The suite's name.
    pub name: String,
    /// What it is for.
    pub summary: String,
    /// The runs with a result, in the order of the plan.
    pub rows: Vec<Row>,
    /// The runs without one.
    pub missing: Vec<Cell>,
}

/// A run and what came of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The run.
    pub cell: Cell,
    /// What came of it.
    pub result: CellResult,
    /// Beside what was expected.
    pub outcome: Outcome,
}

/// Runs that differ in their seeds only, and came to different ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wavering {
    /// The scenario and servers.
    pub group: String,
    /// Each verdict, `None` for none, and whether that was expected, worst first; and with which seeds.
    pub seeds: BTreeMap<(Reverse<Option<Verdict>>, &'static str), Vec<u64>>,
}

impl Report {
    /// The report of these cells, of which some have results.
    #[must_use]
    pub fn new(plan: &Plan, cells: &[&Cell], results: &[CellResult]) -> Self {
        let by_id: BTreeMap<&str, &CellResult> = results.iter().map(|result| (&*result.cell, result)).collect();
        let (mut rows, mut missing) = (Vec::new(), Vec::new());
        for &cell in cells {
            match by_id.get(&*cell.id) {
                Some(&result) => {
                    let outcome = Outcome::of(result, &cell.expect);
                    rows.push(Row { cell: cell.clone(), result: result.clone(), outcome });
                }
                None => missing.push(cell.clone()),
            }
        }
        Self { name: plan.name.clone(), summary: plan.summary.clone(), rows, missing }
    }

    /// The worst outcome.
    #[must_use]
    pub fn worst(&self) -> &Outcome {
        self.rows.iter().map(|row| &row.outcome).max().unwrap_or(&Outcome::Expected)
    }

    /// How many runs came to what, in a sentence.
    #[must_use]
    pub fn tally(&self) -> String {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for row in &self.rows {
            let word = row.outcome.word();
            match counts.iter_mut().find(|(known, _)| *known == word) {
                Some((_, count)) => *count += 1,
                None => counts.push((word, 1)),
            }
        }
        counts.sort_unstable();
        let mut parts: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        if !self.missing.is_empty() {
            parts.push(format!("{} not covered", self.missing.len()));
        }
        format!("{} runs: {}", self.rows.len() + self.missing.len(), parts.join(", "))
    }

    /// The scenarios that are now this, now that.
    #[must_use]
    pub fn wavering(&self) -> Vec<Wavering> {
        let mut groups: BTreeMap<&str, BTreeMap<_, Vec<u64>>> = BTreeMap::new();
        for row in &self.rows {
            let end = (Reverse(row.result.verdict), row.outcome.word());
            groups.entry(row.cell.group()).or_default().entry(end).or_default().push(row.cell.seed);
        }
        let wavers = groups.into_iter().filter(|(_, seeds)| seeds.len() > 1);
        wavers.map(|(group, seeds)| Wavering { group: group.to_owned(), seeds }).collect()
    }
}

impl std::fmt::Display for Wavering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let total: usize = self.seeds.values().map(Vec::len).sum();
        write!(f, "{}:", self.group)?;
        for (index, ((verdict, outcome), seeds)) in self.seeds.iter().enumerate() {
            let comma = if index == 0 { "" } else { ";" };
            let verdict = verdict.0.map(|verdict| format!("{verdict}, ")).unwrap_or_default();
            let list = seeds.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            write!(f, "{comma} {} of {total} {verdict}{outcome} (seeds {list})", seeds.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_now_this_now_that_is_told_with_its_rate() {
        let text = "summary = \"s\"\n[[cells]]\nscenarios = [\"etcd-v3-calm\"]\nseeds = \"1..4\"\nexpect = \"valid\"\n";
        let plan = Plan::parse("s", "s.toml", text).unwrap_or_else(|error| panic!("{error}"));
        let report = |ends: [Option<Verdict>; 4]| {
            let result = |(cell, verdict): (&Cell, Option<Verdict>)| CellResult {
                cell: cell.id.clone(),
                verdict,
                exit: None,
                found: Vec::new(),
                why: String::new(),
                latency: None,
                took_ms: 1,
            };
            let results: Vec<CellResult> = plan.cells.iter().zip(ends).map(result).collect();
            Report::new(&plan, &plan.cells.iter().collect::<Vec<_>>(), &results)
        };
        let valid = Some(Verdict::Valid);
        assert_eq!(report([valid; 4]).wavering(), []);
        let told = report([valid, None, Some(Verdict::Invalid), valid]).wavering()[0].to_string();
        let (group, ends) = told.split_once(": ").expect("a group and its ends");
        assert_eq!(group, plan.cells[0].group());
        let invalid = "1 of 4 invalid, UNEXPECTED (seeds 3)";
        assert_eq!(ends, format!("{invalid}; 2 of 4 valid, as expected (seeds 1 4); 1 of 4 did not run (seeds 2)"));
    }
}
