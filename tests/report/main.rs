//! The report, written for made-up runs.

mod browser;
mod hostile;
mod html;
mod index;
mod synthetic;
mod xml;

use std::fs;
use std::path::Path;

use leasehold::report::{Report, ReportError};
use leasehold_checkers::history::{ErrorInfo, EventType, History, Process, header_to_line, to_line};
use leasehold_checkers::verdict::{Judgement, Verdict};

fn stories() -> Vec<(&'static str, History, Judgement)> {
    let stories = [
        ("early", synthetic::early_expiry()),
        ("cut", synthetic::cut_off()),
        ("calm", synthetic::calm()),
        ("storm", synthetic::stormy()),
        ("nothing", synthetic::nothing_granted()),
        ("many", synthetic::many_keys()),
        ("register", recorded("etcd-v3-register-stale-read.jsonl")),
        ("job", recorded("etcd-v3-job-frozen-holder.jsonl")),
        ("lockup", recorded("cluster-lockup.jsonl")),
    ];
    let judged = |(name, history)| {
        let judgement = leasehold_checkers::check(&history);
        (name, history, judgement)
    };
    stories.into_iter().map(judged).collect()
}

fn story(wanted: &str) -> (History, Judgement) {
    let (_, history, judgement) = stories().into_iter().find(|(name, ..)| *name == wanted).expect("a known story");
    (history, judgement)
}

fn svg(history: &History, judgement: &Judgement, wanted: &str) -> String {
    let plots = Report::of(history, judgement).plots().expect("plots can be drawn");
    plots.into_iter().find(|(name, _)| *name == wanted).expect("the plot is there").1
}

fn texts(svg: &str) -> Vec<String> {
    xml::labels(svg).into_iter().map(|label| label.text).collect()
}

#[test]
fn of_a_poisoned_cluster_it_is_told_which_processes_ended_with_which_words_and_what_was_no_cure() {
    const PROOF: &str = r#"{"packet": [{"bytes": "0780", "name": "count", "says": "128"}],
        "sent": {"n2": {"answer": "no answer", "sent_bytes": 2}},
        "threads_gone": {"n2": ["all of them: the process exited with status 2"]}, "log": {"n2": ["panic: <b>"]}}"#;
    let mut writer = synthetic::Writer::new("poison", "consul", "consul 1.8.7");
    let proof = serde_json::from_str(PROOF).expect("JSON");
    writer.fault(1, "packet", "packet gossip-count", "n2", (synthetic::MS, Some(30 * synthetic::MS)), proof);
    let ended = serde_json::json!({"ended": {"n2": "was down already"}});
    writer.fault(2, "kill", "kill", "n2", (90 * synthetic::MS, None), ended);
    let failed = writer.event(900 * synthetic::MS, Process::Nemesis, EventType::Info, "kill");
    let heal = serde_json::json!({"fault": 2, "phase": "heal", "target": "all", "nodes": ["n2"], "what": "kill"});
    failed.value = heal.into();
    failed.error =
        Some(ErrorInfo { code: "fault".into(), text: "n2 was started again and exited with status 2".into() });
    let history = writer.finish();
    let judgement = leasehold_checkers::check(&history);
    let console = Report::of(&history, &judgement).console(Path::new("run"), false, 200);
    for needed in [
        "n2, which was sent 2 bytes: no answer",
        "gone      threads of n2: all of them: the process exited with status 2",
        "log       n2: panic: <b>",
        "no cure   kill of n2: n2 was started again and exited with status 2",
    ] {
        assert!(console.contains(needed), "{needed}\n{console}");
    }
    let page = Report::of(&history, &judgement).page().expect("a page");
    for needed in [
        "and no promise can be judged",
        "<code>n2: panic: &#60;b&#62;</code>",
        "No cure: kill of n2: n2 was started again",
        "<details open>",
    ] {
        assert!(page.contains(needed), "{needed}\n{page}");
    }
}

