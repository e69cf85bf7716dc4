//! What the tests of the whole program share.

#![allow(dead_code, reason = "each test file uses its part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// The program, with server packages from the folder beside the checkout where there is one, and a cache of the tests' own.
pub(crate) fn leasehold() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.env("LEASEHOLD_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/servers");
    if std::env::var_os("LEASEHOLD_PACKAGES").is_none() && beside.is_dir() {
        command.env("LEASEHOLD_PACKAGES", beside);
    }
    command
}

/// One cluster at a time, so that tests do not take the processors from each other's servers.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two clusters at a time, as suites have them on two processors: most runs wait more than they compute.
pub(crate) fn one_of_two() -> Lane {
    let free = FREE_LANES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut free = LANE_IS_FREE.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
    *free -= 1;
    Lane
}

static FREE_LANES: Mutex<usize> = Mutex::new(2);
static LANE_IS_FREE: Condvar = Condvar::new();

/// The right to one of the two clusters that there are at a time.
pub(crate) struct Lane;

impl Drop for Lane {
    fn drop(&mut self) {
        *FREE_LANES.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        LANE_IS_FREE.notify_one();
    }
}

/// A finished run.
pub(crate) struct Run {
    pub(crate) folder: PathBuf,
    pub(crate) output: Output,
    _root: tempfile::TempDir,
}

impl Run {
    /// Runs `leasehold run` with these arguments into a folder of its own.
    pub(crate) fn of(arguments: &[&str]) -> Self {
        Self::by("run", arguments)
    }

    /// The same with another verb that makes a run.
    pub(crate) fn by(verb: &str, arguments: &[&str]) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("run");
        let output =
            leasehold().arg(verb).args(arguments).arg("--out").arg(&folder).output().expect("the program starts");
        Self { folder, output, _root: root }
    }

    pub(crate) fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    pub(crate) fn verdict(&self) -> Value {
        let text = std::fs::read_to_string(self.folder.join("verdict.json"))
            .unwrap_or_else(|error| panic!("no verdict: {error}\n{}", self.told()));
        serde_json::from_str(&text).expect("the verdict is JSON")
    }

    /// The margins of the proven anomalies of a kind, in seconds.
    pub(crate) fn proven(&self, kind: &str) -> Vec<f64> {
        let verdict = self.verdict();
        let anomalies = verdict["anomalies"].as_array().expect("a list").clone();
        anomalies
            .iter()
            .filter(|anomaly| anomaly["kind"] == kind && anomaly["grade"] == "proven")
            .map(|anomaly| anomaly["margin_ns"].as_f64().expect("a number") / 1e9)
            .collect()
    }

    /// Everything it printed, for the message of a failed test.
    pub(crate) fn told(&self) -> String {
        told(&self.output)
    }
}

/// Everything a program printed.
pub(crate) fn told(output: &Output) -> String {
    format!(
        "{}\nstdout:\n{}\nstderr:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
