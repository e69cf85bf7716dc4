//! What can go wrong in the sandbox, each with its cause and, where one is known, its remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::entry::Step;
use super::switch::Port;
use crate::NodeId;

/// The sandbox could not be entered, built or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// More than one thread runs already: only the calling one would have entered the sandbox.
    #[error(
        "the sandbox is entered with one thread, and this process has {0}: enter it before anything starts a thread"
    )]
    Threads(usize),

    /// The kernel refused one of the steps into the sandbox.
    #[error("cannot {step}")]
    Enter {
        /// What was being done.
        step: Step,
        /// The kernel's answer, and what to change.
        #[source]
        source: Refusal,
    },

    /// The network of the sandbox cannot hold so many nodes.
    #[error("a sandbox has 1 to {most} nodes, and {asked} were asked for")]
    NodeCount {
        /// How many nodes were asked for.
        asked: u8,
        /// How many there can be.
        most: u8,
    },

    /// A part of the network could not be built.
    #[error("cannot {doing} for {port}")]
    Network {
        /// What was being done.
        doing: &'static str,
        /// Whose network it was.
        port: Port,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },

    /// The thread of the switch, or the one that starts servers, could not be started.
    #[error("cannot start the thread of the {what}")]
    Thread {
        /// What the thread is for.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },

    /// A server was to be started on a node that the network does not have.
    #[error("there is no node {0} in this sandbox")]
    NoSuchNode(NodeId),

    /// The file for the output of a server cannot be opened.
    #[error("cannot open {} for the output of {node}", path.display())]
    Log {
        /// The node of the server.
        node: NodeId,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },

    /// A server could not be started.
    #[error("cannot start {} on {node}", program.display())]
    Spawn {
        /// The node of the server.
        node: NodeId,
        /// The program of the server.
        program: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },

    /// What was to be done to a server before its first instruction failed, or the server never stood
    /// there. It was killed.
    #[error("cannot prepare {} on {node} before its first instruction", program.display())]
    AtExec {
        /// The node of the server.
        node: NodeId,
        /// The program of the server.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl SandboxError {
    /// A refusal that needs no explanation.
    pub(super) fn enter(step: Step, answer: io::Error) -> Self {
        Self::Enter { step, source: Refusal::new(answer, None) }
    }

    /// What the user can change so that it works, where that is known.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Enter { source, .. } => source.remedy(),
            _ => None,
        }
    }
}

/// The kernel said no: its answer, and what to change where that is known.
#[derive(Debug)]
pub struct Refusal {
    answer: io::Error,
    remedy: Option<String>,
}

impl Refusal {
    pub(super) fn new(answer: io::Error, remedy: Option<String>) -> Self {
        Self { answer, remedy }
    }

    /// The kernel's answer.
    #[must_use]
    pub fn answer(&self) -> &io::Error {
        &self.answer
    }

    /// What the user can change so that it works, where that is known.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.remedy {
            Some(remedy) => write!(f, "{}: {remedy}", self.answer),
            None => self.answer.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}
