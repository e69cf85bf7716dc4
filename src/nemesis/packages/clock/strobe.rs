//! Has wall clocks jump to and fro.

use std::time::Duration;

use async_trait::async_trait;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::shown::{Shown, shown_by_all};
use super::{certain_to, free_all, move_all, offset_ms, step};
use crate::NodeId;
use crate::cluster::Layer;
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Need, Package, Setting, parse};
use crate::nemesis::{Aim, Field};

pub(in crate::nemesis::packages) static PACKAGE: Package = Package {
    name: "clock-strobe",
    does: "has the wall clock of a server process jump to and fro, again and again",
    settings: &[
        Setting { name: "offset_ms", says: "how far it jumps, in milliseconds; negative for back" },
        Setting { name: "interval_ms", says: "from one jump to the next, in milliseconds" },
    ],
    proof: "the offset that the process itself shows, here and there; at the end, how often it jumped",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[Need::ClockHook],
    colour: 0xa0_5c_c9,
    parse: parse::<Strobe>,
};

/// The wall clock jumps by this much, and back, and again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strobe {
    #[serde(deserialize_with = "offset_ms")]
    offset_ms: i64,
    #[serde(deserialize_with = "interval_ms")]
    interval_ms: u64,
}

impl Fault for Strobe {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        format!("clock {:+} s and back, every {} ms", self.offset_ms as f64 / 1000.0, self.interval_ms)
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        Box::new(Strobing { strobe: *self, layer: Layer::new(), field: field.clone(), nodes: aim.nodes, jumping: None })
    }
}

struct Strobing {
    strobe: Strobe,
    layer: Layer,
    field: Field,
    nodes: Vec<NodeId>,
    /// Since when it jumps, and how often it has.
    jumping: Option<(Instant, u64)>,
}

impl Strobing {
    fn put(&self, offset_ms: i64) -> Result<(), FaultError> {
        move_all(&self.field, self.layer, &self.nodes, step(offset_ms))
    }
}

#[async_trait]
impl Injection for Strobing {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        self.put(self.strobe.offset_ms)?;
        let there = shown_by_all(cluster, &self.nodes, certain_to(self.strobe.offset_ms)).await?;
        self.put(0)?;
        let back = shown_by_all(cluster, &self.nodes, certain_to(self.strobe.offset_ms)).await?;
        Ok(json!({ "there": there, "back": back }))
    }

    async fn keep_up(&mut self) {
        let every = Duration::from_millis(self.strobe.interval_ms);
        let start = Instant::now();
        let mut beat = interval_at(start + every, every);
        // A jump that is late is not made up for by two at once.
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for jump in 1.. {
            beat.tick().await;
            let there = jump % 2 == 1;
            if self.put(if there { self.strobe.offset_ms } else { 0 }).is_err() {
                // What cannot be moved is measured at the end, and so is known.
                return;
            }
            self.jumping = Some((start, jump));
        }
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let (since, jumps) = self.jumping.unwrap_or((Instant::now(), 0));
        let asked = since.elapsed().as_millis() as u64 / self.strobe.interval_ms;
        free_all(&self.field, self.layer, &self.nodes)?;
        let shown = shown_by_all(&self.field.cluster, &self.nodes, Shown::OnceUp).await?;
        Ok(json!({ "jumps": jumps, "jumps_asked": asked, "measured": shown["measured"] }))
    }
}

fn interval_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        0 => Err(D::Error::custom("`interval_ms` must be more than 0")),
        interval_ms => Ok(interval_ms),
    }
}
