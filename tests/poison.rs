//! One malformed packet on real servers: those that it stops are found out, and those that are mended are not accused.

mod common;

use std::fs;

use common::{Run, alone, leasehold, told};
use serde_json::Value;

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
    let run = poisoned("zookeeper@3.8.0", "16");
    assert_eq!(run.code(), Some(0), "{}", run.told());
    let history = fs::read_to_string(run.folder.join("history.jsonl")).expect("a history");
    assert!(history.contains("error -5: cannot be read"), "{}", run.told());
}

/// A short run in which the packet is sent after a second, and what is told of it.
fn sent(servers: &str, service: &str, case: &str, seconds: u64, more: &str) -> (Run, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sent.toml");
    let scenario = format!(
        "summary = \"A packet.\"\nservice = \"{service}\"\nservers = \"{servers}\"\nseconds = {seconds}\n\n\
         [workload]\nkind = \"register\"\nworkers = 2\nkeys = 1\nevery_ms = 200\n\n\
         [[nemesis]]\npackage = \"packet\"\ncase = \"{case}\"\ntarget = \"follower\"\nat_ms = 1000\n\n{more}"
    );
    fs::write(&path, scenario).expect("a file");
    let run = Run::of(&[path.to_str().expect("UTF-8"), "--seed", "1"]);
    let history = fs::read_to_string(run.folder.join("history.jsonl")).unwrap_or_else(|_| panic!("{}", run.told()));
    let mut events = history.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let proof = events.find(|event| event["f"] == "packet" && event["value"]["proof"]["sent"].is_object());
    let proof = proof.unwrap_or_else(|| panic!("{}", run.told()))["value"]["proof"].clone();
    (run, proof)
}

/// etcd 3.4.23 is told by hand, for nothing brings it back and a run waits for that: `docs/poison.md`.
#[test]
fn a_mended_release_of_etcd_answers_what_ends_the_members_of_others() {
    let _alone = alone();
    let (run, proof) = sent("etcd@3.5.16", "etcd-v3", "alarm-without-type", 3, "");
    assert_eq!(run.code(), Some(0), "{}", run.told());
    assert!(proof["threads_gone"].is_null(), "{proof}");
    assert!(proof["sent"].to_string().contains("answered it"), "{proof}");
}

#[test]
fn two_bytes_in_a_datagram_end_a_server_of_consul_until_it_is_started_again() {
    let _alone = alone();
    let again = "[[nemesis]]\npackage = \"kill\"\ntarget = \"all\"\nat_ms = 8000\nlasts_ms = 200\n";
    let (run, proof) = sent("consul@1.8.7", "consul", "gossip-count", 10, again);
    let gone = proof["threads_gone"].as_object().unwrap_or_else(|| panic!("{}", run.told()));
    assert_eq!(gone.len(), 1, "{proof}");
    assert!(gone.values().all(|how| how[0] == "all of them: the process exited with status 2"), "{proof}");
    assert!(proof["log"].to_string().contains("panic: runtime error: index out of range"), "{proof}");
    // Its lines are as long as fits.
    let said = String::from_utf8_lossy(&run.output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("was down already (exited with status 2)"), "{}", run.told());
    assert!(!said.contains("never healed"), "{}", run.told());
}

/// A member of etcd refuses what does not name its cluster and itself: then nothing behind that would ever be looked at.
#[test]
fn a_search_gets_as_far_as_what_it_is_for() {
    let _alone = alone();
    let run = Run::by("poison", &["etcd@3.5.30", "--fuzz", "10", "--seed", "1"]);
    let text = fs::read_to_string(run.folder.join("mutants.jsonl")).unwrap_or_else(|_| panic!("{}", run.told()));
    let mutants: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let answered = |message: &str, with: &str| {
        mutants.iter().any(|line| {
            let name = line["mutant"]["message"].as_str().expect("a name");
            name.starts_with(message) && line["answer"].as_str().is_some_and(|answer| answer.starts_with(with))
        })
    };
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(answered("raft heartbeat", &hex("HTTP/1.1 204")), "{}", run.told());
    assert!(answered("raft stream", &hex("HTTP/1.1 200")), "{}", run.told());
    // A frame of HTTP/2 that tells settings.
    assert!(answered("etcdserverpb.KV/Put", "0000"), "{}", run.told());
    let summary: Value =
        serde_json::from_str(&fs::read_to_string(run.folder.join("fuzz.json")).expect("a summary")).expect("JSON");
    assert_eq!(summary["mutants"], mutants.len());
    assert!(summary["compared"].as_u64() > Some(0), "{summary:#}");
    assert!(summary["coverage"]["fields"].as_object().is_some_and(|fields| fields.len() > 200), "{}", run.told());
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
    // What is too short to prove anything would end as `valid`.
    assert!(refused(&["zookeeper@3.4.6", "--case", CASE, "--watch", "15"]).contains("15 is not in 16..=3600"));
    let latent = ["zookeeper@3.4.6", "--case", "election-short-vote", "--watch", "29"];
    assert!(refused(&latent).contains("watch it for 30 s or longer"));
    let listed = leasehold().args(["poison", "--list"]).output().expect("it starts");
    let listed_cases = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.status.success(), "{}", told(&listed));
    for issue in ["ZOOKEEPER-2146", "etcd pull request 13084", "memberlist pull request 236"] {
        assert!(listed_cases.replace("\n    ", " ").contains(issue), "{issue}");
    }
}
