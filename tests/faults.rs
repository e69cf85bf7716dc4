//! Faults of clocks and processes on a real cluster: that they overlap, bite, and leave nothing.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Run, alone, leasehold, told};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

const HEAD: &str = r#"
summary = "clocks and processes, all at once"
service = "etcd-v3"
servers = "etcd@3.5.30"
seconds = 32

[workload]
kind = "lease"
workers = 6
ttl_ms = 4000
renew_ms = 700
hold_ms = 2500
poll_ms = 100
"#;

/// Each fault: package, target, beginning and length in milliseconds, settings.
const FAULTS: [(&str, &str, u64, u64, &str); 12] = [
    ("clock-drift", "all", 500, 10_000, "rate_ppm = 1_000_000\nclock = \"monotonic\""),
    ("clock", "n1", 1_000, 6_000, "offset_ms = 9000"),
    ("clock-drift", "n1", 2_000, 8_000, "rate_ppm = 100_000"),
    ("clock-strobe", "n3", 2_000, 6_000, "offset_ms = -2000\ninterval_ms = 20"),
    ("kill", "n1", 3_000, 1_000, ""),
    ("clock-reset", "n1", 6_000, 0, ""),
    ("pause", "n3", 12_000, 1_000, ""),
    ("pause", "n3", 12_500, 1_000, ""),
    ("slow-cpu", "n2", 14_500, 3_000, "percent = 3"),
    ("slow-cpu", "n3", 14_500, 3_000, "percent = 30\nby = \"slices\""),
    ("restart-storm", "n1", 18_000, 4_000, "up_ms = 500\ndown_ms = 100"),
    ("out-of-memory", "n2", 22_500, 8_000, "limit_mib = 14\nrestart_ms = 200"),
];

/// A scenario with all of these faults that this machine can inject.
fn scenario(folder: &Path) -> PathBuf {
    let mut text = HEAD.to_owned();
    for (package, target, at_ms, lasts_ms, settings) in FAULTS {
        if package == "out-of-memory" && !is_possible(package) {
            continue;
        }
        let lasts = if lasts_ms > 0 { format!("lasts_ms = {lasts_ms}\n") } else { String::new() };
        text.push_str(&format!(
            "\n[[nemesis]]\npackage = \"{package}\"\ntarget = \"{target}\"\nat_ms = {at_ms}\n{lasts}{settings}\n"
        ));
    }
    let path = folder.join("all-at-once.toml");
    fs::write(&path, text).expect("a file");
    path
}

/// What the doctor says, who tried it.
fn is_possible(package: &str) -> bool {
    let output = leasehold().args(["doctor", "--json"]).output().expect("it starts");
    let diagnosis: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)));
    let rows = diagnosis["faults"].as_array().expect("a row for each fault");
    let row = rows.iter().find(|row| row["name"] == package).expect("no package is forgotten");
    if row["possible"] == "no" {
        eprintln!("NOT TESTED, for the doctor says that this machine cannot do it: {row}");
    }
    row["possible"] != "no"
}

fn events(folder: &Path) -> Vec<Value> {
    let history = fs::read_to_string(folder.join("history.jsonl")).unwrap_or_default();
    // The last line may be half-written.
    history.lines().skip(1).filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The proofs of a package's faults, in the order of their times.
fn proofs<'a>(events: &'a [Value], package: &str, phase: &str) -> Vec<&'a Value> {
    let of_phase = |event: &&Value| {
        event["process"] == "nemesis"
            && event["type"] == "ok"
            && event["f"] == package
            && event["value"]["phase"] == phase
    };
    events.iter().filter(of_phase).map(|event| &event["value"]["proof"]).collect()
}

