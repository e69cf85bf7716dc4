//! What can go wrong while a report is written.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// What can go wrong while a report is written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A file or folder could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The font that is built in was refused.
    #[error("the built-in font cannot be used")]
    Font,
    /// A picture could not be drawn.
    #[error("cannot draw the plot {plot}: {reason}")]
    Draw {
        /// The plot's name, for example `gantt`.
        plot: String,
        /// The drawing library's words.
        reason: String,
    },
    /// The page could not be put together.
    #[error("cannot make report.html: {reason}")]
    Page {
        /// Why.
        reason: String,
    },
    /// Some parts failed. Everything else was written.
    #[error("{} of the report failed, the rest is written: {}", parts(failed.len()), joined(failed))]
    Parts {
        /// What was written all the same.
        written: Vec<PathBuf>,
        /// What failed.
        failed: Vec<ReportError>,
    },
}

fn parts(count: usize) -> String {
    super::words::counted(count, "part", "parts")
}

fn joined(errors: &[ReportError]) -> String {
    let each: Vec<String> = errors
        .iter()
        .map(|error| match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })
        .collect();
    each.join("; ")
}
