//! The search: batch after batch, until the time is over.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::json;

use super::finding::difference;
use super::minimise::{Minimiser, Suspect, Trial};
use super::{Finding, FuzzError, Sent, Signature, Subject};
use crate::packets::mutants::{Coverage, Grammar, Mutant};

/// So many mutants are sent before it is looked what they did.
const BATCH: usize = 64;

/// So many connections are open at once.
const LANES: usize = 16;

/// So many clusters are started for one finding.
const TRIES: u32 = 48;

/// A finding is one only if it is seen so often, each time that it is tried.
const REPLAYS: u32 = 3;

/// Whoever finds so much need not look any longer.
const FINDINGS_MAX: usize = 3;

/// A search for what stops these servers.
#[derive(Debug)]
pub struct Campaign<'a> {
    /// The cluster.
    pub subject: Subject,
    /// What is sent.
    pub grammar: Grammar,
    /// What they are called.
    pub servers: String,
    /// By which mutants are made.
    pub seed: u64,
    /// For how long mutants are sent. To take findings apart comes on top.
    pub lasts: Duration,
    /// Where everything is written.
    pub folder: &'a Path,
    /// What to type to send a finding again, but for its path.
    pub again: String,
}

/// What came of a search.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many mutants were sent.
    pub sent: u64,
    /// In which time.
    pub sending: Duration,
    /// Which fields were changed, and by which mutators.
    pub coverage: Coverage,
    /// What was found, with the file of each.
    pub findings: Vec<(Finding, PathBuf)>,
    /// How often something stopped that could not be shown again.
    pub not_replayed: u64,
}

impl Trial for Subject {
    async fn shows(&mut self, sent: &[Sent]) -> Result<Option<Signature>, FuzzError> {
        self.tried(sent).await
    }
}

impl Campaign<'_> {
    /// Searches until the time is over, or enough was found. `tell` is told of everything worth a line.
    ///
    /// # Errors
    /// If the cluster does not come up again, or something cannot be written.
    pub async fn run(mut self, tell: &(dyn Fn(&str) + Sync)) -> Result<Tally, FuzzError> {
        let mut tally = Tally::default();
        let mut log = self.log()?;
        self.subject.prepare().await?;
        let grammar = self.grammar.clone();
        let mut mutants = grammar.mutants(self.seed);
        while tally.sending < self.lasts && tally.findings.len() < FINDINGS_MAX {
            let began = Instant::now();
            let batch: Vec<Suspect> = mutants
                .by_ref()
                .filter_map(|mutant| Sent::of(&grammar, &mutant).map(|sent| (mutant, sent)))
                .take(BATCH)
                .collect();
            self.send(&batch).await?;
            let stopped = self.subject.stopped().await?;
            for (mutant, sent) in &batch {
                tally.sent += 1;
                tally.coverage.count(mutant);
                note(&mut log, mutant, sent)?;
            }
            tally.sending += began.elapsed();
            if let Some(signature) = stopped {
                tell(&format!("after {} mutants: {signature}", tally.sent));
                match self.taken_apart(batch, tell).await? {
                    Some((finding, sent)) => {
                        let path = finding.write(self.folder, tally.findings.len() + 1, &sent, &self.again)?;
                        tell(&format!("kept as {}", path.display()));
                        tally.findings.push((finding, path));
                    }
                    None => tally.not_replayed += 1,
                }
                self.subject.begin_anew().await?;
            }
        }
        log.flush().map_err(|source| self.unwritten("mutants.jsonl", source))?;
        self.write_summary(&tally)?;
        Ok(tally)
    }

    async fn send(&self, batch: &[Suspect]) -> Result<(), FuzzError> {
        let leader = self.subject.leader().await;
        let sending = stream::iter(batch).map(|(_, sent)| self.subject.send(sent, leader));
        sending.buffer_unordered(LANES).try_collect::<()>().await
    }

    /// The least of a batch that stops something, if it does so each time.
    async fn taken_apart(
        &mut self,
        batch: Vec<Suspect>,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Option<(Finding, Vec<Sent>)>, FuzzError> {
        let all: Vec<Sent> = batch.iter().map(|(_, sent)| sent.clone()).collect();
        let Some(first) = self.subject.stopped_by(&all).await? else {
            tell("it does not come again when they are sent one after the other");
            return Ok(None);
        };
        let mut minimiser = Minimiser { trial: &mut self.subject, shape: first.shape(), tries_left: TRIES };
        let fewest = minimiser.fewest_mutants(batch).await?;
        tell(&format!("{} of them suffice", fewest.len()));
        let least = minimiser.fewest_bytes(fewest).await?;
        let sent: Vec<Sent> = least.iter().map(|(_, sent)| sent.clone()).collect();
        let mut last = None;
        for replay in 0..REPLAYS {
            match self.subject.stopped_by(&sent).await? {
                Some(signature) if signature.shape() == first.shape() => last = Some(signature),
                _ => {
                    tell(&format!("it came again {replay} times, and then not"));
                    return Ok(None);
                }
            }
        }
        let bytes_changed = sent.iter().map(|sent| difference(sent.packet.bytes(), sent.whole.bytes())).sum();
        let finding = Finding {
            servers: self.servers.clone(),
            shape: first.shape().to_owned(),
            signature: last.unwrap_or(first).to_string(),
            replayed: [REPLAYS, REPLAYS],
            bytes_changed,
            bytes: sent.iter().map(|sent| sent.packet.hex()).collect(),
            mutants: least.into_iter().map(|(mutant, _)| mutant).collect(),
        };
        Ok(Some((finding, sent)))
    }

    fn log(&self) -> Result<BufWriter<File>, FuzzError> {
        let file = File::create(self.folder.join("mutants.jsonl"));
        file.map(BufWriter::new).map_err(|source| self.unwritten("mutants.jsonl", source))
    }

    fn write_summary(&self, tally: &Tally) -> Result<(), FuzzError> {
        let findings = tally.findings.iter().map(|(finding, path)| {
            json!({ "file": path.file_name().map(|name| name.to_string_lossy()), "shape": finding.shape, "bytes_changed": finding.bytes_changed })
        });
        let summary = json!({
            "servers": self.servers,
            "seed": self.seed,
            "mutants": tally.sent,
            "seconds": tally.sending.as_secs_f64(),
            "mutants_per_s": tally.per_second(),
            "coverage": tally.coverage,
            "findings": findings.collect::<Vec<_>>(),
            "not_replayed": tally.not_replayed,
        });
        let text = format!("{summary:#}\n");
        std::fs::write(self.folder.join("fuzz.json"), text).map_err(|source| self.unwritten("fuzz.json", source))
    }

    fn unwritten(&self, name: &str, source: std::io::Error) -> FuzzError {
        FuzzError::Write { what: self.folder.join(name).display().to_string(), source }
    }
}

impl Tally {
    /// How many mutants were sent in a second, the looks at the cluster included.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.sent as f64 / self.sending.as_secs_f64().max(1e-3)
    }
}

fn note(log: &mut BufWriter<File>, mutant: &Mutant, sent: &Sent) -> Result<(), FuzzError> {
    let line = json!({ "mutant": mutant, "port": sent.port.to_string(), "bytes": sent.packet.hex() });
    writeln!(log, "{line}").map_err(|source| FuzzError::Write { what: "mutants.jsonl".to_owned(), source })
}
