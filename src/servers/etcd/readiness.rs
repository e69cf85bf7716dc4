//! Waiting until a cluster serves.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{EtcdProbes, LeaderView, ProbeError};
use crate::NodeId;
use crate::servers::log_tail;

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// The cluster does not serve.
#[derive(Debug, thiserror::Error)]
#[error("{node} was not ready within {} s: {why}{}", within.as_secs(), end_of_log(log_tail.as_deref()))]
pub struct NotReady {
    /// The first node that was not ready.
    pub node: NodeId,
    /// For how long it was waited for.
    pub within: Duration,
    /// What it lacked at the last look.
    pub why: String,
    /// The end of its log.
    pub log_tail: Option<String>,
}

fn end_of_log(tail: Option<&str>) -> String {
    tail.map(|tail| format!("\nits log ends:\n{tail}")).unwrap_or_default()
}

/// What one look at the cluster found missing.
struct Missing {
    node: NodeId,
    why: String,
}

impl EtcdProbes {
    /// Waits until every node answers a linearizable read and all agree on the leader and its term.
    ///
    /// `log_of` says where a node writes its log, so that the error can show the end of it.
    ///
    /// # Errors
    /// If that is not so after `within`.
    pub async fn wait_ready(
        &self,
        within: Duration,
        log_of: impl Fn(NodeId) -> Option<PathBuf>,
    ) -> Result<LeaderView, NotReady> {
        let deadline = Instant::now() + within;
        loop {
            let Missing { node, why } = match self.look().await {
                Ok(view) => return Ok(view),
                Err(missing) => missing,
            };
            if Instant::now() >= deadline {
                let log_tail = log_of(node).and_then(|log| log_tail::tail(&log).ok());
                return Err(NotReady { node, within, why, log_tail });
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn look(&self) -> Result<LeaderView, Missing> {
        let mut agreed: Option<LeaderView> = None;
        for node in self.nodes() {
            let no_answer = |error: ProbeError| Missing { node, why: error.to_string() };
            self.linearizable_read(node).await.map_err(no_answer)?;
            let view = self.leader(node).await.map_err(no_answer)?;
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
}
