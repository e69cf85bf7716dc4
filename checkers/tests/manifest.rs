//! Judges the histories of `fixtures/histories` and compares with what its manifest says of each.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use leasehold_checkers::history::History;
use leasehold_checkers::verdict::{AnomalyKind, Grade, Verdict};
use serde::Deserialize;

/// One history and what is to be said of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Its file.
    file: String,
    /// Its story, for people.
    about: String,
    /// The judgement, where it can be read.
    verdict: Option<Verdict>,
    /// All anomalies, in order.
    #[serde(default)]
    anomalies: Vec<Expected>,
    /// What a checker gives as its reason, in part.
    reason: Option<Reason>,
    /// Whether it was cut.
    #[serde(default)]
    truncated: bool,
    /// What the error says, in part, where it cannot be read.
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    kind: AnomalyKind,
    grade: Grade,
    key: String,
    /// The margin in whole milliseconds, where it matters.
    margin_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    checker: String,
    says: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/histories")
}

fn manifest() -> Vec<Entry> {
    let text = fs::read(folder().join("manifest.json")).expect("the manifest is there");
    serde_json::from_slice(&text).expect("the manifest is well-formed")
}

#[test]
fn every_history_is_judged_as_the_manifest_says() {
    for entry in manifest() {
        eprintln!("{}: {}", entry.file, entry.about);
        match (History::read(folder().join(&entry.file)), &entry.error) {
            (Ok(history), None) => compare(&entry, &history),
            (Err(error), Some(expected)) => {
                let text = error.to_string();
                assert!(text.contains(expected), "{text}");
                assert!(text.contains(&entry.file), "{text}");
            }
            (Ok(_), Some(expected)) => panic!("it should not be readable: {expected}"),
            (Err(error), None) => panic!("{error}"),
        }
    }
}

fn compare(entry: &Entry, history: &History) {
    let judgement = leasehold_checkers::check(history);
    assert_eq!(Some(judgement.verdict), entry.verdict, "{}", judgement.to_json());
    assert_eq!(history.truncated, entry.truncated);
    assert_eq!(judgement.anomalies.len(), entry.anomalies.len(), "{}", judgement.to_json());
    for (anomaly, expected) in judgement.anomalies.iter().zip(&entry.anomalies) {
        eprintln!("    {}", anomaly.explanation);
        assert_eq!((anomaly.kind, anomaly.grade, &anomaly.key), (expected.kind, expected.grade, &expected.key));
        if let Some(margin_ms) = expected.margin_ms {
            assert_eq!(anomaly.margin_ns / 1_000_000, margin_ms, "{anomaly:?}");
        }
    }
    if let Some(reason) = &entry.reason {
        let given = &judgement.checkers[&reason.checker].reason;
        assert!(given.contains(&reason.says), "{given}");
    }
}

#[test]
fn every_history_in_the_folder_is_in_the_manifest() {
    let listed: BTreeSet<String> = manifest().into_iter().map(|entry| entry.file).collect();
    let there: BTreeSet<String> = fs::read_dir(folder())
        .expect("the folder is there")
        .map(|file| file.expect("the folder can be listed").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".jsonl"))
        .collect();
    assert_eq!(listed, there);
}
