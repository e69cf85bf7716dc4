//! What shows that a fault took effect, and that it was taken back, in words.

use serde_json::Value;

use super::story::{Effect, Fault};
use super::words;

/// Of a malformed packet: its bytes and what the servers' logs say of it have a place of their own.
const TOLD_ELSEWHERE: [&str; 2] = ["packet", "log"];

/// What was measured of a fault: `measured offset 9 s, uncertainty 0.14 ms`.
pub(super) fn in_words(fault: &Fault) -> String {
    match &fault.effect {
        Effect::Bit(proof) => {
            let measured = value(proof);
            if measured.is_empty() { "took effect".to_owned() } else { format!("proof: {measured}") }
        }
        Effect::Missed => "had no effect".to_owned(),
        Effect::NotCalledFor(condition) => {
            format!("was not called for: `{}` did not come true", words::one_line(condition, 60))
        }
        Effect::Unmeasured => "nothing was measured".to_owned(),
    }
}

/// What was measured when it was healed, as far as that was not known when it began: `calls held 26, longest 6.96 s`.
pub(super) fn at_end_in_words(fault: &Fault) -> Option<String> {
    let mut parts = parts_of(&fault.measured_at_end);
    if let Effect::Bit(proof) = &fault.effect {
        let known = parts_of(proof);
        parts.retain(|part| !known.contains(part));
    }
    (!parts.is_empty()).then(|| joined(parts))
}

/// A value that some fault package made up, flat and short. Units stand at the end of names: `offset_ns`, `gap_ms`.
fn value(proof: &Value) -> String {
    joined(parts_of(proof))
}

fn joined(mut parts: Vec<String>) -> String {
    const PARTS_MAX: usize = 5;
    let more = parts.len() > PARTS_MAX;
    parts.truncate(PARTS_MAX);
    let text = words::one_line(&parts.join(", "), 160);
    if more { format!("{text}, …") } else { text }
}

fn parts_of(proof: &Value) -> Vec<String> {
    let mut parts = Vec::new();
    collect("", proof, &mut parts);
    parts
}

fn collect(name: &str, value: &Value, parts: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (field, value) in fields.iter().filter(|(field, _)| !TOLD_ELSEWHERE.contains(&field.as_str())) {
                let first = parts.len();
                collect(field, value, parts);
                // What reads alike, such as the same of several nodes, is told apart by its name.
                if fields.iter().any(|(other, its)| other != field && are_alike(value, its))
                    && let Some(part) = parts.get_mut(first)
                {
                    *part = format!("{} {part}", field.replace('_', " "));
                }
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            items.iter().for_each(|item| collect(name, item, parts));
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().take(5).map(|item| leaf("", item).1).collect();
            parts.push(labelled(name, &words::list(&items)));
        }
        _ => {
            let (name, value) = leaf(name, value);
            parts.push(labelled(name, &value));
        }
    }
}

fn are_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => one.keys().eq(other.keys()),
        _ => false,
    }
}

fn labelled(name: &str, value: &str) -> String {
    format!("{} {value}", name.replace('_', " ")).trim_start().to_owned()
}

/// A number with its unit, which it takes from the end of its name.
fn leaf<'n>(name: &'n str, value: &Value) -> (&'n str, String) {
    const UNITS_NS: [(&str, i64); 3] = [("_ns", 1), ("_us", 1_000), ("_ms", 1_000_000)];
    let unit = UNITS_NS.into_iter().find_map(|(unit, ns)| Some((name.strip_suffix(unit)?, ns)));
    match (value, unit) {
        (Value::Number(number), Some((name, ns))) => {
            let length = number.as_i64().map_or_else(|| number.to_string(), |n| length(n.saturating_mul(ns)));
            (name, length)
        }
        (Value::String(text), _) => (name, words::one_line(text, 80)),
        (Value::Bool(yes), _) => (name, if *yes { "yes" } else { "no" }.to_owned()),
        (other, _) => (name, other.to_string()),
    }
}

fn length(ns: i64) -> String {
    if ns < 0 { words::signed_span(ns) } else { words::span(ns.unsigned_abs()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn proofs_read_well() {
        let proof = json!({"measured_offset_ns": 9_000_312_000_i64, "uncertainty_ns": 143_000});
        assert_eq!(value(&proof), "measured offset 9 s, uncertainty 0.14 ms");
        assert_eq!(
            value(&json!({"state": "stopped (T)", "nodes": ["n1", "n2"]})),
            "nodes n1 and n2, state stopped (T)"
        );
        assert_eq!(value(&json!("signal 9")), "signal 9");
        assert_eq!(value(&json!(null)), "");
        assert_eq!(value(&json!({"a": {"offset_ms": -2000}})), "offset -2 s");
        assert_eq!(
            value(&json!({"n1": {"calls": 3, "longest_ms": 9}, "n2": {"calls": 4, "longest_ms": 8}})),
            "n1 calls 3, longest 9 ms, n2 calls 4, longest 8 ms"
        );
        assert_eq!(value(&json!({"left": {"free_bytes": 0}, "refused": {"calls": 1}})), "free bytes 0, calls 1");
    }
}
