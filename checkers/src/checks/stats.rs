//! How many ops there were, how they ended, and how long they took.
//!
//! The checker says `unknown` where a kind of op was tried and never once succeeded: what it would have shown was never
//! tested. A single success over the whole run is enough, for contenders are refused all the time, and rightly.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Run;
use crate::explain::Count;
use crate::history::{Op, Outcome, RunTime, Word};
use crate::verdict::{Anomaly, CheckerResult, Verdict};

/// The name of this checker.
pub const NAME: &str = "stats";

/// Says `unknown` where a kind of op never succeeded.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let kinds = &run.totals.by_kind;
    let never: Vec<String> = kinds
        .iter()
        .filter(|(_, tried)| tried.ok == 0)
        .map(|(kind, tried)| format!("no {kind} succeeded, of {} tried", tried.all))
        .collect();
    let result = if never.is_empty() {
        let kinds = Count(kinds.len(), "kind");
        let ops = Count(run.totals.ops, "op");
        CheckerResult { verdict: Verdict::Valid, reason: format!("each of {kinds} of op succeeded, in {ops}") }
    } else {
        CheckerResult { verdict: Verdict::Unknown, reason: never.join("; ") }
    };
    (result, Vec::new())
}

/// What became of the ops of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// By the op's name: see [`crate::history::vocabulary::f`].
    pub by_kind: BTreeMap<Word, Tally>,
    /// By the node that was asked and the op's name. Ops that name no node are left out.
    pub by_node: BTreeMap<Word, BTreeMap<Word, Tally>>,
    /// From the first invocation to the last thing on record of an op.
    pub lasted: Duration,
}

/// What became of some ops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many happened.
    pub ok: usize,
    /// How many certainly did not.
    pub fail: usize,
    /// Of how many nobody knows, with those that were never answered.
    pub info: usize,
    /// How long those took that happened, shortest first.
    took: Vec<Duration>,
}

/// How long ops took: the nearest rank, so each is a time that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of them took no longer.
    pub p50: Duration,
    /// 95 of 100 took no longer.
    pub p95: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// None took longer.
    pub max: Duration,
}

impl Stats {
    /// Counts and measures.
    #[must_use]
    pub fn of(ops: &[Op]) -> Self {
        let mut stats = Self::default();
        for op in ops {
            stats.by_kind.entry(op.f.clone()).or_default().take(op);
            if let Some(node) = &op.node {
                stats.by_node.entry(node.clone()).or_default().entry(op.f.clone()).or_default().take(op);
            }
        }
        let tallies = stats.by_kind.values_mut().chain(stats.by_node.values_mut().flat_map(BTreeMap::values_mut));
        tallies.for_each(|tally| tally.took.sort_unstable());
        let first = ops.iter().map(|op| op.invoked).min().unwrap_or_default();
        let last = ops.iter().map(|op| op.ended.unwrap_or(op.invoked)).max().unwrap_or_default();
        stats.lasted = RunTime::since(last, first);
        stats
    }
}

impl Tally {
    fn take(&mut self, op: &Op) {
        match op.outcome {
            Outcome::Ok => {
                self.ok += 1;
                self.took.extend(op.ended.map(|ended| ended.since(op.invoked)));
            }
            Outcome::Fail => self.fail += 1,
            Outcome::Info | Outcome::Open => self.info += 1,
        }
    }

    /// How many were tried.
    #[must_use]
    pub fn tried(&self) -> usize {
        self.ok + self.fail + self.info
    }

    /// How many were tried in a second, over this time; `None` where it has no length.
    #[must_use]
    pub fn per_second(&self, lasted: Duration) -> Option<f64> {
        let seconds = lasted.as_secs_f64();
        (seconds > 0.0).then(|| self.tried() as f64 / seconds)
    }

    /// How long those took that happened; `None` where none did.
    #[must_use]
    pub fn latency(&self) -> Option<Latency> {
        let max = *self.took.last()?;
        Some(Latency { p50: self.quantile(50)?, p95: self.quantile(95)?, p99: self.quantile(99)?, max })
    }

    /// The least time that was enough for this share of them.
    fn quantile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.took.len() * percent).div_ceil(100);
        self.took.get(rank.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Ops;
    use crate::script::{Script, script};

    fn stats(script: Script) -> Stats {
        Stats::of(&Ops::of(&script.history()).all)
    }

    fn word_on(script: Script) -> (Verdict, String) {
        let judgement = crate::check(&script.history());
        let word = &judgement.checkers[NAME];
        (word.verdict, word.reason.clone())
    }

    #[test]
    fn ops_are_counted_by_kind_and_by_node() {
        let stats = stats(
            script()
                .acquire(1, "a", 0..100, 3_000)
                .acquire_held(2, "b", 0..50, "a")
                .through("n2")
                .acquire_info(3, "c", 0..2_000, 3_000)
                .read(4, 100..110, None),
        );
        let acquire = &stats.by_kind["acquire"];
        assert_eq!((acquire.ok, acquire.fail, acquire.info, acquire.tried()), (1, 1, 1, 3));
        assert_eq!(stats.by_node["n2"]["acquire"].tried(), 1);
        assert_eq!(stats.by_node["n1"]["acquire"].tried(), 2);
        assert_eq!(stats.lasted, Duration::from_secs(2));
        assert_eq!(acquire.per_second(stats.lasted), Some(1.5));
        assert_eq!(Tally::default().per_second(Duration::ZERO), None);
    }

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let many = (1..=100).fold(script(), |script, n| script.read(n, 1_000..1_000 + n, None));
        let latency = stats(many).by_kind["read"].latency();
        let ms = Duration::from_millis;
        assert_eq!(latency, Some(Latency { p50: ms(50), p95: ms(95), p99: ms(99), max: ms(100) }));
        let one = stats(script().read(1, 10..17, None)).by_kind["read"].latency();
        assert_eq!(one, Some(Latency { p50: ms(7), p95: ms(7), p99: ms(7), max: ms(7) }));
        assert_eq!(stats(script().acquire_info(3, "c", 0..2_000, 3_000)).by_kind["acquire"].latency(), None);
    }

    #[test]
    fn a_kind_that_never_succeeded_was_not_tested() {
        let held = || script().acquire(1, "a", 0..100, 3_000).acquire_held(2, "b", 200..210, "a");
        assert_eq!(word_on(held()), (Verdict::Valid, "each of 1 kind of op succeeded, in 2 ops".to_owned()));
        let refused = held().renew_fails(1, "a", 300..310, "refused").renew_info(1, "a", 400..410);
        assert_eq!(word_on(refused), (Verdict::Unknown, "no renew succeeded, of 2 tried".to_owned()));
    }

    #[test]
    fn one_success_is_enough() {
        let one = script().acquire(1, "a", 0..100, 3_000).read(4, 10..20, None).renew(1, "a", 200..210, 3_000);
        assert_eq!(word_on(one.renew_fails(1, "a", 300..310, "refused")).0, Verdict::Valid);
    }
}
