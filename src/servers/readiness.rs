//! Waiting until a cluster serves.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::log_tail;
use super::probes::{LeaderView, ProbeError, Probes};
use crate::NodeId;

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// The cluster does not serve.
#[derive(Debug, thiserror::Error)]
#[error("{node} was not ready within {} s: {why}{log_end}", within.as_secs())]
pub struct NotReady {
    /// The first node that was not ready.
    pub node: NodeId,
    /// For how long it was waited for.
    pub within: Duration,
    /// What it lacked at the last look.
    pub why: String,
    /// Where its log is and how it ends, in words; empty where it has none.
    pub log_end: String,
}

/// What one look at the cluster found missing.
struct Missing {
    node: NodeId,
    why: String,
}

/// Waits until every node answers what takes a consensus, and all agree on the leader and its term.
///
/// `log_of` says where a node writes its log, so that the error can show the end of it.
///
/// # Errors
/// If that is not so after `within`.
pub async fn wait_ready(
    probes: &dyn Probes,
    within: Duration,
    log_of: impl Fn(NodeId) -> Option<PathBuf>,
) -> Result<LeaderView, NotReady> {
    let deadline = Instant::now() + within;
    loop {
        let Missing { node, why } = match look(probes).await {
            Ok(view) => return Ok(view),
            Err(missing) => missing,
        };
        if Instant::now() >= deadline {
            let log_end = log_of(node).map(|log| log_tail::end_of(&log)).unwrap_or_default();
            return Err(NotReady { node, within, why, log_end });
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

async fn look(probes: &dyn Probes) -> Result<LeaderView, Missing> {
    let mut agreed: Option<LeaderView> = None;
    for node in probes.nodes() {
        let no_answer = |error: ProbeError| Missing { node, why: error.to_string() };
        probes.consensus(node).await.map_err(no_answer)?;
        let view = probes.leader(node).await.map_err(no_answer)?;
        let Some(leader) = view.leader else {
            return Err(Missing { node, why: "it knows no leader".to_owned() });
        };
        match agreed {
            Some(first) if first != view => {
                let why = format!("it says that {leader} leads in term {}, and others differ", view.term);
                return Err(Missing { node, why });
            }
            _ => agreed = Some(view),
        }
    }
    Ok(agreed.expect("a cluster has nodes"))
}
