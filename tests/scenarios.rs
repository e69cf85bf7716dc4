//! The named scenarios on real clusters: what must be found is found, and what is correct is not accused.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Run, leasehold, one_of_two};

/// A valid run in which something happened.
fn must_be_valid(arguments: &[&str]) -> Run {
    let run = Run::of(arguments);
    assert_eq!(run.code(), Some(0), "{}", run.told());
    assert_eq!(run.verdict()["verdict"], "valid");
    assert!(run.verdict()["ops"].as_u64() > Some(20), "{}", run.verdict());
    run
}

#[test]
fn a_leader_whose_clock_is_ahead_ends_v2_ttls_early() {
    let _lane = one_of_two();
    let run = Run::of(&["etcd-v2-early-expiry", "--seed", "1"]);
    assert_eq!(run.code(), Some(1), "{}", run.told());
    assert!(run.proven("premature-expiry").iter().any(|&margin| margin > 8.0), "{}", run.told());
    assert!(!run.proven("double-acquisition").is_empty(), "{}", run.told());
    let files = [
        "run.json",
        "scenario.toml",
        "summary.md",
        "report.html",
        "plots/gantt.svg",
        "plots/gantt.png",
        "logs/n1/server.log",
    ];
    for file in files {
        assert!(fs::metadata(run.folder.join(file)).is_ok_and(|file| file.len() > 0), "{file} is missing");
    }
    the_stored_run_is_judged_to_the_same_bytes(&run);
}

fn the_stored_run_is_judged_to_the_same_bytes(run: &Run) {
    let again = run.folder.join("again.json");
    let output = leasehold().arg("check").arg(&run.folder).arg("--out").arg(&again).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    let bytes = |path: &std::path::Path| fs::read(path).expect("a verdict");
    assert_eq!(bytes(&again), bytes(&run.folder.join("verdict.json")));
}

#[test]
fn without_the_fault_the_same_scenario_is_valid() {
    let _lane = one_of_two();
    must_be_valid(&["etcd-v2-early-expiry", "--no-faults", "--seed", "2"]);
}

#[test]
fn elections_among_clocks_that_differ_end_v2_ttls_early() {
    let _lane = one_of_two();
    let run = Run::of(&["etcd-v2-elections", "--seed", "1"]);
    assert_eq!(run.code(), Some(1), "{}", run.told());
    let margins = run.proven("premature-expiry");
    assert!(margins.iter().any(|&margin| margin > 0.5), "{margins:?}");
    // Clocks are at most 2 s apart, so that is the most that can be lost.
    assert!(margins.iter().all(|&margin| margin < 2.05), "{margins:?}");
}

#[test]
fn calm_v2_is_valid() {
    let _lane = one_of_two();
    must_be_valid(&["etcd-v2-calm", "--seed", "3"]);
    must_be_valid(&["etcd-v2-calm", "--servers", "etcd@3.5.30", "--seed", "4"]);
}

#[test]
fn calm_v3_is_valid() {
    let _lane = one_of_two();
    must_be_valid(&["etcd-v3-calm", "--servers", "etcd@3.4.23", "--seed", "5"]);
    must_be_valid(&["etcd-v3-calm", "--seed", "6"]);
}

#[test]
fn v3_leases_outlive_their_leaders() {
    let _lane = one_of_two();
    for servers in ["etcd@3.4.23", "etcd@3.5.30"] {
        let run = must_be_valid(&["etcd-v3-leader-change", "--servers", servers, "--seed", "7"]);
        let history = fs::read_to_string(run.folder.join("history.jsonl")).expect("a history");
        let bit = |package: &str| {
            history.lines().any(|line| {
                line.contains("\"process\":\"nemesis\",\"type\":\"ok\"")
                    && line.contains(&format!("\"f\":\"{package}\""))
            })
        };
        for package in ["kill", "election", "partition"] {
            assert!(bit(package), "{package} did not bite on {servers}");
        }
    }
}

