//! How badly the promises were broken.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_checkers::history::RunTime;
use leasehold_checkers::verdict::{Anomaly, AnomalyKind, Grade};

use super::broken_span;

/// The anomalies of one kind.
#[derive(Clone, Debug)]
pub(in crate::report) struct KindCount<'a> {
    /// The kind.
    pub kind: AnomalyKind,
    /// How many are proven.
    pub proven: usize,
    /// How many are possible.
    pub possible: usize,
    /// The one with the greatest margin, a proven one where there is any.
    pub worst: &'a Anomaly,
}

/// What was broken, and how badly.
#[derive(Clone, Debug, Default)]
pub(in crate::report) struct Impact<'a> {
    /// By kind, most serious first.
    pub kinds: Vec<KindCount<'a>>,
    /// The locks with a proven anomaly.
    pub keys: BTreeSet<&'a str>,
    /// How often one lock was promised to two at once.
    pub double_runs: usize,
    /// For how long of the run that was so, summed over all locks.
    pub double_total_ns: u64,
    /// The longest time that it was so.
    pub double_worst_ns: u64,
}

impl<'a> Impact<'a> {
    pub(super) fn of(anomalies: &'a [Anomaly], end: RunTime) -> Self {
        let proven = || anomalies.iter().filter(|anomaly| anomaly.grade == Grade::Proven);
        let doubles: Vec<&Anomaly> = proven().filter(|anomaly| is_stretch_with_two_holders(anomaly)).collect();
        Self {
            kinds: kinds(anomalies),
            keys: proven().map(|anomaly| anomaly.key.as_str()).collect(),
            double_runs: doubles.len(),
            double_total_ns: covered_ns(&doubles, end),
            double_worst_ns: doubles.iter().map(|anomaly| anomaly.margin_ns).max().unwrap_or(0),
        }
    }

    /// How many anomalies are proven.
    pub(in crate::report) fn proven(&self) -> usize {
        self.kinds.iter().map(|count| count.proven).sum()
    }
}

/// A lock that was given on a dead lease is a double acquisition, too, but for a moment that nobody knows.
fn is_stretch_with_two_holders(anomaly: &Anomaly) -> bool {
    anomaly.kind == AnomalyKind::DoubleAcquisition && anomaly.lease_gone_for_ns.is_none()
}

fn kinds(anomalies: &[Anomaly]) -> Vec<KindCount<'_>> {
    let mut kinds: BTreeMap<AnomalyKind, KindCount<'_>> = BTreeMap::new();
    for anomaly in anomalies {
        let count = kinds.entry(anomaly.kind).or_insert(KindCount {
            kind: anomaly.kind,
            proven: 0,
            possible: 0,
            worst: anomaly,
        });
        match anomaly.grade {
            Grade::Proven => count.proven += 1,
            Grade::Possible => count.possible += 1,
        }
        let weight = |anomaly: &Anomaly| (anomaly.grade == Grade::Proven, anomaly.margin_ns);
        if weight(anomaly) > weight(count.worst) {
            count.worst = anomaly;
        }
    }
    kinds.into_values().collect()
}

/// The time of the run that the anomalies cover, counted once for each lock where they overlap. A promise may reach
/// beyond the end of the run, where nobody looked any more.
fn covered_ns(anomalies: &[&Anomaly], end: RunTime) -> u64 {
    let mut spans: Vec<(&str, u64, u64)> = anomalies
        .iter()
        .map(|anomaly| {
            let (from, to) = broken_span(anomaly);
            (anomaly.key.as_str(), from, to.min(end.0))
        })
        .collect();
    spans.sort_unstable();
    let mut total: u64 = 0;
    let mut reached: Option<(&str, u64)> = None;
    for (key, from, to) in spans {
        let from = match reached {
            Some((last, until)) if last == key => from.max(until),
            _ => from,
        };
        total = total.saturating_add(to.saturating_sub(from));
        let until = reached.filter(|(last, _)| *last == key).map_or(to, |(_, until)| until.max(to));
        reached = Some((key, until));
    }
    total
}
