//! The list of runs, in a browser, from a server of its own.

use std::fs;
use std::path::Path;
use std::time::Instant;

use leasehold::index;
use leasehold::report::Report;
use tokio::sync::oneshot;

use crate::browser::Browser;
use crate::story;

/// A run's folder, as `leasehold run` leaves it.
fn lay(folder: &Path, scenario: &str, seed: u64, wanted: &str) {
    fs::create_dir_all(folder).expect("a folder");
    let (history, judgement) = story(wanted);
    let run = serde_json::json!({"leasehold": "0", "command": [], "scenario": scenario, "servers": "etcd 3.4.23", "seed": seed,
        "start": format!("2026-11-22T0{seed}:00:00Z"), "schedule": [], "ending": "completed"});
    fs::write(folder.join("run.json"), run.to_string()).expect("it is written");
    fs::write(folder.join("verdict.json"), judgement.to_json()).expect("it is written");
    fs::write(folder.join("report.html"), Report::of(&history, &judgement).page().expect("a page"))
        .expect("it is written");
}

/// How many rows of the list are to be seen.
const SHOWN: &str = "[...document.querySelectorAll('tbody tr')].filter((row) => !row.hidden).length";

#[test]
fn the_list_of_runs_is_filtered_sorted_and_compared_in_a_browser() {
    let Some(mut browser) = Browser::start() else { return };
    let root = tempfile::tempdir().expect("a folder");
    lay(&root.path().join("early/1"), "early-expiry", 1, "early");
    lay(&root.path().join("calm/2"), "calm", 2, "calm");
    lay(&root.path().join("calm/3"), "calm", 3, "calm");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let served = runtime.block_on(index::serve(root.path(), ([127, 0, 0, 1], 0).into())).expect("it is served");
    let site = format!("http://{}/", served.address);
    let (stop, stopped) = oneshot::channel::<()>();
    let server = runtime.spawn(served.until(async move {
        let _ = stopped.await;
    }));

    for width in [390, 1400] {
        browser.size(width, 900);
        browser.visit(&site);
        let overflow = browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(overflow, 0, "the list is wider than {width} pixels");
        assert_eq!(browser.misdeeds_below(&site), [""; 0]);
    }
    assert_eq!(browser.value(SHOWN), 3);
    browser.value("find.focus()");
    for letter in ["e", "a", "r", "l", "y"] {
        browser.press(letter);
    }
    assert_eq!((browser.value(SHOWN), browser.value("count.textContent")), (1.into(), "1 of 3 runs".into()));
    browser.value("find.value = ''; verdict.value = 'valid'; verdict.dispatchEvent(new Event('change'))");
    browser.value("find.dispatchEvent(new Event('input'))");
    assert_eq!(browser.value(SHOWN), 2);
    browser.value("verdict.value = ''; verdict.dispatchEvent(new Event('change'))");

    let seeds =
        "[...document.querySelectorAll('tbody tr')].map((row) => row.querySelector('.number').textContent).join('')";
    assert_eq!(browser.value(seeds), "321", "the latest first");
    browser.value("[...document.querySelectorAll('[data-sort]')].find((b) => b.textContent === 'Seed').click()");
    assert_eq!(browser.value(seeds), "123");

    assert_eq!(browser.value("compare.disabled"), true);
    browser.value("document.querySelectorAll('input[name=run]').forEach((box, i) => i < 2 && box.click())");
    assert_eq!(browser.value("compare.disabled"), false);
    // What the button asks for. Both reports stand in that page, each with its timeline.
    let asked = browser.value("'compare?' + new URLSearchParams(new FormData(document.getElementById('controls')))");
    browser.visit(&format!("{site}{}", asked.as_str().expect("an address")));
    browser.until(
        "[...document.querySelectorAll('iframe')].filter((frame) => frame.contentDocument?.documentElement.dataset.ready === 'yes').length === 2",
    );
    assert_eq!(browser.misdeeds_below(&site), [""; 0]);
    let _ = stop.send(());
    runtime.block_on(server).expect("it does not panic").expect("it ends well");
}

/// `LEASEHOLD_INDEX_RUNS=10000` makes it ten thousand.
#[test]
fn many_runs_are_listed_at_once() {
    let count: usize = std::env::var("LEASEHOLD_INDEX_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(600);
    let root = tempfile::tempdir().expect("a folder");
    let judgement = story("early").1.to_json();
    for run in 0..count {
        let folder = root.path().join(format!("early/{run}"));
        fs::create_dir_all(&folder).expect("a folder");
        let told = serde_json::json!({"leasehold": "0", "command": [], "scenario": "early-expiry", "servers": "etcd 3.4.23",
            "seed": run, "start": "2026-11-22T00:00:00Z", "schedule": [], "ending": "completed"});
        fs::write(folder.join("run.json"), told.to_string()).expect("it is written");
        fs::write(folder.join("verdict.json"), &judgement).expect("it is written");
    }
    let begun = Instant::now();
    let runs = index::below(root.path()).expect("it can be read");
    let read = begun.elapsed();
    let html = index::page("results", &runs, &std::collections::BTreeMap::new(), true);
    eprintln!("{count} runs: read in {read:?}, the page of {} bytes in {:?}", html.len(), begun.elapsed() - read);
    assert_eq!((runs.len(), html.matches("<tr class").count()), (count, count));

    // A browser lays out the first of them, and the others when they are asked for or looked for.
    let Some(mut browser) = Browser::start() else { return };
    let page = root.path().join("runs.html");
    fs::write(&page, html).expect("it is written");
    let begun = Instant::now();
    browser.visit(&format!("file://{}", page.display()));
    browser.settle();
    eprintln!("shown after {:?}, {:?} of a processor", begun.elapsed(), browser.worked());
    assert_eq!(browser.value(SHOWN), 500);
    browser.value("find.value = 'seed/none'; find.dispatchEvent(new Event('input'))");
    assert_eq!((browser.value(SHOWN), browser.value("more.hidden")), (0.into(), true.into()));
    browser.value("find.value = ''; find.dispatchEvent(new Event('input')); more.click()");
    assert_eq!((browser.value(SHOWN), browser.value("more.hidden")), (count.into(), true.into()));
}
