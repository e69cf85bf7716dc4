//! Makes servers forget what they have acknowledged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::membership::{names, readmit, wipe};
use super::pause::until_threads;
use super::recovery;
use crate::NodeId;
use crate::cluster::{Cluster, ClusterError, Layer, SavedData, Standing};
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, Setting, parse};
use crate::nemesis::{Aim, Field, wait};
use crate::sandbox::Threads;
use crate::servers::Ability;

pub(super) static PACKAGE: Package = Package {
    name: "amnesia",
    does: "makes a server forget: its data is deleted while it is down, or put back to what it was at the beginning; or it is \
           made to forget the other members",
    settings: &[Setting {
        name: "how",
        says: "`wipe` (killed and its data deleted; started as if for the first time at the end) or `rollback` (its data copied \
               at the beginning; killed and started with that copy at the end) or `force-new-cluster` (etcd only: killed and \
               started as a cluster of its own with the data that it has; the others are taken in anew at the end)",
    }],
    proof: "files deleted, or files that had changed since they were copied, and how the server came up again; or the members \
            before and after",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[],
    colour: 0xb0_5a_00,
    parse: parse::<Amnesia>,
};

/// How long after it has come up its leader has told it all that makes a server give up: many heartbeats.
const HEARS_OF_ITS_LOSS: Duration = Duration::from_secs(2);

/// How long a server may take until it is a cluster of its own.
const ALONE_LIMIT: Duration = Duration::from_secs(20);

/// A server forgets. No service promises to survive this: it is what a restored backup does, a reverted virtual machine, or a
/// mount that did not happen.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Amnesia {
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum How {
    /// It comes back without data.
    Wipe,
    /// It comes back with the data that it had when the fault began.
    Rollback,
    /// It comes back as a cluster of its own.
    ForceNewCluster,
}

impl Fault for Amnesia {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        match self.how {
            How::Wipe => "amnesia (wiped)".to_owned(),
            How::Rollback => "amnesia (rolled back)".to_owned(),
            How::ForceNewCluster => "amnesia (a new cluster forced)".to_owned(),
        }
    }

    fn asks(&self) -> Option<Ability> {
        (self.how == How::ForceNewCluster).then_some(Ability::ForceNewCluster)
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        let (field, nodes, layer) = (field.clone(), aim.nodes, Layer::new());
        match self.how {
            How::Wipe => Box::new(Wiped { field, nodes, layer }),
            How::Rollback => Box::new(RolledBack { field, nodes, layer, saved: BTreeMap::new() }),
            How::ForceNewCluster => Box::new(Alone { field, nodes, layer }),
        }
    }
}

struct Wiped {
    field: Field,
    nodes: Vec<NodeId>,
    layer: Layer,
}

#[async_trait]
impl Injection for Wiped {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        cluster.take_down(self.layer, &self.nodes).await?;
        let mut proof = Map::new();
        for &node in &self.nodes {
            proof.insert(node.to_string(), wipe(cluster, node)?);
        }
        Ok(json!({ "forgotten": proof }))
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        for &node in &self.nodes {
            cluster.make_founder(node)?;
            cluster.bring_up(self.layer, node)?;
        }
        let mut proof = Map::new();
        for &node in &self.nodes {
            proof.insert(node.to_string(), serves_or_readmitted(&self.field, self.layer, node).await?);
        }
        Ok(json!({ "restarted": proof }))
    }
}

/// A server that was started with less than it had serves, or gives up: it finds that its cluster knows it, or its leader
/// takes for granted what it has lost. Then it is made a new member, as its operator has to in the end.
async fn serves_or_readmitted(field: &Field, layer: Layer, node: NodeId) -> Result<Value, FaultError> {
    let served = async {
        let restarted = recovery::bring_up(field, layer, &[node]).await?;
        sleep(HEARS_OF_ITS_LOSS).await;
        Ok(restarted)
    };
    tokio::select! {
        restarted = served => restarted,
        how = gave_up(&field.cluster, node) => {
            Ok(json!({ "gave_up": how?, "readmitted": readmit(field, layer, node).await? }))
        }
    }
}

/// Waits until a server ends by itself, and tells how.
async fn gave_up(cluster: &Cluster, node: NodeId) -> Result<String, ClusterError> {
    let how = cluster.ended(node).await?;
    if cluster.is_kept_down(node)? {
        std::future::pending::<()>().await;
    }
    Ok(how)
}

struct Alone {
    field: Field,
    nodes: Vec<NodeId>,
    layer: Layer,
}

impl Alone {
    fn node(&self) -> Result<NodeId, FaultError> {
        match self.nodes[..] {
            [node] => Ok(node),
            _ => Err(FaultError::NoTarget("one server can be a cluster of its own, not several".to_owned())),
        }
    }

