//! What all faults share that drop packets on some links until they are healed.

use std::future::ready;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::LinkLayer;
use crate::nemesis::package::{FaultError, Injection};
use crate::nemesis::{Field, wait};
use crate::sandbox::{LinkRule, Port, Side};

/// A directed link.
pub(super) type Link = (Side, Side);

/// Nodes send heartbeats many times a second, and clients work without a pause, so a cut link drops its first packet well
/// within this time.
pub(super) const BITE_LIMIT: Duration = Duration::from_secs(3);

/// A single client may rest for some time: it holds a lock, and its next renewal is not due yet.
const CLIENT_BITE_LIMIT: Duration = Duration::from_secs(6);

/// Links that drop packets, by a layer of their own.
pub(super) struct Cut {
    field: Field,
    layer: LinkLayer,
    links: Vec<Link>,
    rule: LinkRule,
    dropped_before: u64,
    back_before: Option<u64>,
}

impl Cut {
    /// Nothing is cut yet.
    pub(super) fn new(field: &Field, links: Vec<Link>, rule: LinkRule) -> Self {
        Self {
            field: field.clone(),
            layer: field.cluster.link_layer(),
            links,
            rule,
            dropped_before: 0,
            back_before: None,
        }
    }

    /// How many packets these links have dropped since the injection, by whatever faults lie over them.
    fn dropped(&self) -> u64 {
        self.dropped_in_all() - self.dropped_before
    }

    fn dropped_in_all(&self) -> u64 {
        self.field.cluster.counters(&self.links).dropped
    }

    /// How many packets went the other way where only one way is cut: requests, say, whose answers are lost.
    fn let_through_back(&self) -> Option<u64> {
        let back: Vec<Link> = self.links.iter().map(|&(from, to)| (to, from)).collect();
        let is_one_way = back.iter().all(|link| !self.links.contains(link));
        is_one_way.then(|| self.field.cluster.counters(&back).forwarded)
    }

    fn limit(&self) -> Duration {
        let is_client = |side: Side| matches!(side, Side::One(Port::Worker(_)));
        let of_clients = self.links.iter().all(|&(from, to)| is_client(from) || is_client(to));
        if of_clients { CLIENT_BITE_LIMIT } else { BITE_LIMIT }
    }

    fn proof(&self, links: &str) -> Value {
        let mut proof = json!({ links: names(&self.links), "dropped": self.dropped() });
        if let (Some(before), Some(now)) = (self.back_before, self.let_through_back()) {
            proof["let_through_the_other_way"] = json!(now - before);
        }
        proof
    }
}

#[async_trait]
impl Injection for Cut {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        if self.links.is_empty() {
            return Err(FaultError::NoTarget("there is no link to cut".to_owned()));
        }
        self.dropped_before = self.dropped_in_all();
        self.back_before = self.let_through_back();
        self.layer.lay(self.links.iter().map(|&(from, to)| (from, to, self.rule.clone())));
        until_dropped(self.limit(), || self.dropped()).await?;
        Ok(self.proof("links_cut"))
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let proof = self.proof("links_healed");
        self.layer.lift();
        Ok(proof)
    }
}

/// Waits until a packet was dropped.
pub(super) async fn until_dropped(limit: Duration, dropped: impl Fn() -> u64) -> Result<(), FaultError> {
    wait::until(limit, || ready((dropped() > 0).then_some(())))
        .await
        .ok_or_else(|| FaultError::DidNotBite("no packet was sent on the links that were cut".to_owned()))
}

/// All links, each from one side to the other; `n1 to n2`.
pub(super) fn names(links: &[Link]) -> Vec<String> {
    links.iter().map(|(from, to)| format!("{from} to {to}")).collect()
}

/// In which direction the links of a target are bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    #[default]
    Both,
    /// What the target sends.
    Out,
    /// What is sent to the target.
    In,
}

impl Way {
    /// Those of the links that lead this way, seen from here.
    pub(super) fn of(self, mut links: Vec<Link>, here: &[Side]) -> Vec<Link> {
        match self {
            Self::Both => {}
            Self::Out => links.retain(|(from, _)| here.contains(from)),
            Self::In => links.retain(|(_, to)| here.contains(to)),
        }
        links
    }

    /// What is to be said of it in a list.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Both => "",
            Self::Out => ", outgoing",
            Self::In => ", incoming",
        }
    }
}

/// The links between each of these and each of those, in both directions, and none twice.
pub(super) fn between(these: &[Side], those: &[Side]) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for &one in these {
        for &other in those.iter().filter(|&&other| other != one) {
            for link in [(one, other), (other, one)] {
                if !links.contains(&link) {
                    links.push(link);
                }
            }
        }
    }
    links
}
