//! The command line: one file a verb.

mod check;
mod doctor;
mod exit;
mod faults;
mod fetch;
mod run;
mod scenarios;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::{Exit, Failure, OrExit};

/// Tells whether a distributed lock holds: runs lock and lease workloads against real servers, breaks the servers on
/// purpose, records everything on one clock, and proves from the record what promise was broken.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// Say more on stderr; twice for everything. `LEASEHOLD_LOG` sets it finer.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
}

const EXIT_CODES: &str = "\
Exit codes:
  0 valid   1 invalid: a broken promise is proven   2 unknown: no judgement possible
  64 wrong usage   65 bad input data   69 something needed is not to be had   70 internal error
  130 interrupted; what was recorded is kept and was checked

Environment:
  LEASEHOLD_PACKAGES   a folder with server packages, tried before any download
  LEASEHOLD_CACHE      where fetched servers are kept (default: the user's cache folder)
  NO_COLOR             no colours";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a scenario against a cluster of real servers in a sandbox on this machine, and judge it.
    Run(run::RunArguments),
    /// Judge a stored run or history again.
    Check(check::CheckArguments),
    /// Get server versions, or list those that are known.
    Fetch(fetch::FetchArguments),
    /// List the scenarios, or show one.
    Scenarios(scenarios::ScenariosArguments),
    /// List the faults that a scenario can ask for.
    Faults,
    /// Say what this machine can and cannot do, and why.
    Doctor,
}

/// Parses the arguments, calls one verb and turns its result into an exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // If even the usage cannot be printed there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    terminal::start_log(arguments.verbose);
    let result = match arguments.verb {
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Check(arguments) => check::check(&arguments),
        Verb::Fetch(arguments) => fetch::fetch(&arguments),
        Verb::Scenarios(arguments) => scenarios::scenarios(&arguments),
        Verb::Faults => faults::faults(),
        Verb::Doctor => doctor::doctor(),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => terminal::report(&failure).into(),
    }
}
