//! `run.json`: what was asked for, by which program, and how it ended.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ResultsError, RunFolder};

const NAME: &str = "run.json";

/// The contents of `run.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    /// The version of this program.
    pub leasehold: String,
    /// The command line.
    pub command: Vec<String>,
    /// The scenario's name.
    pub scenario: String,
    /// The servers.
    pub servers: String,
    /// The seed.
    pub seed: u64,
    /// How long the clients are to work, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// The wall-clock time of the start, UTC.
    pub start: String,
    /// The planned faults, in words, in their order.
    pub schedule: Vec<String>,
    /// How the run ended; `None` while it runs, and for ever if the program was killed.
    pub ending: Option<Ending>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It ran its whole length.
    Completed,
    /// It was interrupted; what was recorded was checked.
    Interrupted,
    /// It broke off for this reason; what was recorded was checked.
    Failed(String),
}

impl RunFile {
    /// That of the run in this folder; none where there is no run, or it was another program's.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(NAME)).ok()?).ok()
    }

    /// Writes it into the folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &RunFolder) -> Result<(), ResultsError> {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        folder.write(NAME, text.as_bytes())
    }
}
