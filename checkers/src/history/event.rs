//! One line of a history.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Json, Word};

/// An instant of the run: nanoseconds since its start on the harness's monotonic clock, which no fault touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunTime(pub u64);

impl RunTime {
    /// Its distance from the start of the run in nanoseconds.
    #[must_use]
    pub fn as_nanos(self) -> u64 {
        self.0
    }

    /// Its distance from the start of the run in seconds.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// How long after `earlier` this is; zero where it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The instant this long after.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for RunTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.as_secs_f64())
    }
}

/// Who made an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// A logical single-threaded client. Its number is never used again once one of its operations ended in `info`.
    Client(u64),
    /// What injects the faults.
    Nemesis,
    /// What asks the servers for their leader, health and clock.
    Probe,
    /// What watches the locks.
    Watch,
}

impl Process {
    fn word(self) -> Option<&'static str> {
        match self {
            Self::Client(_) => None,
            Self::Nemesis => Some("nemesis"),
            Self::Probe => Some("probe"),
            Self::Watch => Some("watch"),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(number) => write!(f, "process {number}"),
            other => f.write_str(other.word().unwrap_or_default()),
        }
    }
}

impl Serialize for Process {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Client(number) => serializer.serialize_u64(*number),
            other => serializer.serialize_str(other.word().unwrap_or_default()),
        }
    }
}

impl<'de> Deserialize<'de> for Process {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Process;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a process number, \"nemesis\", \"probe\" or \"watch\"")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Process, E> {
                Ok(Process::Client(number))
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Process, E> {
                [Process::Nemesis, Process::Probe, Process::Watch]
                    .into_iter()
                    .find(|process| process.word() == Some(word))
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(word), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Which end of an operation an event is, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventType {
    /// The operation begins.
    Invoke,
    /// It happened. Probes and watches, which have no invocation, are `ok` as well.
    Ok,
    /// It certainly did not happen.
    Fail,
    /// Nobody knows whether it happened, or will yet.
    Info,
}

/// Why an operation did not end in `ok`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorInfo {
    /// A word for programs. See [`super::vocabulary::code`] for those that are observations.
    pub code: Word,
    /// The server's own words.
    #[serde(default)]
    pub text: Word,
}

/// One line of a history after its header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: RunTime,
    /// Who.
    pub process: Process,
    /// Which end of the operation, and how it ended.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The operation, the fault, the probed quantity or the watched change. See [`super::vocabulary`].
    pub f: Word,
    /// The lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Word>,
    /// What it is about; its shape depends on `f`.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub value: Json,
    /// The server that was talked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Word>,
    /// Why it did not end in `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorInfo>,
}
