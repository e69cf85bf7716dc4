//! `report.html`: what it says, that nothing in a history becomes a part of it, and how it behaves in a browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use leasehold::report::Report;
use leasehold_checkers::history::{Action, History, Op, Ops, Outcome, RunTime, Surroundings};
use leasehold_checkers::holds::grants;
use leasehold_checkers::verdict::Judgement;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::{stories, story, synthetic};

fn says_in_order(page: &str, needed: &[&str]) {
    let mut rest = page;
    for needed in needed {
        let at = rest.find(needed).unwrap_or_else(|| panic!("{needed:?} is missing, or out of order"));
        rest = &rest[at..];
    }
}

#[test]
fn it_opens_with_the_verdict_and_says_how_to_run_it_again() {
    let (history, judgement) = story("early");
    let page = Report::of(&history, &judgement).page().expect("a page");
    let needed = [
        "<title>INVALID: early-expiry</title>",
        "<h1>The lock did not hold</h1>",
        "etcd-v2 broke its promise 44 times on 2 locks; at worst one lock was promised to two clients at once for 8.83 s.",
        "clock +9 s on n2",
        "22 × <span>double-acquisition</span>",
        "22 × <span>premature-expiry</span>",
        "promised to two for 8.68 s",
        "<canvas id=\"canvas\">",
        "offset 9 s, uncertainty 0.14 ms",
        "n2 led when first asked",
        "<code>split-belief</code>",
        "leasehold run early-expiry --servers etcd@3.4.23 --nodes 3 --seed 42",
    ];
    says_in_order(&page, &needed);
}

#[test]
fn it_says_why_nothing_is_known() {
    let (history, judgement) = story("nothing");
    let page = Report::of(&history, &judgement).page().expect("a page");
    for needed in ["This run proves nothing", "This is not a pass", "Why there is no verdict", "30 × timeout"] {
        assert!(page.contains(needed), "{needed:?} is missing");
    }
}

/// Whatever stands in a history, the page has the elements and attributes that it has anyway, and no others.
pub(crate) fn is_harmless(page: &str) {
    const ELEMENTS: &str = "html head meta title style body a header p h1 h2 h3 dl div dt dd main section ul li code b small \
        article span button figure figcaption svg g rect text circle polygon polyline path line canvas i kbd noscript table \
        thead tbody tr th td pre footer script details summary";
    assert_eq!(page.matches("<script").count(), 2, "a script was smuggled in");
    assert_eq!(page.matches("<meta").count(), 5, "a meta element was smuggled in");
    for element in without_scripts(page).split('<').skip(1).filter(|element| !element.starts_with("!doctype")) {
        let (inner, _) = element.split_once('>').expect("every tag is closed");
        let name = inner.trim_start_matches('/').split_whitespace().next().unwrap_or_default();
        assert!(ELEMENTS.split_whitespace().any(|known| known == name), "<{inner}>");
        for attribute in inner.split_whitespace().skip(1).filter_map(|word| word.split_once("=\"")) {
            let (name, value) = attribute;
            assert!(!name.starts_with("on") && !["src", "style", "action"].contains(&name), "<{inner}>");
            let leads_away = name == "href" && !value.starts_with("https://") && value != "#timeline\"";
            assert!(!leads_away, "<{inner}>");
        }
    }
    assert!(!page.contains(['\u{202e}', '\u{1b}', '\u{0}']), "characters that deceive");
}

/// The page without what stands in scripts and styles, which browsers do not take for markup.
fn without_scripts(page: &str) -> String {
    let mut rest = page;
    let mut outside = String::new();
    while let Some((name, at)) = ["script", "style"]
        .iter()
        .filter_map(|name| Some((name, rest.find(&format!("<{name}"))?)))
        .min_by_key(|found| found.1)
    {
        let end = rest[at..].find(&format!("</{name}>")).expect("it is closed") + at;
        outside.push_str(&rest[..at]);
        rest = &rest[end + name.len() + 3..];
    }
    outside + rest
}

