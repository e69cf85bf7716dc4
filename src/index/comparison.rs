//! Two runs side by side.

use std::collections::BTreeSet;
use std::time::Duration;

use askama::Template;
use leasehold_checkers::explain::human;
use leasehold_checkers::verdict::AnomalyKind;

use super::STYLE;
use super::page::address_of;
use super::runs::Run;
use crate::report::hash;

#[derive(Template)]
#[template(path = "comparison.html")]
struct Page {
    rows: Vec<Row>,
    /// The addresses of the two reports, where there are some.
    reports: [Option<String>; 2],
    policy: String,
    style: &'static str,
}

struct Row {
    name: String,
    sides: [String; 2],
}

impl Row {
    fn differs(&self) -> bool {
        self.sides[0] != self.sides[1]
    }
}

/// The page of these two runs.
///
/// # Panics
/// Never: the template writes into memory.
#[must_use]
pub fn comparison(runs: [&Run; 2]) -> String {
    let row = |name: &str, of: &dyn Fn(&Run) -> String| Row { name: name.to_owned(), sides: runs.map(of) };
    let count = |count: Option<usize>| count.map(|count| count.to_string()).unwrap_or_default();
    let mut rows = vec![
        row("Verdict", &|run| run.state.word().to_owned()),
        row("Ended", &|run| run.cut_short.unwrap_or("as planned").to_owned()),
        row("Scenario", &|run| run.scenario.clone()),
        row("Servers", &|run| run.servers.clone()),
        row("Seed", &|run| run.seed.to_string()),
        row("Seconds", &|run| run.seconds.map(|seconds| seconds.to_string()).unwrap_or_default()),
        row("Operations", &|run| count(run.ops)),
    ];
    let kinds: BTreeSet<AnomalyKind> = runs.iter().flat_map(|run| run.proven.keys().copied()).collect();
    rows.extend(kinds.into_iter().map(|kind| row(kind.name(), &|run| proven(run, kind))));
    let report = |run: &Run| run.has_report.then(|| format!("./{}/report.html", address_of(&run.path)));
    let page = Page {
        rows,
        reports: runs.map(report),
        policy: format!("default-src 'none'; base-uri 'none'; frame-src 'self'; style-src {}", hash(STYLE)),
        style: STYLE,
    };
    page.render().expect("it is written into memory")
}

fn proven(run: &Run, kind: AnomalyKind) -> String {
    match run.proven.get(&kind) {
        None => "none".to_owned(),
        Some(proven) => format!("{} times, at worst {}", proven.times, human(Duration::from_nanos(proven.worst_ns))),
    }
}
