//! Public histories with known verdicts. They lie beside the checkout, with a manifest, and are no part of the project: where they
//! are not, there is nothing to compare with.

mod common;

use std::path::{Path, PathBuf};

use common::{leasehold, told};
use serde_json::Value;

/// What a file does not say by itself, and so must be said: with which value the register began, or of which kind the lock is.
const MUST_BE_TOLD: [&str; 2] = ["knossos/cas-register/bad/immediate-failure.edn", "knossos/mutex/bad/etcd.edn"];

fn folder() -> Option<PathBuf> {
    let parents = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    parents.map(|parent| parent.join("shared/histories")).find(|folder| folder.join("MANIFEST.json").is_file())
}

#[test]
fn every_public_history_gets_its_known_verdict() {
    let Some(folder) = folder() else {
        eprintln!("there are no public histories beside this checkout");
        return;
    };
    let manifest = std::fs::read_to_string(folder.join("MANIFEST.json")).expect("a manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    for (name, entry) in manifest.as_object().expect("an object") {
        let check = |arguments: &[&str]| {
            let output = leasehold().arg("check").arg(folder.join(name)).args(arguments).output().expect("it starts");
            (output.status.code(), told(&output))
        };
        let (code, said) = check(&arguments(name, &entry["model"]));
        assert_eq!(code, Some(expected(name, &entry["expected"])), "{name}: {said}");
        // Told nothing, it finds the same verdict, or is more lenient where it must be.
        let (code, said) = check(&[]);
        match name.as_str() {
            name if MUST_BE_TOLD.contains(&name) => assert_ne!(code, Some(1), "{name}: {said}"),
            name => assert_eq!(code, Some(expected(name, &entry["expected"])), "{name}: {said}"),
        }
    }
}

/// How the manifest reads the file.
fn arguments(name: &str, model: &Value) -> Vec<&'static str> {
    let model = model.as_str().expect("a model");
    match model {
        _ if name.starts_with("porcupine/jepsen") => {
            vec!["--model", "cas-register", "--initial", "null", "--fails", "observe"]
        }
        "cas-register" => vec!["--model", "cas-register", "--initial", "0", "--nulls", "ignore"],
        _ if model.starts_with("kv") => vec!["--model", "kv"],
        _ if name.starts_with("atlasdb") => vec!["--model", "lease-lock"],
        _ => vec!["--model", "mutex"],
    }
}

/// The exit code.
fn expected(name: &str, verdict: &Value) -> i32 {
    match verdict.as_str().expect("a verdict") {
        "linearizable" | "valid" => 0,
        "not-linearizable" => 1,
        other => panic!("{name}: unknown verdict {other}"),
    }
}

/// Blind to TTLs, the best-known public history of an etcd lock looks broken; with leases that may run out it is not.
#[test]
fn a_lock_that_expired_is_not_a_broken_lock() {
    let Some(folder) = folder() else {
        eprintln!("there are no public histories beside this checkout");
        return;
    };
    let judged = |model: &str| {
        let file = folder.join("knossos/mutex/bad/etcd.edn");
        let output = leasehold().arg("check").arg(file).args(["--model", model]).output().expect("it starts");
        (output.status.code(), told(&output))
    };
    let (code, said) = judged("mutex");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no order explains both"), "{said}");
    let (code, said) = judged("lease-lock");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("because 2 leases may have run out"), "{said}");
}