/// Writes a page where the browser, and whoever wants to look, can find it.
fn written(name: &str, history: &History, judgement: &Judgement) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(format!("{name}.html"));
    fs::write(&path, Report::of(history, judgement).page().expect("a page")).expect("it can be written");
    path
}

#[test]
fn every_story_is_shown_without_an_error_or_a_request() {
    let Some(mut browser) = Browser::start() else { return };
    for (name, history, judgement) in stories() {
        let page = written(name, &history, &judgement);
        is_harmless(&fs::read_to_string(&page).expect("just written"));
        for width in [1400, 390] {
            browser.size(width, 900);
            browser.open(&page);
            assert_eq!(browser.misdeeds(&page), [""; 0], "{name} at {width}");
            let overflow = browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(overflow, 0, "{name} is wider than {width} pixels");
            assert_eq!(is_blank(&mut browser), false, "{name} at {width}: nothing is drawn");
        }
    }
}

fn is_blank(browser: &mut Browser) -> Value {
    browser.value(
        "(() => { const all = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
            .data.buffer); return all.every((pixel) => pixel === all[0]); })()",
    )
}

/// The middle of an element in the window.
fn middle(browser: &mut Browser, selector: &str) -> (f64, f64) {
    let at = browser.value(&format!(
        "(() => {{ const e = document.querySelector({selector:?}); e.scrollIntoView({{block: 'center'}});
            const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()"
    ));
    (at[0].as_f64().expect("a number"), at[1].as_f64().expect("a number"))
}

fn told(browser: &mut Browser) -> String {
    browser.value("told.innerText").as_str().unwrap_or_default().to_owned()
}

fn picture(browser: &mut Browser) -> Value {
    browser.value("canvas.toDataURL()")
}

#[test]
fn it_is_used_by_mouse_and_by_keys() {
    let Some(mut browser) = Browser::start() else { return };
    let (history, judgement) = story("early");
    let page = written("used", &history, &judgement);
    browser.open(&page);

    // The button beside the worst goes there and tells of it.
    let button = middle(&mut browser, "[data-go]");
    browser.click(button);
    let worst = told(&mut browser);
    assert!(worst.contains("double-acquisition: promised to two for 8.83 s"), "{worst}");
    assert_eq!(browser.value("document.activeElement.id"), "box");

    // Keys: from broken promise to broken promise, and from operation to operation with all its fields.
    browser.press("Escape");
    browser.press("n");
    let first = told(&mut browser);
    assert!(first.contains("still held jobs/1") || first.contains("jobs/1"), "{first}");
    browser.press("n");
    let second = told(&mut browser);
    assert_ne!(first, second);
    browser.press("p");
    assert_eq!(told(&mut browser), first);
    browser.press("0");
    browser.press(".");
    let op = told(&mut browser);
    for field in ["server asked", "asked at", "answered at", "outcome", "number", "lock"] {
        assert!(op.contains(field), "{field:?} is missing: {op}");
    }

    // Zoom and move, by key and by wheel: each changes the picture, and `0` brings the whole run back.
    browser.press("Escape");
    browser.press("0");
    let whole = picture(&mut browser);
    browser.press("+");
    let near = picture(&mut browser);
    assert_ne!(near, whole);
    browser.press("ArrowRight");
    assert_ne!(picture(&mut browser), near);
    browser.press("0");
    assert_eq!(picture(&mut browser), whole);
    let centre = middle(&mut browser, "#canvas");
    browser.mouse("mouseWheel", centre, &json!({"deltaX": 0, "deltaY": -300, "modifiers": 2}));
    browser.mouse("mouseMoved", (5.0, 5.0), &json!({}));
    assert_ne!(picture(&mut browser), whole);

    // Pointing at a hold tells who held what, on which server, and until when that was promised.
    browser.press("0");
    let hold = browser.value("(() => { const b = canvas.getBoundingClientRect(); return [b.x, b.y, b.width]; })()");
    let [x, y, width] = [0, 1, 2].map(|index| hold[index].as_f64().expect("a number"));
    let told_of_hold = (0..40).map(|step| (x + 200.0, y + 40.0 + 3.0 * f64::from(step))).find_map(|at| {
        browser.mouse("mouseMoved", at, &json!({}));
        let told = told(&mut browser);
        told.contains("promised until").then_some(told)
    });
    let told_of_hold = told_of_hold.expect("there is a hold near the beginning of the first lane");
    assert!(width > 600.0 && told_of_hold.contains("server") && told_of_hold.contains("TTL"), "{told_of_hold}");

    // The other lanes.
    let by_process = middle(&mut browser, "[data-lanes=processes]");
    browser.click(by_process);
    assert_eq!(browser.value("document.querySelector('[data-lanes=processes]').getAttribute('aria-pressed')"), "true");
    assert_ne!(picture(&mut browser), whole);
    assert_eq!(browser.misdeeds(&page), [""; 0]);
}

