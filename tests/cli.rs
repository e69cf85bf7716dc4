//! What a user types and reads, without any cluster.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use common::{leasehold, told};
use leasehold::nemesis::PACKAGES;

fn run(arguments: &[&str]) -> Output {
    leasehold().args(arguments).stdin(Stdio::null()).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_goes_to_stdout_and_wrong_usage_to_stderr() {
    let help = run(&["--help"]);
    assert!(help.status.success() && stdout(&help).contains("Exit codes"), "{}", told(&help));
    for verb in ["run", "replay", "check", "report", "fetch", "scenarios", "faults", "doctor"] {
        assert!(stdout(&help).contains(verb), "{verb} is not in the help");
        assert!(run(&[verb, "--help"]).status.success());
    }
    let wrong = run(&["run", "etcd-v2-calm", "--sed", "1"]);
    assert_eq!(wrong.status.code(), Some(64));
    assert!(stderr(&wrong).contains("--seed"), "{}", told(&wrong));
}

#[test]
fn what_is_no_run_cannot_be_done_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_string_lossy().into_owned();
    let output = run(&["replay", &path]);
    assert_eq!(output.status.code(), Some(65), "{}", told(&output));
    assert!(stderr(&output).contains("holds no run"), "{}", told(&output));
    // A record that was not made by `run` names no command, or another one.
    for command in ["[]", r#"["sh","-c","true"]"#, r#"["leasehold","run","x","--bogus"]"#] {
        let line = std::fs::read_to_string("results/example/history.jsonl").expect("the example");
        let mut header: serde_json::Value =
            serde_json::from_str(line.lines().next().unwrap_or_default()).expect("JSON");
        header["command"] = serde_json::from_str(command).expect("JSON");
        std::fs::write(folder.path().join("history.jsonl"), format!("{header}\n")).expect("a record");
        let output = run(&["replay", &path]);
        assert_eq!(output.status.code(), Some(65), "{command}: {}", told(&output));
        assert!(stderr(&output).contains("record"), "{command}: {}", told(&output));
    }
}

#[test]
fn the_report_of_a_stored_run_is_written_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_string_lossy().into_owned();
    let output = run(&["report", "results/example", "--out", &out]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(stdout(&output).contains("report.html"), "{}", told(&output));
    let page = fs::read_to_string(folder.path().join("report.html")).expect("a page");
    assert!(page.contains("The lock did not hold") && page.contains("double-acquisition"));
    // What was judged is shown, and not judged anew.
    fs::copy("results/example/history.jsonl", folder.path().join("history.jsonl")).expect("a copy");
    let verdict = r#"{"verdict":"unknown","anomalies":[],"ops":0,"checkers":{}}"#;
    fs::write(folder.path().join("verdict.json"), verdict).expect("a verdict");
    assert!(run(&["report", &out]).status.success());
    assert!(fs::read_to_string(folder.path().join("report.html")).expect("a page").contains("This run proves nothing"));
    fs::write(folder.path().join("verdict.json"), "{}").expect("no verdict");
    let output = run(&["report", &out]);
    assert_eq!(output.status.code(), Some(65), "{}", told(&output));
    assert!(stderr(&output).contains("no verdict of this version"), "{}", told(&output));
    let output = run(&["report", "tests"]);
    assert_eq!(output.status.code(), Some(65), "{}", told(&output));
}

#[test]
fn a_record_without_a_run_has_a_report_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    fs::copy("results/example/history.jsonl", file("old.jsonl")).expect("a copy");
    let output = run(&["report", &file("old.jsonl")]);
    assert!(output.status.success(), "{}", told(&output));
    let page = fs::read_to_string(file("old-report/report.html")).expect("a page");
    assert!(page.contains("The lock did not hold") && page.contains("double-acquisition"));

    let edn = "{:process 0, :type :invoke, :f :write, :value 3}\n{:process 0, :type :ok, :f :write, :value 3}\n\
               {:process 1, :type :invoke, :f :read, :value nil}\n{:process 1, :type :ok, :f :read, :value 7}\n";
    fs::write(file("jepsen.edn"), edn).expect("it is written");
    let output = run(&["report", &file("jepsen.edn"), "--out", &file("out")]);
    assert!(output.status.success(), "{}", told(&output));
    let page = fs::read_to_string(file("out/report.html")).expect("a page");
    for needed in
        ["No order explains the answers", "jepsen.edn", "jepsen-edn", "<code>read 7</code>", "leasehold check "]
    {
        assert!(page.contains(needed), "{needed:?} is missing");
    }
    assert!(!page.contains("seed"), "nobody knows the seed of another tool's run");

    let mutex = "{:process 0, :type :invoke, :f :acquire}\n{:process 0, :type :ok, :f :acquire}\n";
    fs::write(file("mutex.edn"), mutex).expect("it is written");
    for (name, said) in [("mutex.edn", "--model mutex"), ("none.jsonl", "holds no run")] {
        let output = run(&["report", &file(name)]);
        assert!(!output.status.success() && stderr(&output).contains(said), "{}", told(&output));
    }
}

