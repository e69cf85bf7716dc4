//! What a server holds by itself.

use std::time::Duration;

use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::Value;

use super::ConsulProbes;
use crate::NodeId;
use crate::servers::probes::{Contents, MOST_CONTENTS, ProbeError};

/// The only ones that are told in an object, by their names.
const SERVICE: &str = "service";

/// Lists of what the servers agree on. With `stale` a server answers from its own state. What only the leader knows (lock-delays, the
/// deadlines of sessions) and what each gossips about for itself (events) is in none of them; coordinates change by themselves.
const LISTS: [(&str, &str); 6] = [
    ("key", "kv/?recurse&stale"),
    ("session", "session/list?stale"),
    ("node", "catalog/nodes?stale"),
    (SERVICE, "catalog/services?stale"),
    ("check", "health/state/any?stale"),
    ("query", "query?stale"),
];

/// One list is read.
const LIST: Duration = Duration::from_secs(5);

impl ConsulProbes {
    pub(super) async fn own_contents(&self, node: NodeId) -> Result<Contents, ProbeError> {
        let lists = try_join_all(LISTS.map(|(kind, path)| self.list(node, kind, path))).await?;
        let contents: Contents = lists.into_iter().flatten().collect();
        match contents.len() {
            0 => Err(ProbeError::Nonsense { node, why: "it does not even know of itself".to_owned() }),
            1..=MOST_CONTENTS => Ok(contents),
            _ => Err(ProbeError::NotOffered("there are too many keys")),
        }
    }

    async fn list(&self, node: NodeId, kind: &str, path: &str) -> Result<Vec<String>, ProbeError> {
        let list: Value = match self.exchange(node, Method::GET, path, LIST).await? {
            (200, answer) => serde_json::from_slice(&answer).map_err(|error| ProbeError::nonsense(node, &error))?,
            // There are no keys.
            (404, _) => Value::Null,
            refusal => return Err(super::probes::refused(node, refusal)),
        };
        let no_list = || ProbeError::Nonsense { node, why: format!("what it tells at {path} is no list") };
        told(kind, &list).ok_or_else(no_list)
    }
}

/// What stands in a list, or in the object by which services are listed.
fn told(kind: &str, list: &Value) -> Option<Vec<String>> {
    Some(match list {
        Value::Array(all) if kind != SERVICE => all.iter().map(|one| format!("{kind} {one}")).collect(),
        Value::Object(all) if kind == SERVICE => {
            all.iter().map(|(name, tags)| format!("{kind} {} {}", name.escape_debug(), sorted(tags))).collect()
        }
        // How some are told that are empty.
        Value::Null => Vec::new(),
        _ => return None,
    })
}

/// A server tells tags in whatever order they come to its hand.
fn sorted(tags: &Value) -> Value {
    let mut tags = tags.clone();
    if let Value::Array(all) = &mut tags {
        all.sort_by_key(Value::to_string);
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_objects_are_told_one_by_one() {
        let told = |kind, list| told(kind, &list);
        let of = |lines: &[&str]| Some(lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
        let list = serde_json::json!([{"Key": "a", "Value": null}, {"Key": "b"}]);
        assert_eq!(told("key", list), of(&[r#"key {"Key":"a","Value":null}"#, r#"key {"Key":"b"}"#]));
        assert_eq!(told("service", serde_json::json!({"consul": []})), of(&["service consul []"]));
        let tagged = |tags: [&str; 2]| told("service", serde_json::json!({ "web\n": tags }));
        assert_eq!(tagged(["b", "a"]), of(&[r#"service web\n ["a","b"]"#]));
        assert_eq!(tagged(["b", "a"]), tagged(["a", "b"]));
        assert_eq!(told("key", Value::Null), of(&[]));
        for wrong in [serde_json::json!("no"), serde_json::json!({"health": null})] {
            assert_eq!(told("key", wrong), None);
        }
    }
}
