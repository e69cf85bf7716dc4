//! Suites of real runs.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{leasehold, told};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(90);

const THREE: &str = r#"
summary = "Three short runs."

[[cells]]
scenarios = ["etcd-v3-calm"]
servers = ["etcd@3.5.30"]
seeds = "1..3"
seconds = 4
expect = "valid"
"#;

/// The ids of the runs that have a result, in the order in which they ended.
fn done(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("cells.jsonl")).unwrap_or_default();
    let results = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    results.map(|result| result["cell"].as_str().expect("an id").to_owned()).collect()
}

fn suite(arguments: &[&str]) -> Command {
    let mut command = leasehold();
    command.arg("suite").args(arguments).args(["--jobs", "1"]);
    command
}

fn killed_once(mut child: Child, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it takes too long");
        assert!(child.try_wait().expect("it is ours").is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().expect("it runs");
    child.wait().expect("it is ours");
}

#[test]
fn a_suite_that_is_killed_goes_on_where_it_stopped() {
    let root = tempfile::tempdir().expect("a folder");
    let (file, folder) = (root.path().join("three.toml"), root.path().join("suite"));
    fs::write(&file, THREE).expect("room");
    let (file, out) = (file.to_str().expect("UTF-8"), folder.to_str().expect("UTF-8"));
    let child = suite(&[file, "--out", out]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    // In the middle of the second run.
    let second = folder.join("cells/etcd-v3-calm/etcd@3.5.30/2/history.jsonl");
    killed_once(child, || second.exists());
    assert_eq!(done(&folder).len(), 1);

    let output = suite(&["--resume", out, "--json"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let mut all = done(&folder);
    all.sort();
    assert_eq!(all, [1, 2, 3].map(|seed| format!("etcd-v3-calm/etcd@3.5.30/{seed}")));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["worst"], &report["tally"]), (&"as expected".into(), &"3 runs: 3 as expected".into()));
    let junit = fs::read_to_string(folder.join("junit.xml")).expect("it is written");
    assert!(junit.contains("tests=\"3\"") && junit.contains("failures=\"0\""), "{junit}");

    // It is done: to go on means to tell it again.
    let again = suite(&["--resume", out]).output().expect("it starts");
    assert_eq!(again.status.code(), Some(0), "{}", told(&again));
    assert_eq!(done(&folder).len(), 3);
    let same = leasehold().args(["suite", "diff", out, out]).output().expect("it starts");
    assert_eq!((same.status.code(), &*same.stdout), (Some(0), &b"nothing differs\n"[..]), "{}", told(&same));
}

#[test]
fn a_suite_stops_early_where_that_is_asked_for_and_tells_what_it_left_out() {
    let root = tempfile::tempdir().expect("a folder");
    let (file, folder) = (root.path().join("three.toml"), root.path().join("suite"));
    // A version that cannot be had fails before any server starts.
    fs::write(&file, THREE.replace("etcd@3.5.30", "etcd@0.0.1")).expect("room");
    let out = folder.to_str().expect("UTF-8");
    let output = suite(&[file.to_str().expect("UTF-8"), "--out", out, "--fail-fast"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(69), "{}", told(&output));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.ends_with("3 runs: 1 did not run, 2 not covered\n"), "{table}");
    assert!(told(&output).contains("stopped early; to go on: leasehold suite --resume"), "{}", told(&output));
    let output = suite(&["--resume", out]).output().expect("it starts");
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("3 runs: 3 did not run\n"), "{}", told(&output));
}

#[test]
fn what_was_not_expected_or_did_not_run_is_told_and_decides_the_exit_code() {
    let root = tempfile::tempdir().expect("a folder");
    let (file, folder) = (root.path().join("two.toml"), root.path().join("suite"));
    let wrong = THREE.replace("seeds = \"1..3\"", "").replace("\"valid\"", "{ invalid = { kinds = [\"lockup\"] } }");
    let nowhere = "[[cells]]\nscenarios = [\"etcd-v3-calm\"]\nservers = [\"etcd@0.0.1\"]\nexpect = \"valid\"\n";
    fs::write(&file, wrong + nowhere).expect("room");
    let output = suite(&[file.to_str().expect("UTF-8"), "--out", folder.to_str().expect("UTF-8")]).output();
    let output = output.expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("UNEXPECTED") && table.contains("it is valid, and lockup was expected"), "{table}");
    assert!(table.contains("did not run") && table.ends_with("2 runs: 1 UNEXPECTED, 1 did not run\n"), "{table}");
    let summary = fs::read_to_string(folder.join("summary.md")).expect("it is written");
    assert!(summary.contains("leasehold run etcd-v3-calm --servers etcd@0.0.1 --seed 1"), "{summary}");
}
