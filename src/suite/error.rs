//! Why a suite cannot be run, read or merged.

use std::io;
use std::path::PathBuf;

use crate::results::ResultsError;
use crate::scenario::ScenarioError;

/// Why a suite cannot be run, read or merged.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// There is no such suite.
    #[error("there is no suite `{name}`; there are {known}; for one of your own write its path, such as ./{name}.toml")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those that come along.
        known: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text makes no suite.
    #[error("{origin}: {message}")]
    Wrong {
        /// The file and, where it is known, the line and column.
        origin: String,
        /// What is wrong.
        message: String,
    },
    /// A scenario of it cannot be run.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A folder holds something else.
    #[error("{} holds no suite: {why}", path.display())]
    NoSuite {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A folder cannot be written to.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// Another process runs this suite.
    #[error("{} is in use: another process runs this suite", .0.display())]
    InUse(PathBuf),
    /// The parts do not make a whole.
    #[error("these folders make no whole: {0}")]
    NoWhole(String),
    /// A run could not be started.
    #[error("cannot start a run")]
    Start(#[source] io::Error),
}
