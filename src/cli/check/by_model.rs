//! Histories of any origin, judged by whether their answers can be put in an order under a model.

use std::cell::Cell;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use leasehold_checkers::checks::well_formed::CUT;
use leasehold_checkers::contract::{Contract, Patience};
use leasehold_checkers::explain::{human, lock};
use leasehold_checkers::formats::{Events, Format, Options, Record};
use leasehold_checkers::history::{CAS_REGISTER, Event, FORMAT_VERSION, Header, History};
use leasehold_checkers::linear::locks::{LeaseTerms, LockModel};
use leasehold_checkers::linear::register::NullReads;
use leasehold_checkers::linear::{self, Apt, Budget, Fails, Linearized, Model, Reading, Unreadable};
use leasehold_checkers::part::Part;
use leasehold_checkers::verdict::{Judgement, Verdict};

use super::super::terminal::note;
use super::super::{Exit, Failure, OrExit};

/// How to judge by a model.
#[derive(Debug, Args)]
pub(in crate::cli) struct ByModelArguments {
    /// Judge only whether some order of the operations explains all answers, under this model: `cas-register`, `kv`, `mutex`,
    /// `owner-mutex`, `reentrant-mutex:N`, `fenced-mutex`, `semaphore:N` or `lease-lock`, with `lease-lock:10s` for the TTL
    /// where answers tell none. For histories of any origin. Without, a history of another tool is judged by the model that
    /// its operations name, where they do.
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
    #[arg(long, value_name = "S", requires = "model", default_value_t = LIMIT_S, value_parser = clap::value_parser!(u64).range(1..))]
    limit_s: u64,
    /// Print, for each key whose answers can be explained, an order of the operations that does so: one step a line, with the
    /// leases that have to have run out.
    #[arg(long, requires = "model", conflicts_with = "json")]
    pub(super) linearization: bool,
}

impl Default for ByModelArguments {
    /// What holds where nothing is said.
    fn default() -> Self {
        Self {
            model: None,
            format: None,
            fails: Says::Ignore,
            nulls: Says::Observe,
            initial: None,
            limit_s: LIMIT_S,
            linearization: false,
        }
    }
}

fn json(text: &str) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(text)
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Says {
    Observe,
    Ignore,
}

/// How long a search may take, in seconds, where nothing is said.
const LIMIT_S: u64 = 60;

/// The memory that a search may take.
const MEMORY_BYTES: usize = 2 << 30;

/// What is judged, as the model shall read it.
pub(in crate::cli) struct ByModel {
    events: Vec<Event>,
    /// Whether the file ended in the middle of a line, which is left out.
    is_cut: bool,
    format: Format,
    model: Model,
    reading: Reading,
    limit: Duration,
}

/// Whether a file is to be judged by a model although none is named: it is no record of a run of ours.
pub(in crate::cli) fn is_foreign(path: &Path) -> bool {
    let events = File::open(path).ok().and_then(|file| Events::open(BufReader::new(file), &Options::default()).ok());
    events.is_some_and(|events| events.format() != Format::Leasehold || events.header().is_none())
}

pub(in crate::cli) fn read(path: &Path, arguments: &ByModelArguments) -> Result<ByModel, Failure> {
    let options = Options { format: arguments.format, ..Options::default() };
    let mut record = Record::read(path, &options).or_exit(Exit::BadInput)?;
    if let (true, Some(last)) = (record.truncated, record.lines.last()) {
        note(&format!(
            "note: {} ends inside an operation; judged to the last whole one, on line {last}",
            path.display()
        ));
    }
    let mut model = model(&record, arguments.model)?;
    record.tokens_as_owners();
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
    let (is_cut, format) = (record.truncated, record.format);
    Ok(ByModel { events: record.events, is_cut, format, model, reading, limit: Duration::from_secs(arguments.limit_s) })
}

impl ByModel {
    /// By what it is judged, so that parts can be told that were judged otherwise.
    pub(super) fn how(&self) -> String {
        format!("{:?} with {:?}", self.model, self.reading)
    }

    pub(in crate::cli) fn judge(&self, part: Part) -> Result<Judgement, Failure> {
        let mut judgement =
            self.within_limit(|budget| linear::judge_part(&self.events, &self.model, &self.reading, budget, part))?;
        if self.is_cut {
            judgement.checkers.values_mut().for_each(|checker| checker.reason.push_str(CUT));
        }
        Ok(judgement)
    }

    /// The same as a history of registers, for a report that has no more to go by: this is what it is about, in this format.
    pub(in crate::cli) fn into_history(self, path: &Path) -> Result<History, Failure> {
        if let Model::Lock(_) = self.model {
            let text = "only records of runs and other tools' histories of registers and stores can be told of; `leasehold check` \
                        judges this one";
            return Err(Failure::new(Exit::BadInput, format!("{}: {text}", path.display())));
        }
        let word = path.display().to_string();
        let header = Header {
            leasehold: FORMAT_VERSION,
            scenario: path.file_name().map_or_else(|| word.clone(), |name| name.to_string_lossy().into_owned()),
            workload: self.format.to_string(),
            model: CAS_REGISTER.to_owned(),
            service: String::new(),
            servers: String::new(),
            nodes: 0,
            seed: 0,
            clock: String::new(),
            start: String::new(),
            command: ["leasehold", "check", &word].map(str::to_owned).to_vec(),
            contract: Contract {
                service: String::new(),
                early_slack_ms: 0,
                latest_expiry: None,
                counts_from_request: true,
                second_hand: None,
                ends_with_its_server: false,
                fencing_tokens: false,
                lock_delay_ms: None,
                patience: Patience::default(),
                source: String::new(),
            },
            clock_rate_error_ppm: 0,
            beliefs_must_exclude: false,
        };
        Ok(History { truncated: self.is_cut, ..History::new(header, self.events) })
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

/// The model that was named, or the one that the content allows.
fn model(record: &Record, named: Option<Model>) -> Result<Model, Failure> {
    let usage = |text: &str| Err(Failure::new(Exit::Usage, text));
    if record.format == Format::AtlasDb {
        // A successful unlock says that the token was held; without a known TTL a lease may run out at any other time.
        let terms = LeaseTerms { release_certifies: true, ..LeaseTerms::default() };
        return match named {
            None | Some(Model::Lock(LockModel::Lease(_))) => Ok(Model::Lock(LockModel::Lease(terms))),
            Some(_) => usage("AtlasDB's locks are leases, each with a token: the model for them is `lease-lock`"),
        };
    }
    if let Some(named) = named {
        return Ok(named);
    }
    match Apt::of(&record.events) {
        Apt::Only(model) => Ok(model),
        Apt::SomeLock => usage(
            "these are operations on a lock, and nothing in the file says of which kind: name it to `leasehold check`, with `--model mutex` where \
             holds never end by themselves, with `--model lease-lock` where they may, or with another of the models in `--help`",
        ),
        Apt::None => usage(
            "no model knows all operations in this file: name one to `leasehold check` with `--model`, see its `--help`",
        ),
    }
}

/// The verdict in words.
pub(super) fn in_words(what: &str, judgement: &Judgement) -> String {
    let verdict = judgement.verdict.to_string().to_uppercase();
    let mut text = format!("{verdict}  {what}\n");
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