#[test]
fn the_summary_of_a_broken_lock_reads_like_an_incident_report() {
    let (history, judgement) = story("early");
    let summary = Report::of(&history, &judgement).summary();
    for needed in [
        "# INVALID: the lock did not hold (etcd 3.4.23, `early-expiry`)",
        "**etcd-v2 broke its promise 44 times on 2 locks; at worst one lock was promised to two clients at once for 8.83 s**",
        "0.304 s: first acquisition: process 0 got `jobs/0` for 10 s",
        "3.000 s: fault: clock +9 s on n2 (proof: measured offset 9 s, uncertainty 0.14 ms)",
        "4.234 s: **first broken promise**: process 1 still held `jobs/1` for another 8.68 s when process 3 was",
        "**worst**: ",
        "16.515 s: healed: clock +9 s on n2 (measured offset 0.12 ms)",
        "to 16.515 s: proof: measured offset 9 s, uncertainty 0.14 ms; at its end measured offset 0.12 ms",
        "22 × **double-acquisition** on `jobs/0` and `jobs/1`",
        "promised to two at once: 22 times, for up to 8.83 s each",
        "none: n2 led when first asked (term 3)",
        "`split-belief`",
        "leasehold run early-expiry --servers etcd@3.4.23 --nodes 3 --seed 42",
    ] {
        assert!(summary.contains(needed), "{needed:?} is missing from:\n{summary}");
    }
    assert!(summary.lines().count() < 60, "{} lines are no summary", summary.lines().count());
}

/// A service that may end a lease a second early and did, so that two clients believed for 0.7 s that they held one lock.
#[test]
fn two_who_believed_are_told_of_as_what_was_asked_for_and_not_as_a_broken_promise() {
    let of = |beliefs_must_exclude| {
        let mut w = synthetic::Writer::new("beliefs", "zookeeper", "zookeeper 3.9.6");
        let at = |ms: u64| ms * 1_000_000;
        w.acquire(0, "jobs/0", (at(0), at(100)), 3_000);
        w.acquire(1, "jobs/0", (at(2_200), at(2_300)), 3_000);
        let mut history = w.finish();
        history.header.contract.early_slack_ms = 1_000;
        history.header.beliefs_must_exclude = beliefs_must_exclude;
        let judgement = leasehold_checkers::check(&history);
        (judgement.verdict, Report::of(&history, &judgement).summary())
    };
    let (verdict, summary) = of(true);
    assert_eq!(verdict, Verdict::Invalid);
    for needed in [
        "# INVALID: two believed that they held one lock (zookeeper 3.9.6, `beliefs`)",
        "**two clients each had reason to believe that they held one lock, once on 1 lock, at worst for 700 ms; zookeeper kept its word.**",
    ] {
        assert!(summary.contains(needed), "{needed:?} is missing from:\n{summary}");
    }
    assert!(
        !summary.contains("broke its promise")
            && !summary.contains("broken promise")
            && !summary.contains("did not hold"),
        "{summary}"
    );
    let (verdict, summary) = of(false);
    assert_eq!(verdict, Verdict::Valid);
    assert!(summary.starts_with("# VALID: the lock held") && summary.contains("split-belief"), "{summary}");
}

#[test]
fn a_valid_run_says_what_was_tried() {
    let (history, judgement) = story("storm");
    let summary = Report::of(&history, &judgement).summary();
    assert!(summary.starts_with("# VALID: the lock held"));
    assert!(summary.contains("**No promise was broken** in 133 acquisitions, 194 renewals, 133 releases"), "{summary}");
    assert!(summary.contains("8 faults were injected, 1 of which had no effect"), "{summary}");
    assert!(summary.contains("27.200 s: n1 leads (term 6)"), "{summary}");
    assert!(summary.contains("not that none can"));
}

#[test]
fn an_unknown_run_is_never_called_a_pass_and_says_why() {
    let (history, judgement) = story("nothing");
    assert_eq!(judgement.verdict, Verdict::Unknown);
    let summary = Report::of(&history, &judgement).summary();
    assert!(summary.contains("**This is not a pass:**"), "{summary}");
    assert!(summary.contains("no acquisition succeeded in 40 ops"), "{summary}");
    assert!(summary.contains("30 × timeout, first with the words: the server said: timeout"), "{summary}");
    assert!(Report::of(&history, &judgement).console(Path::new("x"), false, 80).contains("not a pass"));
}

