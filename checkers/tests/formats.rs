//! Reads the histories of others: the public ones whole, our own small ones in every corner, and whatever bytes there are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use leasehold_checkers::formats::{Error, Events, Format, Keys, Options, Problem, Record, to_edn, write_edn};
use leasehold_checkers::history::{ErrorInfo, Event, EventType, MAX_LINE_BYTES, Process, RunTime, Word, to_line};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// The public histories lie beside the checkout or above it, and are no part of the project: where they are not there, nothing is
/// claimed of them.
fn public() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here.ancestors().map(|folder| folder.join("shared/histories")).find(|histories| histories.is_dir());
    if found.is_none() {
        eprintln!("there are no public histories beside this checkout");
    }
    found
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        match path.is_dir() {
            true => files_below(&path, files),
            false => files.push(path),
        }
    }
}

/// The public histories, each with its folder below `shared/histories`.
fn public_files() -> Option<Vec<(String, PathBuf)>> {
    let public = public()?;
    let mut files = Vec::new();
    files_below(&public, &mut files);
    files.sort();
    let is_history = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ["edn", "log", "txt", "json"].iter().any(|end| name.ends_with(end))
            && name != "MANIFEST.json"
            && name != "LICENSE.txt"
    };
    let folder = |path: &Path| {
        let folder = path.parent().expect("it is in a folder");
        folder.strip_prefix(&public).expect("it is below the folder").display().to_string()
    };
    Some(files.into_iter().filter(is_history).map(|path| (folder(&path), path)).collect())
}

fn read(text: &str) -> Record {
    Record::from_reader(text.as_bytes(), &Options::default()).expect("it is a history")
}

fn read_as(format: Format, text: &str) -> Result<Record, Error> {
    Record::from_reader(text.as_bytes(), &Options { format: Some(format), ..Options::default() })
}

#[track_caller]
fn error_as(format: Format, text: &str) -> String {
    read_as(format, text).expect_err("it is no history").to_string()
}

#[test]
fn every_public_history_is_read_whole() {
    // Counted with grep: `:type` for EDN and key-value text, `jepsen.util -` for logs, `"type":` for JSON.
    let expected = BTreeMap::from([
        ("atlasdb", (Format::AtlasDb, 1, 1_405, 2_810)),
        ("knossos/cas-register/bad", (Format::JepsenEdn, 5, 556, 1_118)),
        ("knossos/cas-register/good", (Format::JepsenEdn, 53, 9_756, 19_446)),
        ("knossos/mutex/bad", (Format::JepsenEdn, 1, 563, 1_135)),
        ("porcupine/jepsen", (Format::JepsenLog, 52, 4_333, 8_666)),
        ("porcupine/kv", (Format::Porcupine, 4, 838, 1_676)),
    ]);
    let Some(files) = public_files() else { return };
    let mut found = BTreeMap::new();
    for (folder, path) in files {
        let record = Record::read(&path, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
        assert!(!record.truncated, "{}", path.display());
        assert_eq!(record.lines.len(), record.events.len());
        let invocations = record.events.iter().filter(|event| event.kind == EventType::Invoke).count();
        let (format, files, ops, events) = found.entry(folder).or_insert((record.format, 0, 0, 0));
        assert_eq!(*format, record.format, "{}", path.display());
        (*files, *ops, *events) = (*files + 1, *ops + invocations, *events + record.events.len());
    }
    let found: BTreeMap<_, _> = found.iter().map(|(folder, counts)| (folder.as_str(), *counts)).collect();
    assert_eq!(found, expected);
}

#[test]
fn public_histories_whose_times_go_back() {
    let goes_back = |path: &PathBuf| {
        let mut record = Record::read(path, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
        let goes_back = record.goes_back_at().is_some();
        record.stamp_by_order();
        assert_eq!(record.goes_back_at(), None);
        goes_back
    };
    let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let Some(files) = public_files() else { return };
    let files = files.into_iter().map(|(_, path)| path);
    let found: Vec<String> = files.filter(goes_back).filter_map(name).collect();
    assert_eq!(found, ["lock_test_without_nemesis.json", "rethink-fail.edn", "etcd.edn"]);
}

#[test]
fn public_histories_are_written_as_edn_and_read_again() {
    for (_, path) in public_files().unwrap_or_default() {
        let record = Record::read(&path, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again(&record.events, Keys::Field), record.events, "{}", path.display());
    }
}

/// Events after a journey through EDN.
fn again(events: &[Event], keys: Keys) -> Vec<Event> {
    let mut text = Vec::new();
    write_edn(events, keys, &mut text).expect("a vector takes all bytes");
    assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), events.len());
    let options = Options { format: Some(Format::JepsenEdn), keys };
    Record::from_reader(text.as_slice(), &options).unwrap_or_else(|error| panic!("{error}")).events
}

