//! Has clocks run too fast or too slow.

use std::time::Duration;

use async_trait::async_trait;
use leasehold_checkers::history::vocabulary::ClockValue;
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::shown::{ASK_AGAIN, Shown, TOLERANCE_NS, is_between, shown_by_all};
use super::{free_all, move_all};
use crate::NodeId;
use crate::clock::{RATES_PPM, Skew};
use crate::cluster::{ClockMove, Cluster, ClusterError, Layer};
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Need, Package, Setting, parse};
use crate::nemesis::{Aim, Field};

pub(in crate::nemesis::packages) static PACKAGE: Package = Package {
    name: "clock-drift",
    does: "has a clock of a server process run too fast or too slow; at the end a wall clock gets back what it has gained \
           or lost, and a monotonic clock its pace. The run declares the rate, and judges by it",
    settings: &[
        Setting {
            name: "rate_ppm",
            says: "by how many millionths it runs faster, 100_000 for a tenth; negative for slower",
        },
        Setting {
            name: "clock",
            says: "`wall` (if not said), `monotonic` or `both`; the monotonic one of Go programs only, for in others it stalls \
                   the timers",
        },
    ],
    proof: "what the process itself shows to have gained or lost, soon after the beginning and at the end",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[Need::ClockHook],
    colour: 0x4f_2a_86,
    parse: parse::<Drift>,
};

/// How long it may take until a drift is large enough to be certain.
const BITE_LIMIT: Duration = Duration::from_secs(10);

/// A clock runs at another rate.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "Settings")]
struct Drift {
    rate_ppm: i64,
    clock: Clocks,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    rate_ppm: i64,
    #[serde(default)]
    clock: Clocks,
}

/// Which clocks of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Clocks {
    #[default]
    Wall,
    Monotonic,
    Both,
}

impl Clocks {
    fn monotonic(self) -> bool {
        self != Self::Wall
    }

    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Wall => &[Kind::Wall],
            Self::Monotonic => &[Kind::Monotonic],
            Self::Both => &[Kind::Wall, Kind::Monotonic],
        }
    }

    /// How a fault names them.
    fn word(self) -> &'static str {
        match self {
            Self::Wall => "clock",
            Self::Monotonic => "monotonic clock",
            Self::Both => "both clocks",
        }
    }
}

impl TryFrom<Settings> for Drift {
    type Error = serde::de::value::Error;

    fn try_from(Settings { rate_ppm, clock }: Settings) -> Result<Self, Self::Error> {
        const LEAST_PPM: u64 = 500;
        // What a monotonic clock has gained is known as of its last reading, and is only certain while it gains no more
        // than has passed since.
        const MONOTONIC_PPM: i64 = 1_000_000;
        let most = if clock.monotonic() { MONOTONIC_PPM } else { *RATES_PPM.end() };
        match rate_ppm.unsigned_abs() < LEAST_PPM || !(*RATES_PPM.start()..=most).contains(&rate_ppm) {
            true => Err(Self::Error::custom(format!(
                "`rate_ppm` must be from {} to {most} here, and at least {LEAST_PPM} either way, so that it can be measured",
                RATES_PPM.start()
            ))),
            false => Ok(Self { rate_ppm, clock }),
        }
    }
}

impl Fault for Drift {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        format!("{} {:+} ppm", self.clock.word(), self.rate_ppm)
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        Box::new(Drifting { drift: *self, layer: Layer::new(), field: field.clone(), nodes: aim.nodes, since: None })
    }

    fn clock_rate_ppm(&self) -> i64 {
        self.rate_ppm
    }

    fn moves_monotonic_clocks(&self) -> bool {
        self.clock.monotonic()
    }
}

struct Drifting {
    drift: Drift,
    layer: Layer,
    field: Field,
    nodes: Vec<NodeId>,
    since: Option<Instant>,
}

