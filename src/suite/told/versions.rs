//! Which scenario comes to what on which version.

use super::{escaped, found};
use crate::suite::{Report, Row};

/// A table for each software: a row for each scenario, a column for each version; and below it a
/// line of explanation for each place that is not valid. Empty where of none two versions were run.
pub(super) fn versions(report: &Report) -> String {
    let all = distinct(report.rows.iter().map(|row| split(row).0));
    let of = |software: &&str| -> Vec<&Row> { report.rows.iter().filter(|row| split(row).0 == *software).collect() };
    let columns = |rows: &[&Row]| -> Vec<String> { distinct(rows.iter().map(|row| split(row).1.to_owned())) };
    if all.iter().all(|software| columns(&of(software)).len() < 2) {
        return String::new();
    }
    all.iter()
        .map(|software| (software, of(software)))
        .map(|(software, rows)| table(software, &columns(&rows), &rows))
        .collect()
}

fn table(software: &str, columns: &[String], rows: &[&Row]) -> String {
    let mut text = format!("\n### {}\n\n| |", escaped(software));
    columns.iter().for_each(|column| text.push_str(&format!(" {} |", escaped(column))));
    text.push_str(&format!("\n|---|{}\n", "---|".repeat(columns.len())));
    let mut explanations = String::new();
    for name in distinct(rows.iter().map(|row| name(row))) {
        text.push_str(&format!("| {} |", escaped(&name)));
        for column in columns {
            let runs: Vec<&Row> =
                rows.iter().copied().filter(|row| self::name(row) == name && split(row).1 == column).collect();
            text.push_str(&format!(" {} |", cell(&runs)));
            if let Some(row) = runs.iter().find(|row| !row.result.why.is_empty()) {
                let why = escaped(&row.result.why.replace('\n', " "));
                let place = escaped(&format!("{name} on {column}, seed {}", row.cell.seed));
                explanations.push_str(&format!("- {place}: {why}\n"));
            }
        }
        text.push('\n');
    }
    if !explanations.is_empty() {
        text.push_str(&format!("\n{explanations}"));
    }
    text
}

/// What runs that differ in their seeds only came to: `valid`, `**invalid** 2 of 3: premature-expiry 8.83 s`.
fn cell(runs: &[&Row]) -> String {
    let verdicts = distinct(runs.iter().map(|row| super::verdict(row)));
    let part = |verdict: &String| {
        let same: Vec<&&Row> = runs.iter().filter(|row| super::verdict(row) == *verdict).collect();
        let word = if verdict == "valid" { verdict.clone() } else { format!("**{verdict}**") };
        let worst = same.iter().max_by_key(|row| row.result.found.first().map(|found| found.margin_ns));
        let found = worst.map(|row| found(&row.result.found)).filter(|found| !found.is_empty());
        let found = found.map(|found| format!(": {found}")).unwrap_or_default();
        match (runs.len(), same.len()) {
            (1, _) => format!("{word}{found}"),
            (all, some) => format!("{word} {some} of {all}{found}"),
        }
    };
    verdicts.iter().map(part).collect::<Vec<_>>().join("; ")
}

/// What was run, whatever the version: the scenario, and what was changed of it.
fn name(row: &Row) -> String {
    let without = if row.cell.faults { "" } else { ", nothing broken" };
    let client = row.cell.client.as_ref().map(|client| format!(", by {}", client.display())).unwrap_or_default();
    format!("{}{without}{client}", row.cell.scenario)
}

fn split(row: &Row) -> (&str, &str) {
    row.cell.servers.split_once('@').unwrap_or((&row.cell.servers, ""))
}

/// Each once, in the order in which they first come.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut each = Vec::new();
    for one in all {
        if !each.contains(&one) {
            each.push(one);
        }
    }
    each
}

#[cfg(test)]
mod tests {
    use leasehold_checkers::verdict::{AnomalyKind, Verdict};

    use super::*;
    use crate::suite::{Cell, CellResult, Expectation, Found, Plan};

    fn ran(scenario: &str, servers: &str, seed: u64, margin_ns: Option<u64>) -> (Cell, CellResult) {
        let cell = Cell {
            id: format!("{scenario}/{servers}/{seed}"),
            scenario: scenario.to_owned(),
            servers: servers.to_owned(),
            program: None,
            client: None,
            seed,
            seconds: 9,
            shortened: false,
            measured_ms: None,
            faults: true,
            expect: Expectation::Valid,
        };
        let found = margin_ns.map(|margin_ns| Found { kind: AnomalyKind::PrematureExpiry, count: 1, margin_ns });
        let result = CellResult {
            cell: cell.id.clone(),
            verdict: Some(if margin_ns.is_some() { Verdict::Invalid } else { Verdict::Valid }),
            exit: Some(0),
            why: margin_ns.map(|_| "its lease ended early".to_owned()).unwrap_or_default(),
            found: found.into_iter().collect(),
            latency: None,
            took_ms: 1,
        };
        (cell, result)
    }

    fn told(runs: &[(Cell, CellResult)]) -> String {
        let (cells, results): (Vec<&Cell>, Vec<CellResult>) =
            runs.iter().map(|(cell, result)| (cell, result.clone())).unzip();
        let plan = Plan { name: "m".to_owned(), summary: String::new(), cells: Vec::new() };
        versions(&Report::new(&plan, &cells, &results))
    }

    #[test]
    fn a_row_for_each_scenario_and_a_column_for_each_version() {
        let text = told(&[
            ran("calm", "etcd@1", 1, None),
            ran("calm", "etcd@2", 1, None),
            ran("skew", "etcd@1", 1, Some(8_830_000_000)),
            ran("skew", "etcd@1", 2, None),
            ran("skew", "etcd@1", 3, Some(500_000_000)),
            ran("only", "consul@1", 1, None),
        ]);
        assert_eq!(
            text,
            "\n### etcd\n\n| | 1 | 2 |\n|---|---|---|\n| calm | valid | valid |\n\
             | skew | **invalid** 2 of 3: premature-expiry 8.83 s; valid 1 of 3 |  |\n\n\
             - skew on 1, seed 1: its lease ended early\n\n\
             ### consul\n\n| | 1 |\n|---|---|\n| only | valid |\n"
        );
    }

    #[test]
    fn one_version_makes_no_table() {
        assert_eq!(told(&[ran("calm", "etcd@1", 1, None), ran("skew", "etcd@1", 1, None)]), "");
    }
}
