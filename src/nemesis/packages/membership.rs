//! Removes servers from the cluster and takes them in again as new ones.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::recovery;
use crate::NodeId;
use crate::cluster::{Cluster, ClusterError, Layer, Standing};
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, parse};
use crate::nemesis::{Aim, Field, wait};
use crate::servers::Ability;

pub(super) static PACKAGE: Package = Package {
    name: "membership",
    does: "removes a server from the cluster and deletes its data; at the end it is taken in again as a new member",
    settings: &[],
    proof: "the list of the members, as a majority of the nodes tells it",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[],
    colour: 0x2e_6b_3c,
    parse: parse::<Membership>,
};

/// How long the cluster may refuse a change: it does while it has no leader, or some members have only just come up.
const CHANGE_LIMIT: Duration = Duration::from_secs(20);
/// How long the nodes may take to hear of a change that was carried out, and Consul to give a server that has joined anew
/// its vote: it looks every 10 s whether one was well for long enough.
const HEARSAY_LIMIT: Duration = Duration::from_secs(30);

/// A server leaves the cluster, and joins it again at the end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Membership {}

impl Fault for Membership {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        "remove and add".to_owned()
    }

    fn asks(&self) -> Option<Ability> {
        Some(Ability::Membership)
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        Box::new(Removed { field: field.clone(), nodes: aim.nodes, layer: Layer::new() })
    }
}

struct Removed {
    field: Field,
    nodes: Vec<NodeId>,
    layer: Layer,
}

#[async_trait]
impl Injection for Removed {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        if self.nodes.len() == cluster.nodes().len() {
            return Err(FaultError::NoTarget("somebody must stay in the cluster".to_owned()));
        }
        let before = told_by_any(cluster).await;
        for &node in &self.nodes {
            wait::until_ok(CHANGE_LIMIT, || cluster.remove_member(node)).await?;
        }
        let stay: Vec<NodeId> = cluster.nodes().into_iter().filter(|node| !self.nodes.contains(node)).collect();
        let told_by = told_by_majority(cluster, &stay).await?;
        // Those that have heard of it have gone by themselves.
        cluster.take_down(self.layer, &self.nodes).await?;
        for &node in &self.nodes {
            wipe(cluster, node)?;
        }
        Ok(json!({ "from": names(&before), "to": names(&stay), "told_by": names(&told_by) }))
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let cluster = &self.field.cluster;
        let before = told_by_any(cluster).await;
        let mut proof = Map::new();
        for &node in &self.nodes {
            // Where its removal was refused, it is what it was.
            let is_out = cluster.standing(node)? == Standing::Down || !is_member(cluster, node).await;
            if is_out && let Value::Object(added) = readmit(&self.field, self.layer, node).await? {
                proof.extend(added);
            }
        }
        let all = cluster.nodes();
        let told_by = told_by_majority(cluster, &all).await?;
        Ok(json!({ "added": proof, "from": names(&before), "to": names(&all), "told_by": names(&told_by) }))
    }
}

/// Makes a server a new member, whatever became of the one it was.
pub(super) async fn readmit(field: &Field, layer: Layer, node: NodeId) -> Result<Value, FaultError> {
    let cluster = &field.cluster;
    cluster.take_down(layer, &[node]).await?;
    wipe(cluster, node)?;
    wait::until_ok(CHANGE_LIMIT, || cluster.remove_member(node)).await?;
    wait::until_ok(CHANGE_LIMIT, || cluster.add_member(node)).await?;
    recovery::bring_up(field, layer, &[node]).await
}

async fn is_member(cluster: &Cluster, node: NodeId) -> bool {
    let told = cluster.memberships().await;
    told.iter().any(|(teller, members)| *teller != node && members.contains(&node))
}

/// Deletes the data of a server that does not run.
pub(super) fn wipe(cluster: &Cluster, node: NodeId) -> Result<Value, FaultError> {
    let gone = cluster.data(node)?.wipe();
    let gone = gone.map_err(|source| ClusterError::Data { node, what: "delete", source })?;
    Ok(json!({ "deleted_files": gone.files, "deleted_bytes": gone.bytes }))
}

/// The members as one of the nodes tells, the first that does.
async fn told_by_any(cluster: &Cluster) -> Vec<NodeId> {
    cluster.memberships().await.into_iter().next().map(|(_, members)| members).unwrap_or_default()
}

/// Waits until more than half of the members say that these are the members, and returns who says so.
async fn told_by_majority(cluster: &Cluster, members: &[NodeId]) -> Result<Vec<NodeId>, FaultError> {
    let told = wait::until(HEARSAY_LIMIT, || async {
        let told: Vec<NodeId> = cluster
            .memberships()
            .await
            .into_iter()
            .filter(|(node, told)| members.contains(node) && told == members)
            .map(|(node, _)| node)
            .collect();
        (told.len() > members.len() / 2).then_some(told)
    })
    .await;
    told.ok_or_else(|| {
        FaultError::DidNotBite(format!("no majority says that the members are {}", names(members).join(", ")))
    })
}

pub(super) fn names(nodes: &[NodeId]) -> Vec<String> {
    nodes.iter().map(ToString::to_string).collect()
}
