//! Watches the locks and records what ends.

use std::sync::Arc;
use std::time::Duration;

use leasehold_checkers::history::vocabulary::{OwnerValue, f};
use leasehold_checkers::history::{EventType, Process};
use leasehold_workloads::service::{Change, ChangeKind, Connect};

use crate::NodeId;
use crate::run::{Entry, Recorder, Stop, value_of};

/// How long to wait after a watch broke before the next node is tried.
const PAUSE: Duration = Duration::from_millis(200);

/// Watches the locks through one node after the other, as watches break, until the run stops. A watch that breaks may
/// miss changes: the checkers take what it saw as evidence, never what it did not see.
pub(super) async fn watch(
    connect: Arc<dyn Connect>,
    recorder: Recorder,
    nodes: Vec<NodeId>,
    keys: Vec<String>,
    mut stop: Stop,
) {
    for node in nodes.iter().copied().cycle() {
        let recorder = recorder.clone();
        let on_change = Box::new(move |change: Change| {
            recorder.record(entry(node, change));
            true
        });
        tokio::select! {
            ended = connect.watch(node.index(), &keys, on_change) => {
                if let Err(error) = ended {
                    tracing::debug!("the watch through {node} broke: {error}");
                }
            }
            () = stop.requested() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.requested() => return,
        }
    }
}

fn entry(node: NodeId, change: Change) -> Entry {
    let f = match change.kind {
        ChangeKind::Expired => f::EXPIRED,
        ChangeKind::Released => f::RELEASED,
        ChangeKind::Deleted => f::DELETED,
    };
    let value = OwnerValue { owner: change.owner, ttl_ms: None };
    Entry {
        process: Process::Watch,
        kind: EventType::Ok,
        f: f.to_owned(),
        key: Some(change.key),
        value: value_of(&value),
        node: Some(node.to_string()),
        error: None,
    }
}
