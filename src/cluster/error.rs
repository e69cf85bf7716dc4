//! What can go wrong with the servers.

use std::io;

use crate::NodeId;
use crate::clock::ClockError;
use crate::results::ResultsError;
use crate::sandbox::SandboxError;
use crate::servers::{NotReady, ProbeError};

/// The cluster did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no such node.
    #[error("{0} is no node of this cluster")]
    NoSuchNode(NodeId),
    /// The node's server does not run.
    #[error("the server of {0} does not run")]
    NotRunning(NodeId),
    /// Its server runs already.
    #[error("the server of {0} runs already")]
    Running(NodeId),
    /// The kernel refused something.
    #[error("cannot reach the process of {node}")]
    Process {
        /// The node.
        node: NodeId,
        /// Why.
        source: io::Error,
    },
    /// What the server reads at its start could not be written.
    #[error("cannot write the configuration of {node}")]
    Files {
        /// The node.
        node: NodeId,
        /// Why.
        source: io::Error,
    },
    /// The server could not be started.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A folder could not be made.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// Clocks are not hooked in this run.
    #[error("the clock of {0} cannot be moved: this run left the clocks alone")]
    ClockUntouched(NodeId),
    /// A clock could not be moved.
    #[error("cannot move the clock of {node}")]
    Clock {
        /// The node.
        node: NodeId,
        /// Why.
        source: ClockError,
    },
    /// A server ended while the cluster was starting.
    #[error("the server of {node} ended before it served ({how}); a program of your own must be etcd{log_end}")]
    EndedEarly {
        /// The node.
        node: NodeId,
        /// How, in words.
        how: String,
        /// Where its log is and how it ends, in words.
        log_end: String,
    },
    /// The server does not serve.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// The server did not answer.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}
