//! Takes so much memory from server processes that the kernel kills them, and starts them again: the loop of a real
//! incident.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::recovery;
use crate::NodeId;
use crate::cluster::{Cluster, ClusterError, Layer, Standing};
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Need, Package, Setting, parse};
use crate::nemesis::{Aim, Field};

pub(super) static PACKAGE: Package = Package {
    name: "out-of-memory",
    does: "gives a server process so little memory that the kernel kills it, starts it again, and has it killed again, until \
           the end",
    settings: &[
        Setting { name: "limit_mib", says: "how much memory it may have besides its data, in MiB" },
        Setting { name: "restart_ms", says: "how long after its end it is started again, in milliseconds" },
    ],
    proof: "the kernel's own count of the processes that it has killed, and their end by signal 9",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[Need::MemoryGroup],
    colour: 0x8f_1d_3f,
    parse: parse::<OutOfMemory>,
};

/// How long a server may get along with the memory that it has.
const BITE_LIMIT: Duration = Duration::from_secs(20);

/// How soon the limit follows when it gives memory back.
const TIGHTEN_EVERY: Duration = Duration::from_millis(100);

/// A process gets so little memory that the kernel kills it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutOfMemory {
    #[serde(deserialize_with = "limit_mib")]
    limit_mib: u64,
    restart_ms: u64,
}

impl Fault for OutOfMemory {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        format!("out of memory at {} MiB", self.limit_mib)
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        let starved = aim.nodes.into_iter().map(|node| Starved { node, killed_before: 0, starts: 0 }).collect();
        Box::new(Loops { fault: *self, layer: Layer::new(), field: field.clone(), starved })
    }
}

struct Loops {
    fault: OutOfMemory,
    layer: Layer,
    field: Field,
    starved: Vec<Starved>,
}

/// One target.
struct Starved {
    node: NodeId,
    /// What the kernel had killed before.
    killed_before: u64,
    /// How often it was started again.
    starts: u64,
}

impl Starved {
    fn killed(&self, cluster: &Cluster) -> Result<u64, ClusterError> {
        Ok(cluster.killed_for_memory(self.node)?.saturating_sub(self.killed_before))
    }

    /// Takes the memory away and waits for the first death.
    async fn starve(&mut self, fault: OutOfMemory, layer: Layer, cluster: &Cluster) -> Result<Value, FaultError> {
        self.killed_before = cluster.killed_for_memory(self.node)?;
        let start = Instant::now();
        let (limit, ended) = loop {
            // One that has more already may keep it. What it gives back in the meantime it does not get again.
            let limit = cluster.limit_memory(layer, self.node, Some(fault.bytes()))?;
            match timeout(TIGHTEN_EVERY, cluster.ended(self.node)).await {
                Ok(ended) => break (limit, ended?),
                Err(_) if start.elapsed() < BITE_LIMIT => {}
                Err(_) => {
                    let limit_mib = limit.unwrap_or_default() >> 20;
                    let still = format!("{} gets along with {limit_mib} MiB: the kernel killed nothing", self.node);
                    return Err(FaultError::DidNotBite(still));
                }
            }
        };
        let killed = self.killed(cluster)?;
        if killed == 0 {
            return Err(FaultError::DidNotBite(format!("{} ended, and not by the kernel's hand", self.node)));
        }
        Ok(json!({
            "oom_kills": killed,
            "ended": ended,
            "after_ms": start.elapsed().as_millis() as u64,
            "limit_bytes": limit,
        }))
    }

    /// Starts it again whenever it has died.
    async fn revive(&mut self, fault: OutOfMemory, layer: Layer, cluster: &Cluster) -> Result<(), ClusterError> {
        loop {
            cluster.ended(self.node).await?;
            // One that another fault keeps down is looked at again and again.
            sleep(Duration::from_millis(fault.restart_ms.max(10))).await;
            // Its files have grown meanwhile, and what a dead process had is free again.
            cluster.limit_memory(layer, self.node, Some(fault.bytes()))?;
            cluster.bring_up(layer, self.node)?;
            self.starts += u64::from(cluster.standing(self.node)? != Standing::Down);
        }
    }
}

impl OutOfMemory {
    fn bytes(self) -> u64 {
        self.limit_mib << 20
    }
}

#[async_trait]
impl Injection for Loops {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let (fault, layer, cluster) = (self.fault, self.layer, &self.field.cluster);
        let starving = self.starved.iter_mut().map(async |starved| {
            let node = starved.node.to_string();
            Ok::<_, FaultError>((node, starved.starve(fault, layer, cluster).await?))
        });
        let proofs = join_all(starving).await.into_iter().collect::<Result<serde_json::Map<_, _>, _>>()?;
        Ok(Value::Object(proofs))
    }

    async fn keep_up(&mut self) {
        let (fault, layer, cluster) = (self.fault, self.layer, &self.field.cluster);
        let reviving = self.starved.iter_mut().map(async |starved| {
            if let Err(error) = starved.revive(fault, layer, cluster).await {
                // What is down then is started at the end, or said to be down.
                tracing::warn!("{} is not started again: {error}", starved.node);
            }
        });
        join_all(reviving).await;
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        let mut counts = serde_json::Map::new();
        for starved in &self.starved {
            cluster.limit_memory(self.layer, starved.node, None)?;
            let loops = json!({ "oom_kills": starved.killed(cluster)?, "starts": starved.starts });
            counts.insert(starved.node.to_string(), loops);
        }
        let nodes: Vec<NodeId> = self.starved.iter().map(|starved| starved.node).collect();
        let restarted = recovery::bring_up(&self.field, self.layer, &nodes).await?;
        Ok(json!({ "loops": counts, "restarted": restarted }))
    }
}

/// A limit that is no misprint.
fn limit_mib<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    const MOST_MIB: u64 = 1 << 20;
    match u64::deserialize(deserializer)? {
        limit_mib @ 1..=MOST_MIB => Ok(limit_mib),
        _ => Err(D::Error::custom(format!("`limit_mib` must be from 1 to {MOST_MIB}"))),
    }
}
