//! Gives server processes less of the processor.

use std::time::Duration;

use async_trait::async_trait;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::NodeId;
use crate::cluster::{Cluster, ClusterError, Layer};
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Need, Package, Setting, parse};
use crate::nemesis::{Aim, Field, wait};

pub(super) static PACKAGE: Package = Package {
    name: "slow-cpu",
    does: "lets a server process run for a share of the time only, by a quota of the kernel's, or where there is none by short \
           stops (SIGSTOP and SIGCONT)",
    settings: &[
        Setting { name: "percent", says: "the share of one processor that it may have, 1 to 99" },
        Setting { name: "by", says: "`quota` or `slices`; if not said, a quota where this machine has them" },
    ],
    proof: "by a quota: how often the kernel held it back; by slices: for how long it stood; both: the processor time that it \
            got, of that asked for",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[Need::CpuGroup],
    colour: 0x9a_8a_00,
    parse: parse::<SlowCpu>,
};

/// How long it may take until a server wants more than its share. etcd works a little all the time.
const BITE_LIMIT: Duration = Duration::from_secs(5);

/// How long the first measurement takes.
const WINDOW: Duration = Duration::from_secs(1);

/// From one slice to the next: as the kernel's own period.
const SLICE: Duration = Duration::from_millis(100);

/// A process runs for a share of the time only.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlowCpu {
    #[serde(deserialize_with = "percent")]
    percent: u32,
    by: Option<Means>,
}

/// How a process is slowed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Means {
    /// The kernel gives it no more of the processor.
    Quota,
    /// It is stopped for the rest of the time.
    Slices,
}

impl Fault for SlowCpu {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        let by = match self.by {
            None => "",
            Some(Means::Quota) => " by quota",
            Some(Means::Slices) => " by slices",
        };
        format!("slow CPU, {} %{by}", self.percent)
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        let slow = Slow { percent: self.percent, layer: Layer::new(), field: field.clone(), nodes: aim.nodes };
        let has_quotas = slow.nodes.iter().all(|&node| field.cluster.can_limit_cpu(node).unwrap_or(false));
        match self.by.unwrap_or(if has_quotas { Means::Quota } else { Means::Slices }) {
            Means::Quota => Box::new(ByQuota { slow, since: None }),
            Means::Slices => Box::new(BySlices { slow, since: None, stood: Duration::ZERO }),
        }
    }
}

struct Slow {
    percent: u32,
    layer: Layer,
    field: Field,
    nodes: Vec<NodeId>,
}

impl Slow {
    fn cluster(&self) -> &Cluster {
        &self.field.cluster
    }

    /// How much of the processor each node's process gets, measured over a while.
    async fn shares(&self) -> Result<Value, FaultError> {
        let times = || self.nodes.iter().map(|&node| self.cluster().cpu_time(node)).collect::<Result<Vec<_>, _>>();
        let (start, before) = (Instant::now(), times()?);
        sleep(WINDOW).await;
        let (after, elapsed) = (times()?, start.elapsed());
        let shares = self.nodes.iter().zip(before.iter().zip(&after)).map(|(node, (before, after))| {
            let got = after.saturating_sub(*before).as_secs_f64() / elapsed.as_secs_f64();
            (node.to_string(), json!(percent_of(got)))
        });
        Ok(Value::Object(shares.collect()))
    }
}

struct ByQuota {
    slow: Slow,
    since: Option<Since>,
}

/// What was counted when the fault began.
struct Since {
    start: Instant,
    throttled: Vec<u64>,
    throttled_ns: Vec<u64>,
}

impl ByQuota {
    fn limit(&self, percent: Option<u32>) -> Result<(), FaultError> {
        let slow = &self.slow;
        Ok(slow.nodes.iter().try_for_each(|&node| slow.cluster().limit_cpu(slow.layer, node, percent))?)
    }

    fn counted(&self) -> Result<Since, ClusterError> {
        let counts = self.slow.nodes.iter().map(|&node| self.slow.cluster().throttled(node));
        let counts = counts.collect::<Result<Vec<_>, _>>()?;
        Ok(Since {
            start: Instant::now(),
            throttled: counts.iter().map(|count| count.periods).collect(),
            throttled_ns: counts.iter().map(|count| count.time_ns).collect(),
        })
    }

