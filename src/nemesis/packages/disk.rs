//! Holds up, slows down or fills the disk of server processes.

use std::collections::BTreeMap;
use std::future::ready;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::recovery;
use crate::NodeId;
use crate::cluster::{ClusterError, Layer};
use crate::disk::{Barrier, Rule, Tally};
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Need, Package, Setting, parse};
use crate::nemesis::{Aim, Field, wait};

pub(super) static PACKAGE: Package = Package {
    name: "disk",
    does: "holds up the calls by which a server process makes its data durable, slows them down, or leaves its disk no room",
    settings: &[
        Setting { name: "how", says: "`frozen` (held until the end), `slow` or `full`" },
        Setting { name: "delay_ms", says: "for `slow`: how much longer each call takes, at least" },
    ],
    proof: "calls that were held up or refused and for how long, counted where they wait; for `full` also the room that is \
            left, as the kernel tells",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[Need::DiskGate],
    colour: 0x8a_2b_4e,
    parse: parse::<Disk>,
};

/// A server that clients write to uses its disk several times a second.
const BITE_LIMIT: Duration = Duration::from_secs(5);

/// The disk of a server fails, and works again at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    /// What it writes does not become durable, and it waits for it.
    Frozen,
    /// Making it durable takes this much longer.
    Slow(Duration),
    /// There is no room left.
    Full,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    how: How,
    delay_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum How {
    Frozen,
    Slow,
    Full,
}

impl<'de> Deserialize<'de> for Disk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As a visitor, so that an error is still told with its place.
        deserializer.deserialize_map(DiskVisitor)
    }
}

struct DiskVisitor;

impl<'de> Visitor<'de> for DiskVisitor {
    type Value = Disk;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the settings of a fault of the disk")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Disk, M::Error> {
        let Settings { how, delay_ms } = Settings::deserialize(MapAccessDeserializer::new(map))?;
        match (how, delay_ms) {
            (How::Frozen, None) => Ok(Disk::Frozen),
            (How::Full, None) => Ok(Disk::Full),
            (How::Slow, Some(delay_ms @ 1..)) => Ok(Disk::Slow(Duration::from_millis(delay_ms))),
            (How::Slow, _) => Err(M::Error::custom("a `slow` disk needs `delay_ms`, more than 0")),
            (How::Frozen | How::Full, Some(_)) => Err(M::Error::custom("`delay_ms` is for `slow` disks only")),
        }
    }
}

impl Fault for Disk {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        match self {
            Self::Frozen => "disk (frozen)".to_owned(),
            Self::Slow(delay) => format!("disk ({} ms slower)", delay.as_millis()),
            Self::Full => "disk (full)".to_owned(),
        }
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        let (field, nodes) = (field.clone(), aim.nodes);
        let rule = match self {
            Self::Frozen => Rule::Hold,
            Self::Slow(delay) => Rule::Delay(*delay),
            Self::Full => Rule::Refuse,
        };
        let barred = Barred { field, nodes, rule, barriers: BTreeMap::new() };
        if rule == Rule::Refuse { Box::new(Filled { barred, full: Vec::new() }) } else { Box::new(barred) }
    }
}

/// Disks behind a barrier.
struct Barred {
    field: Field,
    nodes: Vec<NodeId>,
    rule: Rule,
    barriers: BTreeMap<NodeId, Barrier>,
}

#[async_trait]
impl Injection for Barred {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        for &node in &self.nodes {
            self.barriers.insert(node, cluster.gate(node)?.put_up(self.rule));
        }
        let mut proof = Map::new();
        for (&node, &barrier) in &self.barriers {
            let gate = cluster.gate(node)?;
            let met = wait::until(BITE_LIMIT, || ready(gate.tally(barrier).filter(|tally| self.was_met(tally)))).await;
            let met =
                met.ok_or_else(|| FaultError::DidNotBite(format!("the server of {node} did not use its disk")))?;
            proof.insert(node.to_string(), self.shown(&met, None));
        }
        Ok(Value::Object(proof))
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        let mut proof = Map::new();
        for (&node, &barrier) in &self.barriers {
            let tally = cluster.gate(node)?.take_down(barrier).unwrap_or_default();
            // Those that are refused do not wait.
            let waits = self.rule != Rule::Refuse;
            proof.insert(node.to_string(), self.shown(&tally, waits.then(|| ("longest_ms", ms(tally.longest)))));
        }
        Ok(Value::Object(proof))
    }
}