#[test]
fn v3_locks_hold_on_a_bad_network() {
    let _lane = one_of_two();
    for servers in ["etcd@3.4.23", "etcd@3.5.30"] {
        let run = must_be_valid(&["etcd-v3-bad-network", "--servers", servers, "--seed", "12", "--pcap"]);
        let history = fs::read_to_string(run.folder.join("history.jsonl")).expect("a history");
        let completed = |kind: &str, phase: &str| {
            let (kind, phase) =
                (format!("\"process\":\"nemesis\",\"type\":\"{kind}\""), format!("\"phase\":\"{phase}\""));
            history.lines().filter(|line| line.contains(&kind) && line.contains(&phase)).count()
        };
        let packets = fs::read(run.folder.join("packets.pcapng")).expect("a file of packets");
        assert!(packets.starts_with(b"\x0a\x0d\x0d\x0a") && packets.len() > 1 << 20, "{}", packets.len());
        // Each bit, and each was healed.
        assert_eq!((completed("ok", "inject"), completed("ok", "heal")), (7, 7), "{servers}: {}", run.told());
    }
}

#[test]
fn a_wall_clock_set_back_keeps_leases_alive_on_3_4_23_alone() {
    let _lane = one_of_two();
    let run = Run::of(&["etcd-v3-clock-back", "--seed", "8"]);
    assert_eq!(run.code(), Some(1), "{}", run.told());
    assert!(run.proven("overdue-expiry").iter().any(|&margin| margin > 4.5), "{}", run.told());
    must_be_valid(&["etcd-v3-clock-back", "--servers", "etcd@3.5.30", "--seed", "8"]);
}

#[test]
fn a_lock_is_given_to_a_dead_lease_on_3_4_23_alone() {
    let _lane = one_of_two();
    let run = Run::of(&["etcd-v3-lock-dead-lease", "--seed", "9"]);
    assert_eq!(run.code(), Some(1), "{}", run.told());
    assert!(!run.proven("double-acquisition").is_empty(), "{}", run.told());
    must_be_valid(&["etcd-v3-lock-dead-lease", "--servers", "etcd@3.5.30", "--seed", "9"]);
}

/// No version of etcd's election service looks whether the candidate's own key is still there.
#[test]
fn a_candidate_whose_lease_ended_in_the_line_is_told_that_it_leads() {
    let _lane = one_of_two();
    let run = Run::of(&["etcd-v3-election-dead-lease", "--seconds", "12", "--seed", "16"]);
    assert_eq!(run.code(), Some(1), "{}", run.told());
    assert!(!run.proven("double-acquisition").is_empty(), "{}", run.told());
}

/// The faults of a package that took effect, by what stands in the record.
fn bites(run: &Run, package: &str) -> usize {
    let history = fs::read_to_string(run.folder.join("history.jsonl")).expect("a history");
    let injected = format!("\"type\":\"ok\",\"f\":\"{package}\"");
    history.lines().filter(|line| line.contains(&injected) && line.contains("\"phase\":\"inject\"")).count()
}

#[test]
fn a_leader_whose_disk_hung_revokes_what_others_renewed() {
    let _lane = one_of_two();
    let run = Run::of(&["etcd-v3-frozen-disk", "--seconds", "16", "--seed", "12"]);
    assert_eq!(run.code(), Some(1), "{}", run.told());
    assert_eq!(bites(&run, "disk"), 1);
    assert!(run.proven("premature-expiry").iter().any(|&margin| margin > 1.0), "{}", run.told());
    assert!(!run.proven("double-acquisition").is_empty(), "{}", run.told());
}

#[test]
fn a_member_that_forgets_gives_a_lock_away_and_one_that_is_replaced_does_not() {
    let _lane = one_of_two();
    let run = Run::of(&["etcd-v3-rollback", "--seed", "13"]);
    assert_eq!(run.code(), Some(1), "{}", run.told());
    // A minute was promised, and the lock given away within ten seconds.
    assert!(run.proven("double-acquisition").iter().any(|&margin| margin > 40.0), "{}", run.told());
    let run = must_be_valid(&["etcd-v3-member-replaced", "--seed", "13"]);
    assert_eq!(bites(&run, "membership"), 1);
}

#[test]
fn a_member_that_is_made_a_cluster_of_its_own_gives_a_lock_away() {
    let _lane = one_of_two();
    let run = Run::of(&["etcd-v3-forced-new-cluster", "--seed", "13"]);
    assert_eq!(run.code(), Some(1), "{}", run.told());
    assert_eq!(bites(&run, "amnesia"), 1);
    assert!(run.proven("double-acquisition").iter().any(|&margin| margin > 40.0), "{}", run.told());
}

