//! `leasehold check`.

pub(super) mod by_model;
mod by_parts;

use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use leasehold_checkers::formats::{Events, Options};
use leasehold_checkers::history::History;
use leasehold_checkers::live::Judge;
use leasehold_checkers::part::Part;
use leasehold_checkers::verdict::Judgement;

use super::terminal::{colour, note, say, width};
use super::{Exit, Failure, OrExit};
use crate::report::Report;
use crate::results::{ResultsError, RunFile, RunFolder, write_atomically};
use crate::suite::Shard;

/// What to judge.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// The folder of a run, a `history.jsonl`, or a history of another tool.
    #[arg(value_name = "HISTORY", required_unless_present = "merge")]
    history: Option<PathBuf>,
    /// Judge one part of its keys, for example 2/3, and write what comes of it to the file of `--out`: each machine another.
    #[arg(long, value_name = "I/N", requires = "out", conflicts_with = "linearization")]
    shard: Option<Shard>,
    /// Put the parts of a verdict together: all of them, and each once.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["history", "shard", "model"])]
    merge: Vec<PathBuf>,
    /// Print the verdict as one JSON object instead of words.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    by_model: by_model::ByModelArguments,
    /// Write the verdict to this file as well, byte for byte as `run` writes `verdict.json`; or, with `--shard`, that of the part.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn check(arguments: &CheckArguments) -> Result<Exit, Failure> {
    let Some(history) = &arguments.history else {
        let judgement = by_parts::merged(&arguments.merge)?;
        write_out(arguments, &judgement)?;
        say(&if arguments.json { judgement.to_json() } else { by_model::in_words("the parts together", &judgement) })?;
        return Ok(judgement.verdict.into());
    };
    let path = history_of(history)?;
    if let Some(part) = arguments.shard {
        return check_part(&path, part, arguments);
    }
    if arguments.by_model.model.is_some() || by_model::is_foreign(&path) {
        let by_model = by_model::read(&path, &arguments.by_model)?;
        let judgement = by_model.judge(Part::WHOLE)?;
        write_out(arguments, &judgement)?;
        say(&if arguments.json {
            judgement.to_json()
        } else {
            by_model::in_words(&path.display().to_string(), &judgement)
        })?;
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
        say(&Report::of(&history, &judgement).of_run(RunFile::of(folder)).console(
            folder,
            colour(&io::stdout()),
            width(),
        ))?;
    }
    Ok(judgement.verdict.into())
}

/// Judges a part of the keys. A record of ours is read event by event, so that no more of it is kept than of that part.
fn check_part(path: &Path, part: Shard, arguments: &CheckArguments) -> Result<Exit, Failure> {
    let (judgement, how) = if arguments.by_model.model.is_some() || by_model::is_foreign(path) {
        let by_model = by_model::read(path, &arguments.by_model)?;
        (by_model.judge(by_parts::keys(part))?, format!(" under {}", by_model.how()))
    } else {
        let wrong = |error: &dyn Error| Failure::new(Exit::BadInput, format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(|error| wrong(&error))?;
        let mut events = Events::open(BufReader::new(file), &Options::default()).map_err(|error| wrong(&error))?;
        let header = events.header().cloned().expect("a record that is not foreign has a header");
        let mut judge = Judge::of_part(header, by_parts::keys(part));
        for event in events.by_ref() {
            judge.observe(&event.map_err(|error| wrong(&error))?);
        }
        (judge.finish(events.truncated()).or_exit(Exit::Internal)?, String::new())
    };
    say(&if arguments.json {
        judgement.to_json()
    } else {
        by_model::in_words(&format!("part {part} of {}", path.display()), &judgement)
    })?;
    let exit = judgement.verdict.into();
    if let Some(out) = &arguments.out {
        by_parts::PartFile::new(part, path, &how, judgement)?.write(out)?;
    }
    Ok(exit)
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
