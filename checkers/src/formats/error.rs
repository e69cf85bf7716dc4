//! What is wrong with a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{Format, MAX_DEPTH, words};
use crate::history::{FORMAT_VERSION, MAX_EVENTS, MAX_LINE_BYTES};

/// Why a history could not be read.
#[derive(Debug)]
pub struct Error {
    /// The file; `None` where the history came from elsewhere.
    pub path: Option<PathBuf>,
    /// The line, counted from 1; `None` where the trouble is not in a line.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

impl Error {
    pub(crate) fn at(line: usize, problem: impl Into<Problem>) -> Self {
        Self { path: None, line: Some(line), problem: problem.into() }
    }

    pub(crate) fn of_all(problem: impl Into<Problem>) -> Self {
        Self { path: None, line: None, problem: problem.into() }
    }

    /// The same, naming the file that was read.
    #[must_use]
    pub fn in_file(self, path: &Path) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.problem.source()
    }
}

/// What can be wrong with a history.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file could not be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// There is nothing in it.
    #[error("the history is empty")]
    Empty,
    /// Its first bytes are like those of no format.
    #[error("not a history in any known format ({}): name the format if it is one", words())]
    UnknownFormat,
    /// It is a log, but no line of it is an op.
    #[error("no line of it tells of an op, as `INFO  jepsen.util - 0 :invoke :read nil` does")]
    NoOps,
    /// The first line is no header, and one is needed.
    #[error(
        "no header: the first line of a history must be an object with a field `leasehold` (the version of the format), \
         and histories without one are not read"
    )]
    MissingHeader,
    /// The history is of a version that this program does not know.
    #[error(
        "format version {found} is {}: this program reads version {FORMAT_VERSION}",
        if *found > u64::from(FORMAT_VERSION) { "newer than this program" } else { "unknown" }
    )]
    Version {
        /// The version that the header names.
        found: u64,
    },
    /// A line or an op is longer than [`MAX_LINE_BYTES`].
    #[error("longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// Values stand in values more than [`MAX_DEPTH`] deep.
    #[error("nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// There are more than [`MAX_EVENTS`] events.
    #[error("more than {MAX_EVENTS} events")]
    TooManyEvents,
    /// A line is empty.
    #[error("the line is empty")]
    EmptyLine,
    /// Something is not JSON.
    #[error("not JSON: {0}")]
    NotJson(serde_json::Error),
    /// Something is JSON, but one of its fields is missing, unknown or of the wrong type.
    #[error("wrong field: {0}")]
    WrongField(serde_json::Error),
    /// The file is not of its format.
    #[error("not {format}: {reason}")]
    Malformed {
        /// The format.
        format: Format,
        /// Why it is not.
        reason: String,
    },
    /// Something is not EDN.
    #[error("not EDN: {0}")]
    NotEdn(String),
    /// The file ends before what begins here does.
    #[error("the file ends before what begins here is whole")]
    Unfinished,
    /// Something is no op.
    #[error("no op: {0}")]
    NotAnOp(String),
}
