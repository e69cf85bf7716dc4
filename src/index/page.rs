//! The list of runs as one page.

use std::collections::BTreeMap;

use askama::Template;

use super::STYLE;
use super::runs::Run;
use crate::report::hash;

/// More rows than these are shown when they are asked for: a browser takes seconds to lay out ten thousand.
const AT_ONCE: usize = 500;

const SCRIPT: &str = include_str!("index.js");

/// What was expected of a run of a suite, and how it came out.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What was expected, in words.
    pub expectation: String,
    /// How it came out, in a word.
    pub outcome: String,
    /// Whether it is as it should be.
    pub is_good: bool,
}

#[derive(Template)]
#[template(path = "index.html")]
struct Page<'a> {
    title: &'a str,
    rows: Vec<Row<'a>>,
    /// Whether there is a column for what was expected.
    expects: bool,
    /// Whether two runs can be put side by side.
    compares: bool,
    policy: String,
    style: &'static str,
    script: &'static str,
}

struct Row<'a> {
    run: &'a Run,
    /// The address of its folder.
    address: String,
    expected: Option<&'a Expected>,
    /// The time, as people read it.
    start: String,
    /// The anomalies, most serious first.
    found: String,
}

/// The page of these runs. `expected` has something for runs of suites, by their paths; `compares` says whether the page is served by
/// something that can put two side by side.
///
/// # Panics
/// Never: the template writes into memory.
#[must_use]
pub fn page(title: &str, runs: &[Run], expected: &BTreeMap<String, Expected>, compares: bool) -> String {
    let row = |run| Row {
        run,
        address: address(run),
        expected: expected.get(&run.path),
        start: start(run),
        found: found(run),
    };
    let page = Page {
        title,
        rows: runs.iter().map(row).collect(),
        expects: !expected.is_empty(),
        compares,
        policy: format!(
            "default-src 'none'; base-uri 'none'; form-action 'self'; style-src {}; script-src {}",
            hash(STYLE),
            hash(SCRIPT)
        ),
        style: STYLE,
        script: SCRIPT,
    };
    page.render().expect("it is written into memory")
}

/// A path as an address: whatever could mean something there is written as its bytes.
pub(super) fn address_of(path: &str) -> String {
    let mut address = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b'@' => {
                address.push(byte.into());
            }
            other => address.push_str(&format!("%{other:02X}")),
        }
    }
    address
}

fn address(run: &Run) -> String {
    // A first part with a colon would be taken for a scheme.
    format!("./{}", address_of(&run.path))
}

fn start(run: &Run) -> String {
    run.start.split('.').next().unwrap_or_default().trim_end_matches('Z').replace('T', " ")
}

fn found(run: &Run) -> String {
    let kinds = run.proven.iter().map(|(kind, proven)| format!("{} × {}", proven.times, kind.name()));
    kinds.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::runs::tests::{INVALID, lay};
    use crate::index::{State, below};

    #[test]
    fn hostile_names_are_text() {
        let root = tempfile::tempdir().expect("a folder");
        lay(&root.path().join("a\"><script>alert(1)</script> #?%"), "<b>bold</b>", "2026-01-01T00:00:00Z", INVALID);
        let runs = below(root.path()).expect("it can be read");
        assert_eq!(runs[0].state.word(), "invalid");
        assert!(matches!(runs[0].state, State::Judged(_)));
        let html = page("results", &runs, &BTreeMap::new(), true);
        assert_eq!(html.matches("<script>").count(), 1, "ours only");
        assert!(!html.contains("<b>bold"), "{html}");
        assert!(html.contains("a%22%3E%3Cscript%3Ealert%281%29%3C/script%3E%20%23%3F%25/report.html"), "{html}");
    }
}
