//! `leasehold suite`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{io, thread};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use super::run::own_servers;
use super::terminal::{colour, note, say};
use super::{Exit, Failure, OrExit};
use crate::servers::{ServerBinary, ServerSpec, Software};
use crate::suite::{
    self, Cell, CellResult, Change, Ended, Instead, Outcome, Plan, Report, Runner, Shard, SuiteError, SuiteFolder,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  leasehold suite smoke                      the quick one that comes along
  leasehold suite ./mine.toml --shard 2/3    the second third of one of your own
  leasehold suite ./mine.toml --shard 2/3 --durations DIR   balanced by how long runs took there
  leasehold suite smoke --server-bin etcd=./bin/etcd   on a build of your own
  leasehold suite --resume DIR               go on with one that was cut short
  leasehold suite merge DIR DIR DIR          put its parts together
  leasehold suite diff OLD NEW               what became worse or better

The exit code is the worst that came of a run: 1 something else than expected, 69 it could not run, 2 no judgement possible,
130 interrupted, 0 all as expected.";

/// Which suite, and how.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct SuiteArguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// A suite by name (`smoke`, `failure-friday`, `museum`, `matrix`, `zookeeper-followers`), or a TOML file by its path.
    #[arg(default_value = "smoke", conflicts_with = "resume")]
    suite: String,
    /// Other servers than the suite's, for example `etcd@3.4.23`, for the runs that are about the same service.
    #[arg(long, value_name = "SERVICE@VERSION", conflicts_with = "resume")]
    servers: Option<ServerSpec>,
    /// A server program of your own for them, for example `etcd=./bin/etcd`.
    #[arg(long, value_name = "SERVICE=PATH", conflicts_with_all = ["resume", "servers"], value_parser = own_servers)]
    server_bin: Option<(Software, PathBuf)>,
    /// Only one part of several, for example 2/3: each machine runs another.
    #[arg(long, value_name = "I/N", conflicts_with = "resume", default_value = "1/1")]
    shard: Shard,
    /// The folder of an earlier time that the suite was run; parts are balanced by how long its runs took.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    durations: Option<PathBuf>,
    /// Begin no further run after one that came to something else than expected.
    #[arg(long)]
    fail_fast: bool,
    /// How many runs at once [default: one for every two processors].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// The folder of the suite [default: results/suites/NAME-TIME].
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Go on with the suite in this folder.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// List the runs instead of making them.
    #[arg(long)]
    list: bool,
    /// Write JUnit's XML to this file as well; it always lies in the suite's folder.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print one JSON object with all runs instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Put the parts of a suite together that were run apart.
    Merge {
        /// The folders of the parts, all of them.
        #[arg(required = true, value_name = "DIR")]
        folders: Vec<PathBuf>,
        /// The folder to make of the whole, with the report of each run; the records stay in the parts.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Print one JSON object with all runs instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Tell what became worse, better or otherwise from one suite's folder to another's.
    Diff {
        /// The folder of the time before.
        old: PathBuf,
        /// The folder of the time after.
        new: PathBuf,
    },
}

pub(super) fn suite(arguments: &SuiteArguments) -> Result<Exit, Failure> {
    match &arguments.verb {
        Some(Verb::Merge { folders, out, json }) => merge(folders, out.as_deref(), *json),
        Some(Verb::Diff { old, new }) => diff(old, new),
        None => run(arguments),
    }
}

fn run(arguments: &SuiteArguments) -> Result<Exit, Failure> {
    let folder = match &arguments.resume {
        Some(path) => SuiteFolder::open(path).map_err(failure)?,
        None => {
            let mut plan = Plan::load(&arguments.suite).map_err(failure)?;
            if let Some(instead) = instead(arguments)? {
                plan = plan.on(&instead).map_err(failure)?;
            }
            if let Some(earlier) = &arguments.durations {
                plan = plan
                    .measured_by(&SuiteFolder::open(earlier).and_then(|earlier| earlier.results()).map_err(failure)?);
            }
            if arguments.list {
                return say(&listing(&plan.of_shard(arguments.shard))).map(|()| Exit::Valid);
            }
            let name = format!("{}-{}", plan.name, Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
            let path = arguments.out.clone().unwrap_or_else(|| Path::new("results/suites").join(name));
            SuiteFolder::create(&path, plan, arguments.shard).map_err(failure)?
        }
    };
    if arguments.list {
        return say(&listing(&folder.cells())).map(|()| Exit::Valid);
    }
    let lock = folder.lock().map_err(failure)?;
    let ended = run_all(&folder, arguments)?;
    let report = Report::new(folder.plan(), &folder.cells(), &folder.results().map_err(failure)?);
    write(&folder, &report)?;
    if let Some(file) = &arguments.junit {
        std::fs::write(file, suite::junit(&report))
            .map_err(|error| Failure::new(Exit::Unavailable, format!("cannot write {}: {error}", file.display())))?;
    }
    drop(lock);
    tell(&report, arguments.json)?;
    note(&format!("in {}", folder.path().display()));
    let to_go_on = format!("to go on: leasehold suite --resume {}", folder.path().display());
    match ended {
        Ended::Interrupted => {
            note(&format!("interrupted; {to_go_on}"));
            return Ok(Exit::Interrupted);
        }
        Ended::Stopped if !report.missing.is_empty() => note(&format!("stopped early; {to_go_on}")),
        Ended::Stopped | Ended::Completed => {}
    }
    Ok(exit(&report))
}

/// The servers that the arguments name in place of the suite's.
fn instead(arguments: &SuiteArguments) -> Result<Option<Instead>, Failure> {
    Ok(match (&arguments.servers, &arguments.server_bin) {
        (Some(spec), _) => Some(Instead::Version(spec.clone())),
        (None, Some((software, path))) => {
            let program = ServerBinary::own(*software, path).or_exit(Exit::Unavailable)?;
            Some(Instead::Program(*software, program.path))
        }
        (None, None) => None,
    })
}

/// Runs what has no result yet, and tells of it line by line.
fn run_all(folder: &SuiteFolder, arguments: &SuiteArguments) -> Result<Ended, Failure> {
    let program = std::env::current_exe().or_exit(Exit::Internal)?;
    let total = folder.cells().len();
    let mut done = folder.results().map_err(failure)?.len();
    let jobs = arguments.jobs.map_or_else(usual_jobs, usize::from);
    note(&format!("{}: {total} runs, {done} of them done, {jobs} at a time", folder.plan().name));
    let runner = Runner { folder, program, jobs, fail_fast: arguments.fail_fast };
    // The runs end with the thread that starts them, so it must be this one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().or_exit(Exit::Internal)?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).or_exit(Exit::Internal)?;
        let mut terminate = signal(SignalKind::terminate()).or_exit(Exit::Internal)?;
        let interrupted = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        let told = |cell: &Cell, result: &CellResult| {
            done += 1;
            note(&line(done, total, cell, result));
        };
        runner.run(interrupted, told).await.map_err(failure)
    })
}

