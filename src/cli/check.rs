//! `leasehold check`.

mod by_model;

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use leasehold_checkers::history::History;
use leasehold_checkers::verdict::Judgement;

use super::terminal::{colour, note, say, width};
use super::{Exit, Failure, OrExit};
use crate::report;
use crate::results::{ResultsError, RunFolder, write_atomically};

/// What to judge.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// The folder of a run, a `history.jsonl`, or a history of another tool.
    #[arg(value_name = "HISTORY")]
    history: PathBuf,
    /// Print the verdict as one JSON object instead of words.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    by_model: by_model::ByModelArguments,
    /// Write the verdict to this file as well, byte for byte as `run` writes `verdict.json`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn check(arguments: &CheckArguments) -> Result<Exit, Failure> {
    let path = history_of(&arguments.history)?;
    if arguments.by_model.model.is_some() || by_model::is_foreign(&path) {
        let by_model = by_model::read(&path, &arguments.by_model)?;
        let judgement = by_model.judge()?;
        write_out(arguments, &judgement)?;
        say(&if arguments.json { judgement.to_json() } else { by_model::in_words(&path, &judgement) })?;
        if arguments.by_model.linearization {
            say(&by_model.linearization()?)?;
        }
        return Ok(judgement.verdict.into());
    }
    let history = History::read(&path).or_exit(Exit::BadInput)?;
    if history.truncated {
        let last = history.lines().last().map_or(1, |(line, _)| line);
        note(&format!("note: {} ends inside line {}; judged to line {last}", path.display(), last + 1));
    }
    let judgement = leasehold_checkers::check(&history);
    write_out(arguments, &judgement)?;
    if arguments.json {
        say(&judgement.to_json())?;
    } else {
        let folder = path.parent().unwrap_or(Path::new("."));
        say(&report::console(&history, &judgement, folder, colour(&io::stdout()), width()))?;
    }
    Ok(judgement.verdict.into())
}

fn write_out(arguments: &CheckArguments, judgement: &Judgement) -> Result<(), Failure> {
    let Some(out) = &arguments.out else { return Ok(()) };
    write_atomically(out, judgement.to_json().as_bytes())
        .map_err(|source| ResultsError::Write { path: out.clone(), source })
        .or_exit(Exit::Unavailable)
}

/// The file that is meant: itself, or the record in the folder of a run.
fn history_of(path: &Path) -> Result<PathBuf, Failure> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let history = RunFolder::history_in(path);
    if !history.exists() {
        let folder = path.display();
        let wrong =
            format!("{folder} has no history.jsonl: it is no run's folder, or its run ended before the clients began");
        return Err(Failure::new(Exit::BadInput, wrong));
    }
    Ok(history)
}