fn event(time: u64, process: Process, kind: EventType, f: &str, value: Value) -> Event {
    Event { time: RunTime(time), process, kind, f: f.into(), key: None, value: value.into(), node: None, error: None }
}

#[test]
fn the_same_events_in_each_format() {
    let cas = |place: u64, kind| event(place, Process::Client(3), kind, "cas", json!([1, 2]));
    let expected = vec![cas(0, EventType::Invoke), cas(1, EventType::Ok)];
    let ops = "{:process 3, :type :invoke, :f :cas, :value [1 2]} {:process 3, :type :ok, :f :cas, :value [1 2]}";
    assert_eq!(read(ops).events, expected);
    assert_eq!(read(&format!("[{ops}]")).events, expected);
    assert_eq!(read(&format!(" ; told by hand\n({ops}) ; and no more")).events, expected);
    let log = "INFO  jepsen.util - 3\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 3\t:ok\t:cas\t[1 2]\n";
    assert_eq!(read(log).events, expected);
    let lines: Vec<String> = expected.iter().map(to_line).collect();
    assert_eq!(read(&lines.join("\n")).events, expected);
}

#[test]
fn a_format_that_is_named_is_not_guessed() {
    assert_eq!(read("{:process 0 :type :ok :f :get :key \"a\"}").format, Format::Porcupine);
    let forced = read_as(Format::JepsenEdn, "{:process 0 :type :ok :f :get :key \"a\"}").expect("it is EDN as well");
    assert_eq!((forced.format, forced.events[0].key.as_deref()), (Format::JepsenEdn, Some("a")));
    assert_eq!(error_as(Format::Porcupine, "{:process 0 :type :ok :f :get}"), "line 1: no op: it has no `:key`");
    assert!(error_as(Format::Leasehold, "{:process 0}").starts_with("line 1: not JSON: "));
    assert_eq!(
        "jepsen".parse::<Format>().expect_err("there is none").to_string(),
        "no format is called `jepsen`: there are leasehold, jepsen-edn, jepsen-log, porcupine, atlasdb"
    );
}

#[test]
fn nothing_and_nonsense() {
    for nothing in ["", " \n\n"] {
        assert_eq!(
            Record::from_reader(nothing.as_bytes(), &Options::default()).expect_err("empty").to_string(),
            "the history is empty"
        );
    }
    let nonsense =
        Record::from_reader(&b"Dear Sir,\n"[..], &Options::default()).expect_err("it is a letter").to_string();
    assert!(nonsense.starts_with("not a history in any known format (leasehold, jepsen-edn, "), "{nonsense}");
    let missing = Record::read("/nowhere/history.edn", &Options::default()).expect_err("there is no such file");
    assert!(missing.to_string().starts_with("/nowhere/history.edn: cannot be read: "), "{missing}");
}