#[test]
fn overlapping_faults_bite_and_are_healed_and_nobody_is_accused_for_them() {
    let _alone = alone();
    let root = tempfile::tempdir().expect("a folder");
    let path = scenario(root.path());
    let run = Run::of(&[path.to_str().expect("UTF-8"), "--seed", "1"]);
    assert_eq!(run.code(), Some(0), "{}", run.told());
    let events = events(&run.folder);
    for event in events.iter().filter(|event| event["process"] == "nemesis") {
        assert!(event["type"] == "invoke" || event["type"] == "ok", "it did not bite: {event}");
    }

    // Of its drift a clock has what it gained while its process was dead, and is put right but for that.
    let drifts = proofs(&events, "clock-drift", "heal");
    let wall = drifts.iter().find_map(|proof| proof["gained"]["n1"]["wall"]["rate_ppm"].as_i64()).expect("it drifted");
    assert!((90_000..=110_000).contains(&wall), "{wall} ppm");
    let monotonic = drifts.iter().find_map(|proof| proof["gained"]["n2"]["monotonic"]["rate_ppm"].as_i64());
    assert!((950_000..=1_050_000).contains(&monotonic.expect("it drifted")), "{monotonic:?} ppm");
    assert!(events.iter().any(|event| event["f"] == "monotonic-clock"), "it is measured all along");

    let strobe = proofs(&events, "clock-strobe", "heal")[0];
    assert!(strobe["jumps"].as_u64() > Some(50), "{strobe}");
    let pauses = proofs(&events, "pause", "heal");
    assert_eq!(pauses[0]["not_resumed"]["n3"], "paused by another fault", "{pauses:?}");
    assert_eq!(pauses[1]["not_resumed"], serde_json::json!({}), "{pauses:?}");
    let slices = proofs(&events, "slow-cpu", "inject").into_iter().find(|proof| proof["by"] == "slices");
    assert!(slices.expect("it bit")["could_run_percent"].as_f64() < Some(65.0), "{slices:?}");
    assert!(proofs(&events, "restart-storm", "heal")[0]["kills"].as_u64() >= Some(3));
    if let Some(starved) = proofs(&events, "out-of-memory", "heal").first() {
        assert!(starved["loops"]["n2"]["oom_kills"].as_u64() >= Some(2), "{starved}");
    }
    without_the_declaration_the_fast_clock_would_be_an_accusation(&run);
}

/// Leases that are timed by clocks of twice the pace end after half their time. That this is no broken promise is due to what
/// the run declares, and to nothing else.
fn without_the_declaration_the_fast_clock_would_be_an_accusation(run: &Run) {
    let path = run.folder.join("history.jsonl");
    let history = fs::read_to_string(&path).expect("a history");
    let (header, events) = history.split_once('\n').expect("a header");
    let mut header: Value = serde_json::from_str(header).expect("a header");
    assert_eq!(header["clock_rate_error_ppm"], 1_050_000 + 100_000, "both drifts may have been at work on n1");
    header["clock_rate_error_ppm"] = 0.into();
    let undeclared = run.folder.join("undeclared.jsonl");
    fs::write(&undeclared, format!("{header}\n{events}")).expect("a file");
    let output = leasehold().arg("check").arg(&undeclared).arg("--json").output().expect("it starts");
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)));
    let early = |anomaly: &&Value| anomaly["kind"] == "premature-expiry" && anomaly["grade"] == "proven";
    assert!(verdict["anomalies"].as_array().expect("a list").iter().any(|anomaly| early(&anomaly)), "{verdict}");
}

#[test]
fn a_run_that_is_killed_amidst_its_faults_leaves_no_process_and_no_group() {
    let _alone = alone();
    let root = tempfile::tempdir().expect("a folder");
    let (path, folder) = (root.path().join("killed.toml"), root.path().join("run"));
    let faults = [("slow-cpu", "percent = 3"), ("clock-strobe", "offset_ms = 500\ninterval_ms = 10"), ("pause", "")];
    let tables = faults.map(|(package, settings)| {
        format!("\n[[nemesis]]\npackage = \"{package}\"\ntarget = \"all\"\nat_ms = 10\nlasts_ms = 30_000\n{settings}\n")
    });
    fs::write(&path, format!("{HEAD}{}", tables.concat())).expect("a file");
    let mut run = leasehold();
    run.arg("run").arg(&path).args(["--seed", "1", "--out"]).arg(&folder).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = run.spawn().expect("it starts");
    until("the faults are at work", || !proofs(&events(&folder), "pause", "inject").is_empty());
    child.kill().expect("it can be killed");
    child.wait().expect("it has ended");
    let token = folder.display().to_string();
    until("all its processes are gone", || !any_process_has(&token));
    until("its groups are swept", || {
        assert!(leasehold().arg("doctor").output().expect("it starts").status.success());
        groups_of(child.id()).is_empty()
    });
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn any_process_has(token: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("a /proc").flatten();
    let arguments = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    arguments.into_iter().any(|arguments| String::from_utf8_lossy(&arguments).contains(token))
}

fn groups_of(pid: u32) -> Vec<PathBuf> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect()
    };
    let name = format!("leasehold-{pid}-");
    let is_ours = |path: &PathBuf| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&name));
    let top = Path::new("/sys/fs/cgroup");
    let mut hierarchies = folders(top);
    hierarchies.push(top.to_owned());
    hierarchies.iter().flat_map(|hierarchy| folders(hierarchy)).filter(is_ours).collect()
}
