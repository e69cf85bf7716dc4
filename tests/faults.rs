//! Faults of clocks and processes on a real cluster: that they overlap, bite, and leave nothing.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Run, alone, leasehold, told};
use leasehold::nemesis::{Course, PACKAGES};
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

/// Faults that can be at work at the same time: package, target, settings. Between them they are of every package.
type Together = &'static [(&'static str, &'static str, &'static str)];

const CLOCKS_AND_MEMBERS: Together = &[
    ("election", "", "how = \"cut\""),
    ("membership", "n2", ""),
    ("clock", "n1", "offset_ms = 9_000"),
    ("clock-strobe", "n1", "offset_ms = 500\ninterval_ms = 10"),
    ("clock-drift", "n3", "rate_ppm = 100_000\nclock = \"both\""),
    ("clock-reset", "n3", "times = 100\nevery_ms = 300"),
    ("slow-cpu", "n4", "percent = 1"),
    ("pause", "n5", ""),
];

const NETWORK: Together = &[
    ("partition", "n1", "shape = \"one-way\""),
    ("flapping", "n2", "step_ms = 300"),
    ("closed-port", "n3", "port = \"client\""),
    ("link", "all", "delay_ms = 30"),
    ("corrupt", "n4", "damage = \"bit\"\ndetected = true"),
];

const DISKS_AND_ENDS: Together = &[
    ("disk", "n1", "how = \"frozen\""),
    ("disk", "n2", "how = \"full\""),
    ("amnesia", "n3", "how = \"rollback\""),
    ("restart-storm", "n3", "up_ms = 500\ndown_ms = 100"),
    ("out-of-memory", "n4", "limit_mib = 14\nrestart_ms = 200"),
    ("kill", "n5", ""),
];

#[test]
fn a_run_that_is_killed_amidst_its_faults_leaves_nothing() {
    let _alone = alone();
    let runs = [CLOCKS_AND_MEMBERS, NETWORK, DISKS_AND_ENDS];
    let is_there = |name: &str| runs.concat().iter().any(|(package, ..)| *package == name);
    // What is left is nothing for these servers: a `snapshot` lies in the memory of the harness, and a `packet` is sent in a moment.
    let missing: Vec<_> = PACKAGES.iter().map(|package| package.name).filter(|name| !is_there(name)).collect();
    assert_eq!(missing, ["packet", "snapshot"], "no package is forgotten");
    runs.into_iter().for_each(leaves_nothing_when_killed_amidst);
}

fn leaves_nothing_when_killed_amidst(faults: Together) {
    let root = tempfile::tempdir().expect("a folder");
    let (path, folder, scratch) =
        (root.path().join("killed.toml"), root.path().join("run"), root.path().join("scratch"));
    let mut text = HEAD.replace("seconds = 32", "seconds = 32\nnodes = 5");
    let mut expected = Vec::new();
    for (package, target, settings) in faults {
        if *package == "out-of-memory" && !is_possible(package) {
            continue;
        }
        let target = if target.is_empty() { String::new() } else { format!("target = \"{target}\"\n") };
        let is_instant = PACKAGES.iter().any(|known| known.name == *package && known.course == Course::Instant);
        let lasts = if is_instant { "" } else { "lasts_ms = 30_000\n" };
        // While one is paused, another starved and a third removed, nobody may be left to elect anybody.
        let is_after_an_election = *package != "election" && faults.iter().any(|(other, ..)| *other == "election");
        let at_ms = if is_after_an_election { 5_000 } else { 500 };
        text.push_str(&format!("\n[[nemesis]]\npackage = \"{package}\"\nat_ms = {at_ms}\n{target}{lasts}{settings}\n"));
        expected.push(*package);
    }
    fs::write(&path, text).expect("a file");
    fs::create_dir(&scratch).expect("a folder");
    let before = shared_things();
    let mut run = leasehold();
    run.arg("run").arg(&path).args(["--seed", "1", "--out"]).arg(&folder).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = run.env("TMPDIR", &scratch).spawn().expect("it starts");
    let at_work = |package: &&str| !proofs(&events(&folder), package, "inject").is_empty();
    let missing = || expected.iter().copied().filter(|package| !at_work(package)).collect::<Vec<_>>();
    let deadline = Instant::now() + PATIENCE;
    while !missing().is_empty() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for the proofs of {:?}", missing());
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().expect("it can be killed");
    child.wait().expect("it has ended");
    let token = folder.display().to_string();
    until("all its processes are gone", || !any_process_has(&token));
    until("its groups are swept", || {
        assert!(leasehold().arg("doctor").output().expect("it starts").status.success());
        groups_of(child.id()).is_empty()
    });
    assert_eq!(shared_things(), before, "of {expected:?}");
    assert_eq!(fs::read_dir(&scratch).expect("a folder").count(), 0, "of {expected:?}");
}

/// What a run could leave on the machine besides processes and groups: mounts, interfaces, namespaces with a name, files in
/// memory.
fn shared_things() -> BTreeSet<String> {
    let listed = |folder: &'static str| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(move |entry| format!("{folder}: {}", entry.path().display()))
    };
    let mounts = fs::read_to_string("/proc/self/mounts").expect("a list of mounts");
    let mounts = mounts.lines().map(|line| format!("mount: {line}"));
    let folders = ["/sys/class/net", "/run/netns", "/dev/shm"].into_iter().flat_map(listed);
    mounts.chain(folders).collect()
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
