//! What has been recorded so far, for whoever watches a run.

use std::collections::BTreeMap;

use leasehold_checkers::history::{EventType, Process};
use serde_json::Value;

use super::Entry;

/// What has been recorded so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Client operations that happened.
    pub ok: u64,
    /// Those that certainly did not.
    pub fail: u64,
    /// Those of unknown outcome.
    pub info: u64,
    /// The faults that are active, by their numbers: what is done, and to whom.
    pub faults: BTreeMap<u64, String>,
    /// What is certainly broken.
    pub found: Found,
}

/// What the live judge has found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many anomalies are proven.
    pub anomalies: usize,
    /// The story of the one that was found first.
    pub first: Option<String>,
}

impl Tally {
    /// Takes an event into account.
    pub(super) fn count(&mut self, entry: &Entry) {
        match (&entry.process, entry.kind) {
            (Process::Client(_), EventType::Ok) => self.ok += 1,
            (Process::Client(_), EventType::Fail) => self.fail += 1,
            (Process::Client(_), EventType::Info) => self.info += 1,
            (Process::Nemesis, kind) => self.follow(kind, &entry.value),
            _ => {}
        }
    }

    /// A fault is active from the invocation of its injection to the completion of its healing. One that never came is told as an
    /// injection without a time at which it was due.
    fn follow(&mut self, kind: EventType, value: &Value) {
        let Some(fault) = value["fault"].as_u64() else { return };
        let never_came = kind == EventType::Info && value["due_ns"].is_null();
        match (value["phase"].as_str(), kind) {
            (Some("inject"), _) if never_came => _ = self.faults.remove(&fault),
            (Some("inject"), _) => _ = self.faults.insert(fault, in_words(value)),
            (Some("heal"), EventType::Invoke) => {}
            _ => _ = self.faults.remove(&fault),
        }
    }
}

/// `clock +9 s on n2`.
fn in_words(fault: &Value) -> String {
    let nodes = fault["nodes"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let clients = fault["clients"].as_array().into_iter().flatten().map(|client| format!("process {client}"));
    let hit: Vec<String> = nodes.chain(clients).collect();
    let what = fault["what"].as_str().unwrap_or_default();
    if hit.is_empty() { what.to_owned() } else { format!("{what} on {}", hit.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(tally: &mut Tally, kind: EventType, value: Value) {
        let f = "clock".to_owned();
        tally.count(&Entry { process: Process::Nemesis, kind, f, key: None, value, node: None, error: None });
    }

    #[test]
    fn a_fault_is_active_until_it_is_healed_and_one_that_never_came_is_not() {
        let mut tally = Tally::default();
        let value = |fault: u64, phase: &str, due: Value| json!({"fault": fault, "phase": phase, "what": "clock +9 s", "nodes": ["n2"], "due_ns": due});
        told(&mut tally, EventType::Invoke, value(0, "inject", json!(3)));
        told(&mut tally, EventType::Ok, value(0, "inject", json!(3)));
        told(&mut tally, EventType::Info, value(1, "inject", Value::Null));
        assert_eq!(tally.faults.values().collect::<Vec<_>>(), ["clock +9 s on n2"]);
        told(&mut tally, EventType::Invoke, value(0, "heal", Value::Null));
        assert_eq!(tally.faults.len(), 1);
        told(&mut tally, EventType::Ok, value(0, "heal", Value::Null));
        assert!(tally.faults.is_empty());
    }
}
