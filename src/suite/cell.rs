//! One run of a suite, and what is expected of it.

use std::fmt;
use std::path::PathBuf;

use leasehold_checkers::verdict::AnomalyKind;
use serde::{Deserialize, Serialize};

/// A kind of anomaly, by its name.
pub type Kind = AnomalyKind;

/// One run of a suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Its name, which no other cell of the suite has: `etcd-v3-calm/etcd@3.5.30/1`.
    pub id: String,
    /// The scenario, by name or path.
    pub scenario: String,
    /// The servers, for example `etcd@3.5.30`.
    pub servers: String,
    /// The server program of the user's own that is started in their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// The client program of the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<PathBuf>,
    /// The seed.
    pub seed: u64,
    /// How long the clients work, in seconds.
    pub seconds: u64,
    /// Whether the scenario's own length is set aside for `seconds`.
    pub shortened: bool,
    /// Whether the scenario's faults are injected.
    pub faults: bool,
    /// What is expected.
    pub expect: Expectation,
    /// How long it took before, servers and all, in milliseconds, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_ms: Option<u64>,
}

impl Cell {
    /// The cells that differ from this one in their seeds only have the same group.
    #[must_use]
    pub fn group(&self) -> &str {
        group_of(&self.id)
    }

    /// How long it will take, as far as that is known, in milliseconds.
    #[must_use]
    pub fn cost_ms(&self) -> u64 {
        /// Starting the servers, a last reading and the verdict.
        const AROUND_IT_S: u64 = 10;
        self.measured_ms.unwrap_or((self.seconds + AROUND_IT_S) * 1_000)
    }

    /// The arguments of the `leasehold` that makes this run.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut words = vec!["run".to_owned(), self.scenario.clone()];
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        match (&self.program, self.servers.split('@').next()) {
            (Some(program), Some(software)) => option("--server-bin", format!("{software}={}", program.display())),
            _ => option("--servers", self.servers.clone()),
        }
        if let Some(client) = &self.client {
            option("--client", client.display().to_string());
        }
        option("--seed", self.seed.to_string());
        if self.shortened {
            words.extend(["--seconds".to_owned(), self.seconds.to_string()]);
        }
        if !self.faults {
            words.push("--no-faults".to_owned());
        }
        words
    }
}

/// What is expected of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Expectation {
    /// Nothing is found.
    Valid,
    /// These are found, and nothing else but what is named as well.
    Invalid {
        /// The kinds that must be found.
        kinds: Vec<Kind>,
        /// Those that may be.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        also: Vec<Kind>,
    },
    /// These may be found, and do not count: it is known, and for whom.
    Known {
        /// The kinds that may be found.
        kinds: Vec<Kind>,
        /// Why that is accepted.
        reason: String,
        /// Where it is written down.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
    },
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid => f.write_str("valid"),
            Self::Invalid { kinds, .. } => write!(f, "invalid: {}", names(kinds)),
            Self::Known { kinds, .. } => write!(f, "known: {}", names(kinds)),
        }
    }
}

/// The group of the cell of this name.
pub(super) fn group_of(id: &str) -> &str {
    id.rsplit_once('/').map_or(id, |(group, _)| group)
}

pub(super) fn names(kinds: &[Kind]) -> String {
    kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}
