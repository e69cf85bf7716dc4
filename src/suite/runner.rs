//! Runs the cells of a suite, each in a process of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Instant;

use leasehold_checkers::history::{History, Ops};
use leasehold_checkers::verdict::Judgement;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::{Cell, CellResult, Latency, Outcome, SuiteError, SuiteFolder};
use crate::results::RunFolder;
use crate::servers::log_tail;

/// The exit code of a run that was interrupted: it is to be run again.
const INTERRUPTED: i32 = 130;

/// Runs the cells of a suite that have no result yet.
#[derive(Debug)]
pub struct Runner<'a> {
    /// Where the suite is.
    pub folder: &'a SuiteFolder,
    /// This program.
    pub program: PathBuf,
    /// How many runs at once.
    pub jobs: usize,
    /// Whether no run begins after one that came to something else than expected.
    pub fail_fast: bool,
}

/// How running a suite ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every cell has a result.
    Completed,
    /// It was interrupted; what ran then has no result.
    Interrupted,
    /// A run came to something else than expected; what ran then has a result, and what had not begun has none.
    Stopped,
}

impl Runner<'_> {
    /// Runs what has no result yet, in the order of the plan, until all is done or `interrupted` completes, and tells of each
    /// end. A run that was cut short by the end of an earlier process is run anew.
    ///
    /// It must be called on a thread that lives as long as it, for the runs end with the thread that started them.
    ///
    /// # Errors
    /// If a run cannot be started, or a result not be written.
    pub async fn run(
        &self,
        interrupted: impl Future<Output = ()>,
        mut told: impl FnMut(&Cell, &CellResult),
    ) -> Result<Ended, SuiteError> {
        self.folder.mend()?;
        let done = self.folder.results()?;
        let mut waiting = self.folder.cells().into_iter().filter(|cell| !done.iter().any(|done| done.cell == cell.id));
        let mut running: JoinSet<io::Result<(Cell, Option<CellResult>)>> = JoinSet::new();
        let mut pids: BTreeMap<String, Pid> = BTreeMap::new();
        let mut stopping = None;
        tokio::pin!(interrupted);
        loop {
            while stopping.is_none() && running.len() < self.jobs {
                let Some(cell) = waiting.next() else { break };
                let run = self.start(cell).map_err(SuiteError::Start)?;
                pids.extend(run.pid().map(|pid| (cell.id.clone(), pid)));
                running.spawn(run.result());
            }
            tokio::select! {
                ended = running.join_next() => {
                    let Some(ended) = ended else { break };
                    let (cell, result) = ended.expect("a run does not panic").map_err(SuiteError::Start)?;
                    pids.remove(&cell.id);
                    match result {
                        Some(result) => {
                            self.folder.add(&result)?;
                            told(&cell, &result);
                            if self.fail_fast && Outcome::of(&result, &cell.expect) > Outcome::Known {
                                stopping.get_or_insert(Ended::Stopped);
                            }
                        }
                        None => stopping = Some(Ended::Interrupted),
                    }
                }
                () = &mut interrupted, if stopping != Some(Ended::Interrupted) => {
                    stopping = Some(Ended::Interrupted);
                    // Those of the terminal have heard of it as well; a second time does no harm.
                    for &pid in pids.values() {
                        let _ = kill(pid, Signal::SIGTERM);
                    }
                }
            }
        }
        Ok(stopping.unwrap_or(Ended::Completed))
    }

    fn start(&self, cell: &Cell) -> io::Result<Started> {
        let out = self.folder.of_cell(cell);
        // What an earlier process left of it.
        match fs::remove_dir_all(&out) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(out.parent().expect("it lies in the suite's folder"))?;
        let mut log = out.clone().into_os_string();
        log.push(".log");
        let log = PathBuf::from(log);
        let mut command = Command::new(&self.program);
        command
            .args(cell.arguments())
            .args(["--json".as_ref(), "--out".as_ref(), out.as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?);
        // SAFETY: between fork and exec this makes one system call and touches no memory of others.
        unsafe {
            command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from));
        }
        let began = Instant::now();
        Ok(Started { child: command.spawn()?, cell: cell.clone(), out, log, began })
    }
}

/// A run that was started.
struct Started {
    child: Child,
    cell: Cell,
    out: PathBuf,
    log: PathBuf,
    began: Instant,
}

impl Started {
    fn pid(&self) -> Option<Pid> {
        self.child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw)
    }

    /// Waits for its end, and tells what it came to; `None` where it was interrupted.
    async fn result(self) -> io::Result<(Cell, Option<CellResult>)> {
        let output = self.child.wait_with_output().await?;
        let took_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut result = result_of(&self.cell, &output, took_ms, || log_tail::end_of(&self.log));
        if let Some(result) = result.as_mut().filter(|result| result.verdict.is_some()) {
            let history = RunFolder::history_in(&self.out);
            result.latency = tokio::task::spawn_blocking(move || latency(&history)).await.unwrap_or_default();
        }
        Ok((self.cell, result))
    }
}

/// How quickly the service answered; `None` where nobody knows.
fn latency(history: &Path) -> Option<Latency> {
    Latency::of(&Ops::of(&History::read(history).ok()?))
}

/// What a run came to; `None` where it was interrupted.
fn result_of(cell: &Cell, output: &Output, took_ms: u64, log_end: impl FnOnce() -> String) -> Option<CellResult> {
    let exit = output.status.code();
    if exit == Some(INTERRUPTED) || output.status.signal() == Some(Signal::SIGTERM as i32) {
        return None;
    }
    if matches!(exit, Some(0..=2))
        && let Ok(judgement) = serde_json::from_slice::<Judgement>(&output.stdout)
    {
        return Some(CellResult::judged(&cell.id, &judgement, exit, took_ms));
    }
    let how = match (exit, output.status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "it ended".to_owned(),
    };
    let why = format!("{how}{}", log_end());
    Some(CellResult { cell: cell.id.clone(), verdict: None, exit, found: Vec::new(), why, latency: None, took_ms })
}
