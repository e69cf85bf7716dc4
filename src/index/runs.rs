//! What the files of each run say of it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use leasehold_checkers::verdict::{AnomalyKind, Grade, Verdict};
use serde::Deserialize;

use crate::results::{Ending, RunFile, RunFolder};

/// Folders in folders, no deeper than suites make them.
const DEPTH: usize = 8;

/// A run, by what stands in its folder.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its folder below the one that was searched, with `/` between the parts.
    pub path: String,
    /// The scenario.
    pub scenario: String,
    /// The servers.
    pub servers: String,
    /// The seed.
    pub seed: u64,
    /// How long the clients worked, in seconds, where it is known.
    pub seconds: Option<u64>,
    /// When it started, UTC.
    pub start: String,
    /// What came of it.
    pub state: State,
    /// That it did not come to its end, in a word.
    pub cut_short: Option<&'static str>,
    /// The proven anomalies of each kind, with the greatest margin in nanoseconds.
    pub proven: BTreeMap<AnomalyKind, Proven>,
    /// How many operations were judged.
    pub ops: Option<usize>,
    /// Whether there is a page of it.
    pub has_report: bool,
}

/// The proven anomalies of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proven {
    /// How many.
    pub times: usize,
    /// The greatest margin, in nanoseconds.
    pub worst_ns: u64,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It was judged.
    Judged(Verdict),
    /// It runs, or was killed before it was judged.
    Unjudged,
    /// It was broken off, and there was nothing to judge.
    Failed,
}

impl State {
    /// It in a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Judged(Verdict::Valid) => "valid",
            Self::Judged(Verdict::Unknown) => "unknown",
            Self::Judged(Verdict::Invalid) => "invalid",
            Self::Unjudged => "unjudged",
            Self::Failed => "failed",
        }
    }
}

/// What is needed of `verdict.json`.
#[derive(Deserialize)]
struct Judged {
    verdict: Verdict,
    anomalies: Vec<Found>,
    ops: usize,
}

#[derive(Deserialize)]
struct Found {
    kind: AnomalyKind,
    grade: Grade,
    #[serde(default)]
    margin_ns: u64,
}

/// The runs in this folder and those below it, the latest first. Links are not followed, and what is no run is passed over.
///
/// # Errors
/// If the folder cannot be read.
pub fn below(folder: &Path) -> io::Result<Vec<Run>> {
    let mut runs = Vec::new();
    collect(folder, "", DEPTH, &mut runs)?;
    runs.sort_by(|a, b| b.start.cmp(&a.start).then_with(|| a.path.cmp(&b.path)));
    Ok(runs)
}

fn collect(folder: &Path, path: &str, depth: usize, runs: &mut Vec<Run>) -> io::Result<()> {
    if let Some(run) = read(folder, path) {
        runs.push(run);
        return Ok(());
    }
    if depth == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        // A name that is no text has none in an address either.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        // One that may not be read, or is gone by now, hides no other.
        let _ = collect(&entry.path(), &path, depth - 1, runs);
    }
    Ok(())
}

fn read(folder: &Path, path: &str) -> Option<Run> {
    let file = RunFile::of(folder)?;
    let judged: Option<Judged> =
        fs::read(RunFolder::verdict_in(folder)).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let mut proven: BTreeMap<AnomalyKind, Proven> = BTreeMap::new();
    for found in judged.iter().flat_map(|judged| &judged.anomalies).filter(|found| found.grade == Grade::Proven) {
        let of_kind = proven.entry(found.kind).or_default();
        of_kind.times += 1;
        of_kind.worst_ns = of_kind.worst_ns.max(found.margin_ns);
    }
    let state = match (&judged, &file.ending) {
        (Some(judged), _) => State::Judged(judged.verdict),
        (None, Some(Ending::Failed(_))) => State::Failed,
        (None, _) => State::Unjudged,
    };
    Some(Run {
        path: path.to_owned(),
        scenario: file.scenario,
        servers: file.servers,
        seed: file.seed,
        seconds: file.seconds,
        start: file.start,
        state,
        cut_short: match file.ending {
            Some(Ending::Completed) => None,
            Some(Ending::Interrupted) => Some("interrupted"),
            Some(Ending::Failed(_)) => Some("broke off"),
            None => Some("not ended"),
        },
        proven,
        ops: judged.map(|judged| judged.ops),
        has_report: folder.join("report.html").exists(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A folder with a run in it.
    pub(crate) fn lay(folder: &Path, scenario: &str, start: &str, verdict: &str) {
        fs::create_dir_all(folder).expect("a folder");
        let run = format!(
            r#"{{"leasehold":"0","command":[],"scenario":{scenario:?},"servers":"etcd 3.4.23","seed":7,"start":"{start}","schedule":[],"ending":"completed"}}"#
        );
        fs::write(folder.join("run.json"), run).expect("it is written");
        fs::write(folder.join("verdict.json"), verdict).expect("it is written");
        fs::write(folder.join("report.html"), "<!doctype html><title>r</title>").expect("it is written");
        fs::write(folder.join("history.jsonl"), "{}\n").expect("it is written");
    }

    pub(crate) const INVALID: &str = r#"{"verdict":"invalid","ops":9,"checkers":{},"anomalies":[
        {"kind":"double-acquisition","grade":"proven","margin_ns":5},{"kind":"double-acquisition","grade":"proven","margin_ns":9},
        {"kind":"premature-expiry","grade":"possible","margin_ns":3}]}"#;
    pub(crate) const VALID: &str = r#"{"verdict":"valid","ops":3,"checkers":{},"anomalies":[]}"#;

    #[test]
    fn runs_are_found_wherever_they_lie_the_latest_first() {
        let root = tempfile::tempdir().expect("a folder");
        lay(&root.path().join("a/1"), "a", "2026-01-01T00:00:00Z", VALID);
        lay(&root.path().join("suites/s/cells/b/etcd@3/2"), "b", "2026-01-02T00:00:00Z", INVALID);
        lay(&root.path().join("c"), "c", "2026-01-03T00:00:00Z", "{ cut");
        fs::create_dir_all(root.path().join("none")).expect("a folder");
        fs::write(root.path().join("none/run.json"), "[]").expect("it is written");
        let runs = below(root.path()).expect("it can be read");
        let told: Vec<(&str, &str)> = runs.iter().map(|run| (&*run.path, run.state.word())).collect();
        assert_eq!(told, [("c", "unjudged"), ("suites/s/cells/b/etcd@3/2", "invalid"), ("a/1", "valid")]);
        let proven: Vec<_> = runs[1].proven.iter().map(|(kind, proven)| (kind.name(), *proven)).collect();
        assert_eq!(proven, [("double-acquisition", Proven { times: 2, worst_ns: 9 })]);
    }

    #[test]
    fn links_lead_nowhere() {
        let root = tempfile::tempdir().expect("a folder");
        lay(&root.path().join("a"), "a", "2026-01-01T00:00:00Z", VALID);
        std::os::unix::fs::symlink("a", root.path().join("latest")).expect("a link");
        std::os::unix::fs::symlink(".", root.path().join("round")).expect("a link");
        assert_eq!(below(root.path()).expect("it can be read").len(), 1);
    }
}
