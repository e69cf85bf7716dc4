//! The search: batch after batch, until the time is over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::json;

use super::finding::difference;
use super::known::Known;
use super::minimise::{Minimiser, Suspect, Trial};
use super::{Compared, Finding, FuzzError, Sent, Signature, Subject};
use crate::packets::mutants::{Coverage, Grammar, Mutant};
use crate::packets::{Reply, hex};

/// So many mutants are sent before it is looked what they did.
const BATCH: usize = 64;

/// So many connections are open at once: servers of ZooKeeper take 60 from one address, and half of these are to another.
const LANES: usize = 64;

/// So many clusters are started for one finding.
const TRIES: u32 = 48;

/// So much is kept of an answer.
const ANSWER_BYTES: usize = 16;

/// A finding is one only if it is seen so often, each time that it is tried.
const REPLAYS: u32 = 3;

/// Of so many mutants at least one is of no known kind, or all messages do harm.
const LOOKED_THROUGH: usize = 64 * BATCH;

/// One part in so many of the time goes into comparing what servers hold.
const PART_COMPARING: u32 = 20;

/// So many of the last mutants may be why servers hold different data.
const LOOKED_BACK_AT: usize = 64 * BATCH;

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
    /// For how long is searched. To take what is new apart comes on top.
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
    /// How many of them had an answer.
    pub answered: u64,
    /// In which time, the looks at the cluster included.
    pub sending: Duration,
    /// The time in which it was found out that something was known already, or did not come again.
    pub sorting: Duration,
    /// Which fields were changed, and by which mutators.
    pub coverage: Coverage,
    /// What was found.
    pub findings: Vec<Kept>,
    /// How many mutants were left out, since it is known what they do.
    pub left_out: u64,
    /// How often something stopped, or was held by some only, that could not be shown again.
    pub not_replayed: u64,
    /// How often what the servers hold was compared.
    pub compared: u64,
    /// How often one of them did not tell, or went on to change.
    pub not_compared: u64,
    /// The part of the time of sending that went into that.
    pub comparing: Duration,
}

/// A finding that was written down.
#[derive(Debug)]
pub struct Kept {
    /// The finding.
    pub finding: Finding,
    /// Its file.
    pub path: PathBuf,
    /// What is sent.
    sent: Vec<Sent>,
}

/// The messages of a batch that stop something.
struct Culprits {
    suspects: Vec<Suspect>,
    signature: Signature,
}

impl Trial for Subject {
    async fn shows(&mut self, sent: &[Sent]) -> Result<Option<Signature>, FuzzError> {
        self.stopped_by(sent).await
    }
}

