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

use leasehold_checkers::history::History;
use leasehold_checkers::verdict::Judgement;

pub use error::ReportError;
pub(crate) use html::hash;
pub(crate) use words::wrap;

use story::Story;

/// Writes the whole report into a run's folder: `summary.md`, `junit.xml`, `report.html` and `plots/`.
///
/// # Errors
///
/// What cannot be written does not keep the rest from being written: see [`ReportError::Parts`].
pub fn write_all(history: &History, judgement: &Judgement, folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let story = Story::new(history, judgement);
    let mut written = Vec::new();
    let mut failed = Vec::new();
    for write in [write_summary, write_junit, write_page] {
        match write(&story, folder) {
            Ok(path) => written.push(path),
            Err(error) => failed.push(error),
        }
    }
    let plots = plots::write_all(&story, &folder.join("plots"));
    written.extend(plots.0);
    failed.extend(plots.1);
    if failed.is_empty() { Ok(written) } else { Err(ReportError::Parts { written, failed }) }
}

/// The summary in Markdown, as it stands in `summary.md`.
#[must_use]
pub fn summary(history: &History, judgement: &Judgement) -> String {
    summary::of(&Story::new(history, judgement))
}

/// The run for continuous integration, as it stands in `junit.xml`.
#[must_use]
pub fn junit(history: &History, judgement: &Judgement) -> String {
    junit::of(&Story::new(history, judgement))
}

/// The plots as SVG, each with its name, for a page of one's own.
///
/// # Errors
///
/// Where the drawing library refuses: [`ReportError::Font`] or [`ReportError::Draw`].
pub fn plots(history: &History, judgement: &Judgement) -> Result<Vec<(&'static str, String)>, ReportError> {
    plots::svgs(&Story::new(history, judgement))
}

/// The last lines of a run at the terminal: the verdict, what was broken, under which faults, and where in the run's
/// folder to read on. Without `colour` it is plain text, fit for a pipe. Lines are wrapped at `width` characters, but
/// for paths and commands.
#[must_use]
pub fn console(history: &History, judgement: &Judgement, folder: &Path, colour: bool, width: usize) -> String {
    console::of(&Story::new(history, judgement), folder, colour, width)
}

/// The whole of `report.html`: one page that needs no other file and no network.
///
/// # Errors
///
/// Where the drawing library refuses, or the page cannot be put together: [`ReportError::Font`], [`ReportError::Draw`]
/// or [`ReportError::Page`].
pub fn page(history: &History, judgement: &Judgement) -> Result<String, ReportError> {
    html::of(&Story::new(history, judgement))
}

fn write_summary(story: &Story<'_>, folder: &Path) -> Result<PathBuf, ReportError> {
    write(folder.join("summary.md"), &summary::of(story))
}

fn write_junit(story: &Story<'_>, folder: &Path) -> Result<PathBuf, ReportError> {
    write(folder.join("junit.xml"), &junit::of(story))
}

fn write_page(story: &Story<'_>, folder: &Path) -> Result<PathBuf, ReportError> {
    write(folder.join("report.html"), &html::of(story)?)
}

fn write(path: PathBuf, text: &str) -> Result<PathBuf, ReportError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    match fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)) {
        Ok(()) => Ok(path),
        Err(source) => Err(ReportError::Write { path, source }),
    }
}
