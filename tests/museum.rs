//! The table of `docs/museum.md` says what the suite `museum` holds, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use leasehold::suite::{Cell, Expectation, Plan};

/// A line of the table.
struct Line {
    scenarios: Vec<String>,
    shown_on: String,
    proven: Vec<String>,
    not_on: String,
}

/// What stands between backticks.
fn names(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn table() -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/museum.md");
    let text = fs::read_to_string(path).expect("it comes along");
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    let of_the_first =
        lines.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>()).filter(|cells| cells.len() == 8);
    let line = |cells: Vec<&str>| Line {
        scenarios: names(cells[1]),
        shown_on: cells[4].to_owned(),
        proven: names(cells[5]),
        not_on: cells[6].to_owned(),
    };
    of_the_first.map(line).collect()
}

fn version(cell: &Cell) -> &str {
    cell.servers.split_once('@').expect("software and version").1
}

/// Whether a line shows a cell that is to find something.
fn shows(line: &Line, cell: &Cell) -> bool {
    let (kinds, also) = match &cell.expect {
        Expectation::Invalid { kinds, also } => (kinds, also.as_slice()),
        Expectation::Known { kinds, .. } => (kinds, [].as_slice()),
        Expectation::Valid => return false,
    };
    let is_always_found = matches!(cell.expect, Expectation::Invalid { .. });
    line.scenarios.contains(&cell.scenario)
        && line.shown_on.contains(version(cell))
        && line.proven.iter().all(|kind| kinds.iter().chain(also).any(|known| known.name() == kind))
        && (!is_always_found || kinds.iter().all(|kind| line.proven.iter().any(|proven| proven == kind.name())))
}

/// Whether a line names a cell that is to stay valid.
fn is_control(line: &Line, cell: &Cell) -> bool {
    let of_the_same = line.scenarios.contains(&cell.scenario);
    names(&line.not_on).contains(&cell.scenario)
        || (of_the_same && !cell.faults && line.not_on.contains("--no-faults"))
        || (of_the_same && cell.faults && line.not_on.contains(version(cell)))
}

#[test]
fn each_run_of_the_suite_stands_in_the_table() {
    let (plan, table) = (Plan::load("museum").expect("it comes along"), table());
    assert!(table.len() >= 10, "{} lines", table.len());
    for cell in &plan.cells {
        let stands = match &cell.expect {
            Expectation::Valid => table.iter().any(|line| is_control(line, cell)),
            Expectation::Known { .. } if !cell.faults => table.iter().any(|line| is_control(line, cell)),
            _ => table.iter().any(|line| shows(line, cell)),
        };
        assert!(stands, "docs/museum.md does not tell of {} ({})", cell.id, cell.expect);
    }
}

#[test]
fn each_line_of_the_table_stands_in_the_suite() {
    let plan = Plan::load("museum").expect("it comes along");
    let finds: BTreeSet<&str> =
        plan.cells.iter().filter(|cell| cell.expect != Expectation::Valid).map(|cell| &*cell.scenario).collect();
    for line in table() {
        for scenario in &line.scenarios {
            assert!(finds.contains(scenario.as_str()), "the museum has no run of {scenario} that finds something");
        }
    }
}