#[test]
fn the_gantt_names_locks_faults_leaders_and_margins() {
    let (history, judgement) = story("early");
    let gantt = texts(&svg(&history, &judgement, "gantt"));
    for needed in
        ["jobs/0", "jobs/1", "clock +9 s on n2", "n2, term 3", "11 × promised to two for up to 8.83 s", "INVALID"]
    {
        assert!(gantt.iter().any(|text| text == needed), "{needed:?} is missing from {gantt:?}");
    }
    let closeup = texts(&svg(&history, &judgement, "gantt-anomaly"));
    for needed in [
        "double-acquisition: jobs/1",
        "promised to two for 8.68 s",
        "process 1 via n2",
        "granted by 0.514 s, 4 renewals (last 2.913 s), lost to process 3 at 4.234 s, promised until 12.910 s",
    ] {
        assert!(closeup.iter().any(|text| text == needed), "{needed:?} is missing from {closeup:?}");
    }
}

#[test]
fn of_many_locks_the_broken_ones_come_first_and_the_rest_is_counted() {
    let (history, judgement) = story("many");
    let gantt = texts(&svg(&history, &judgement, "gantt"));
    let lanes: Vec<&String> = gantt.iter().filter(|text| text.starts_with("jobs/")).collect();
    assert_eq!(lanes.len(), 12, "{lanes:?}");
    assert_eq!(lanes[..2], ["jobs/17", "jobs/133"]);
    assert!(gantt.iter().any(|text| text == "Left out: 188 more locks, none with a broken promise."), "{gantt:?}");
}

#[test]
fn no_label_covers_another() {
    for (story, history, judgement) in stories() {
        for (plot, svg) in Report::of(&history, &judgement).plots().expect("plots can be drawn") {
            let labels = xml::labels(&svg);
            for (index, one) in labels.iter().enumerate() {
                for other in &labels[index + 1..] {
                    assert!(!overlap(one, other), "{story}/{plot}: {one:?} covers {other:?}");
                }
            }
        }
    }
}

fn overlap(one: &xml::Label, other: &xml::Label) -> bool {
    let (a, b) = (one.area(), other.area());
    a.0 < b.2 && b.0 < a.2 && a.1 < b.3 && b.1 < a.3
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let (history, judgement) = story("early");
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let written = folders.each_ref().map(|folder| {
        let paths = Report::of(&history, &judgement).write_all(folder.path()).expect("everything can be written");
        let names: Vec<_> =
            paths.iter().map(|path| path.strip_prefix(folder.path()).expect("below it").to_owned()).collect();
        let bytes: Vec<_> = paths.iter().map(|path| fs::read(path).expect("it is there")).collect();
        (names, bytes)
    });
    assert_eq!(written[0].0.len(), 17);
    assert_eq!(written[0].0, written[1].0);
    assert!(written[0].1 == written[1].1, "the bytes differ");
}

#[test]
fn a_record_that_is_read_event_by_event_is_told_as_if_it_were_whole() {
    // Many pieces, and one that is not full.
    let whole = html::busy(10_123);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    let lines: String = whole.events.iter().map(|event| to_line(event) + "\n").collect();
    fs::write(&path, header_to_line(&whole.header) + "\n" + &lines).expect("it is written");
    let judgement = leasehold_checkers::check(&whole);
    let read = Report::read(&path, &judgement).expect("it can be read");
    let told = Report::of(&whole, &judgement);
    assert!(read.page().expect("a page") == told.page().expect("a page"), "the pages differ");
    assert_eq!(read.summary(), told.summary());
}

#[test]
fn how_long_leases_lived_is_shown_one_by_one_and_together() {
    let (history, judgement) = story("early");
    let labels = texts(&svg(&history, &judgement, "lifelines"));
    for needed in ["the earliest legal end", "gone before it", "longest bar: 21 leases"] {
        assert!(labels.iter().any(|text| text == needed), "{needed:?} is missing from {labels:?}");
    }
}