#[test]
fn the_timeline_has_every_operation_and_hold_as_it_was_recorded() {
    let Some(mut browser) = Browser::start() else { return };
    for name in ["early", "storm", "cut", "many", "register", "job"] {
        let (history, judgement) = story(name);
        let page = written(&format!("read-{name}"), &history, &judgement);
        browser.open(&page);
        let read = browser.value(
            "readRun().then((run) => Array.from(run.ops.t, (t, i) => [t, run.ops.took[i], processOf(run, i), keyName(run, i),
                nodeOf(run, i), run.names[(run.ops.kind[i] >> 3) - 1], OUTCOMES[outcomeOf(run.ops, i)],
                nameOf(run, run.ops.owner, i), nameOf(run, run.ops.found, i), nameOf(run, run.ops.made, i), run.ops.ttl[i], run.ops.token[i], (run.errors[run.ops.error[i] - 1] ?? [''])[0]]))",
        );
        let read = read.as_array().expect("an array");
        let ops = Ops::of(&history).all;
        assert_eq!(read.len(), ops.len());
        for (op, read) in ops.iter().zip(read) {
            let outcome = ["ok", "fail", "info", "open"][op.outcome as usize];
            let owner = match &op.action {
                Action::Acquire { owner, .. } | Action::Renew { owner, .. } | Action::Release { owner } => json!(owner),
                _ => Value::Null,
            };
            let (ttl, token) = match op.action {
                Action::Acquire { granted: Some(granted), .. } => (Some(granted.ttl_ms), granted.token),
                Action::Renew { granted_ttl_ms, .. } => (granted_ttl_ms, None),
                Action::Work(ref work) => (None, work.token),
                _ => (None, None),
            };
            let (found, made) = exchanged(&history, op);
            let number =
                |number: Option<u64>| number.map_or(-1, |number| i64::try_from(number).expect("a small number"));
            let us = |time: RunTime| time.0 / 1_000;
            let expected = json!([
                us(op.invoked),
                number(op.ended.map(|ended| us(ended) - us(op.invoked))),
                format!("process {}", op.process),
                op.key.as_str(),
                op.node.as_deref().unwrap_or("(not told)"),
                op.f.as_str(),
                outcome,
                owner,
                found,
                made,
                number(ttl),
                number(token),
                op.error.as_ref().map_or("", |error| error.code.as_str()),
            ]);
            assert_eq!(*read, expected, "{name}: {op:?}");
        }
        let holds = browser.value(
            "readRun().then(({ holds }) => Array.from(holds.acquire, (op, i) => [op, holds.from[i], holds.promised[i]]))",
        );
        let expected: Vec<Value> = grants(&history.header, &Ops::of(&history), &Surroundings::of(&history))
            .into_values()
            .flatten()
            .map(|grant| json!([grant.acquire, grant.ended.0 / 1_000, grant.earliest_expiry.0 / 1_000]))
            .collect();
        let holds = holds.as_array().expect("an array");
        assert_eq!(holds.len(), expected.len());
        assert!(expected.iter().all(|hold| holds.contains(hold)), "{name}");
    }
}

