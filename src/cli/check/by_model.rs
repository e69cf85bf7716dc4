//! Histories of any origin, judged by whether their answers can be put in an order under a model.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use leasehold_checkers::formats::{Format, Options, Record};
use leasehold_checkers::linear::register::NullReads;
use leasehold_checkers::linear::{self, Budget, Fails, Model, Reading};
use leasehold_checkers::verdict::{Judgement, Verdict};

use super::super::terminal::note;
use super::super::{Exit, Failure, OrExit};

/// How to judge by a model.
#[derive(Debug, Args)]
pub(super) struct ByModelArguments {
    /// Judge only whether some order of the operations explains all answers, under this model: `cas-register`, `kv`, `mutex`,
    /// `owner-mutex`, `reentrant-mutex:N`, `fenced-mutex`, `semaphore:N` or `lease-lock`. For histories of any origin.
    #[arg(long, value_name = "MODEL")]
    pub(super) model: Option<Model>,
    /// The format of the file: `leasehold`, `jepsen-edn`, `jepsen-log`, `porcupine` or `atlasdb`. Without, it is told by the
    /// content.
    #[arg(long, value_name = "FORMAT", requires = "model")]
    format: Option<Format>,
    /// What a `fail` without an error code says: that the operation ran and saw the opposite, or only that it did not happen.
    #[arg(long, value_name = "SAYS", requires = "model", default_value = "ignore")]
    fails: Says,
    /// What a register's read of `null` says: that it has no value, or nothing at all.
    #[arg(long, value_name = "SAYS", requires = "model", default_value = "observe")]
    nulls: Says,
    /// The value with which each register begins, as JSON; any, if not given.
    #[arg(long, value_name = "JSON", requires = "model", value_parser = json)]
    initial: Option<serde_json::Value>,
    /// How long the search may take; then the verdict is `unknown`.
    #[arg(long, value_name = "S", requires = "model", default_value = "60", value_parser = clap::value_parser!(u64).range(1..))]
    limit_s: u64,
}

fn json(text: &str) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(text)
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Says {
    Observe,
    Ignore,
}

/// The memory that a search may take.
const MEMORY_BYTES: usize = 2 << 30;

pub(super) fn judge(path: &Path, model: Model, arguments: &ByModelArguments) -> Result<Judgement, Failure> {
    let options = Options { format: arguments.format, ..Options::default() };
    let mut record = Record::read(path, &options).or_exit(Exit::BadInput)?;
    if record.format == Format::AtlasDb {
        // Its answers speak of tokens, which no model knows yet; taken for those of a lock they would accuse a correct service.
        return Err(Failure::new(Exit::Usage, "histories of AtlasDB can be read, but no model fits them yet"));
    }
    if record.goes_back_at().is_some() {
        note("times go back in this file: its order alone is judged");
        record.stamp_by_order();
    }
    let deadline = Instant::now() + Duration::from_secs(arguments.limit_s);
    let is_over = Cell::new(false);
    let out_of_time = || {
        is_over.set(is_over.get() || Instant::now() >= deadline);
        is_over.get()
    };
    let reading = Reading {
        fails: match arguments.fails {
            Says::Observe => Fails::Observe,
            Says::Ignore => Fails::Ignore,
        },
        initial: arguments.initial.clone(),
        nulls: match arguments.nulls {
            Says::Observe => NullReads::Observe,
            Says::Ignore => NullReads::Ignore,
        },
    };
    let budget = Budget { out_of_time: &out_of_time, memory_bytes: MEMORY_BYTES };
    linear::judge(&record.events, &model, &reading, &budget).or_exit(Exit::BadInput)
}

/// The verdict in words.
pub(super) fn in_words(path: &Path, judgement: &Judgement) -> String {
    let verdict = judgement.verdict.to_string().to_uppercase();
    let mut text = format!("{verdict}  {}\n", path.display());
    for (name, checker) in &judgement.checkers {
        text.push_str(&format!("{name}: {}\n", checker.reason));
    }
    for anomaly in &judgement.anomalies {
        text.push_str(&format!("{}\n", anomaly.explanation));
    }
    if judgement.verdict == Verdict::Unknown {
        text.push_str("not a pass\n");
    }
    text
}
