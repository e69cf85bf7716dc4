//! Errors that name the line, the column and the nearest known word.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use leasehold_workloads::scenarios;

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// No scenario has this name.
    #[error(
        "there is no scenario `{name}`{hint}\nthose that come along: {known}; a file of your own is named by its path, with a `/` or `.toml` in it"
    )]
    Unknown {
        /// The name.
        name: String,
        /// The nearest known one, as a question, or nothing.
        hint: String,
        /// The known ones.
        known: String,
    },
    /// The file cannot be read.
    #[error("cannot read the scenario {}; `leasehold scenarios` lists those that need no file", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A fault aims at a node that the cluster does not have.
    #[error("a fault of `{scenario}` aims at {node}, and the cluster is to have nodes up to n{nodes} only")]
    NoSuchNode {
        /// The scenario.
        scenario: String,
        /// The node.
        node: crate::NodeId,
        /// How many there are to be.
        nodes: u8,
    },
    /// Its nodes stand in data centres, and other numbers of nodes have no place there.
    #[error(
        "`{scenario}` says which of its {nodes} nodes stands in which data centre, so it cannot have more or fewer"
    )]
    TopologyGiven {
        /// The scenario.
        scenario: String,
        /// How many it has.
        nodes: u8,
    },
    /// The text does not make a scenario.
    #[error("{place}: {message}")]
    Wrong {
        /// Where.
        place: Place,
        /// What is wrong, and what would be right.
        message: String,
    },
}

impl ScenarioError {
    pub(super) fn unknown(name: &str) -> Self {
        let known: Vec<&str> = scenarios::ALL.iter().map(|named| named.name).collect();
        Self::Unknown { name: name.to_owned(), hint: did_you_mean(name, &known), known: known.join(", ") }
    }

    pub(super) fn at(origin: &str, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self::Wrong { place: Place::of(origin, text, span.start), message: message.into() }
    }

    pub(super) fn from_toml(origin: &str, text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        Self::Wrong { place: Place::of(origin, text, start), message: with_hint(error.message()) }
    }
}

/// Where in a scenario's text something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file or the name of the scenario.
    pub origin: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
}

impl Place {
    fn of(origin: &str, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            origin: origin.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.origin, self.line, self.column)
    }
}

/// `; did you mean …?` for the nearest of the known words, or nothing if none is near.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, nearest)| format!("; did you mean `{nearest}`?"))
}

/// serde names the unknown word first and then the known ones, all in backticks.
fn with_hint(message: &str) -> String {
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match words.split_first() {
        Some((word, known)) if message.starts_with("unknown ") => format!("{message}{}", did_you_mean(word, known)),
        Some((word, _)) if message.starts_with("missing field ") => format!("`{word}` is missing here"),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        assert_eq!(Place::of("f", "ab\ncäd", 0).to_string(), "f:1:1");
        assert_eq!(Place::of("f", "ab\ncäd", "ab\ncä".len()).to_string(), "f:2:3");
        assert_eq!(Place::of("f", "ab", 99).to_string(), "f:1:3");
    }

    #[test]
    fn far_words_are_not_suggested() {
        assert_eq!(did_you_mean("zzz", &["clock", "pause"]), "");
        assert_eq!(did_you_mean("clok", &["clock", "pause"]), "; did you mean `clock`?");
    }
}