/// What an operation came upon and made, found the slow way: by looking for its completion.
fn exchanged(history: &History, op: &Op) -> (Value, Value) {
    let (asked, rest) = history.events[op.line - 2..].split_first().expect("its invocation");
    let answer = rest.iter().find(|event| event.process == asked.process);
    let told = answer.filter(|_| op.outcome == Outcome::Ok);
    let word = |value: &Value| json!(if value.is_null() { "nothing".to_owned() } else { value.to_string() });
    match (op.f.as_str(), &op.action) {
        ("read" | "local-read", Action::Register { .. }) => {
            (told.map_or(Value::Null, |event| word(&event.value)), Value::Null)
        }
        ("write", _) => (Value::Null, word(&asked.value)),
        ("cas", _) => (word(&asked.value[0]), word(&asked.value[1])),
        ("acquire", _) => {
            (told.map_or(Value::Null, |event| event.value.get("lease").map_or(Value::Null, word)), Value::Null)
        }
        ("work", Action::Work(work)) => {
            let base = work.base.map_or_else(String::new, |base| format!(" over version {base}"));
            let piece = asked.value["piece"].as_str().expect("a piece");
            (
                json!(format!("{piece}{base}")),
                work.version.map_or(Value::Null, |version| json!(format!("version {version}"))),
            )
        }
        _ => (Value::Null, Value::Null),
    }
}

#[test]
fn what_cannot_be_ordered_is_told_with_the_states_around_it() {
    let (history, judgement) = story("register");
    let page = Report::of(&history, &judgement).page().expect("a page");
    let needed = [
        "<h1>No order explains the answers</h1>",
        "The operations that cannot be ordered",
        "<code>write 106</code>",
        "<code>read 4</code> <small class=\"red\">the answer that cannot be explained</small>",
        "<dd>it may have been 106 or 85</dd>",
        "<dd class=\"red\">it was 4, and stayed so</dd>",
        "what else was asked of it then",
        "Who asked what, and when",
    ];
    says_in_order(&page, &needed);
    assert!(!page.contains("How long leases lived") && !page.contains("The holds around"), "nobody holds a register");

    let Some(mut browser) = Browser::start() else { return };
    let page = written("register", &history, &judgement);
    browser.open(&page);
    let button = middle(&mut browser, "[data-go]");
    browser.click(button);
    let broken = told(&mut browser);
    for needed in ["before that answer", "it may have been 106 or 85", "by that answer", "it was 4, and stayed so"] {
        assert!(broken.contains(needed), "{needed:?} is missing: {broken}");
    }
    // Every register operation tells its values, whoever asks for it.
    let words = browser.value(
        "readRun().then((run) => Array.from(run.ops.t, (t, i) => JSON.stringify(inWords(run, { type: 'op', i }))).join())",
    );
    let words = words.as_str().expect("text");
    for needed in ["[\"value read\",\"4\"]", "[\"value written\",\"106\"]", "[\"value expected\",", " → "] {
        assert!(words.contains(needed), "{needed:?} is missing: {words}");
    }
    assert_eq!(browser.misdeeds(&page), [""; 0]);
}

