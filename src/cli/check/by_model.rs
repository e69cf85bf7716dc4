//! Histories of any origin, judged by whether their answers can be put in an order under a model.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use leasehold_checkers::explain::{human, lock};
use leasehold_checkers::formats::{Format, Options, Record};
use leasehold_checkers::history::Event;
use leasehold_checkers::linear::locks::LockModel;
use leasehold_checkers::linear::register::NullReads;
use leasehold_checkers::linear::{self, Budget, Fails, Linearized, Model, Reading, Unreadable};
use leasehold_checkers::verdict::{Judgement, Verdict};

use super::super::terminal::note;
use super::super::{Exit, Failure, OrExit};

/// How to judge by a model.
#[derive(Debug, Args)]
pub(super) struct ByModelArguments {
    /// Judge only whether some order of the operations explains all answers, under this model: `cas-register`, `kv`, `mutex`,
    /// `owner-mutex`, `reentrant-mutex:N`, `fenced-mutex`, `semaphore:N` or `lease-lock`, with `lease-lock:10s` for the TTL where answers tell none. For histories of any
    /// origin.
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
    /// Print, for each key whose answers can be explained, an order of the operations that does so: one step a line, with the
    /// leases that have to have run out.
    #[arg(long, requires = "model", conflicts_with = "json")]
    pub(super) linearization: bool,
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

/// What is judged, as the model shall read it.
pub(super) struct ByModel {
    events: Vec<Event>,
    model: Model,
    reading: Reading,
    limit: Duration,
}

pub(super) fn read(path: &Path, mut model: Model, arguments: &ByModelArguments) -> Result<ByModel, Failure> {
    let options = Options { format: arguments.format, ..Options::default() };
    let mut record = Record::read(path, &options).or_exit(Exit::BadInput)?;
    if record.format == Format::AtlasDb {
        // Its answers speak of tokens, which no model knows yet; taken for those of a lock they would accuse a correct service.
        return Err(Failure::new(Exit::Usage, "histories of AtlasDB can be read, but no model fits them yet"));
    }
    if record.goes_back_at().is_some() {
        match &mut model {
            Model::Lock(LockModel::Lease(terms)) => {
                let raised = record.raise_times();
                terms.slack += raised;
                let by = human(raised);
                note(&format!(
                    "times go back in this file: each is raised to the one before it, and leases may end {by} earlier"
                ));
            }
            _ => {
                note("times go back in this file: its order alone is judged");
                record.stamp_by_order();
            }
        }
    }
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
    Ok(ByModel { events: record.events, model, reading, limit: Duration::from_secs(arguments.limit_s) })
}

impl ByModel {
    pub(super) fn judge(&self) -> Result<Judgement, Failure> {
        self.within_limit(|budget| linear::judge(&self.events, &self.model, &self.reading, budget))
    }

    /// An order of each key's operations, one step a line.
    pub(super) fn linearization(&self) -> Result<String, Failure> {
        let keys = self.within_limit(|budget| linear::linearize(&self.events, &self.model, &self.reading, budget))?;
        let told = keys.iter().map(|Linearized { key, linearization }| match linearization {
            Some(order) => format!("an order of {}:\n{order}", lock(key)),
            None => format!("no order of {} was found\n", lock(key)),
        });
        Ok(told.collect())
    }

    fn within_limit<T>(&self, work: impl FnOnce(&Budget<'_>) -> Result<T, Unreadable>) -> Result<T, Failure> {
        let deadline = Instant::now() + self.limit;
        let is_over = Cell::new(false);
        let out_of_time = || {
            is_over.set(is_over.get() || Instant::now() >= deadline);
            is_over.get()
        };
        work(&Budget { out_of_time: &out_of_time, memory_bytes: MEMORY_BYTES }).or_exit(Exit::BadInput)
    }
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
