//! A job that ran twice at once, by its own ledger.
//!
//! The ledger is the harness's, see [`WorkValue`](crate::history::vocabulary::WorkValue): it takes one piece of work after
//! another, and the completions in the record stand in its order. So what it shows is a fact, and no clock has a part in it:
//!
//! * A run **begins** when the ledger takes its first piece, and is over with its last one.
//! * Two runs of one job were there **at once** where one began, then the other, and then the first did another piece of work.
//!   A run that was left, by a crash or because its client was told that it lost the lock, does no more, and proves nothing.
//! * An update is **lost** where a write replaces a version that its writer had not read. That cannot be without two runs at once,
//!   so it is told with them.
//!
//! The margin is how long both went on: from the beginning of the later run to the last piece of the one that stopped first. Who is
//! to blame is another matter. A holder that stands still beyond its TTL and goes on has every service against it, so the other
//! checkers tell whether the service kept its word. But whoever runs a job under a lock asks whether it ran twice, and it did:
//! the anomaly is proven.

use std::collections::BTreeMap;

use super::{Finding, Run, word};
use crate::explain::{Count, human, lock, when};
use crate::history::vocabulary::{Guard, Piece, code};
use crate::history::{Action, Op, Outcome, RunTime, Word, Work};
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade};

/// The name of this checker.
pub const NAME: &str = "double-run";

/// Tells which runs were there at once.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let Runs { begun, lost, fenced, pairs, .. } = run.runs;
    let anomalies: Vec<Anomaly> = pairs.iter().map(|pair| pair.anomaly(run)).collect();
    let mut result = word(&anomalies, Count(*begun, "run"));
    if *lost > 0 {
        result.reason.push_str(&format!("; {} lost", Count(*lost, "update")));
    }
    if *fenced > 0 {
        result.reason.push_str(&format!("; {} refused for an old token", Count(*fenced, "piece")));
    }
    (result, anomalies)
}

/// What the ledger took, piece by piece.
#[derive(Debug, Default)]
pub struct Runs {
    /// How many runs began.
    begun: usize,
    /// How many updates were lost.
    lost: usize,
    /// How many pieces the ledger refused for their tokens.
    fenced: usize,
    /// The runs of each job that may go on, and those that began after one of them; in the order of their beginnings.
    jobs: BTreeMap<Word, Vec<JobRun>>,
    /// Those that were there at once.
    pairs: Vec<Pair>,
}

/// One run of a job.
#[derive(Clone, Debug)]
struct JobRun {
    owner: String,
    process: u64,
    begin: usize,
    begun: RunTime,
    last: RunTime,
    lost: u64,
    /// The pairs that it is in.
    pairs: Vec<usize>,
    /// Whether it may still do something.
    goes_on: bool,
}

/// Two runs of one job at once.
#[derive(Debug)]
struct Pair {
    key: Word,
    earlier: JobRun,
    later: JobRun,
    /// The first piece of the earlier run after the later one had begun.
    act: usize,
}

impl Runs {
    /// Takes an op that has ended, in the order of the record.
    pub(crate) fn take(&mut self, op: &Op) {
        match &op.action {
            Action::Work(work) if work.guard != Guard::Service => match op.outcome {
                Outcome::Ok => self.take_piece(op, work),
                _ => self.fenced += usize::from(op.failed_with(code::FENCED)),
            },
            // Whoever asks anew, or is no more, has left the run that it was in.
            Action::Acquire { .. } => self.leave(op.process),
            _ if op.outcome == Outcome::Info => self.leave(op.process),
            _ => {}
        }
    }

    fn take_piece(&mut self, op: &Op, work: &Work) {
        let Some(at) = op.ended else { return };
        let runs = self.jobs.entry(op.key.clone()).or_default();
        if work.piece == Piece::Begin {
            self.begun += 1;
            let (owner, process) = (work.owner.clone(), op.process);
            let (begin, pairs) = (op.index, Vec::new());
            runs.push(JobRun { owner, process, begin, begun: at, last: at, lost: 0, pairs, goes_on: true });
            return;
        }
        let Some(place) = runs.iter().position(|run| run.owner == work.owner) else { return };
        let (earlier, later) = runs[place..].split_first_mut().expect("it has this place");
        earlier.last = at;
        earlier.goes_on = work.piece != Piece::End;
        if let (Some(base), Some(version)) = (work.base, work.version) {
            let lost = version.saturating_sub(base).saturating_sub(1);
            earlier.lost += lost;
            self.lost += usize::try_from(lost).unwrap_or(usize::MAX);
        }
        for pair in &earlier.pairs {
            self.pairs[*pair].note(earlier);
        }
        for later in later {
            if later.pairs.iter().any(|pair| earlier.pairs.contains(pair)) {
                continue;
            }
            let pair = Pair { key: op.key.clone(), earlier: earlier.clone(), later: later.clone(), act: op.index };
            earlier.pairs.push(self.pairs.len());
            later.pairs.push(self.pairs.len());
            self.pairs.push(pair);
        }
        forget(runs);
    }

    fn leave(&mut self, process: u64) {
        for runs in self.jobs.values_mut() {
            runs.iter_mut().filter(|run| run.process == process).for_each(|run| run.goes_on = false);
            forget(runs);
        }
    }
}

/// Forgets the runs that are over and began before all that go on: nothing comes after them that they had part in.
fn forget(runs: &mut Vec<JobRun>) {
    let over = runs.iter().take_while(|run| !run.goes_on).count();
    runs.drain(..over);
}

impl Pair {
    /// Takes in what one of the two has done by now.
    fn note(&mut self, run: &JobRun) {
        let side = if self.earlier.begin == run.begin { &mut self.earlier } else { &mut self.later };
        side.last = run.last;
        side.lost = run.lost;
    }

