//! Asks every node at a steady rate who leads, whether it is well and what time it is, and records the answers.

use std::sync::Arc;
use std::time::Duration;

use leasehold_checkers::history::vocabulary::{HealthValue, LeaderValue, f};
use leasehold_checkers::history::{ErrorInfo, EventType, Process};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use crate::NodeId;
use crate::cluster::{Cluster, ClusterError};
use crate::run::{Entry, Recorder, Stop, value_of};

/// From one question for the leader to the next. The checkers rely on this rhythm to see when the machine itself stood
/// still.
const EVERY: Duration = Duration::from_millis(200);
/// Health and clock are asked for at every so many of these beats.
const SELDOM: u32 = 5;

/// Probes one node until the run stops.
pub(super) async fn probe(cluster: Arc<Cluster>, recorder: Recorder, node: NodeId, mut stop: Stop) {
    let mut beats = interval(EVERY);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for beat in 0u32.. {
        tokio::select! {
            _ = beats.tick() => {}
            () = stop.requested() => return,
        }
        let leader = cluster
            .view_of(node)
            .await
            .map(|view| LeaderValue { leader: view.leader.map(|leader| leader.to_string()), term: view.term });
        record(&recorder, node, f::LEADER, leader);
        if beat % SELDOM == 0 {
            let health = cluster.health_of(node).await.map(|healthy| HealthValue { healthy });
            record(&recorder, node, f::HEALTH, health);
            record(&recorder, node, f::CLOCK, cluster.measure_clock(node).await);
        }
    }
}

fn record<T: Serialize>(recorder: &Recorder, node: NodeId, f: &str, answer: Result<T, ClusterError>) {
    let (kind, value, error) = match answer {
        Ok(value) => (EventType::Ok, value_of(&value), None),
        Err(error) => {
            let error = ErrorInfo { code: "no-answer".to_owned(), text: error.to_string() };
            (EventType::Info, serde_json::Value::Null, Some(error))
        }
    };
    let node = Some(node.to_string());
    recorder.record(Entry { process: Process::Probe, kind, f: f.to_owned(), key: None, value, node, error });
}
