//! What a run has shown, for people: a summary in words, plots, and the last lines at the terminal.
//!
//! Everything is drawn from the history and its judgement, and from nothing else: the same two give the same bytes.

mod command;
mod console;
mod error;
mod html;
mod junit;
mod markdown;
mod phrases;
mod plots;
mod proof;
mod story;
mod summary;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use leasehold_checkers::formats;
use leasehold_checkers::history::History;
use leasehold_checkers::verdict::Judgement;

pub use error::ReportError;
pub(crate) use html::hash;
pub(crate) use words::wrap;

use crate::results::RunFile;
use story::Story;

/// A run and its judgement, ready to be told.
#[derive(Debug)]
pub struct Report<'a>(Story<'a>);

impl<'a> Report<'a> {
    /// Of a history that is there as a whole.
    #[must_use]
    pub fn of(history: &History, judgement: &'a Judgement) -> Self {
        Self(Story::of(history, judgement))
    }

    /// Of a history on the disk, of which no more is held at once than is told.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is no history; the error names the file, the line and the reason.
    pub fn read(path: &Path, judgement: &'a Judgement) -> Result<Self, formats::Error> {
        Story::read(path, judgement).map(Self)
    }

    /// Tells of the run as well that the history is of: whether it came to its end.
    #[must_use]
    pub fn of_run(mut self, run: Option<RunFile>) -> Self {
        self.0.run = run;
        self
    }

    /// Writes the whole report into a run's folder: `summary.md`, `junit.xml`, `report.html` and `plots/`.
    ///
    /// # Errors
    ///
    /// What cannot be written does not keep the rest from being written: see [`ReportError::Parts`].
    pub fn write_all(&self, folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
        let mut written = Vec::new();
        let mut failed = Vec::new();
        // The plots take as long as all the rest.
        let plots = thread::scope(|scope| {
            let plots = scope.spawn(|| plots::write_all(&self.0, &folder.join("plots")));
            for write in [Self::write_summary, Self::write_junit, Self::write_page] {
                match write(self, folder) {
                    Ok(path) => written.push(path),
                    Err(error) => failed.push(error),
                }
            }
            plots.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        written.extend(plots.0);
        failed.extend(plots.1);
        if failed.is_empty() { Ok(written) } else { Err(ReportError::Parts { written, failed }) }
    }

    /// The summary in Markdown, as it stands in `summary.md`.
    #[must_use]
    pub fn summary(&self) -> String {
        summary::of(&self.0)
    }

    /// The run for continuous integration, as it stands in `junit.xml`.
    #[must_use]
    pub fn junit(&self) -> String {
        junit::of(&self.0)
    }

    /// The plots as SVG, each with its name, for a page of one's own.
    ///
    /// # Errors
    ///
    /// Where the drawing library refuses: [`ReportError::Font`] or [`ReportError::Draw`].
    pub fn plots(&self) -> Result<Vec<(&'static str, String)>, ReportError> {
        plots::svgs(&self.0)
    }

    /// The last lines of a run at the terminal: the verdict, what was broken, under which faults, and where in the run's
    /// folder to read on. Without `colour` it is plain text, fit for a pipe. Lines are wrapped at `width` characters, but
    /// for paths and commands.
    #[must_use]
    pub fn console(&self, folder: &Path, colour: bool, width: usize) -> String {
        console::of(&self.0, folder, colour, width)
    }

    /// The whole of `report.html`: one page that needs no other file and no network.
    ///
    /// # Errors
    ///
    /// Where the drawing library refuses, or the page cannot be put together: [`ReportError::Font`], [`ReportError::Draw`]
    /// or [`ReportError::Page`].
    pub fn page(&self) -> Result<String, ReportError> {
        html::of(&self.0)
    }

    fn write_summary(&self, folder: &Path) -> Result<PathBuf, ReportError> {
        write(folder.join("summary.md"), &self.summary())
    }

    fn write_junit(&self, folder: &Path) -> Result<PathBuf, ReportError> {
        write(folder.join("junit.xml"), &self.junit())
    }

    fn write_page(&self, folder: &Path) -> Result<PathBuf, ReportError> {
        write(folder.join("report.html"), &self.page()?)
    }
}

fn write(path: PathBuf, text: &str) -> Result<PathBuf, ReportError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    match fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)) {
        Ok(()) => Ok(path),
        Err(source) => Err(ReportError::Write { path, source }),
    }
}