#[test]
fn one_plot_that_fails_does_not_lose_the_others() {
    let (history, judgement) = story("nothing");
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("plots/gantt.svg")).expect("a folder in the way");
    fs::create_dir_all(folder.path().join("plots/rate.png")).expect("another one");
    let error = Report::of(&history, &judgement).write_all(folder.path()).expect_err("two files cannot be written");
    let said = error.to_string();
    let ReportError::Parts { written, failed } = error else { panic!("{error}") };
    assert_eq!((written.len(), failed.len()), (9, 2), "{said}");
    assert!(said.contains("2 parts of the report failed") && said.contains("gantt.svg"), "{said}");
}

#[test]
fn the_console_is_plain_without_colour_and_keeps_to_its_width() {
    let (history, judgement) = story("early");
    let plain = Report::of(&history, &judgement).console(Path::new("results/latest"), false, 80);
    assert!(plain.starts_with("INVALID   early-expiry on etcd 3.4.23"), "{plain}");
    assert!(plain.contains(
        "22 ×      double-acquisition: one lock was promised to two clients at once, at\n          worst for 8.83 s"
    ));
    assert!(plain.contains("results/latest/plots/gantt-anomaly.svg"));
    assert!(!plain.contains('\x1b'));
    assert!(plain.lines().all(|line| line.chars().count() <= 80), "{plain}");
    let coloured = Report::of(&history, &judgement).console(Path::new("results/latest"), true, 80);
    assert!(coloured.starts_with("\x1b[1;31mINVALID\x1b[0m"));
}

/// Writes every story's report to `target/tmp/stories`, where it can be looked at.
#[test]
fn every_story_is_written_whole() {
    for (name, history, judgement) in stories() {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stories").join(name);
        let written = Report::of(&history, &judgement).write_all(&folder).expect("everything can be written");
        assert!(written.iter().all(|file| file.metadata().is_ok_and(|file| file.len() > 0)), "{written:?}");
    }
}

/// A recorded history of the fixtures.
fn recorded(name: &str) -> History {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/histories").join(name);
    History::read(path).expect("it is there")
}

/// The same, and what is said of it.
fn fixture(name: &str) -> (History, Judgement) {
    let history = recorded(name);
    let judgement = leasehold_checkers::check(&history);
    (history, judgement)
}

#[test]
fn registers_are_shown_without_locks() {
    let (history, judgement) = fixture("etcd-v3-register-stale-read.jsonl");
    let summary = Report::of(&history, &judgement).summary();
    for needed in [
        "# INVALID: no order explains the answers (etcd 3.5.30, `etcd-v3-register-calm`)",
        "on 1 register; at worst no order of the operations explains all answers shown by 2 operations",
    ] {
        assert!(summary.contains(needed), "{needed:?} is missing from\n{summary}");
    }
    assert!(!summary.contains("lease may end") && !summary.contains("acquisition"), "{summary}");
    let names: Vec<&str> =
        Report::of(&history, &judgement).plots().expect("drawn").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["gantt-anomaly", "latency", "rate", "availability"]);
    let witness = texts(&svg(&history, &judgement, "gantt-anomaly"));
    assert!(witness.iter().any(|text| text.starts_with("read 4, from ")), "{witness:?}");
    assert!(witness.iter().any(|text| text.starts_with("write 106, from ")), "{witness:?}");
    for needed in ["before", "it may have been 106 or 85", "by that answer", "it was 4, and stayed so"] {
        assert!(witness.iter().any(|text| text == needed), "{needed:?} is missing from {witness:?}");
    }
    let told = Report::of(&history, &judgement).console(Path::new("results/latest"), false, 100);
    assert!(told.contains("results/latest/plots/gantt-anomaly.svg"), "{told}");
    for needed in ["├", "read 4", "before      it may have been 106 or 85", "by its end  it was 4, and stayed so"] {
        assert!(told.contains(needed), "{needed:?} is missing from\n{told}");
    }

    let (history, judgement) = fixture("etcd-v3-register.jsonl");
    let told = Report::of(&history, &judgement).console(Path::new("results/latest"), false, 100);
    assert!(told.contains("results/latest/plots/rate.svg") && told.contains(" swaps"), "{told}");
}