#[test]
fn a_run_that_did_not_come_to_its_end_says_so_wherever_it_is_told_of() {
    let root = tempfile::tempdir().expect("a folder");
    let record = fs::read("results/example/history.jsonl").expect("a record");
    let made = fs::read_to_string("results/example/run.json").expect("what was asked for");
    let mut made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    let cases = [
        ("a", serde_json::json!("completed"), 0, None, None),
        ("b", serde_json::json!("interrupted"), 0, Some("run was interrupted after"), Some("interrupted")),
        ("c", serde_json::json!(null), 0, Some("run never ended"), Some("not ended")),
        ("d", serde_json::json!({"failed": "no space left"}), 0, Some("no space left"), Some("broke off")),
        ("e", serde_json::json!("completed"), 5, Some("record was cut short"), None),
    ];
    for (name, ending, missing, said, listed) in cases {
        let folder = root.path().join(name);
        fs::create_dir(&folder).expect("a folder");
        made["ending"] = ending;
        fs::write(folder.join("run.json"), made.to_string()).expect("it is written");
        fs::write(folder.join("history.jsonl"), &record[..record.len() - missing]).expect("it is written");
        let output = run(&["report", &folder.to_string_lossy()]);
        assert!(output.status.success(), "{}", told(&output));
        let page = fs::read_to_string(folder.join("report.html")).expect("a page");
        let summary = fs::read_to_string(folder.join("summary.md")).expect("a summary");
        let checked = stdout(&run(&["check", &folder.to_string_lossy()]));
        for (text, mark) in [(&page, "class=\"warning\""), (&summary, "**Cut short:**"), (&checked, "cut short")] {
            assert_eq!(text.contains(mark), said.is_some(), "{name}: {mark}");
            // Lines are wrapped at the terminal.
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(said.is_none_or(|said| text.contains(said)), "{name}: {text}");
        }
        let head = page.find("class=\"warning\"").zip(page.find("<main>"));
        assert!(said.is_none() || head.is_some_and(|(warning, main)| warning < main), "{name}: it is said too late");
        let runs = leasehold::index::below(root.path()).expect("it can be read");
        let listed_as = runs.iter().find(|run| run.path == name).expect("it is listed").cut_short;
        assert_eq!(listed_as, listed, "{name}");
    }
}

#[test]
fn an_unknown_scenario_names_the_nearest_and_all() {
    let output = run(&["run", "etcd-v2-clam"]);
    assert_eq!(output.status.code(), Some(64));
    let text = stderr(&output);
    assert!(text.contains("did you mean `etcd-v2-calm`?") && text.contains("etcd-v3-leader-pause"), "{text}");
}

