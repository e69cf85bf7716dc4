//! The command line: one file a verb.

mod check;
mod connect;
mod doctor;
mod exit;
mod faults;
mod fetch;
mod poison;
mod replay;
mod report;
mod run;
mod scenarios;
mod serve;
mod servers;
mod shell;
mod suite;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::{Exit, Failure, OrExit};

/// Tells whether a distributed lock holds: starts a real cluster on this machine, has clients fight over locks and
/// leases, breaks the cluster on purpose, records every operation on one clock, and proves from the record which promise
/// was broken. To see it find something: `leasehold run etcd-v2-early-expiry`.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// Log on stderr what is being done; `-vv` logs everything.
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
  LEASEHOLD_PASSWORD   the password of `run --user`; LEASEHOLD_TOKEN the token of Consul for `run --endpoints`
  LEASEHOLD_LOG        what to log on stderr, for example `leasehold::nemesis=debug`; goes before -v
  NO_COLOR             no colours";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a scenario on real servers in a sandbox on this machine, or on a cluster that runs already, and judge what was recorded.
    #[command(after_help = run::EXAMPLES)]
    Run(run::RunArguments),
    /// Do a run again: the same scenario, seed and faults.
    #[command(after_help = replay::EXAMPLES)]
    Replay(replay::ReplayArguments),
    /// Send malformed packets to a cluster of its own, and say what stopped.
    #[command(after_help = poison::EXAMPLES)]
    Poison(poison::PoisonArguments),
    /// Judge the record of a run again; no servers are needed.
    #[command(after_help = "The exit code is the verdict: see `leasehold --help`.")]
    Check(check::CheckArguments),
    /// Write the report of a stored run anew: `report.html`, `summary.md` and the plots.
    #[command(after_help = report::EXAMPLES)]
    Report(report::ReportArguments),
    /// Show the list of runs and their reports in a browser.
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeArguments),
    /// Get servers before they are needed, or list those that are known.
    Fetch(fetch::FetchArguments),
    /// List the servers that are known, or what each service promises.
    Servers(servers::ServersArguments),
    /// List the scenarios, or print one as a beginning of your own.
    Scenarios(scenarios::ScenariosArguments),
    /// List the faults that a scenario can ask for.
    Faults,
    /// Make many runs, each with what is expected of it: a regression suite.
    #[command(after_help = suite::EXAMPLES)]
    Suite(suite::SuiteArguments),
    /// Try what runs and faults need of this machine, and say what to change where it is lacking.
    #[command(after_help = "The exit code is 0 where runs work, and 69 where they do not.")]
    Doctor(doctor::DoctorArguments),
    /// Print what makes a shell complete the commands and flags.
    #[command(after_help = shell::EXAMPLES)]
    Completions(shell::CompletionsArguments),
    /// Print the manual page, or write all of them.
    Man(shell::ManArguments),
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
        Verb::Replay(arguments) => replay::replay(&arguments),
        Verb::Poison(arguments) => poison::poison(&arguments),
        Verb::Check(arguments) => check::check(&arguments),
        Verb::Report(arguments) => report::report(&arguments),
        Verb::Serve(arguments) => serve::serve(&arguments),
        Verb::Fetch(arguments) => fetch::fetch(&arguments),
        Verb::Servers(arguments) => servers::servers(&arguments),
        Verb::Scenarios(arguments) => scenarios::scenarios(&arguments),
        Verb::Faults => faults::faults(),
        Verb::Suite(arguments) => suite::suite(&arguments),
        Verb::Doctor(arguments) => doctor::doctor(&arguments),
        Verb::Completions(arguments) => shell::completions(&arguments),
        Verb::Man(arguments) => shell::man(&arguments),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => terminal::report(&failure).into(),
    }
}
