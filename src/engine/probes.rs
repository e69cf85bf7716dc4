//! Asks every node at a steady rate who leads, whether it is well and what time it is, reads what became of the packets of each link,
//! and records the answers.
//!
//! Each question has a rhythm of its own, so that one that is not answered does not hold up another.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use leasehold_checkers::history::vocabulary::{
    ClockValue, HealthValue, LeaderValue, LinkValue, NetworkValue, ProcessValue, f,
};
use leasehold_checkers::history::{ErrorInfo, EventType, Process};
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::NodeId;
use crate::cluster::{Cluster, ClusterError};
use crate::run::{Entry, Leadership, Recorder, Stop, value_of};
use crate::sandbox::{Port, Side};

/// From one question for the leader to the next. The checkers rely on this rhythm to see when the machine itself stood
/// still.
const LEADER_EVERY: Duration = Duration::from_millis(200);
/// The same for health and clocks.
const REST_EVERY: Duration = Duration::from_secs(1);

/// Asks one node who leads, until the run stops, and tells it to all who listen.
pub(super) async fn leader(
    cluster: Arc<Cluster>,
    recorder: Recorder,
    leadership: Leadership,
    node: NodeId,
    stop: Stop,
) {
    let mut beats = Beats::of(LEADER_EVERY, stop);
    while beats.next().await {
        let view = cluster.view_of(node).await;
        if let Ok(view) = view {
            leadership.said(node, view);
        }
        record(&recorder, Some(node), f::LEADER, view.map(LeaderValue::from));
    }
}

/// Asks one node whether it is well and what time it is, until the run stops.
pub(super) async fn health_and_clock(cluster: Arc<Cluster>, recorder: Recorder, node: NodeId, stop: Stop) {
    let mut beats = Beats::of(REST_EVERY, stop);
    while beats.next().await {
        let health = cluster.health_of(node).await.map(|healthy| HealthValue { healthy });
        record(&recorder, Some(node), f::HEALTH, health);
        // Whoever is asked in vain need not be down. Of servers that are not ours nobody knows.
        if let (Ok(up), Ok(None)) = (cluster.up_for(node), cluster.has_ended(node)) {
            let up_ms = u64::try_from(up.as_millis()).unwrap_or(u64::MAX);
            record::<_, ClusterError>(&recorder, Some(node), f::PROCESS, Ok(ProcessValue { up_ms }));
        }
        record(&recorder, Some(node), f::CLOCK, cluster.measure_clock(node).await);
        // One that no fault moves is not measured.
        if let Some(monotonic) = cluster.measure_monotonic(node).transpose() {
            record(&recorder, Some(node), f::MONOTONIC_CLOCK, monotonic);
        }
    }
}

/// Watches the machine's own wall clock: were it set during the run, a service that counts by it would be blamed.
pub(super) async fn host_clock(recorder: Recorder, stop: Stop) {
    let started = (SystemTime::now(), Instant::now());
    let mut beats = Beats::of(REST_EVERY, stop);
    while beats.next().await {
        record::<_, ClusterError>(&recorder, None, f::HOST_CLOCK, Ok(moved_since(started)));
    }
}

/// Reads what became of the packets of each link, until the run stops and once more then.
pub(super) async fn network(cluster: Arc<Cluster>, recorder: Recorder, stop: Stop) {
    let links = all_links(&cluster.nodes());
    let mut known = vec![LinkValue::default(); links.len()];
    let mut beats = Beats::of(REST_EVERY, stop);
    loop {
        let goes_on = beats.next().await;
        let now: Vec<LinkValue> = links.iter().map(|&(from, to)| link(&cluster, from, to)).collect();
        let has_news = |(now, known): &(&LinkValue, &LinkValue)| now.sent + now.delivered > 0 && now != known;
        let links: Vec<LinkValue> = now.iter().zip(&known).filter(has_news).map(|(now, _)| now.clone()).collect();
        if !links.is_empty() {
            record::<_, ClusterError>(&recorder, None, f::NETWORK, Ok(NetworkValue { links }));
            known = now;
        }
        if !goes_on {
            return;
        }
    }
}

/// Every node with every other, with the clients, and with whatever else asks from the clients' host.
fn all_links(nodes: &[NodeId]) -> Vec<(Side, Side)> {
    let nodes = nodes.iter().map(|&node| Side::One(Port::Node(node)));
    let sides: Vec<Side> = nodes.chain([Side::Workers, Side::One(Port::Client)]).collect();
    let is_client = |side| matches!(side, Side::Workers | Side::One(Port::Client | Port::Worker(_)));
    let pairs = sides.iter().flat_map(|&from| sides.iter().map(move |&to| (from, to)));
    pairs.filter(|&(from, to)| from != to && !(is_client(from) && is_client(to))).collect()
}

fn link(cluster: &Cluster, from: Side, to: Side) -> LinkValue {
    let name = |side| match side {
        Side::One(Port::Client) => "harness".to_owned(),
        side => side.to_string(),
    };
    let counters = cluster.counters(&[(from, to)]);
    LinkValue {
        from: name(from),
        to: name(to),
        sent: counters.arrived,
        delivered: counters.forwarded,
        delivered_bytes: counters.forwarded_bytes,
        dropped: counters.dropped,
        lost: counters.lost,
        delayed: counters.delayed,
        duplicated: counters.duplicated,
        reordered: counters.reordered,
        corrupted: counters.corrupted + counters.corrupted_undetected,
        refused: counters.refused,
    }
}

/// How far the wall clock has moved against the monotonic one.
fn moved_since((wall_start, start): (SystemTime, Instant)) -> ClockValue {
    let before = start.elapsed();
    let wall = match SystemTime::now().duration_since(wall_start) {
        Ok(ahead) => nanos(ahead),
        Err(behind) => -nanos(behind.duration()),
    };
    let after = start.elapsed();
    // The reading lies between the two others.
    let half = (after - before) / 2;
    ClockValue { offset_ns: wall - nanos(before + half), uncertainty_ns: nanos(half).unsigned_abs() + 1 }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// A steady rhythm that ends with the run.
struct Beats {
    interval: Interval,
    stop: Stop,
}

impl Beats {
    fn of(every: Duration, stop: Stop) -> Self {
        let mut interval = interval(every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interval, stop }
    }

    /// Waits for the next beat; `false` once the run stops.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.interval.tick() => true,
            () = self.stop.requested() => false,
        }
    }
}

fn record<T: Serialize, E: std::fmt::Display>(
    recorder: &Recorder,
    node: Option<NodeId>,
    f: &str,
    answer: Result<T, E>,
) {
    let (kind, value, error) = match answer {
        Ok(value) => (EventType::Ok, value_of(&value), None),
        Err(error) => {
            let error = ErrorInfo { code: "no-answer".into(), text: error.to_string().into() };
            (EventType::Info, serde_json::Value::Null, Some(error))
        }
    };
    let node = node.map(|node| node.to_string());
    recorder.record(Entry { process: Process::Probe, kind, f: f.to_owned(), key: None, value, node, error });
}