#[test]
fn a_typo_in_a_scenario_is_named_with_its_place() {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("mine.toml");
    let text = stdout(&run(&["scenarios", "etcd-v2-early-expiry"])).replace("offset_ms", "ofset_ms");
    fs::write(&path, text).expect("a file");
    let output = run(&["run", path.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(65), "{}", told(&output));
    let text = stderr(&output);
    assert!(text.contains("mine.toml:18:1"), "{text}");
    assert!(text.contains("did you mean `offset_ms`?"), "{text}");
}

#[test]
fn servers_of_another_service_are_refused() {
    let output = run(&["run", "etcd-v2-calm", "--servers", "zookeeper@3.8.0"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("etcd-v2-calm is about etcd, and zookeeper@3.8.0 is none"), "{}", stderr(&output));
}

#[test]
fn an_unknown_version_lists_those_that_are_known() {
    let output = run(&["run", "etcd-v2-calm", "--servers", "etcd@3.4.24"]);
    assert_eq!(output.status.code(), Some(69), "{}", told(&output));
    for version in ["3.3.25", "3.4.23", "3.5.16", "3.5.30"] {
        assert!(stderr(&output).contains(version), "{}", told(&output));
    }
    assert!(!fs::exists("results/etcd-v2-calm").unwrap_or(false) || !stderr(&output).contains("results"));
}

#[test]
fn a_server_program_that_is_not_there_is_named() {
    let output = run(&["run", "etcd-v2-calm", "--server-bin", "etcd=/no/such/etcd"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(stderr(&output).contains("/no/such/etcd"), "{}", told(&output));
}

#[test]
fn a_server_program_that_cannot_serve_is_told_at_once() {
    let root = tempfile::tempdir().expect("a folder");
    let program = root.path().join("etcd");
    fs::write(&program, "#!/bin/sh\necho I am no etcd\nexit 3\n").expect("a file");
    let told_of = |path: &Path| {
        let (server, out) = (format!("etcd={}", path.display()), root.path().join("run"));
        let output = run(&["run", "etcd-v3-calm", "--server-bin", &server, "--out", out.to_str().expect("UTF-8")]);
        assert_eq!(output.status.code(), Some(69), "{}", told(&output));
        stderr(&output)
    };
    assert!(told_of(root.path()).contains("is no file"));
    assert!(told_of(&program).contains("chmod +x"));
    assert!(!root.path().join("run").exists(), "nothing is made for a run that cannot begin");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let text = told_of(&program);
    assert!(text.contains("exited with status 3") && text.contains("I am no etcd"), "{text}");
}

#[test]
fn a_folder_of_packages_that_is_none_is_told() {
    let output = leasehold().arg("fetch").env("LEASEHOLD_PACKAGES", "/no/such/folder").output().expect("it starts");
    assert_eq!(output.status.code(), Some(69), "{}", told(&output));
    assert!(stderr(&output).contains("/no/such/folder"), "{}", told(&output));
}

#[test]
fn broken_histories_give_a_clear_error_or_an_unknown_verdict() {
    let root = tempfile::tempdir().expect("a folder");
    let check = |name: &str, text: &str| {
        let path = root.path().join(name);
        fs::write(&path, text).expect("a file");
        let output = run(&["check", path.to_str().expect("UTF-8")]);
        assert!(!stderr(&output).contains("panicked"), "{}", told(&output));
        output
    };
    let header = r#"{"leasehold":1,"scenario":"s","workload":"lease","model":"lease-lock","service":"etcd-v3","servers":"etcd 1","nodes":3,"seed":1,"clock":"CLOCK_MONOTONIC","start":"2026-01-01T00:00:00Z","contract":{"service":"etcd-v3","early_slack_ms":0,"latest_expiry":null,"fencing_tokens":true,"source":"-"}}"#;
    let read = |time: u64, kind: &str| {
        format!(
            r#"{{"time":{time},"process":0,"type":"{kind}","f":"read","key":"k","value":{{"linearizable":true,"owner":null}},"node":"n1"}}"#
        )
    };

    let output = check("nonsense", "not a history\n");
    assert_eq!(output.status.code(), Some(65), "{}", told(&output));
    assert!(stderr(&output).contains("nonsense"), "{}", told(&output));

    let output = check("empty", "");
    assert_eq!(output.status.code(), Some(65), "{}", told(&output));

    let broken_middle = format!("{header}\n{}\n{{\"time\":\n{}\n", read(1, "invoke"), read(2, "ok"));
    let output = check("broken-middle", &broken_middle);
    assert_eq!(output.status.code(), Some(65), "{}", told(&output));
    assert!(stderr(&output).contains('3'), "the line is named: {}", told(&output));

    let cut = format!("{header}\n{}\n{}\n{{\"time\":3,\"proc", read(1, "invoke"), read(2, "ok"));
    let output = check("cut", &cut);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(stderr(&output).contains("cut ends inside line 4; judged to line 3"), "{}", told(&output));
    let whole = check("whole", &format!("{header}\n{}\n{}\n", read(1, "invoke"), read(2, "ok")));
    assert!(!stderr(&whole).contains("ends inside"), "{}", told(&whole));

    let edn = "{:process 0, :type :invoke, :f :lock}\n{:process 0, :type :ok, :f :lock}\n{:process 0, :ty";
    let path = root.path().join("cut.edn");
    fs::write(&path, edn).expect("it can be written");
    let output = run(&["check", "--json", "--model", "mutex", path.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(stderr(&output).contains("cut.edn ends inside an operation; judged to the last whole one, on line 2"));
    assert!(stdout(&output).contains("ends in the middle of a line, which is left out"), "{}", told(&output));

    let backwards = format!("{header}\n{}\n{}\n", read(5, "invoke"), read(2, "ok"));
    let output = check("backwards", &backwards);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(stdout(&output).contains("unknown") || stdout(&output).contains("UNKNOWN"), "{}", told(&output));

    let output = run(&["check", "/no/such/history"]);
    assert_eq!(output.status.code(), Some(65), "{}", told(&output));

    let output = run(&["check", root.path().to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(65), "{}", told(&output));
    assert!(stderr(&output).contains("has no history.jsonl"), "{}", told(&output));
}

#[test]
fn the_suite_of_the_schedulers_example_is_shared_out() {
    let part = |number: usize| {
        let output = run(&["suite", "./examples/slurm/try.toml", "--list", "--shard", &format!("{number}/4")]);
        assert!(output.status.success(), "{}", told(&output));
        stdout(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let parts: Vec<Vec<String>> = (1..=4).map(part).collect();
    assert!(parts.iter().all(|runs| runs.len() == 2), "{parts:?}");
}

#[test]
fn a_history_is_checked_in_parts_and_the_parts_make_the_whole() {
    let root = tempfile::tempdir().expect("a folder");
    let path = |name: &str| root.path().join(name).to_string_lossy().into_owned();
    let part = |number: usize, history: &str, name: &str| {
        let output = run(&["check", history, "--shard", &format!("{number}/3"), "--out", &path(name)]);
        assert!(stdout(&output).contains(&format!("part {number}/3 of ")), "{}", told(&output));
        path(name)
    };
    let parts = [1, 2, 3].map(|number| part(number, "results/example", &format!("{number}.json")));
    let merged = |parts: &[&str]| run(&[&["check", "--json", "--merge"], parts].concat());
    let output = merged(&[&parts[2], &parts[0], &parts[1]]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).expect("JSON");
    let (merged_parts, whole) = (json(&output.stdout), json(&run(&["check", "--json", "results/example"]).stdout));
    for field in ["verdict", "anomalies", "ops"] {
        assert_eq!(merged_parts[field], whole[field], "{field}");
    }

    let refused = |parts: &[&str], why: &str| {
        let output = merged(parts);
        assert_eq!(output.status.code(), Some(65), "{}", told(&output));
        assert!(stderr(&output).contains(why), "{why}: {}", told(&output));
    };
    refused(&[&parts[0], &parts[2]], "part 2/3 is missing");
    refused(&[&parts[0], &parts[1], &parts[1]], "are both part 2/3");
    let other = path("other.jsonl");
    let text = fs::read_to_string("results/example/history.jsonl").expect("the example");
    fs::write(&other, text.trim_end().rsplit_once('\n').expect("lines").0).expect("room");
    refused(&[&parts[0], &parts[1], &part(3, &other, "other.json")], "is about another history");
    refused(&["results/example/verdict.json"], "is no part of a verdict");
    let output = run(&["check", "results/example", "--shard", "1/3"]);
    assert_eq!(output.status.code(), Some(64), "a part without a file is of no use: {}", told(&output));
}

#[test]
fn lists_are_complete_and_clean_in_a_pipe() {
    let scenarios = run(&["scenarios"]);
    assert!(stdout(&scenarios).contains("etcd-v2-early-expiry"));
    let faults = run(&["faults"]);
    for package in PACKAGES {
        assert!(stdout(&faults).contains(package.name));
    }
    let doctor = run(&["doctor"]);
    for output in [scenarios, faults, doctor] {
        assert!(!stdout(&output).contains('\u{1b}'));
    }
}

#[test]
fn the_doctor_tells_of_every_fault_and_every_server() {
    let (words, json) = (run(&["doctor"]), run(&["doctor", "--json"]));
    let diagnosis: serde_json::Value =
        serde_json::from_str(&stdout(&json)).unwrap_or_else(|_| panic!("{}", told(&json)));
    let code = if diagnosis["runs"] == true { 0 } else { 69 };
    assert_eq!((words.status.code(), json.status.code()), (Some(code), Some(code)), "{}", told(&words));
    let rows = diagnosis["faults"].as_array().expect("a row for each fault");
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, PACKAGES.map(|package| package.name));
    for row in rows {
        assert!(["yes", "partly", "no"].contains(&row["possible"].as_str().expect("a word")), "{row}");
        assert!(!row["why"].as_str().expect("words").is_empty(), "{row}");
    }
    let text = stdout(&words);
    for name in names.into_iter().chain(["etcd@3.4.23", "etcd@3.5.30", "namespaces and /proc"]) {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is missing: {text}");
    }
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert!(stdout(&script).contains("scenarios"), "{}", told(&script));
    }
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("man");
    let output = run(&["man", folder.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    for page in ["leasehold.1", "leasehold-run.1", "leasehold-suite-merge.1"] {
        let page = fs::read_to_string(folder.join(page)).expect("a page");
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }
}

#[test]
fn a_suite_on_other_servers_lists_its_runs_on_those() {
    let listed = run(&["suite", "smoke", "--list", "--servers", "etcd@3.4.20"]);
    assert_eq!(listed.status.code(), Some(0), "{}", told(&listed));
    let lines: Vec<String> = stdout(&listed).lines().map(str::to_owned).collect();
    assert!(lines.iter().any(|line| line.starts_with("etcd-v3-calm/etcd@3.4.20/1")), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("etcd@3.5.30")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("zookeeper-early-expiry/zookeeper@3.4.6/1")), "{lines:?}");
    let foreign = run(&["suite", "failure-friday", "--list", "--servers", "zookeeper@3.9.6"]);
    assert_eq!(foreign.status.code(), Some(65), "{}", told(&foreign));
    assert!(stderr(&foreign).contains("none of its runs is about zookeeper"), "{}", told(&foreign));
}