impl Campaign<'_> {
    /// Searches until the time is over. `tell` is told of everything worth a line.
    ///
    /// # Errors
    /// If the cluster does not come up again, or something cannot be written.
    pub async fn run(mut self, tell: &(dyn Fn(&str) + Sync)) -> Result<Tally, FuzzError> {
        let (mut tally, mut known) = (Tally::default(), Known::default());
        // What was sent since all servers were last seen to hold the same.
        let mut since: Vec<Mutant> = Vec::new();
        let mut log = self.log()?;
        self.subject.prepare().await?;
        let grammar = self.grammar.clone();
        let mut mutants = grammar.mutants(self.seed);
        while tally.sending + tally.sorting < self.lasts {
            let began = Instant::now();
            let batch: Vec<Suspect> = mutants
                .by_ref()
                .take(LOOKED_THROUGH)
                .filter_map(|mutant| Sent::of(&grammar, &mutant).map(|sent| (mutant, sent)))
                .filter(|(mutant, sent)| {
                    let is_known = known.has(mutant, sent);
                    tally.left_out += u64::from(is_known);
                    !is_known
                })
                .take(BATCH)
                .collect();
            if batch.is_empty() {
                tell("there is no message left that does no harm");
                break;
            }
            let replies = self.send(&batch).await?;
            let stopped = self.subject.stopped().await?;
            for (index, (mutant, sent)) in batch.iter().enumerate() {
                let reply = replies.get(&index).and_then(Option::as_ref);
                tally.sent += 1;
                tally.answered += u64::from(reply.is_some_and(|reply| !reply.answer.is_empty()));
                tally.coverage.count(mutant);
                note(&mut log, mutant, sent, reply)?;
            }
            tally.sending += began.elapsed();
            since.extend(batch.iter().map(|(mutant, _)| mutant.clone()));
            since.drain(..since.len().saturating_sub(LOOKED_BACK_AT));
            let is_over = tally.sending + tally.sorting >= self.lasts;
            let (signature, batch) = match stopped {
                Some(signature) => (signature, batch),
                None if is_over || tally.comparing * PART_COMPARING <= tally.sending => {
                    match self.compare(&mut tally, &mut since).await? {
                        Some(signature) => {
                            (signature, since.iter().filter_map(|mutant| self.suspect(mutant)).collect())
                        }
                        None => continue,
                    }
                }
                None => continue,
            };
            tell(&format!("after {} mutants: {signature}", tally.sent));
            self.sort_out(batch, signature.is_of_data(), &mut tally, &mut known, tell).await?;
            self.write_summary(&tally)?;
            self.subject.begin_anew().await?;
            since.clear();
        }
        log.flush().map_err(|source| self.unwritten("mutants.jsonl", source))?;
        self.write_summary(&tally)?;
        Ok(tally)
    }

    /// Whether the servers hold different data after all that was sent since they last held the same.
    async fn compare(&mut self, tally: &mut Tally, since: &mut Vec<Mutant>) -> Result<Option<Signature>, FuzzError> {
        let began = Instant::now();
        let signature = match self.subject.compared().await? {
            Compared::Different(told) => {
                let signature = self.subject.signature_of(told).await?;
                // One of them does not serve by now: the next look at them will tell.
                tally.not_compared += u64::from(signature.is_none());
                signature
            }
            Compared::Same => {
                tally.compared += 1;
                since.clear();
                None
            }
            Compared::Unknown => {
                tally.not_compared += 1;
                None
            }
        };
        if signature.is_some() {
            tally.compared += 1;
            tally.sorting += began.elapsed();
        } else {
            tally.comparing += began.elapsed();
            tally.sending += began.elapsed();
        }
        Ok(signature)
    }

    fn suspect(&self, mutant: &Mutant) -> Option<Suspect> {
        Sent::of(&self.grammar, mutant).map(|sent| (mutant.clone(), sent))
    }

    /// Finds out what of a batch stops something, or is why servers hold different data: that is a finding, or kin of one.
    async fn sort_out(
        &mut self,
        batch: Vec<Suspect>,
        of_data: bool,
        tally: &mut Tally,
        known: &mut Known,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<(), FuzzError> {
        let began = Instant::now();
        let Some(culprits) = self.culprits(batch, of_data, tell).await? else {
            tally.not_replayed += 1;
            tally.sorting += began.elapsed();
            return Ok(());
        };
        let Culprits { suspects, signature } = &culprits;
        if let Some(index) = known.like(signature, suspects) {
            tell(&format!("of the class of finding {}", index + 1));
            // To look for each of its fields would take the time that all else needs.
            known.kin(index, suspects);
            let kept = &mut tally.findings[index];
            kept.finding.kin.extend(suspects.iter().map(|(mutant, _)| mutant.clone()));
            kept.finding.write(self.folder, index + 1, &kept.sent, &self.again)?;
            tally.sorting += began.elapsed();
            return Ok(());
        }
        match self.taken_apart(&culprits, tell).await? {
            Some((finding, least)) => {
                known.found(signature, &least, finding.bytes_changed == 0);
                let sent: Vec<Sent> = least.into_iter().map(|(_, sent)| sent).collect();
                let path = finding.write(self.folder, tally.findings.len() + 1, &sent, &self.again)?;
                tell(&format!("kept as {}", path.display()));
                tally.findings.push(Kept { finding, path, sent });
            }
            None => {
                tally.not_replayed += 1;
                tally.sorting += began.elapsed();
            }
        }
        Ok(())
    }

    /// Sends all of a batch, some at once, and gives what came back, by their places.
    async fn send(&self, batch: &[Suspect]) -> Result<BTreeMap<usize, Option<Reply>>, FuzzError> {
        let leader = self.subject.leader().await;
        let sending = stream::iter(batch)
            .enumerate()
            .map(async |(index, (_, sent))| self.subject.send(sent, leader).await.map(|reply| (index, reply)));
        sending.buffer_unordered(LANES).try_collect().await
    }

    /// The fewest of a batch that stop something, if they do so once more.
    async fn culprits(
        &mut self,
        batch: Vec<Suspect>,
        of_data: bool,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Option<Culprits>, FuzzError> {
        let mut beginning = batch;
        // Of what servers hold it takes too long to be certain after each message.
        if !of_data {
            match self.subject.suspected_on_the_way(&sent(&beginning)).await? {
                Some(needed) => {
                    beginning.truncate(needed);
                    // Nearly always it is the last one alone.
                    let last = beginning[needed - 1..].to_vec();
                    if let Some(signature) = self.subject.stopped_by(&sent(&last)).await? {
                        let (Mutant { message, to, .. }, _) = &last[0];
                        tell(&format!("one message suffices, {message} to {to}"));
                        return Ok(Some(Culprits { suspects: last, signature }));
                    }
                }
                None => tell("it does not come again when they are sent one after the other"),
            }
        }
        let Some(first) = self.subject.stopped_by(&sent(&beginning)).await? else {
            tell("nor does it when all are sent at once");
            return Ok(None);
        };
        let mut minimiser = Minimiser::new(&mut self.subject, &self.grammar, first.shape(), TRIES);
        let suspects = minimiser.fewest_mutants(beginning).await?;
        tell(&format!("{} of them suffice", suspects.len()));
        // What the logs say now is of these alone.
        let again = self.subject.stopped_by(&sent(&suspects)).await?;
        let same = again.filter(|signature| signature.shape() == first.shape());
        if same.is_none() {
            tell("these did not show it again");
        }
        Ok(same.map(|signature| Culprits { suspects, signature }))
    }

    /// The least of these messages that stops the same, if it does so each time.
    async fn taken_apart(
        &mut self,
        culprits: &Culprits,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Option<(Finding, Vec<Suspect>)>, FuzzError> {
        let Culprits { suspects, signature: first } = culprits;
        let mut minimiser = Minimiser::new(&mut self.subject, &self.grammar, first.shape(), TRIES);
        let least = minimiser.least_done(suspects.clone()).await?;
        let sent = sent(&least);
        let mut last = first.clone();
        for replay in 0..REPLAYS {
            match self.subject.stopped_by(&sent).await? {
                Some(signature) if signature.shape() == first.shape() => last = signature,
                _ => {
                    tell(&format!("it came again {replay} times, and then not"));
                    return Ok(None);
                }
            }
        }
        let finding = Finding {
            servers: self.servers.clone(),
            shape: first.shape().to_owned(),
            signature: last.to_string(),
            replayed: [REPLAYS, REPLAYS],
            bytes_changed: sent.iter().map(|sent| difference(sent.packet.bytes(), sent.whole.bytes())).sum(),
            bytes: sent.iter().map(|sent| sent.packet.hex()).collect(),
            mutants: least.iter().map(|(mutant, _)| mutant.clone()).collect(),
            last_words: last.nodes.into_iter().flat_map(|node| node.last_words).collect(),
            kin: Vec::new(),
        };
        Ok(Some((finding, least)))
    }

    fn log(&self) -> Result<BufWriter<File>, FuzzError> {
        let file = File::create(self.folder.join("mutants.jsonl"));
        file.map(BufWriter::new).map_err(|source| self.unwritten("mutants.jsonl", source))
    }

    fn write_summary(&self, tally: &Tally) -> Result<(), FuzzError> {
        let findings = tally.findings.iter().map(|Kept { finding, path, .. }| {
            json!({
                "file": path.file_name().map(|name| name.to_string_lossy()),
                "shape": finding.shape,
                "bytes_changed": finding.bytes_changed,
                "kin": finding.kin.len(),
            })
        });
        let summary = json!({
            "servers": self.servers,
            "seed": self.seed,
            "mutants": tally.sent,
            "answered": tally.answered,
            "seconds": tally.sending.as_secs_f64(),
            "mutants_per_s": tally.per_second(),
            "coverage": tally.coverage,
            "seconds_sorting": tally.sorting.as_secs_f64(),
            "findings": findings.collect::<Vec<_>>(),
            "left_out": tally.left_out,
            "not_replayed": tally.not_replayed,
            "compared": tally.compared,
            "not_compared": tally.not_compared,
            "seconds_comparing": tally.comparing.as_secs_f64(),
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

fn sent(suspects: &[Suspect]) -> Vec<Sent> {
    suspects.iter().map(|(_, sent)| sent.clone()).collect()
}

fn note(log: &mut BufWriter<File>, mutant: &Mutant, sent: &Sent, reply: Option<&Reply>) -> Result<(), FuzzError> {
    let answer = reply.map(|reply| hex(&reply.answer[..reply.answer.len().min(ANSWER_BYTES)]));
    let line = json!({ "mutant": mutant, "port": sent.port.to_string(), "bytes": sent.packet.hex(), "answer": answer });
    writeln!(log, "{line}").map_err(|source| FuzzError::Write { what: "mutants.jsonl".to_owned(), source })
}