#[test]
fn our_own_format_with_a_header_and_without() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/histories");
    let mut files = Vec::new();
    files_below(&fixture, &mut files);
    let mut compared = 0;
    for path in files.iter().filter(|path| path.extension().is_some_and(|end| end == "jsonl")) {
        let Ok(history) = leasehold_checkers::history::History::read(path) else { continue };
        if history.events.is_empty() {
            continue;
        }
        let record = Record::read(path, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(record.lines.first(), Some(&2));
        let text = fs::read(path).expect("it was read before");
        let headless = text.splitn(2, |byte| *byte == b'\n').nth(1).expect("there is more than the header");
        let bare = Record::from_reader(headless, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((bare.header.as_ref(), bare.lines.first()), (None, Some(&1)));
        assert_eq!(bare.events, history.events);
        assert_eq!(bare.into_history(|| history.header.clone()), history);
        assert_eq!(record.into_history(|| panic!("it has a header")), history);
        compared += 1;
    }
    assert!(compared > 5, "there are fixtures");
}

#[test]
fn a_header_of_another_version_or_with_a_wrong_field() {
    assert_eq!(
        error_as(Format::Leasehold, "{\"leasehold\":9}"),
        "line 1: format version 9 is newer than this program: this program reads version 1"
    );
    assert!(
        error_as(Format::Leasehold, "{\"leasehold\":1}").starts_with("line 1: wrong field: missing field `scenario`")
    );
    assert!(error_as(Format::Leasehold, "{\"time\":1}").starts_with("line 1: wrong field: missing field `process`"));
}

#[test]
fn a_last_line_that_was_cut() {
    let whole = to_line(&event(5, Process::Client(0), EventType::Invoke, "read", Value::Null));
    let cut = |text: String| {
        let record = read(&text);
        (record.events.len(), record.truncated)
    };
    assert_eq!(cut(format!("{whole}\n{}", &whole[..9])), (1, true));
    assert_eq!(cut("{:process 0 :type :invoke :f :read}\n{:process 0 :ty".to_owned()), (1, true));
    assert_eq!(cut("[{:process 0 :type :invoke :f :read}\n{:process 0 :value \"a".to_owned()), (1, true));
    assert_eq!(cut("[{:process 0 :type :invoke :f :read}\n".to_owned()), (1, true));
    assert_eq!(cut("x jepsen.util - 0 :invoke :read nil\nx jepsen.util - 0 :ok :read 1".to_owned()), (1, true));
    assert_eq!(cut("{:process 0 :type :invoke :f :read}".to_owned()), (1, false));
}

#[test]
fn a_cut_elsewhere_is_an_error() {
    assert_eq!(
        error_as(Format::JepsenEdn, "{:process 0 :type :ok :f \"read}\n{:process 0 :type :ok :f :read}\n"),
        "line 1: the file ends before what begins here is whole"
    );
    assert_eq!(error_as(Format::AtlasDb, "[\n{\"f\":"), "line 2: the file ends before what begins here is whole");
    assert_eq!(error_as(Format::AtlasDb, "["), "line 1: the file ends before what begins here is whole");
}

#[test]
fn what_has_no_end_is_not_read_to_it() {
    struct Endless(u8);
    impl std::io::Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            into.fill(self.0);
            Ok(into.len())
        }
    }
    for format in Format::ALL {
        for (begin, byte) in [
            ("[{\"a\":", b' '),
            ("{:a ", b' '),
            ("{:a \"", b'a'),
            ("{:a ", b'a'),
            ("", b'x'),
            ("[{\"", b'a'),
            ("", b'['),
            ("", b'#'),
        ] {
            let file = std::io::BufReader::new(std::io::Read::chain(begin.as_bytes(), Endless(byte)));
            let error = Record::from_reader(file, &Options { format: Some(format), ..Options::default() });
            let error = error.expect_err("it is no history");
            let is_told = !matches!(error.problem, Problem::Io(_) | Problem::Unfinished | Problem::Empty);
            assert!(is_told, "{format}: {begin}{byte}: {error}");
        }
    }
    assert_eq!(
        error_as(Format::JepsenEdn, &format!("{{:a {}}}", " ".repeat(MAX_LINE_BYTES))),
        "line 1: longer than 1048576 bytes"
    );
}

#[test]
fn errors_end_the_events() {
    let text =
        "{:process 0 :type :ok :f :read}\n\n{:process 0 :type :perhaps :f :read}\n{:process 0 :type :ok :f :read}";
    let mut events = Events::open(text.as_bytes(), &Options::default()).expect("it begins well");
    assert!(events.next().is_some_and(|event| event.is_ok()));
    assert_eq!(events.line(), 1);
    let error = events.next().expect("there is more").expect_err("it is no type").to_string();
    assert_eq!(error, "line 3: no op: `:type` must be `:invoke`, `:ok`, `:fail` or `:info`, not `:perhaps`");
    assert!(events.next().is_none());
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        select(vec!["acquire", "held", "not-held", "a/b", "nil", "7", ":a", "", "\u{2028}", "\u{0}"])
            .prop_map(str::to_owned),
    ]
}

prop_compose! {
    fn any_event()(
        time in any::<u64>(),
        process in prop_oneof![
            any::<u64>().prop_map(Process::Client),
            select(vec![Process::Nemesis, Process::Probe, Process::Watch]),
        ],
        kind in select(vec![EventType::Invoke, EventType::Ok, EventType::Fail, EventType::Info]),
        f in any_text(),
        key in proptest::option::of(any_text()),
        value in any_value(),
        node in proptest::option::of(any_text()),
        error in proptest::option::of((any_text(), any_text())),
    ) -> Event {
        let error = error.map(|(code, text)| ErrorInfo { code: code.into(), text: text.into() });
        let (key, node) = (key.map(Word::from), node.map(Word::from));
        Event { time: RunTime(time), process, kind, f: f.into(), key, value: value.into(), node, error }
    }
}

