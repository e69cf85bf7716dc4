//! `leasehold report`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use leasehold_checkers::history::History;
use leasehold_checkers::part::Part;
use leasehold_checkers::verdict::Judgement;

use super::check::by_model::{self, ByModelArguments};
use super::terminal::say;
use super::{Exit, Failure, OrExit};
use crate::report::Report;
use crate::results::{RunFile, RunFolder};

pub(super) const EXAMPLES: &str = "\
Examples:
  leasehold report results/latest
  leasehold report results/etcd-v2-early-expiry/2026-11-22T01:44:32Z-1
  leasehold report history.edn --out post-mortem      a record without a run, or another tool's

A run is not judged again: what its verdict.json says is shown. A record without one is judged first, as `leasehold check` does.";

/// Of what.
#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// The folder of a run, a `history.jsonl`, or another tool's history of registers or of a store.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Write the report to this folder instead of the run's own; of a record without a run, instead of `RECORD-report` beside it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn report(arguments: &ReportArguments) -> Result<Exit, Failure> {
    let named = &arguments.run;
    let Some(folder) = folder_of_run(named) else { return report_record(named, arguments.out.as_deref()) };
    let path = RunFolder::history_in(&folder);
    if !path.exists() {
        let text = format!("{} holds no run: there is no {}", named.display(), path.display());
        return Err(Failure::new(Exit::BadInput, text));
    }
    let judgement = match stored(&RunFolder::verdict_in(&folder))? {
        Some(judgement) => judgement,
        None => judged(&path)?,
    };
    let report = Report::read(&path, &judgement).or_exit(Exit::BadInput)?.of_run(RunFile::of(&folder));
    write(&report, arguments.out.as_deref().unwrap_or(&folder))
}

/// The folder of the run that is meant: itself, or that of its record. A record that lies elsewhere has none.
fn folder_of_run(named: &Path) -> Option<PathBuf> {
    if !named.is_file() {
        return Some(named.to_owned());
    }
    let folder = named.parent()?;
    let is_its_record = RunFolder::history_in(folder) == named && RunFile::of(folder).is_some();
    is_its_record.then(|| folder.to_owned())
}

/// The report of a record without a run.
fn report_record(path: &Path, out: Option<&Path>) -> Result<Exit, Failure> {
    let beside = || {
        let mut name = path.file_stem().unwrap_or_default().to_owned();
        name.push("-report");
        path.with_file_name(name)
    };
    let folder = out.map_or_else(beside, Path::to_owned);
    if by_model::is_foreign(path) {
        let by_model = by_model::read(path, &ByModelArguments::default())?;
        let judgement = by_model.judge(Part::WHOLE)?;
        return write(&Report::of(&by_model.into_history(path)?, &judgement), &folder);
    }
    let judgement = judged(path)?;
    write(&Report::read(path, &judgement).or_exit(Exit::BadInput)?, &folder)
}

/// Judges a record, of which nothing is kept but the judgement.
fn judged(path: &Path) -> Result<Judgement, Failure> {
    Ok(leasehold_checkers::check(&History::read(path).or_exit(Exit::BadInput)?))
}

fn write(report: &Report<'_>, folder: &Path) -> Result<Exit, Failure> {
    let written = report.write_all(folder).or_exit(Exit::Unavailable)?;
    written.iter().try_for_each(|path| say(&format!("{}\n", path.display())))?;
    Ok(Exit::Valid)
}

/// The verdict that was written when the run was judged; none where that was never done.
fn stored(path: &Path) -> Result<Option<Judgement>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).or_exit(Exit::BadInput)?;
    let judgement = serde_json::from_str(&text).map_err(|error| {
        let text =
            format!("{} is no verdict of this version: {error}; without it the run is judged again", path.display());
        Failure::new(Exit::BadInput, text)
    })?;
    Ok(Some(judgement))
}
