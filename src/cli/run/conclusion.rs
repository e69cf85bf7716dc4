//! The end of a run: what was recorded is judged, and the result written and told.

use std::io;

use leasehold_checkers::contract::Contract;
use leasehold_checkers::history::{FORMAT_VERSION, Header, History};
use leasehold_checkers::verdict::{Judgement, Verdict};
use tokio::signal::unix::{SignalKind, signal};

use super::super::replay::Told;
use super::super::terminal::{colour, note, say, width};
use super::super::{Exit, Failure, OrExit};
use super::prepared::Prepared;
use crate::engine::{EngineError, RunEnd};
use crate::nemesis::clock_rate_error_ppm;
use crate::report::Report;
use crate::results::Ending;

/// Judges what was recorded, however the run ended, and writes and tells the result. `live` is what was judged on the way.
pub(super) fn conclude(
    mut prepared: Prepared,
    ending: Result<RunEnd, Failure>,
    live: Option<Judgement>,
) -> Result<Exit, Failure> {
    let recorded = prepared.folder.history().exists();
    prepared.run_file.ending = Some(match &ending {
        Ok(RunEnd::Completed) => Ending::Completed,
        Ok(RunEnd::Interrupted) => Ending::Interrupted,
        Err(failure) => Ending::Failed(failure.to_string()),
    });
    let noted = prepared.run_file.write(&prepared.folder).or_exit(Exit::Internal);
    let judged = if recorded { judge(&prepared, live).map(Some) } else { Ok(None) };
    let ending = ending?;
    noted?;
    match (ending, judged?) {
        (RunEnd::Interrupted, _) => Ok(Exit::Interrupted),
        (RunEnd::Completed, Some(verdict)) => Ok(verdict.into()),
        (RunEnd::Completed, None) => Err(Failure::new(Exit::Internal, "the run left no history")),
    }
}

/// What an error of the engine means for the exit code.
pub(super) fn of_engine(ending: Result<RunEnd, EngineError>) -> Result<RunEnd, Failure> {
    ending.map_err(|error| {
        let exit = match &error {
            EngineError::Prepare(_) => Exit::Unavailable,
            EngineError::History(_) => Exit::Internal,
        };
        Failure::new(exit, error)
    })
}

/// Completes when the user wants the run to end.
pub(super) fn interruption() -> Result<impl Future<Output = ()>, Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).or_exit(Exit::Internal)?;
    let mut terminate = signal(SignalKind::terminate()).or_exit(Exit::Internal)?;
    let mut hang_up = signal(SignalKind::hangup()).or_exit(Exit::Internal)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        note("interrupted: ending the run and judging what was recorded");
    })
}

/// The first line of the history.
pub(super) fn header(prepared: &Prepared, contract: Contract) -> Header {
    let Prepared { scenario, label, seed, start, .. } = prepared;
    Header {
        leasehold: FORMAT_VERSION,
        scenario: scenario.name.clone(),
        workload: scenario.workload.name().to_owned(),
        model: scenario.workload.model(),
        service: scenario.service.name().to_owned(),
        servers: label.clone(),
        nodes: scenario.nodes,
        seed: *seed,
        clock: "CLOCK_MONOTONIC".to_owned(),
        start: start.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        command: prepared.command.clone(),
        contract,
        clock_rate_error_ppm: clock_rate_error_ppm(&scenario.faults),
        beliefs_must_exclude: scenario.beliefs_must_exclude,
    }
}

/// Writes the verdict, and tells what comes of it with the history from the disk. The verdict is that of the live judge; where it
/// has none, the history is judged as `check` does, which gives the same bytes.
fn judge(prepared: &Prepared, live: Option<Judgement>) -> Result<Verdict, Failure> {
    let folder = &prepared.folder;
    let write =
        |judgement: &Judgement| folder.write("verdict.json", judgement.to_json().as_bytes()).or_exit(Exit::Internal);
    live.iter().try_for_each(write)?;
    let judgement = match live {
        Some(judgement) => judgement,
        None => {
            let judgement = leasehold_checkers::check(&History::read(folder.history()).or_exit(Exit::Internal)?);
            write(&judgement)?;
            judgement
        }
    };
    let report = Report::read(&folder.history(), &judgement).or_exit(Exit::Internal)?;
    let report = report.of_run(Some(prepared.run_file.clone()));
    // The verdict stands whatever becomes of its report, which can be written anew.
    if let Err(error) = report.write_all(folder.path()) {
        note(&format!("leasehold: {error}; `leasehold report` writes it anew"));
    }
    tell(prepared, &report, &judgement)?;
    Ok(judgement.verdict)
}

fn tell(prepared: &Prepared, report: &Report<'_>, judgement: &Judgement) -> Result<(), Failure> {
    let replayed = match &prepared.original {
        Some(original) => {
            let history = History::read(prepared.folder.history()).or_exit(Exit::Internal)?;
            Some((original.name(), original.differences(&Told::of(&history, judgement))))
        }
        None => None,
    };
    if prepared.json {
        let run = prepared.folder.path().display().to_string();
        let mut object = serde_json::to_value(judgement).or_exit(Exit::Internal)?;
        object["run"] = run.into();
        if let Some((name, differences)) = replayed {
            object["replay_of"] = name.into();
            object["differences"] = differences.into();
        }
        return say(&format!("{object}\n"));
    }
    say(&report.console(prepared.folder.path(), colour(&io::stdout()), width()))?;
    match replayed {
        None => Ok(()),
        Some((name, differences)) if differences.is_empty() => {
            say(&format!("replay    of {name}: nothing differs in what the faults did and in the verdict\n"))
        }
        Some((name, differences)) => {
            say(&format!("replay    of {name}; what differs:\n          {}\n", differences.join("\n          ")))
        }
    }
}
