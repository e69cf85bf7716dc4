//! Clusters that are started by hand, as their owners do, with TLS and authentication on, and that `leasehold run --endpoints` attaches
//! to from outside: it runs, finds its way in or says why not, and leaves everything as it was.
//!
//! They need the servers: a machine that cannot get them cannot pass.

#[path = "../common/mod.rs"]
mod common;

mod authority;
mod consul;
mod etcd;
mod server;
mod zookeeper;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{leasehold, told};

/// Nobody waits longer to be told that a cluster is of no use.
const PATIENCE: Duration = Duration::from_secs(10);

/// `leasehold run` with these arguments.
fn attach(arguments: &[&str]) -> Command {
    let mut command = leasehold();
    command.arg("run").args(arguments).env_remove("LEASEHOLD_PASSWORD").env_remove("LEASEHOLD_TOKEN");
    command
}

/// A run that must be refused with these words, and within the time.
#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    let (folder, start) = (tempfile::tempdir().expect("a folder"), Instant::now());
    let output = attach(arguments).arg("--out").arg(folder.path().join("run")).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(69), "{}", told(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.iter().all(|word| said.contains(word)), "expected {words:?}\n{said}");
    assert!(start.elapsed() < PATIENCE, "after {:?}: {said}", start.elapsed());
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_done() {
    let wrong = |arguments: &[&str], words: &[&str]| {
        let output = attach(arguments).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(64), "{}", told(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.iter().all(|word| said.contains(word)), "expected {words:?}\n{said}");
        said
    };
    let etcd = ["--endpoints", "etcd=http://127.0.0.1:9"];
    let with = |scenario: &'static str, more: &[&'static str]| [&[scenario], &etcd[..], more].concat();
    wrong(&with("etcd-v3-leader-pause", &[]), &["pause at leader", "`partition`", "--external-faults", "--no-faults"]);
    wrong(&with("etcd-v3-frozen-disk", &[]), &["disk", "left alone"]);
    wrong(&with("etcd-v3-region-lost", &["--no-faults"]), &["data centres", "left alone"]);
    wrong(&with("consul-calm", &[]), &["consul-calm is about consul, and --endpoints names etcd-v3"]);
    wrong(&with("etcd-v3-calm", &["--ca", "ca.pem"]), &["no endpoint does", "https://"]);
    wrong(&with("etcd-v3-calm", &["--user", "lock"]), &["needs a password", "LEASEHOLD_PASSWORD"]);
    wrong(&with("etcd-v3-calm", &["--token-file", "token"]), &["tokens are for Consul"]);
    wrong(&with("etcd-v3-calm", &["--servers", "etcd@3.5.30"]), &["cannot be used with"]);
    wrong(&["etcd-v3-calm", "--ca", "ca.pem"], &["--endpoints"]);
    let said = wrong(&["etcd-v3-calm", "--endpoints", "etcd=http://lock:hunter2@127.0.0.1:9"], &["--password-file"]);
    assert!(!said.contains("hunter2"), "{said}");
}

/// A run whose verdict must be `valid`; if it is not, the reason is told without the thousands of lines of a log with `-vv`.
#[track_caller]
fn valid(output: &Output) {
    let is_log = |line: &&str| line.starts_with("DEBUG") || line.starts_with("TRACE");
    let said: Vec<_> = told(output).lines().filter(|line| !is_log(line)).map(str::to_owned).collect();
    assert_eq!(output.status.code(), Some(0), "{}", said.join("\n"));
}

/// Begins a run, interrupts it when clients are at work, and waits for its end.
#[track_caller]
fn interrupted(mut command: Command, folder: &Path) {
    let child = command.arg("--out").arg(folder).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the program starts");
    let deadline = Instant::now() + PATIENCE;
    let holds = || {
        std::fs::read_to_string(folder.join("history.jsonl"))
            .is_ok_and(|text| text.lines().any(|line| line.contains(r#""type":"ok","f":"acquire""#)))
    };
    while !holds() {
        assert!(Instant::now() < deadline, "nobody acquired a lock");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
}

/// A run to which somebody says this on standard input, and then falls silent.
fn told_by_hand(command: &mut Command, words: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut hand = child.stdin.take().expect("it listens");
    hand.write_all(words.as_bytes()).expect("it listens");
    let output = child.wait_with_output().expect("it ends");
    drop(hand);
    output
}

/// Whether a secret stands in what the run printed or in any file that it left.
#[track_caller]
fn keeps_secret(secret: &str, output: &Output, folder: &Path) {
    assert!(!told(output).contains(secret), "{}", told(output));
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it can be listed").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                let text = std::fs::read(&entry).expect("it can be read");
                let found = text.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!found, "{} has the secret", entry.display());
            }
        }
    }
}