fn line(done: usize, total: usize, cell: &Cell, result: &CellResult) -> String {
    let verdict = result.verdict.map_or_else(|| "no verdict".to_owned(), |verdict| verdict.to_string());
    let outcome = Outcome::of(result, &cell.expect);
    let why = match &outcome {
        Outcome::Unexpected(why) => format!(": {why}"),
        Outcome::Failed | Outcome::Undecided => {
            format!(": {}", result.why.lines().last().unwrap_or_default())
        }
        Outcome::Expected | Outcome::Known => String::new(),
    };
    let seconds = result.took_ms / 1000;
    format!("[{done:>3}/{total}] {}  {verdict}, {}{why}  ({seconds} s)", cell.id, outcome.word())
}

fn write(folder: &SuiteFolder, report: &Report) -> Result<(), Failure> {
    let files = [
        ("report.json", format!("{:#}\n", suite::json(report))),
        ("summary.md", suite::markdown(report)),
        ("junit.xml", suite::junit(report)),
    ];
    files.iter().try_for_each(|(name, text)| folder.write(name, text)).map_err(failure)?;
    let index = suite::html(report, folder.path()).or_exit(Exit::Unavailable)?;
    folder.write("index.html", &index).map_err(failure)
}

fn tell(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        return say(&format!("{}\n", suite::json(report)));
    }
    say(&suite::table(report, colour(&io::stdout())))
}

fn merge(folders: &[PathBuf], out: Option<&Path>, json: bool) -> Result<Exit, Failure> {
    let whole = suite::merge(folders).map_err(failure)?;
    let report = whole.report();
    if let Some(out) = out {
        write(&whole.write_to(out).map_err(failure)?, &report)?;
    }
    tell(&report, json)?;
    Ok(exit(&report))
}

fn diff(old: &Path, new: &Path) -> Result<Exit, Failure> {
    let [old, new] = [old, new].map(SuiteFolder::open);
    let differences = suite::diff(&old.map_err(failure)?, &new.map_err(failure)?).map_err(failure)?;
    let mut text = String::new();
    for found in &differences {
        let (before, after) = (or_dash(&found.before), or_dash(&found.after));
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{:6}  {}  {before} -> {after}", found.change.to_string(), found.cell);
    }
    if differences.is_empty() {
        text.push_str("nothing differs\n");
    }
    say(&text)?;
    let is_worse = differences.iter().any(|found| found.change == Change::Worse);
    Ok(if is_worse { Exit::Invalid } else { Exit::Valid })
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

fn listing(cells: &[&Cell]) -> String {
    let measured = |cell: &Cell| cell.measured_ms.map(|ms| format!(" (took {} s)", ms / 1_000)).unwrap_or_default();
    cells.iter().map(|cell| format!("{}  {} s{}  {}\n", cell.id, cell.seconds, measured(cell), cell.expect)).collect()
}

fn exit(report: &Report) -> Exit {
    match report.worst() {
        Outcome::Unexpected(_) => Exit::Invalid,
        Outcome::Failed => Exit::Unavailable,
        Outcome::Undecided => Exit::Unknown,
        Outcome::Expected | Outcome::Known => Exit::Valid,
    }
}

/// A run keeps about a processor busy, and its clients must not wait for another run's.
fn usual_jobs() -> usize {
    (thread::available_parallelism().map_or(1, usize::from) / 2).max(1)
}

fn failure(error: SuiteError) -> Failure {
    let exit = match &error {
        SuiteError::Unknown { .. } | SuiteError::InUse(_) => Exit::Usage,
        SuiteError::Unreadable { .. }
        | SuiteError::Wrong { .. }
        | SuiteError::Scenario(_)
        | SuiteError::NoSuite { .. }
        | SuiteError::NoWhole(_) => Exit::BadInput,
        SuiteError::Results(_) => Exit::Unavailable,
        SuiteError::Start(_) => Exit::Internal,
    };
    Failure::new(exit, error)
}