#[test]
fn a_member_that_forgets_a_lease_shows_its_dead_holder_for_good() {
    let _lane = one_of_two();
    let run = Run::of(&["etcd-v3-negative-lease", "--seconds", "14", "--seed", "13"]);
    assert_eq!(run.code(), Some(1), "{}", run.told());
    assert!(!run.proven("stale-read").is_empty(), "{}", run.told());
}

#[test]
fn v3_locks_outlive_slow_and_full_disks() {
    let _lane = one_of_two();
    let run = must_be_valid(&["etcd-v3-slow-and-full-disk", "--seed", "14"]);
    assert_eq!(bites(&run, "disk"), 3);
}

#[test]
fn a_server_program_of_the_users_own_is_run() {
    let _lane = one_of_two();
    let fetched = leasehold().args(["fetch", "etcd@3.5.16"]).output().expect("the program starts");
    let line = String::from_utf8_lossy(&fetched.stdout).into_owned();
    let path = line.split_whitespace().last().unwrap_or_else(|| panic!("{}", common::told(&fetched)));
    // By the example's script, which starts it in its own way.
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/servers/etcd.sh");
    let script = fs::read_to_string(example).expect("it comes along").replace("exec etcd", &format!("exec {path}"));
    let folder = tempfile::tempdir().expect("a folder");
    let script_path = folder.path().join("etcd.sh");
    fs::write(&script_path, script).expect("room");
    fs::set_permissions(&script_path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let program = format!("etcd={}", script_path.display());
    let run = must_be_valid(&["etcd-v3-calm", "--server-bin", &program, "--seconds", "10", "--seed", "11"]);
    let text = fs::read_to_string(run.folder.join("summary.md")).expect("a summary");
    assert!(text.contains(&program), "the command to reproduce it names the program: {text}");
}

/// What a pause of the leader brings to light is a race inside the server. So the verdict is open; that the pauses bit
/// and that whatever is found is proven by a real margin is not.
#[test]
fn a_paused_leader_is_judged_with_proof_either_way() {
    let _lane = one_of_two();
    let run = Run::of(&["etcd-v3-leader-pause", "--seed", "10"]);
    assert!(matches!(run.code(), Some(0 | 1)), "{}", run.told());
    let history = fs::read_to_string(run.folder.join("history.jsonl")).expect("a history");
    let pauses = history
        .lines()
        .filter(|line| line.contains("\"type\":\"ok\",\"f\":\"pause\"") && line.contains("\"phase\":\"inject\""));
    assert!(pauses.count() >= 6);
    for margin in run.proven("premature-expiry") {
        assert!(margin > 0.0 && margin <= 3.0, "a lease of 3 s cannot end {margin} s early");
    }
}

/// The client that runs a job stands still past its TTL and works on.
#[test]
fn a_job_whose_holder_was_frozen_runs_twice_unless_it_is_fenced() {
    let _lane = one_of_two();
    let run = Run::of(&["etcd-v3-job-frozen-holder", "--seconds", "16", "--seed", "14"]);
    assert_eq!(run.code(), Some(1), "{}", run.told());
    assert!(bites(&run, "pause") > 0, "{}", run.told());
    let kinds: Vec<_> =
        run.verdict()["anomalies"].as_array().expect("a list").iter().map(|a| a["kind"].clone()).collect();
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| kind == "double-run"), "{kinds:?}");

    let fenced = must_be_valid(&["etcd-v3-job-frozen-holder-fenced", "--seconds", "16", "--seed", "14"]);
    assert!(bites(&fenced, "pause") > 0, "{}", fenced.told());
    let history = fs::read_to_string(fenced.folder.join("history.jsonl")).expect("a history");
    assert!(history.contains("\"code\":\"fenced\""), "nothing was refused");
}

#[test]
fn answers_of_registers_can_be_ordered_while_the_leader_is_killed() {
    let _lane = one_of_two();
    let run = must_be_valid(&["etcd-v3-register-leader-change", "--seconds", "10", "--seed", "15"]);
    assert!(bites(&run, "kill") > 0, "{}", run.told());
    assert!(run.verdict()["ops"].as_u64() > Some(200), "{}", run.verdict());
    let summary = fs::read_to_string(run.folder.join("summary.md")).expect("a summary");
    assert!(summary.starts_with("# VALID: some order explains every answer"), "{summary}");
}