#[async_trait]
impl Injection for Drifting {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let Drift { rate_ppm, clock } = self.drift;
        self.since = Some(Instant::now());
        for kind in clock.kinds() {
            let to = match kind {
                Kind::Wall => ClockMove::Wall(Skew { offset_ns: 0, rate_ppm }),
                Kind::Monotonic => ClockMove::MonotonicRate(rate_ppm),
            };
            move_all(&self.field, self.layer, &self.nodes, to)?;
        }
        self.gained().await
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        // That a node cannot be asked at this moment must not keep it drifting.
        let gained = self.gained_now().await.unwrap_or(Value::Null);
        free_all(&self.field, self.layer, &self.nodes)?;
        let shown = shown_by_all(&self.field.cluster, &self.nodes, Shown::OnceUp).await?;
        Ok(json!({ "gained": gained, "measured": shown["measured"] }))
    }
}

impl Drifting {
    /// What the clocks have gained, as soon as it is enough to be certain.
    async fn gained(&self) -> Result<Value, FaultError> {
        let deadline = Instant::now() + BITE_LIMIT;
        loop {
            let gained = self.gained_now().await;
            if gained.is_ok() || Instant::now() >= deadline {
                return gained;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    async fn gained_now(&self) -> Result<Value, FaultError> {
        let mut proof = serde_json::Map::new();
        for &node in &self.nodes {
            let mut of_node = serde_json::Map::new();
            for &kind in self.drift.clock.kinds() {
                of_node.insert(kind.word().to_owned(), self.gain_of(node, kind).await?);
            }
            proof.insert(node.to_string(), Value::Object(of_node));
        }
        Ok(Value::Object(proof))
    }

    /// What one clock has gained by this fault: what it shows, less what all other faults together have it show.
    async fn gain_of(&self, node: NodeId, kind: Kind) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        let since = self.since.unwrap_or_else(Instant::now);
        let before_ns = kind.intended_ns(cluster, node)?;
        let measured = kind.measured(cluster, node).await?;
        let after_ns = kind.intended_ns(cluster, node)?;
        let elapsed = match kind {
            Kind::Wall => since.elapsed(),
            // Each process begins to count anew.
            Kind::Monotonic => since.elapsed().min(cluster.up_for(node)?),
        };
        let elapsed_ns = elapsed.as_nanos() as f64;
        let own_ns = elapsed_ns * self.drift.rate_ppm as f64 / 1e6;
        if !is_between(&measured, before_ns, after_ns) {
            let (is, was) = (measured.offset_ns / 1_000_000, after_ns / 1_000_000);
            return Err(FaultError::DidNotBite(format!(
                "a clock of {node} was to be off by {was} ms and is by {is} ms"
            )));
        }
        if own_ns.abs() < 2.0 * (TOLERANCE_NS + measured.uncertainty_ns) as f64 {
            return Err(FaultError::DidNotBite(format!(
                "what a clock of {node} has gained is too little to be certain"
            )));
        }
        let gained_ns = measured.offset_ns as f64 - (after_ns as f64 - own_ns);
        Ok(json!({
            "rate_ppm": (gained_ns / elapsed_ns * 1e6).round() as i64,
            "gained_ns": gained_ns as i64,
            "in_ms": elapsed.as_millis() as u64,
            "uncertainty_ns": measured.uncertainty_ns,
        }))
    }
}

/// One of a process's clocks.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Wall,
    Monotonic,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Monotonic => "monotonic",
        }
    }

    fn intended_ns(self, cluster: &Cluster, node: NodeId) -> Result<i64, ClusterError> {
        Ok(match self {
            Self::Wall => cluster.intended_clock(node)?.offset_ns,
            Self::Monotonic => cluster.intended_monotonic(node)?.offset_ns,
        })
    }

    async fn measured(self, cluster: &Cluster, node: NodeId) -> Result<ClockValue, FaultError> {
        match self {
            Self::Wall => Ok(cluster.measure_clock(node).await?),
            Self::Monotonic => cluster.measure_monotonic(node)?.ok_or_else(|| {
                FaultError::DidNotBite(format!("the process of {node} has not read its monotonic clock for a second"))
            }),
        }
    }
}
