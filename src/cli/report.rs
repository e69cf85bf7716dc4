//! `leasehold report`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use leasehold_checkers::history::History;
use leasehold_checkers::verdict::Judgement;

use super::terminal::say;
use super::{Exit, Failure, OrExit};
use crate::report;
use crate::results::RunFolder;

pub(super) const EXAMPLES: &str = "\
Examples:
  leasehold report results/latest
  leasehold report results/etcd-v2-early-expiry/2026-11-22T01:44:32Z-1

The run is not judged again: what its verdict.json says is shown. See `leasehold check` for that.";

/// Of which run.
#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// The folder of the run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Write the report to this folder instead of the run's own.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn report(arguments: &ReportArguments) -> Result<Exit, Failure> {
    let path = RunFolder::history_in(&arguments.run);
    if !path.exists() {
        let text = format!("{} holds no run: there is no {}", arguments.run.display(), path.display());
        return Err(Failure::new(Exit::BadInput, text));
    }
    let history = History::read(&path).or_exit(Exit::BadInput)?;
    let judgement = stored(&RunFolder::verdict_in(&arguments.run))?;
    let judgement = judgement.unwrap_or_else(|| leasehold_checkers::check(&history));
    let folder = arguments.out.as_deref().unwrap_or(&arguments.run);
    let written = report::write_all(&history, &judgement, folder).or_exit(Exit::Unavailable)?;
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
