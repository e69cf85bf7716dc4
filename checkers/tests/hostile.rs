//! Whatever stands in a file, reading and judging it gives an error or a judgement, and no panic.

mod support;

use leasehold_checkers::formats::Problem;
use leasehold_checkers::history::{Event, History, MAX_LINE_BYTES, header_to_line, to_line};
use leasehold_checkers::verdict::Verdict;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use support::script::header;
use support::simulated::simulate;

fn read_and_judge(bytes: &[u8]) {
    if let Ok(history) = History::from_reader(bytes) {
        let judgement = leasehold_checkers::check(&history);
        assert!(judgement.to_json().ends_with("}\n"));
    }
}

fn file(seed: u64) -> Vec<u8> {
    let history = simulate(seed, None).history;
    let lines: Vec<String> = history.events.iter().take(80).map(to_line).collect();
    format!("{}\n{}\n", header_to_line(&history.header), lines.join("\n")).into_bytes()
}

/// Numbers that tempt arithmetic, and shapes that do not belong.
fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        Just(json!(0)),
        Just(json!(u64::MAX)),
        Just(json!(u64::MAX - 1)),
        Just(json!(i64::MIN)),
        Just(json!(1.5e300)),
        Just(json!("")),
        Just(json!("nemesis")),
        Just(json!("p0.0")),
        Just(json!([])),
        Just(json!({})),
        Just(json!({ "owner": "p0.0", "ttl_ms": u64::MAX })),
        Just(json!({ "linearizable": true })),
        Just(json!({ "leader": null, "term": u64::MAX })),
    ]
}

/// Which field of a value, which field of that, and so on.
fn path() -> impl Strategy<Value = Vec<Index>> {
    proptest::collection::vec(any::<Index>(), 1..4)
}

/// Replaces a field somewhere in a JSON value.
fn disturb(value: &mut Value, path: &[Index], with: &Value) {
    match (value, path.split_first()) {
        (Value::Object(map), Some((step, rest))) if !map.is_empty() => {
            let field = step.get(&map.keys().cloned().collect::<Vec<_>>()).clone();
            if let Some(inner) = map.get_mut(&field) {
                disturb(inner, rest, with);
            }
        }
        (value, _) => *value = with.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read_and_judge(&bytes);
    }

    #[test]
    fn arbitrary_bytes_after_a_header(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut file = header_to_line(&header()).into_bytes();
        file.push(b'\n');
        file.extend(bytes);
        read_and_judge(&file);
    }

    #[test]
    fn bytes_of_a_history_changed(
        seed in 0..50_u64,
        changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = file(seed);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_and_judge(&bytes);
    }

    #[test]
    fn a_history_cut_anywhere_is_read_to_its_last_whole_line(seed in 0..50_u64, cut in any::<Index>()) {
        let bytes = file(seed);
        let kept = &bytes[..cut.index(bytes.len())];
        let whole_lines = kept.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")).count();
        match History::from_reader(kept) {
            Ok(history) => prop_assert!(history.events.len() + 1 == whole_lines || history.events.len() == whole_lines),
            Err(_) => prop_assert_eq!(whole_lines, 0),
        }
        read_and_judge(kept);
    }

    #[test]
    fn fields_of_a_history_replaced(
        seed in 0..50_u64,
        changes in proptest::collection::vec((any::<Index>(), path(), odd_value()), 1..8),
    ) {
        let bytes = file(seed);
        let mut lines: Vec<Value> = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap_or_default())
            .collect();
        for (line, path, with) in changes {
            let line = line.index(lines.len());
            disturb(&mut lines[line], &path, &with);
        }
        let text: Vec<String> = lines.iter().map(Value::to_string).collect();
        read_and_judge(text.join("\n").as_bytes());
    }

    #[test]
    fn lines_of_a_history_swapped_doubled_and_dropped(
        seed in 0..50_u64,
        changes in proptest::collection::vec((any::<Index>(), any::<Index>(), 0..3_u8), 1..10),
    ) {
        let mut history = simulate(seed, None).history;
        for (one, other, change) in changes {
            let (one, other) = (one.index(history.events.len()), other.index(history.events.len()));
            match change {
                0 => history.events.swap(one, other),
                1 => history.events.insert(one, history.events[other].clone()),
                _ => drop(history.events.remove(one)),
            }
        }
        let judgement = leasehold_checkers::check(&history);
        if judgement.checkers["well-formed"].verdict != Verdict::Valid {
            prop_assert_eq!(judgement.verdict, Verdict::Unknown);
            prop_assert!(judgement.anomalies.is_empty());
        }
    }
}

#[test]
fn a_line_without_end() {
    let mut file = header_to_line(&header()).into_bytes();
    file.push(b'\n');
    file.resize(file.len() + 3 * MAX_LINE_BYTES, b' ');
    let error = History::from_reader(file.as_slice()).expect_err("the line is too long");
    assert!(matches!(error.problem, Problem::TooLong));
    assert_eq!(error.line, Some(2));
}

#[test]
fn json_nested_without_end() {
    let mut file = header_to_line(&header()).into_bytes();
    file.push(b'\n');
    file.resize(file.len() + 100_000, b'[');
    file.extend(b"\n{}\n");
    let error = History::from_reader(file.as_slice()).expect_err("it is nested too deep");
    assert!(matches!(error.problem, Problem::NotJson(_)), "{error}");
}

#[test]
fn many_faults_of_one_number_and_many_holders_of_one_lock() {
    let mut history = simulate(3, None).history;
    let events: Vec<Event> = history.events.clone();
    for _ in 0..200 {
        history.events.extend(
            events
                .iter()
                .filter(|event| !matches!(event.process, leasehold_checkers::history::Process::Client(_)))
                .cloned(),
        );
    }
    let _ = leasehold_checkers::check(&history);
}
