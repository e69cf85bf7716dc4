//! Runs that do not end as planned: killed, interrupted, without room on the disk, without rights.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{alone, leasehold, told};

const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a condition.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(folder: &Path, seconds: &str) -> Child {
    leasehold()
        .args(["run", "etcd-v2-early-expiry", "--seed", "1", "--seconds", seconds, "--out"])
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn history_lines(folder: &Path) -> usize {
    fs::read_to_string(folder.join("history.jsonl")).map_or(0, |text| text.lines().count())
}

/// The processes that have this path in their arguments: the harness and the servers of one run.
fn processes_of(folder: &Path) -> BTreeSet<u32> {
    let path = folder.to_string_lossy().into_owned();
    fs::read_dir("/proc")
        .expect("a /proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| *pid != std::process::id())
        .filter(|pid| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains(&path)
        })
        .collect()
}

fn interfaces() -> BTreeSet<String> {
    let names = fs::read_dir("/sys/class/net").expect("a /sys");
    names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

#[test]
fn a_killed_harness_leaves_nothing_behind_but_a_history_that_can_be_judged() {
    let _alone = alone();
    let interfaces_before = interfaces();
    // Ten moments, from before the cluster stands to the midst of the fault.
    for moment in 0..10u64 {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("run");
        let mut child = start(&folder, "20");
        let lines = [0, 0, 2, 10, 50, 120, 200, 300, 400, 500][usize::try_from(moment).expect("small")];
        if lines > 0 {
            until("the history has grown", || history_lines(&folder) >= lines);
        } else {
            std::thread::sleep(Duration::from_millis(40 + 300 * moment));
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it has ended");
        until("all its processes are gone", || processes_of(&folder).is_empty());
        assert_eq!(interfaces(), interfaces_before);
        let mounts = fs::read_to_string("/proc/self/mounts").expect("a list of mounts");
        assert!(!mounts.contains(&*folder.to_string_lossy()), "a mount stayed behind");
        if history_lines(&folder) > 0 {
            let output = leasehold().arg("check").arg(&folder).output().expect("it starts");
            assert!(matches!(output.status.code(), Some(0..=2)), "{}", told(&output));
        }
    }
}

#[test]
fn an_interrupted_run_is_judged_and_says_so() {
    let _alone = alone();
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("run");
    let mut child = start(&folder, "60");
    until("the run is under way", || history_lines(&folder) > 300);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("it can be interrupted");
    let status = child.wait().expect("it ends");
    let mut stdout = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut stdout).expect("text");
    assert_eq!(status.code(), Some(130), "{stdout}");
    assert!(folder.join("verdict.json").exists(), "{stdout}");
    let run = fs::read_to_string(folder.join("run.json")).expect("run.json");
    assert!(run.contains("interrupted"), "{run}");
    for told in ["report.html", "summary.md"] {
        let told = fs::read_to_string(folder.join(told)).expect("it is told of");
        assert!(told.contains("he run was interrupted after"), "{told}");
    }
}

#[test]
fn a_full_disk_ends_the_run_and_what_was_written_is_judged_or_said_to_be_lost() {
    let _alone = alone();
    let root = tempfile::tempdir().expect("a folder");
    // A file system with room for a few hundred events, in a mount namespace that ends with the command.
    let script = format!(
        "mount -t tmpfs -o size=160k tmpfs '{root}' && exec \"$LEASEHOLD\" run etcd-v2-calm --seconds 15 --seed 1 --out '{root}/run'",
        root = root.path().display()
    );
    let program = leasehold();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    command.env("LEASEHOLD", program.get_program());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let started = Instant::now();
    let output = command.output().expect("unshare starts");
    assert_eq!(output.status.code(), Some(70), "{}", told(&output));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("No space left on device"), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(started.elapsed() < PATIENCE, "the run did not end when the disk was full");
}

#[test]
fn an_ordinary_user_can_run_it() {
    let _alone = alone();
    if !nix::unistd::geteuid().is_root() {
        // Then every other test shows it.
        return;
    }
    let root = tempfile::tempdir().expect("a folder");
    let nobody = 65534;
    std::os::unix::fs::chown(root.path(), Some(nobody), Some(nobody)).expect("root may give it away");
    let copy = root.path().join("leasehold");
    fs::copy(env!("CARGO_BIN_EXE_leasehold"), &copy).expect("a copy that nobody can read");
    let program = leasehold();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy);
    command.args(["run", "etcd-v3-calm", "--servers", "etcd@3.4.23", "--seconds", "10", "--seed", "1", "--out"]);
    command.arg(root.path().join("run")).current_dir(root.path());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("LEASEHOLD_CACHE", root.path().join("cache"));
    let output = command.output().expect("setpriv starts");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}