#[test]
fn a_job_that_ran_twice_is_no_broken_promise() {
    let (history, judgement) = fixture("etcd-v3-job-frozen-holder.jsonl");
    let summary = Report::of(&history, &judgement).summary();
    assert!(summary.starts_with("# INVALID: the job ran twice"), "{summary}");
    assert!(summary.contains("at worst for 2.19 s; etcd-v3 kept its word"), "{summary}");
    assert!(summary.contains("**first double run**") && !summary.contains("broken promise"), "{summary}");
    let closeup = texts(&svg(&history, &judgement, "gantt-anomaly"));
    for needed in ["double run", "ran twice at once for 2.19 s", "a piece of work"] {
        assert!(closeup.iter().any(|text| text == needed), "{needed:?} is missing from {closeup:?}");
    }
}

#[test]
fn the_console_shows_what_broke_in_characters() {
    let (history, judgement) = story("early");
    let told = Report::of(&history, &judgement).console(Path::new("results/latest"), false, 100);
    let row =
        |name: &str| told.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}:\n{told}"));
    assert!(row("fault       ").contains("▒ clock +9 s on n2 ▒"), "{told}");
    assert!(row("broken ").contains("▀ promised to two for 8.68 s ▀"), "{told}");
    let held = row("process 1 ");
    assert!(held.contains("█✕░") && held.contains('◆'), "{told}");
    // What is promised but gone lies below what is broken, column by column.
    let column = |line: &str, letter: char| line.chars().position(|c| c == letter).expect("it is drawn");
    assert!(column(held, '✕').abs_diff(column(row("broken "), '▀')) <= 1, "{told}");
    let whole = story("storm");
    let told = Report::of(&whole.0, &whole.1).console(Path::new("results/latest"), false, 100);
    assert!(told.contains("jobs/4") && told.contains("2 × pause") && told.contains("unknown "), "{told}");
    for (name, history, judgement) in stories() {
        for width in [40, 80, 160] {
            let told = Report::of(&history, &judgement).console(Path::new("x"), false, width);
            let wide = told.lines().filter(|line| !line.starts_with("again")).find(|line| line.chars().count() > width);
            assert_eq!(wide, None, "{name} at {width}");
        }
    }
}

#[test]
fn every_run_is_told_for_continuous_integration() {
    for (name, history, judgement) in stories() {
        let junit = Report::of(&history, &judgement).junit();
        let read = quick_junit::Report::deserialize_from_str(&junit).expect("it can be read");
        assert_eq!(read.tests, judgement.checkers.len());
        let of = |wanted: Verdict| judgement.checkers.values().filter(|result| result.verdict == wanted).count();
        let counts = [
            ("<testcase ", judgement.checkers.len()),
            ("<failure ", of(Verdict::Invalid)),
            ("<error ", of(Verdict::Unknown)),
        ];
        for (element, count) in counts {
            assert_eq!(junit.matches(element).count(), count, "{name}: {element} in\n{junit}");
        }
        assert!(junit.contains("again: leasehold run "), "{name}:\n{junit}");
    }
    let (history, judgement) = story("early");
    let junit = Report::of(&history, &judgement).junit();
    for needed in ["<property name=\"seed\" value=\"42\"/>", "still held `jobs/1` for another 8.68 s", "and 2 more"] {
        assert!(junit.contains(needed), "{needed:?} is missing from\n{junit}");
    }
}

#[test]
fn the_network_is_counted_and_drawn() {
    let (history, judgement) = story("storm");
    let lanes = texts(&svg(&history, &judgement, "network"));
    for needed in ["n1 → n2", "clients → n3", "n3 → clients", "none was delivered"] {
        assert!(lanes.iter().any(|text| text == needed), "{needed:?} is missing from {lanes:?}");
    }
    assert!(!lanes.iter().any(|text| text.contains("harness")), "nothing happened to the probes: {lanes:?}");
    let page = Report::of(&history, &judgement).page().expect("a page");
    let row = page.lines().find(|line| line.contains("<td>n1 → n2</td>")).expect("the link has a row");
    assert!(row.contains("<td>2,360</td><td>2,000</td>") && row.contains("\">27</td>"), "{row}");
    assert!(page.contains("held back</th>") && !page.contains("doubled</th>"), "only columns that say something");
}
