//! Sends a malformed packet to servers, over a connection of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::NodeId;
use crate::cluster::{Cluster, Standing};
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, Setting, parse};
use crate::nemesis::{Aim, Field, wait};
use crate::packets::{self, Case, Packet, Port, Reply, etcd, zookeeper};
use crate::sandbox::ThreadNames;
use crate::servers::Software;

pub(super) static PACKAGE: Package = Package {
    name: "packet",
    does: "sends a malformed packet to a server, over a connection of its own; only to servers that this run has started",
    settings: &[Setting { name: "case", says: "which packet, of those that `leasehold poison --list` lists" }],
    proof: "the bytes that were sent and what came back; which threads of the servers are gone after it, and what their logs say",
    aims: Aims::AtTarget,
    course: Course::Instant,
    needs: &[],
    colour: 0x5b_2a_86,
    parse: parse::<Poisoned>,
};

/// The first thread that dies of a packet does so within this time.
const DYING: Duration = Duration::from_secs(1);
/// Those that die after it, too: a thread that reads votes may get to one a second after those of its connection have ended.
const DYING_AFTER: Duration = Duration::from_millis(1_500);
/// Where a process has ended, those that are told the same by the next leader end by then.
const FOLLOWING: Duration = Duration::from_secs(2);
/// Two looks at the threads of a server are so far apart.
const LOOKS_APART: Duration = Duration::from_millis(300);

/// A packet is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Poisoned {
    case: Case,
}

impl Fault for Poisoned {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        format!("packet {}", self.case.name)
    }

    fn takes_servers(&self, software: Software) -> Result<(), String> {
        let for_whom = self.case.service;
        if software == for_whom { Ok(()) } else { Err(format!("`{}` is a packet for {for_whom}", self.case.name)) }
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        Box::new(Sending { case: self.case.clone(), field: field.clone(), nodes: aim.nodes })
    }
}

struct Sending {
    case: Case,
    field: Field,
    nodes: Vec<NodeId>,
}

#[async_trait]
impl Injection for Sending {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        let cluster = self.field.cluster.as_ref();
        let mut sent = Map::new();
        let before = lasting(cluster).await;
        for &aimed in &self.nodes {
            let node = self.receiver(aimed).await;
            let reply = self.send(node).await?;
            let mut told = json!({ "sent_bytes": self.case.packet.bytes().len(), "answer": self.in_words(&reply) });
            if node != aimed {
                told["instead_of"] = json!(aimed.to_string());
            }
            sent.insert(node.to_string(), told);
        }
        let are_gone = || Some(gone(cluster, &before)).filter(|gone| !gone.is_empty());
        let mut gone = wait::until(DYING, || async { are_gone() }).await;
        if gone.is_some() {
            // The first to go is not always the one that matters: a log has a word on that one.
            let are_told = || Some(last_words(cluster, &before)).filter(|words| !words.is_empty());
            wait::until(DYING_AFTER, || async { are_told() }).await;
            tokio::time::sleep(LOOKS_APART).await;
            let ended = || before.keys().filter(|&&node| is_down(cluster, node)).count();
            if ended() > 0 {
                wait::until(FOLLOWING, || async { (ended() == before.len()).then_some(()) }).await;
            }
            gone = are_gone();
        }
        let last_words = last_words(cluster, &before);
        let mut proof = json!({ "sent": sent, "packet": dump(&self.case.packet) });
        if let Some(gone) = gone {
            proof["threads_gone"] = json!(gone);
        }
        if !last_words.is_empty() {
            proof["log"] = json!(last_words);
        }
        Ok(proof)
    }

    /// What was sent cannot be taken back.
    async fn heal(&mut self) -> Result<Value, FaultError> {
        Ok(Value::Null)
    }
}

impl Sending {
    /// To whom it is sent. A server takes a call to its election port only from one with a greater number than its own; in place
    /// of the one with the greatest, the first is called that does not lead.
    async fn receiver(&self, aimed: NodeId) -> NodeId {
        let cluster = &self.field.cluster;
        let nodes = cluster.nodes();
        if self.case.port != Port::Election || nodes.last() != Some(&aimed) {
            return aimed;
        }
        let leader = cluster.leader().await.map(|leader| leader.node);
        nodes.into_iter().find(|&node| Some(node) != leader).unwrap_or(aimed)
    }

