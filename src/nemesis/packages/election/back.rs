//! Makes the node lead again that led before.

use async_trait::async_trait;
use serde_json::Value;

use super::super::closed_port::ClosedPort;
use super::super::pause::Pause;
use super::{LIMIT, proof};
use crate::NodeId;
use crate::cluster::Leader;
use crate::nemesis::package::{Fault, FaultError, Injection};
use crate::nemesis::{Aim, Field, wait};
use crate::servers::Ability;

/// The leadership goes back.
pub(super) struct Back {
    field: Field,
    /// What others suffer until it has, so that nobody else can win.
    burdens: Vec<Box<dyn Injection>>,
}

impl Back {
    pub(super) fn new(field: &Field) -> Self {
        Self { field: field.clone(), burdens: Vec::new() }
    }

    async fn burden(&mut self, fault: &dyn Fault, nodes: &[NodeId]) -> Result<(), FaultError> {
        self.burdens.push(fault.aimed(&self.field, Aim::at_nodes(nodes.to_vec())));
        let burden = self.burdens.last_mut().expect("it was put there a moment ago");
        burden.inject().await.map(drop)
    }

    async fn relieve(&mut self, from: usize) -> Result<(), FaultError> {
        let mut relieved = Ok(());
        for mut burden in self.burdens.drain(from..) {
            relieved = relieved.and(burden.heal().await.map(drop));
        }
        relieved
    }

    /// Nobody but it can win: all others stand still until it has stood for election twice, so that it is ahead of them in
    /// terms and a vote that another gives itself is not the one that it asks for. Then all but the leader go on, and while
    /// it reaches them and gets their votes, they do not reach it to ask for its own.
    async fn by_force(&mut self, favourite: NodeId, before: Leader) -> Result<(), FaultError> {
        let others: Vec<NodeId> =
            self.field.cluster.nodes().into_iter().filter(|&node| node != favourite && node != before.node).collect();
        self.burden(&Pause {}, &[before.node]).await?;
        self.burden(&Pause {}, &others).await?;
        let cluster = self.field.cluster.clone();
        let term_of = || async { cluster.view_of(favourite).await.ok().filter(|view| view.term >= before.term + 2) };
        wait::until(LIMIT, term_of)
            .await
            .ok_or_else(|| FaultError::DidNotBite(format!("{favourite} does not stand for election")))?;
        self.relieve(1).await?;
        self.burden(&ClosedPort::for_peers(), &[favourite]).await
    }
}

#[async_trait]
impl Injection for Back {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let cluster = self.field.cluster.clone();
        let nobody = |what: &str| FaultError::NoTarget(what.to_owned());
        let before = wait::until(LIMIT, || cluster.leader()).await.ok_or_else(|| nobody("no node leads"))?;
        let favourite = self.field.leadership.former().filter(|&former| former != before.node);
        let favourite = favourite.ok_or_else(|| nobody("no other node has led before"))?;
        let moved = if cluster.offers(Ability::HandOver) {
            cluster.move_leader(favourite).await.map_err(FaultError::from)
        } else {
            self.by_force(favourite, before).await
        };
        let leads = |leader: &Leader| leader.node == favourite && leader.term > before.term;
        let after = match moved {
            Ok(()) => wait::until(LIMIT, || async { cluster.leader().await.filter(leads) }).await,
            Err(_) => None,
        };
        let relieved = self.relieve(0).await;
        moved.and(relieved)?;
        let after = after.ok_or_else(|| FaultError::DidNotBite(format!("{favourite} does not lead again")))?;
        Ok(proof(before, after))
    }

    /// It is over once the node leads.
    async fn heal(&mut self) -> Result<Value, FaultError> {
        self.relieve(0).await.map(|()| Value::Null)
    }
}