impl Barred {
    /// Whether a call met the barrier, and fared as it should.
    fn was_met(&self, tally: &Tally) -> bool {
        match self.rule {
            Rule::Hold => tally.waiting > 0,
            Rule::Delay(delay) => tally.shortest.is_some_and(|shortest| shortest >= delay),
            Rule::Refuse => tally.calls > 0,
        }
    }

    fn shown(&self, tally: &Tally, more: Option<(&str, Value)>) -> Value {
        let own = match self.rule {
            Rule::Hold => vec![("calls_held", json!(tally.calls))],
            Rule::Refuse => vec![("calls_refused", json!(tally.calls))],
            Rule::Delay(delay) => vec![
                ("asked_ms", ms(delay)),
                ("shortest_ms", tally.shortest.map_or(Value::Null, ms)),
                ("calls_slowed", json!(tally.calls)),
            ],
        };
        own.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn ms(span: Duration) -> Value {
    json!(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// Disks without room: the kernel has none to give, and calls that write to places which are there already are refused too,
/// as a file system does that never writes to the same place twice. Databases that make room beforehand would else not
/// notice for long.
struct Filled {
    barred: Barred,
    full: Vec<NodeId>,
}

#[async_trait]
impl Injection for Filled {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let cluster = self.barred.field.cluster.clone();
        let mut free = Map::new();
        for &node in &self.barred.nodes {
            let data = cluster.data(node)?;
            data.fill().map_err(|source| ClusterError::Data { node, what: "take away the room for", source })?;
            self.full.push(node);
            let left = data.free_bytes();
            let left = left.map_err(|source| ClusterError::Data { node, what: "ask for the room for", source })?;
            free.insert(node.to_string(), json!({ "free_bytes": left }));
        }
        Ok(json!({ "refused": self.barred.inject().await?, "left": free }))
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let cluster = self.barred.field.cluster.clone();
        let refused = self.barred.heal().await?;
        let (mut gave_up, mut ended) = (Map::new(), Vec::new());
        for &node in &self.full {
            let room = cluster.data(node)?.make_room();
            room.map_err(|source| ClusterError::Data { node, what: "give back the room for", source })?;
            if let Some(how) = cluster.has_ended(node)? {
                gave_up.insert(node.to_string(), json!(how));
                ended.push(node);
            }
        }
        // A server that finds no room may well give up. Where there is room again it is started anew, as its operator would do.
        Ok(
            json!({ "refused": refused, "gave_up": gave_up, "restarted": recovery::bring_up(&self.barred.field, Layer::new(), &ended).await? }),
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::scenario::Scenario;

    fn error_of(settings: &str) -> String {
        let calm = Scenario::load("etcd-v3-calm").expect("it comes along").text;
        let text = format!("{calm}\n[[nemesis]]\npackage = \"disk\"\nat_ms = 1\nlasts_ms = 1\n{settings}\n");
        let line = calm.lines().count() + 2;
        let error = Scenario::parse("x", "x", &text).map(drop).expect_err("it is wrong").to_string();
        assert!(error.starts_with(&format!("x:{line}:")), "{error} is not of line {line}");
        error
    }

    #[test]
    fn a_delay_belongs_to_slow_disks_and_to_no_others() {
        assert!(error_of("how = \"slow\"").contains("needs `delay_ms`"));
        assert!(error_of("how = \"slow\"\ndelay_ms = 0").contains("needs `delay_ms`"));
        assert!(error_of("how = \"full\"\ndelay_ms = 5").contains("for `slow` disks only"));
        assert!(error_of("delay_ms = 5").contains("`how` is missing here"));
    }
}