    fn anomaly(&self, run: &Run<'_>) -> Anomaly {
        let Self { key, earlier, later, act } = self;
        let together = earlier.last.min(later.last).since(later.begun);
        let lost = match usize::try_from(earlier.lost).unwrap_or(usize::MAX) {
            0 => String::new(),
            lost => format!(", and wrote over {} that it had not read", Count(lost, "update")),
        };
        let explanation = format!(
            "the job under {} ran twice at once: process {} began it {}, and process {}, which had begun it {} earlier, still did a \
             piece of it {} later{lost}",
            lock(key),
            later.process,
            when(&run.context, later.begun),
            earlier.process,
            human(later.begun.since(earlier.begun)),
            human(earlier.last.since(later.begun)),
        );
        run.anomaly(Finding {
            kind: AnomalyKind::DoubleRun,
            grade: Grade::Proven,
            key,
            ops: vec![earlier.begin, later.begin, *act],
            at: later.begun,
            margin_ns: u64::try_from(together.as_nanos()).unwrap_or(u64::MAX).max(1),
            explanation,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::history::vocabulary::{Guard, Piece};
    use crate::script::{Script, found_of_kind, script};
    use crate::verdict::{AnomalyKind, Verdict};

    fn job() -> Script {
        script().header(|header| header.workload = "job".to_owned()).acquire(1, "a", 0..10, 3_000)
    }

    /// The first holder stands still, and another gets the lock.
    fn taken_over() -> Script {
        job()
            .work(1, "a", 20, (Guard::None, Piece::Begin))
            .work_version(1, "a", 30, Piece::Read, None, 4)
            .acquire(2, "b", 4_000..4_010, 3_000)
            .work(2, "b", 4_020, (Guard::None, Piece::Begin))
            .work_version(2, "b", 4_100, Piece::Read, None, 4)
            .work_version(2, "b", 4_200, Piece::Write, Some(4), 5)
    }

    fn found(script: Script) -> Vec<(Vec<usize>, u64)> {
        let found = found_of_kind(script, AnomalyKind::DoubleRun);
        found.iter().map(|anomaly| (anomaly.ops.clone(), anomaly.margin_ns / 1_000_000)).collect()
    }

    #[test]
    fn one_who_goes_on_after_another_began() {
        let woken = taken_over().work_version(1, "a", 5_000, Piece::Write, Some(4), 6);
        let judgement = crate::check(&woken.history());
        assert_eq!(judgement.verdict, Verdict::Invalid);
        let [double] = &judgement.anomalies[..] else { panic!("{judgement:?}") };
        assert_eq!(
            (double.kind, double.ops.clone(), double.margin_ns),
            (AnomalyKind::DoubleRun, vec![1, 4, 7], 180_000_000)
        );
        assert_eq!(
            double.explanation,
            "the job under `jobs/7` ran twice at once: process 2 began it 4.02 s into the run, and process 1, which had begun it 4 s \
             earlier, still did a piece of it 980 ms later, and wrote over 1 update that it had not read"
        );
        assert_eq!(judgement.checkers["double-run"].reason, "1 proven in 2 runs; 1 update lost");
    }

    #[test]
    fn one_who_does_no_more_has_not_run_twice() {
        assert_eq!(found(taken_over()), []);
        let told = taken_over().renew_fails(1, "a", 5_000..5_010, "expired");
        assert_eq!(found(told.work(2, "b", 5_100, (Guard::None, Piece::End))), []);
    }

    #[test]
    fn one_after_the_other() {
        let first = job().work(1, "a", 20, (Guard::None, Piece::Begin)).work(1, "a", 30, (Guard::None, Piece::End));
        let second = first.acquire(2, "b", 4_000..4_010, 3_000).work(2, "b", 4_020, (Guard::None, Piece::Begin)).work(
            2,
            "b",
            4_030,
            (Guard::None, Piece::End),
        );
        assert_eq!(found(second), []);
    }

    #[test]
    fn a_run_that_was_over_within_another() {
        let within =
            taken_over().work(2, "b", 4_300, (Guard::None, Piece::End)).work(1, "a", 9_000, (Guard::None, Piece::End));
        assert_eq!(found(within), [(vec![1, 4, 8], 280)]);
    }

    #[test]
    fn one_that_overlaps_with_two_and_other_jobs() {
        let two = taken_over()
            .work(2, "b", 4_300, (Guard::None, Piece::End))
            .acquire(3, "c", 8_000..8_010, 3_000)
            .work(3, "c", 8_020, (Guard::None, Piece::Begin))
            .work(1, "a", 9_000, (Guard::None, Piece::End));
        assert_eq!(found(two), [(vec![1, 4, 10], 280), (vec![1, 9, 10], 0)]);
        let elsewhere = taken_over().on("jobs/8").work(1, "a", 5_000, (Guard::None, Piece::End));
        assert_eq!(found(elsewhere), []);
    }

    #[test]
    fn what_a_guard_refuses_is_counted_and_no_anomaly() {
        let fenced = job()
            .work(1, "a", 20, (Guard::Token, Piece::Begin))
            .acquire(2, "b", 4_000..4_010, 3_000)
            .work(2, "b", 4_020, (Guard::Token, Piece::Begin))
            .work_fenced(1, "a", 5_000, Piece::Write)
            .work(2, "b", 5_020, (Guard::Token, Piece::End));
        let judgement = crate::check(&fenced.history());
        assert_eq!(
            judgement.checkers["double-run"].reason,
            "nothing found in 2 runs; 1 piece refused for an old token"
        );
        assert_eq!(judgement.anomalies, []);
    }
}