    async fn is_alone(&self, node: NodeId) -> bool {
        let told = self.field.cluster.memberships().await;
        told.iter().any(|(teller, members)| *teller == node && members[..] == [node])
    }

    /// Those who do not know yet that it left them may tell it of what it has not. It gives up at that, and is started again, as whoever
    /// wants it to be alone would.
    async fn is_alone_or_started(&self, node: NodeId) -> Option<()> {
        let cluster = &self.field.cluster;
        if cluster.standing(node).ok()? == Standing::Down && !cluster.is_kept_down(node).ok()? {
            cluster.bring_up(self.layer, node).ok()?;
        }
        self.is_alone(node).await.then_some(())
    }
}

#[async_trait]
impl Injection for Alone {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let (cluster, node) = (&self.field.cluster, self.node()?);
        cluster.take_down(self.layer, &[node]).await?;
        cluster.make_alone(node)?;
        cluster.bring_up(self.layer, node)?;
        let is_alone = wait::until(ALONE_LIMIT, || self.is_alone_or_started(node)).await;
        // Whenever it starts again, it does so with the members that it has by then.
        cluster.make_founder(node)?;
        is_alone.ok_or_else(|| FaultError::DidNotBite(format!("{node} does not say that it is alone")))?;
        Ok(json!({ "from": names(&cluster.nodes()), "to": names(&[node]) }))
    }

    /// The others gave up when they heard of it, or do not know yet.
    async fn heal(&mut self) -> Result<Value, FaultError> {
        let (cluster, node) = (&self.field.cluster, self.node()?);
        if !self.is_alone(node).await {
            // It did not come to it, so the others have what is to be kept.
            return Ok(json!({ "restarted": recovery::bring_up(&self.field, self.layer, &[node]).await? }));
        }
        let mut proof = Map::new();
        for other in cluster.nodes().into_iter().filter(|&other| other != node) {
            let gave_up = cluster.has_ended(other)?;
            let readmitted = readmit(&self.field, self.layer, other).await?;
            proof.insert(other.to_string(), json!({ "gave_up": gave_up, "readmitted": readmitted }));
        }
        Ok(json!({ "restarted": proof }))
    }
}

struct RolledBack {
    field: Field,
    nodes: Vec<NodeId>,
    layer: Layer,
    saved: BTreeMap<NodeId, SavedData>,
}

#[async_trait]
impl Injection for RolledBack {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let mut proof = Map::new();
        for &node in &self.nodes {
            let start = Instant::now();
            let saved = saved_at_an_instant(&self.field, self.layer, node).await?;
            let stood_still_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            let amount = saved.amount();
            proof.insert(
                node.to_string(),
                json!({ "files": amount.files, "bytes": amount.bytes, "stood_still_ms": stood_still_ms }),
            );
            self.saved.insert(node, saved);
        }
        Ok(json!({ "copied": proof }))
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        let nodes: Vec<NodeId> = self.saved.keys().copied().collect();
        cluster.take_down(self.layer, &nodes).await?;
        let mut proof = Map::new();
        for (&node, saved) in &self.saved {
            let forgotten =
                tokio::task::block_in_place(|| cluster.data(node)?.restore(saved).map_err(not(node, "put back")))?;
            if forgotten == 0 {
                return Err(FaultError::DidNotBite(format!("the data of {node} is what it was: nothing is forgotten")));
            }
            proof.insert(node.to_string(), json!({ "files_put_back": forgotten }));
        }
        for &node in &nodes {
            cluster.bring_up(self.layer, node)?;
        }
        let mut restarted = Map::new();
        for &node in &nodes {
            restarted.insert(node.to_string(), serves_or_readmitted(&self.field, self.layer, node).await?);
        }
        Ok(json!({ "forgotten": proof, "restarted": restarted }))
    }
}

/// Copies a server's data while it stands still, so that the copy is of one instant: what a crash would have left then.
async fn saved_at_an_instant(field: &Field, layer: Layer, node: NodeId) -> Result<SavedData, FaultError> {
    let cluster = &field.cluster;
    let save = || tokio::task::block_in_place(|| cluster.data(node)?.save().map_err(not(node, "copy")));
    if cluster.standing(node)? == Standing::Down {
        return Ok(save()?);
    }
    cluster.pause(layer, node)?;
    let stopped = until_threads(cluster, &[node], Threads::all_stopped, "stopped").await;
    let saved = stopped.and_then(|_| Ok(save()?));
    cluster.resume(layer, node)?;
    saved
}

fn not(node: NodeId, what: &'static str) -> impl FnOnce(std::io::Error) -> ClusterError {
    move |source| ClusterError::Data { node, what, source }
}