    /// What came back, in a few words. Only to clients a server says what is wrong.
    fn in_words(&self, reply: &Reply) -> String {
        match (self.case.port, reply.answer.len()) {
            (Port::Client, _) if self.case.service == Software::ZooKeeper => zookeeper::in_words(reply),
            (Port::Client, 1..) if self.case.service == Software::Etcd => etcd::in_words(reply).to_owned(),
            (_, 0) if reply.closed => "closed the connection".to_owned(),
            (_, 0) => "no answer".to_owned(),
            (_, bytes) => format!("{bytes} bytes came back"),
        }
    }

    async fn send(&self, node: NodeId) -> Result<Reply, FaultError> {
        let to = self.field.cluster.address_for_packets(node, self.case.port)?;
        let Case { handshake, packet, .. } = &self.case;
        let reply = match self.case.port {
            Port::GossipDatagrams => packets::send_datagram(to, packet).await,
            _ => packets::send(to, handshake.as_ref(), packet).await,
        };
        reply.map_err(|error| FaultError::DidNotBite(format!("the packet did not reach {node}: {error}")))
    }
}

/// A server before the packet.
struct Before {
    threads: ThreadNames,
    log_bytes: u64,
}

/// All servers that run, and their threads that do not come and go.
async fn lasting(cluster: &Cluster) -> BTreeMap<NodeId, Before> {
    let earlier = census(cluster);
    tokio::time::sleep(LOOKS_APART).await;
    let mut now = census(cluster);
    for (node, before) in &mut now {
        let known = earlier.get(node).map(|earlier| &earlier.threads);
        before.threads.retain(|number, _| known.is_some_and(|known| known.contains_key(number)));
    }
    now
}

/// All servers that run.
fn census(cluster: &Cluster) -> BTreeMap<NodeId, Before> {
    let of = |node| {
        Some(Before {
            threads: cluster.thread_names(node).ok()?,
            log_bytes: cluster.log_length(node).unwrap_or(u64::MAX),
        })
    };
    cluster.nodes().into_iter().filter_map(|node| Some((node, of(node)?))).collect()
}

fn is_down(cluster: &Cluster, node: NodeId) -> bool {
    cluster.standing(node).is_ok_and(|now| now == Standing::Down)
}

/// The names of the threads that are gone, by server; of a process that has ended, how it did.
fn gone(cluster: &Cluster, before: &BTreeMap<NodeId, Before>) -> BTreeMap<String, Vec<String>> {
    let mut gone = BTreeMap::new();
    for (&node, Before { threads, .. }) in before {
        if is_down(cluster, node) {
            let how = cluster.has_ended(node).ok().flatten().unwrap_or_else(|| "ended".to_owned());
            gone.insert(node.to_string(), vec![format!("{}{how}", packets::WHOLE_PROCESS)]);
            continue;
        }
        let Ok(now) = cluster.thread_names(node) else { continue };
        // Those come and go by themselves.
        let is_worth_a_word =
            |name: &&String| !["C1 Comp", "C2 Comp", "GC "].iter().any(|helper| name.starts_with(helper));
        let names: Vec<String> = threads
            .iter()
            .filter(|(number, _)| !now.contains_key(number))
            .map(|(_, name)| name)
            .filter(is_worth_a_word)
            .cloned()
            .collect();
        if !names.is_empty() {
            gone.insert(node.to_string(), names);
        }
    }
    gone
}

fn last_words(cluster: &Cluster, before: &BTreeMap<NodeId, Before>) -> BTreeMap<String, Vec<String>> {
    let said = before.iter().filter_map(|(&node, before)| {
        let words = cluster.last_words(node, before.log_bytes).ok()?;
        (!words.is_empty()).then(|| (node.to_string(), words))
    });
    said.collect()
}

/// The packet, field by field, for whoever draws it.
fn dump(packet: &Packet) -> Value {
    packet
        .fields()
        .iter()
        .map(|field| json!({ "bytes": packets::hex(packet.bytes_of(field)), "name": field.name, "says": packet.says(field) }))
        .collect()
}
