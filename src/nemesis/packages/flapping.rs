//! Cuts nodes off and lets them back in, one after the other, again and again.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_workloads::script::Dice;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cut::{BITE_LIMIT, Link, between, names, until_dropped};
use crate::NodeId;
use crate::cluster::LinkLayer;
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, Setting, parse};
use crate::nemesis::targets::shuffled;
use crate::nemesis::{Aim, Field};
use crate::sandbox::{LinkRule, Side};

pub(super) static PACKAGE: Package = Package {
    name: "flapping",
    does: "cuts the target's nodes off one after the other, in random order, lets them back in one after the other, in \
           another, and so on until the end; aim it at `all` or at a data centre",
    settings: &[Setting { name: "step_ms", says: "from one change to the next" }],
    proof: "packets dropped, by the switch's own count, and how often nodes were cut off and let back in",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[],
    colour: 0x4f_9a_94,
    parse: parse::<Flapping>,
};

/// Nodes are cut off and let back in until the end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flapping {
    step_ms: std::num::NonZeroU64,
}

impl Fault for Flapping {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        format!("flapping links, every {} ms", self.step_ms)
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        let order = shuffled(&aim.nodes, &mut aim.dice());
        Box::new(Flaps {
            field: field.clone(),
            layer: field.cluster.link_layer(),
            step: Duration::from_millis(self.step_ms.get()),
            dice: aim.dice(),
            order,
            cut_off: BTreeSet::new(),
            times_cut_off: 0,
            times_let_in: 0,
            dropped_before: 0,
        })
    }
}

struct Flaps {
    field: Field,
    layer: LinkLayer,
    step: Duration,
    dice: Dice,
    /// In which the nodes are cut off first.
    order: Vec<NodeId>,
    cut_off: BTreeSet<NodeId>,
    times_cut_off: u64,
    times_let_in: u64,
    dropped_before: u64,
}

#[async_trait]
impl Injection for Flaps {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        self.dropped_before = self.dropped_in_all();
        let first = self.order.first().copied();
        self.cut_off(first.ok_or_else(|| FaultError::NoTarget("there is no node to cut off".to_owned()))?);
        until_dropped(BITE_LIMIT, || self.dropped()).await?;
        Ok(json!({ "links_cut_first": names(&self.links()), "dropped": self.dropped() }))
    }

    async fn keep_up(&mut self) {
        loop {
            for node in self.order.clone() {
                if !self.cut_off.contains(&node) {
                    self.cut_off(node);
                }
                tokio::time::sleep(self.step).await;
            }
            for node in shuffled(&self.order, &mut self.dice) {
                self.let_in(node);
                tokio::time::sleep(self.step).await;
            }
            self.order = shuffled(&self.order, &mut self.dice);
        }
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        self.layer.lift();
        Ok(json!({
            "dropped": self.dropped(),
            "times_cut_off": self.times_cut_off,
            "times_let_in": self.times_let_in + self.cut_off.len() as u64,
        }))
    }
}

impl Flaps {
    fn cut_off(&mut self, node: NodeId) {
        self.cut_off.insert(node);
        self.times_cut_off += 1;
        self.lay();
    }

    fn let_in(&mut self, node: NodeId) {
        self.cut_off.remove(&node);
        self.times_let_in += 1;
        self.lay();
    }

    fn lay(&self) {
        self.layer.lay(self.links().into_iter().map(|(from, to)| (from, to, LinkRule::cut())));
    }

    /// Those that are cut at the moment.
    fn links(&self) -> Vec<Link> {
        let cut_off: Vec<Side> = self.cut_off.iter().map(|&node| node.into()).collect();
        between(&cut_off, &self.sides())
    }

    fn sides(&self) -> Vec<Side> {
        self.field.cluster.nodes().into_iter().map(Side::from).collect()
    }

    fn dropped(&self) -> u64 {
        self.dropped_in_all() - self.dropped_before
    }

    fn dropped_in_all(&self) -> u64 {
        let sides = self.sides();
        self.field.cluster.counters(&between(&sides, &sides)).dropped
    }
}
