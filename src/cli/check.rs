//! `leasehold check`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use leasehold_checkers::history::History;

use super::terminal::{colour, say, width};
use super::{Exit, Failure, OrExit};
use crate::report;
use crate::results::write_atomically;

/// What to judge.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// A history, or the folder of a run.
    #[arg(value_name = "HISTORY")]
    history: PathBuf,
    /// Print the verdict as one JSON object.
    #[arg(long)]
    json: bool,
    /// Write the verdict to this file as well, byte for byte as `run` writes `verdict.json`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn check(arguments: &CheckArguments) -> Result<Exit, Failure> {
    let path = match arguments.history.is_dir() {
        true => arguments.history.join("history.jsonl"),
        false => arguments.history.clone(),
    };
    let history = History::read(&path).or_exit(Exit::BadInput)?;
    let judgement = leasehold_checkers::check(&history);
    if let Some(out) = &arguments.out {
        write_atomically(out, judgement.to_json().as_bytes()).or_exit(Exit::Internal)?;
    }
    if arguments.json {
        say(&judgement.to_json())?;
    } else {
        let folder = path.parent().unwrap_or(Path::new("."));
        say(&report::console(&history, &judgement, folder, colour(&io::stdout()), width()))?;
    }
    Ok(judgement.verdict.into())
}
