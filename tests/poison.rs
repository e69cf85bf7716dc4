//! One malformed packet on real servers: those that it stops are found out, and those that are mended are not accused.

mod common;

use std::fs;

use common::{Run, alone, leasehold, told};

const CASE: &str = "create-path-length";

/// A run that watches for so many seconds and tries no cure.
fn poisoned(servers: &str, watch_s: &str) -> Run {
    Run::by("poison", &[servers, "--case", CASE, "--watch", watch_s, "--cure", "none", "--seed", "1"])
}

#[test]
fn a_packet_of_sixteen_bytes_locks_up_3_4_6_behind_good_health() {
    let _alone = alone();
    let run = poisoned("zookeeper@3.4.6", "17");
    assert_eq!(run.code(), Some(1), "{}", run.told());
    assert!(run.proven("lockup").iter().any(|&length| length > 15.0), "{}", run.told());
    let verdict = run.verdict();
    let lockup = verdict["anomalies"].as_array().and_then(|all| all.iter().find(|found| found["kind"] == "lockup"));
    let lockup = lockup.expect("there is one");
    assert_eq!(lockup["signature"], "S1", "{lockup}");
    assert!(
        lockup["explanation"].as_str().is_some_and(|text| text.contains("n1, n2, n3 said that they were well")),
        "{lockup}"
    );
    let history = fs::read_to_string(run.folder.join("history.jsonl")).expect("a history");
    assert!(history.contains("\"threads_gone\":{\"n") && history.contains("ProcessThread(s"), "{}", run.told());
    let page = fs::read_to_string(run.folder.join("report.html")).expect("a page");
    assert!(page.contains("<code>7f ff ff ff</code>") && page.contains("instead of 7"));
    assert!(page.contains("class=\"silent\""));
}

#[test]
fn the_same_packet_does_no_harm_where_it_is_mended() {
    let _alone = alone();
    let run = poisoned("zookeeper@3.8.0", "5");
    assert_eq!(run.code(), Some(0), "{}", run.told());
    let history = fs::read_to_string(run.folder.join("history.jsonl")).expect("a history");
    assert!(history.contains("error -5: cannot be read"), "{}", run.told());
}

#[test]
fn what_cannot_be_sent_is_refused_before_anything_is_started() {
    let refused = |arguments: &[&str]| {
        let output = leasehold().arg("poison").args(arguments).output().expect("it starts");
        assert_eq!(output.status.code(), Some(64), "{}", told(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(&["zookeeper@3.4.6", "--case", "nothing"]).contains("poison --list"));
    assert!(refused(&["etcd@3.5.30", "--case", CASE]).contains("is a packet for zookeeper"));
    assert!(refused(&["zookeeper@3.4.6", "--case", CASE, "--to", "everybody"]).contains("unknown target `everybody`"));
    assert!(refused(&["zookeeper@3.4.6"]).contains("--case"));
    let listed = leasehold().args(["poison", "--list"]).output().expect("it starts");
    assert!(listed.status.success() && String::from_utf8_lossy(&listed.stdout).contains("ZOOKEEPER-2146"));
}