/// ZooKeeper 3.4.6 reckons the ends of sessions by the wall clock, and Consul by the monotonic one.
#[test]
fn a_leader_whose_clock_is_ahead_ends_sessions_of_zookeeper_3_4_6_early_and_none_of_consul() {
    let _lane = one_of_two();
    let run = Run::of(&["zookeeper-early-expiry", "--seed", "1"]);
    assert_eq!(run.code(), Some(1), "{}", run.told());
    assert!(run.proven("premature-expiry").iter().any(|&margin| margin > 1.0), "{}", run.told());
    let run = must_be_valid(&["consul-early-expiry", "--seed", "1"]);
    assert_eq!(bites(&run, "clock"), 1);
}

#[test]
fn sessions_outlive_the_leaders_of_consul_and_zookeeper() {
    let _lane = one_of_two();
    for scenario in ["consul-leader-change", "zookeeper-leader-change"] {
        let run = must_be_valid(&[scenario, "--seconds", "20", "--seed", "1"]);
        assert_eq!((bites(&run, "election"), bites(&run, "kill")), (1, 1), "{}", run.told());
    }
}

/// A snapshot does not hold for how long locks have to stay closed.
#[test]
fn a_restored_snapshot_opens_the_locks_that_consul_had_to_keep_closed() {
    let _lane = one_of_two();
    let run = Run::of(&["consul-lock-delay-lost", "--seconds", "16", "--seed", "1"]);
    assert_eq!(run.code(), Some(1), "{}", run.told());
    assert_eq!(bites(&run, "snapshot"), 1);
    assert!(run.proven("lock-delay-broken").iter().any(|&margin| margin > 1.0), "{}", run.told());
    let kinds: Vec<_> =
        run.verdict()["anomalies"].as_array().expect("a list").iter().map(|a| a["kind"].clone()).collect();
    assert!(kinds.iter().all(|kind| kind == "lock-delay-broken"), "{kinds:?}");
}

#[test]
fn sessions_outlive_a_member_of_zookeeper_that_goes_and_comes_back_empty() {
    let _lane = one_of_two();
    let run = must_be_valid(&["zookeeper-membership", "--seconds", "12", "--seed", "1"]);
    assert_eq!(bites(&run, "membership"), 1);
    let history = fs::read_to_string(run.folder.join("history.jsonl")).expect("a history");
    let healed = history.lines().find(|line| line.contains("\"f\":\"membership\"") && line.contains("\"added\""));
    assert!(
        healed.is_some_and(|line| line.contains("\"to\":[\"n1\",\"n2\",\"n3\"]")),
        "it is a member again: {healed:?}"
    );
}

/// What the servers cannot do is said before anything is started.
#[test]
fn a_fault_that_the_servers_do_not_offer_is_refused() {
    let refused = |arguments: &[&str], why: &str| {
        let output = leasehold().arg("run").args(arguments).output().expect("it starts");
        assert_eq!(output.status.code(), Some(64), "{}", common::told(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{}", common::told(&output));
    };
    let folder = tempfile::tempdir().expect("a folder");
    let with_fault = |name: &str, fault: &str| {
        let told = leasehold().args(["scenarios", name]).output().expect("it starts");
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        let path = folder.path().join(format!("{name}.toml"));
        fs::write(&path, format!("{text}\n[[nemesis]]\nat_ms = 1\n{fault}\n")).expect("a file");
        path.display().to_string()
    };
    refused(&["zookeeper-membership", "--servers", "zookeeper@3.4.13"], "from 3.5 on only");
    let etcd = with_fault("etcd-v3-calm", "package = \"snapshot\"\nlasts_ms = 1");
    refused(&[&etcd], "only Consul restores a snapshot");
    let consul = with_fault("consul-calm", "package = \"election\"\nhow = \"move-leader\"");
    refused(&[&consul], "cannot be asked to hand over");
    let zookeeper = with_fault("zookeeper-calm", "package = \"election\"\nhow = \"back\"");
    refused(&[&zookeeper], "elects who knows most");
}