#[test]
fn a_hostile_history_does_nothing_in_a_browser() {
    let Some(mut browser) = Browser::start() else { return };
    let nasty =
        "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'\"&amp;";
    let mut writer = synthetic::Writer::new(nasty, nasty, nasty);
    writer.header.contract.source = "javascript:document.title='owned'".into();
    writer.header.start = nasty.into();
    let owner = writer.acquire(0, nasty, (synthetic::MS, 2 * synthetic::MS), 10_000);
    writer.fault(1, nasty, nasty, nasty, (synthetic::MS, None), json!({ nasty: nasty }));
    writer.op(1, nasty, nasty, (3 * synthetic::MS, 4 * synthetic::MS), json!(nasty), synthetic::Ends::Fail(nasty));
    writer.acquire(2, nasty, (5 * synthetic::MS, 6 * synthetic::MS), 10_000);
    writer.renew(0, nasty, &owner, (7 * synthetic::MS, 8 * synthetic::MS), None);
    let history = writer.finish();
    let judgement = leasehold_checkers::check(&history);
    assert!(!judgement.anomalies.is_empty());
    let page = written("hostile", &history, &judgement);
    is_harmless(&fs::read_to_string(&page).expect("just written"));
    browser.open(&page);
    browser.value("document.getElementById('box').focus()");
    for key in ["n", "n", ".", ".", ".", "."] {
        browser.press(key);
        assert!(!told(&mut browser).is_empty());
    }
    assert!(told(&mut browser).contains("<script>"), "foreign text is shown as it is: {}", told(&mut browser));
    assert_eq!(browser.value("document.title.startsWith('INVALID: ')"), true);
    assert_eq!(browser.value("document.querySelectorAll('img, script').length"), 2);
    assert_eq!(browser.misdeeds(&page), [""; 0]);
}

/// As the record of a busy run: many processes, some locks, all outcomes.
pub(crate) fn busy(ops: u64) -> History {
    let mut writer = synthetic::Writer::new("busy", "etcd-v3", "etcd 3.5.16");
    let mut held: Vec<Option<String>> = vec![None; 8];
    let mut at = 0;
    for turn in 0..ops {
        // Steps as uneven as a network's.
        at += 100_000 + turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_900_000;
        let lock = (turn % 8) as usize;
        let (process, key, span) = (turn % 24, format!("jobs/{lock}"), (at, at + 90_000 + turn * 7_919 % 60_000));
        match (turn / 8 % 6, held[lock].take()) {
            (0, None) => held[lock] = Some(writer.acquire(process, &key, span, 10_000)),
            (5, Some(owner)) => writer.release(process, &key, &owner, span),
            (4, owner) => {
                writer.held(process, &key, span);
                held[lock] = owner;
            }
            (_, Some(owner)) => {
                writer.renew(process, &key, &owner, span, Some(10_000));
                held[lock] = Some(owner);
            }
            (_, None) => writer.held(process, &key, span),
        }
    }
    writer.finish()
}

/// `LEASEHOLD_REPORT_OPS=1000000` makes it a million.
#[test]
fn a_hundred_thousand_operations_stay_small() {
    let ops: u64 = std::env::var("LEASEHOLD_REPORT_OPS").ok().and_then(|ops| ops.parse().ok()).unwrap_or(100_000);
    let history = busy(ops);
    let judgement = leasehold_checkers::check(&history);
    let begun = Instant::now();
    let page = written("busy", &history, &judgement);
    let built = begun.elapsed();
    let bytes = fs::metadata(&page).expect("just written").len();
    assert!(bytes < 1_000_000 + 14 * ops, "{bytes} bytes for {ops} operations");
    let Some(mut browser) = Browser::start() else { return };
    let usable = browser.open(&page);
    let worked = browser.worked();
    // How long it takes is told and not judged, for tests share their machine with others. What it takes of a processor is usually
    // half a second; a script that looked at all for each one would take minutes.
    eprintln!(
        "{ops} operations: {bytes} bytes, built in {built:?}, usable after {usable:?}, {worked:?} of a processor"
    );
    let bearable = Duration::from_secs(4) + Duration::from_micros(8) * u32::try_from(ops).expect("not that many");
    assert!(worked > Duration::ZERO && worked < bearable, "{worked:?} of a processor for {ops} operations");
    assert_eq!(browser.misdeeds(&page), [""; 0]);
    let whole = picture(&mut browser);
    browser.value("document.getElementById('box').focus()");
    browser.press("+");
    assert_ne!(picture(&mut browser), whole);
}