    /// How often the kernel has held each node back since the fault began, and for how long its threads waited in all.
    fn held_back(&self, since: &Since) -> Result<Value, ClusterError> {
        let now = self.counted()?;
        let counts = self.slow.nodes.iter().enumerate().map(|(index, node)| {
            let held_back = json!({
                "times": now.throttled[index] - since.throttled[index],
                "threads_waited_ms": (now.throttled_ns[index] - since.throttled_ns[index]) / 1_000_000,
            });
            (node.to_string(), held_back)
        });
        Ok(Value::Object(counts.collect()))
    }
}

#[async_trait]
impl Injection for ByQuota {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let since = self.counted()?;
        self.limit(Some(self.slow.percent))?;
        let all_held_back = || async {
            let now = self.counted().ok()?;
            now.throttled.iter().zip(&since.throttled).all(|(now, before)| now > before).then_some(())
        };
        let bit = wait::until(BITE_LIMIT, all_held_back).await;
        let (got, held_back) = (self.slow.shares().await?, self.held_back(&since)?);
        self.since = Some(since);
        bit.ok_or_else(|| FaultError::DidNotBite("not every target wanted more than its share".to_owned()))?;
        Ok(json!({ "by": "quota", "percent_asked": self.slow.percent, "percent_got": got, "held_back": held_back }))
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let counted = self.since.as_ref().map(|since| Ok::<_, ClusterError>((since.start, self.held_back(since)?)));
        self.limit(None)?;
        let Some((start, held_back)) = counted.transpose()? else { return Ok(Value::Null) };
        Ok(json!({ "held_back": held_back, "in_ms": start.elapsed().as_millis() as u64 }))
    }
}

struct BySlices {
    slow: Slow,
    since: Option<Instant>,
    /// For how long the targets were stopped in all.
    stood: Duration,
}

impl BySlices {
    /// Stops the targets for a slice's rest, and lets them run for their share of it.
    async fn slice(&mut self) -> Result<(), ClusterError> {
        let (slow, stopped) = (&self.slow, Instant::now());
        for &node in &slow.nodes {
            match slow.cluster().pause(slow.layer, node) {
                // Another fault has killed it; its successor is slow as well.
                Err(ClusterError::NotRunning(_)) => {}
                paused => paused?,
            }
        }
        let run = SLICE * slow.percent / 100;
        sleep_until(stopped + (SLICE - run)).await;
        self.resume()?;
        self.stood += stopped.elapsed();
        sleep(run).await;
        Ok(())
    }

    fn resume(&self) -> Result<(), ClusterError> {
        let slow = &self.slow;
        slow.nodes.iter().try_for_each(|&node| slow.cluster().resume(slow.layer, node))
    }

    async fn slices(&mut self) -> ClusterError {
        loop {
            if let Err(error) = self.slice().await {
                return error;
            }
        }
    }

    /// For which share of the time the targets could run so far.
    fn share(&self) -> f64 {
        let elapsed = self.since.map_or(Duration::ZERO, |since| since.elapsed()).as_secs_f64();
        1.0 - self.stood.as_secs_f64() / elapsed.max(f64::EPSILON)
    }
}

#[async_trait]
impl Injection for BySlices {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        self.since = Some(Instant::now());
        let slow = Slow { nodes: self.slow.nodes.clone(), field: self.slow.field.clone(), ..self.slow };
        let got = tokio::select! {
            got = slow.shares() => got?,
            error = self.slices() => return Err(error.into()),
        };
        let could_run = percent_of(self.share());
        // On a busy machine stops and runs are of any length; that there were enough of them is what counts.
        if could_run > f64::from(100 + self.slow.percent) / 2.0 {
            return Err(FaultError::DidNotBite(format!("the targets could run for {could_run} % of the time")));
        }
        Ok(
            json!({ "by": "slices", "percent_asked": self.slow.percent, "could_run_percent": could_run, "percent_got": got }),
        )
    }

    async fn keep_up(&mut self) {
        let error = self.slices().await;
        tracing::warn!("the slices end early: {error}");
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let could_run = percent_of(self.share());
        self.resume()?;
        Ok(json!({ "could_run_percent": could_run }))
    }
}

/// A share in percent, to a tenth.
fn percent_of(share: f64) -> f64 {
    (share * 1000.0).round() / 10.0
}

fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        percent @ 1..=99 => Ok(percent),
        _ => Err(D::Error::custom("`percent` must be from 1 to 99")),
    }
}