/// Pieces that have a meaning in one of the formats.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 52] = [
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        "#{",
        "#_",
        "#",
        "##Inf",
        "#a",
        "#:a",
        "^",
        "\"",
        "\\",
        "\\u12",
        "\\ud800",
        ";",
        "\n",
        " ",
        ",",
        ":",
        ":a",
        ":type",
        ":invoke",
        ":ok",
        ":f",
        ":read",
        ":process",
        ":value",
        ":time",
        ":key",
        ":error",
        ":nemesis",
        "nil",
        "0",
        "-1",
        "1/2",
        "1e999",
        "017",
        "99999999999999999999N",
        "\"f\":\"lock\"",
        "\"process\":0",
        "\"time\":1",
        "\"type\":\"ok\"",
        "\"value\":\"a\"",
        "jepsen.util - ",
        "0\t:invoke\t",
        "{:process 0 :type :invoke :f :read ",
        "{\"leasehold\":1",
        "\u{feff}",
        "\u{1f512}",
    ];
    let piece = prop_oneof![
        8 => select(PIECES.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn read_in_every_way(bytes: &[u8]) {
    for format in [None].into_iter().chain(Format::ALL.map(Some)) {
        for keys in [Keys::Field, Keys::Pair] {
            if let Ok(record) = Record::from_reader(bytes, &Options { format, keys }) {
                assert!(record.events.len() <= bytes.len());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn our_events_are_written_as_edn_and_read_again(events in proptest::collection::vec(any_event(), 1..8)) {
        prop_assert_eq!(again(&events, Keys::Field), events);
    }

    #[test]
    fn our_events_are_written_in_pairs_and_read_again(
        events in proptest::collection::vec((any_event(), any_text()), 1..8)
    ) {
        let with_key = |(event, key)| Event { key: Some(Word::from(key)), ..event };
        let events: Vec<Event> = events.into_iter().map(with_key).collect();
        prop_assert_eq!(again(&events, Keys::Pair), events);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read_in_every_way(&bytes);
    }

    #[test]
    fn any_pieces(bytes in pieces()) {
        read_in_every_way(&bytes);
    }

    #[test]
    fn bytes_of_a_history_changed(
        file in select(small_files()),
        changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = file;
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_in_every_way(&bytes);
    }

    #[test]
    fn whatever_is_read_in_pieces_is_read_alike(file in select(small_files()), piece in 1..40_usize) {
        let whole = Record::from_reader(file.as_slice(), &Options::default()).expect("it is a history");
        let slow = std::io::BufReader::with_capacity(piece, file.as_slice());
        prop_assert_eq!(Record::from_reader(slow, &Options::default()).expect("it is a history"), whole);
    }
}

/// A small history in each format.
fn small_files() -> Vec<Vec<u8>> {
    let events: Vec<Event> = [EventType::Invoke, EventType::Ok]
        .map(|kind| event(5, Process::Client(1), kind, "acquire", json!({ "owner": "a", "ttl_ms": 3 })))
        .to_vec();
    let lines: Vec<String> = events.iter().map(|event| to_line(event) + "\n").collect();
    let edn: Vec<String> = events.iter().map(|event| to_edn(event, 0, Keys::Field)).collect();
    let atlas = r#"[{"f":"lock","process":3,"time":7,"type":"invoke","value":"bob"},
        {"f":"lock","process":3,"query-params":"n1,bob","time":8,"type":"ok","value":"LockRefreshToken [tokenId=1]"}]"#;
    let log = "INFO  jepsen.util - 3\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 3\t:info\t:cas\t:timed-out\n";
    let kv = "{:process 0, :type :invoke, :f :get, :key \"8\", :value nil}\n{:process 0, :type :ok, :f :get, :key \"8\", :value \"x 1\"}\n";
    [lines.concat(), edn.concat(), format!("[{}]", edn.join("\n")), atlas.to_owned(), log.to_owned(), kv.to_owned()]
        .map(String::into_bytes)
        .to_vec()
}
