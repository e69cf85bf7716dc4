//! `leasehold poison`.

mod fuzz;
mod plan;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::run::{self, RunArguments};
use super::terminal::{lines, say, width};
use super::{Exit, Failure, OrExit};
use crate::packets::{self, Case};
use crate::scenario::Scenario;
use crate::servers::ServerSpec;
use plan::Plan;

pub(super) const EXAMPLES: &str = "\
Examples:
  leasehold poison --list                                               the packets that are known
  leasehold poison zookeeper@3.4.6 --case create-path-length            one of them, sent to a follower
  leasehold poison zookeeper@3.8.0 --case create-path-length            the same on a release that is mended
  leasehold poison etcd@3.4.23 --case alarm-without-type                one for etcd
  leasehold poison zookeeper@3.4.6 --fuzz 60                            malformed messages of all kinds

It starts a cluster of its own and sends packets to that one only. The exit code is the verdict: see `leasehold --help`.";

/// The checkers' patience with a silent server is 15 s.
const LEAST_WATCH_S: u64 = 16;

/// Of a latent packet nothing is seen before the leader dies, and for 10 s after that an election is excused.
const LEAST_LATENT_WATCH_S: u64 = 30;

/// What to send, and to whom.
#[derive(Debug, Args)]
pub(super) struct PoisonArguments {
    /// The servers, for example `zookeeper@3.4.6` (`leasehold fetch` lists them).
    #[arg(value_name = "SERVICE@VERSION", required_unless_present = "list")]
    servers: Option<ServerSpec>,
    /// The packet, by its name.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["list", "fuzz", "mutant"])]
    case: Option<String>,
    /// Send malformed messages of all kinds for so many seconds, and take apart whatever stops a server or leaves
    /// servers with different data.
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["case", "list"], value_parser = clap::value_parser!(u64).range(1..=86_400))]
    fuzz: Option<u64>,
    /// Send what such a search has found once more, `finding-1.json`, or any of its mutants by its number, `mutants.jsonl:128`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["case", "list", "fuzz"])]
    mutant: Option<PathBuf>,
    /// List the packets that are known.
    #[arg(long, conflicts_with_all = ["servers", "case"])]
    list: bool,
    /// Who is sent it: `leader`, `follower`, `all`, or a node like `n1`.
    #[arg(long, value_name = "TARGET", default_value = "follower")]
    to: String,
    /// For how long nothing else is done after it, in seconds. A server that does not answer is locked up after 15 s, one without a
    /// leader after 25 s: with less nothing is proven.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(LEAST_WATCH_S..=3_600))]
    watch: u64,
    /// What is tried on servers that do not answer any more.
    #[arg(long, value_enum, default_value_t = Cure::LeaderKill)]
    cure: Cure,
    /// The memory of each server's JVM, in mebibytes.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(32..=65_536))]
    heap_mib: u32,
    /// The source of everything random; the same seed makes the same choices [default: another one each time].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The folder for this run's record and report [default: results/SCENARIO/TIME-SEED].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the verdict as one JSON object instead of words.
    #[arg(long)]
    json: bool,
}

/// What is tried on servers that do not answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Cure {
    /// Kill the leader; if that does not help, restart all.
    LeaderKill,
    /// Restart all.
    Restart,
    /// Nothing.
    None,
}

pub(super) fn poison(arguments: &PoisonArguments) -> Result<Exit, Failure> {
    match (&arguments.servers, arguments.fuzz, &arguments.mutant) {
        (Some(servers), Some(seconds), _) => return fuzz::fuzz(arguments, servers, seconds),
        (Some(servers), None, Some(file)) => return fuzz::again(arguments, servers, file),
        _ => {}
    }
    let (Some(servers), Some(name)) = (&arguments.servers, &arguments.case) else {
        say(&listing()?)?;
        return Ok(Exit::Valid);
    };
    let case = Case::named(name).or_exit(Exit::Usage)?;
    if servers.service != case.service.name() {
        let text = format!("`{name}` is a packet for {}, and {servers} is none", case.service);
        return Err(Failure::new(Exit::Usage, text));
    }
    if case.latent && arguments.watch < LEAST_LATENT_WATCH_S {
        let text = format!(
            "nothing is seen of `{name}` before the leader dies, and elections take their time: watch it for \
             {LEAST_LATENT_WATCH_S} s or longer, or nothing is proven"
        );
        return Err(Failure::new(Exit::Usage, text));
    }
    let plan = Plan {
        case: &case,
        servers,
        to: &arguments.to,
        watch_s: arguments.watch,
        cure: arguments.cure,
        heap_mib: arguments.heap_mib,
    };
    let scenario = Scenario::parse(&format!("poison-{name}"), "the scenario of this case", &plan.text());
    run::run_scenario(&arguments.as_run(), scenario.or_exit(Exit::Usage)?, None)
}

impl PoisonArguments {
    /// The same for the verb `run`: what a scenario does not say.
    pub(super) fn as_run(&self) -> RunArguments {
        let Self { servers, seed, out, json, .. } = self;
        RunArguments::of_another_verb(self.words(), servers.clone(), *seed, out.clone(), *json)
    }

    /// What to type to send it again, but for the seed.
    fn words(&self) -> Vec<String> {
        let mut words = vec!["leasehold".to_owned(), "poison".to_owned()];
        words.extend(self.servers.as_ref().map(ToString::to_string));
        let cure = self.cure.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        for (option, value) in [
            ("--case", self.case.clone().unwrap_or_default()),
            ("--to", self.to.clone()),
            ("--watch", self.watch.to_string()),
            ("--cure", cure),
            ("--heap-mib", self.heap_mib.to_string()),
        ] {
            words.extend([option.to_owned(), value]);
        }
        words
    }
}

/// All cases, each with what it asks for, whom it harms and where it is mended.
fn listing() -> Result<String, Failure> {
    const INDENT: &str = "    ";
    let mut text = String::new();
    for name in packets::names() {
        let case = Case::named(name).or_exit(Exit::Internal)?;
        text.push_str(&format!("{name}\n"));
        let told = format!(
            "{}. To the {} of {}: {}. {}; harms {}, mended in {}",
            case.summary, case.port, case.service, case.signature, case.issue, case.affected, case.fixed
        );
        for line in lines(&told, width().saturating_sub(INDENT.len())) {
            text.push_str(&format!("{INDENT}{line}\n"));
        }
    }
    text.push_str("\nThe letters are explained in docs/poison.md.\n");
    Ok(text)
}
