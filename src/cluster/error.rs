//! What can go wrong with the servers.

use std::io;
use std::net::Ipv4Addr;

use crate::NodeId;
use crate::clock::ClockError;
use crate::disk::DiskError;
use crate::packets::Port;
use crate::results::ResultsError;
use crate::sandbox::SandboxError;
use crate::servers::{NotReady, ProbeError};

/// The cluster did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no such node.
    #[error("{0} is no node of this cluster")]
    NoSuchNode(NodeId),
    /// The cluster runs already and is not ours.
    #[error("the server of {0} is not ours to touch")]
    NotOurs(NodeId),
    /// The node's server does not run.
    #[error("the server of {0} does not run")]
    NotRunning(NodeId),
    /// A malformed packet would go to a machine that is none of ours.
    #[error("{node} has the address {address}, which is none of the sandbox: malformed packets go nowhere else")]
    OutsideTheSandbox {
        /// The node.
        node: NodeId,
        /// Its address.
        address: Ipv4Addr,
    },
    /// Servers of this kind have no such port.
    #[error("{node} has no {port}")]
    NoSuchPort {
        /// The node.
        node: NodeId,
        /// The port.
        port: Port,
    },
    /// A server's log cannot be read.
    #[error("cannot read the log of {node}")]
    Log {
        /// The node.
        node: NodeId,
        /// Why.
        source: io::Error,
    },
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
    /// The kernel refused something about the groups that limit a server.
    #[error("cannot use the control group of {node}")]
    Group {
        /// The node.
        node: NodeId,
        /// Why.
        source: io::Error,
    },
    /// The run has no group for the server, by which it could be limited.
    #[error("{0} has no control group in this run")]
    NoGroup(NodeId),
    /// Calls to the disk are not gated in this run.
    #[error("the disk of {0} cannot be held up: this run left the disks alone")]
    DiskUntouched(NodeId),
    /// Calls to a disk cannot be held up.
    #[error("the disk of {node} cannot be held up")]
    Disk {
        /// The node.
        node: NodeId,
        /// Why.
        source: DiskError,
    },
    /// A server's data could not be mounted, filled, removed or copied.
    #[error("cannot {what} the data of {node}")]
    Data {
        /// The node.
        node: NodeId,
        /// What was tried.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// No node could say or change who belongs to the cluster.
    #[error("no member can be asked")]
    NobodyToAsk,
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
