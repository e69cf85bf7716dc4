//! A lock client of the user's own, asked line by line: the example that comes with us, on a real cluster.

mod common;

use common::{Run, alone, leasehold, told};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/clients/etcd_lock.py");

#[test]
fn a_job_runs_twice_under_a_frozen_holder_and_fencing_stops_it() {
    let _alone = alone();
    let run = |scenario| Run::of(&[scenario, "--client", EXAMPLE, "--seconds", "12", "--seed", "1"]);
    let unfenced = run("etcd-v3-job-frozen-holder");
    assert_eq!(unfenced.code(), Some(1), "{}", unfenced.told());
    assert!(!unfenced.proven("double-run").is_empty(), "{}", unfenced.told());
    assert!(unfenced.folder.join("logs/clients").is_dir());
    let fenced = run("etcd-v3-job-frozen-holder-fenced");
    assert_eq!(fenced.code(), Some(0), "{}", fenced.told());
    assert!(fenced.verdict()["ops"].as_u64() > Some(20), "{}", fenced.verdict());
}

#[test]
fn what_no_client_can_be_asked_for_is_said_before_anything_starts() {
    for (arguments, code, word) in [
        (["etcd-v3-register-calm", "--client", EXAMPLE], 64, "registers"),
        (["etcd-v3-calm", "--client", "/nowhere"], 69, "/nowhere cannot be run as a client"),
    ] {
        let output = leasehold().arg("run").args(arguments).output().expect("it starts");
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(word), "{}", told(&output));
    }
}
