//! One lock that was held by two at once.
//!
//! Proven where two grants of one lock cannot both be fitted into time, by the theorem in [`crate::holds`]: their cores
//! overlap, or one is a floater whose window lies inside the other's core.
//!
//! Each grant is reported at most once, against the grant that leaves it the least room: of the cores that began no later
//! than its own, or before its window, the one that reaches furthest. So n grants make at most n anomalies, and where any pair
//! conflicts at least one is reported.
//!
//! The margin of overlapping cores is the time for which both certainly stood. The margin of a floater is how deep its window lies
//! in the core: the shorter of the distances between their begins and between their ends. By so much at least
//! a time on record would have to be wrong for the service to be right.

use super::{Finding, Run, word};
use crate::explain::{Count, human, lock, when};
use crate::history::RunTime;
use crate::holds::{Grant, Hold, Span};
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade};

/// The name of this checker.
pub const NAME: &str = "double-acquisition";

/// Looks for locks that were held by two at once.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let anomalies: Vec<Anomaly> = run.grants.values().flat_map(|grants| among(run, grants)).collect();
    (word(&anomalies, Count(run.all_grants().count(), "grant")), anomalies)
}

/// Whether two grants of one lock cannot both have been made by a correct service.
#[must_use]
pub fn conflict(a: &Grant, b: &Grant) -> bool {
    match (a.hold, b.hold) {
        (Hold::Core(a), Hold::Core(b)) => !a.overlap(b).is_zero(),
        (Hold::Core(core), Hold::Floater { from, to }) | (Hold::Floater { from, to }, Hold::Core(core)) => {
            lies_inside(from, to, core)
        }
        _ => false,
    }
}

fn lies_inside(from: RunTime, to: RunTime, core: Span) -> bool {
    core.from < from && to < core.until
}

fn among(run: &Run<'_>, grants: &[Grant]) -> Vec<Anomaly> {
    let cores = Cores::of(grants);
    let overlapping = cores.overlapping().map(|(earlier, later)| of_cores(run, earlier, later));
    let floating = grants.iter().filter_map(|grant| match grant.hold {
        Hold::Floater { from, to } => {
            cores.around(from, to).map(|(core, holder)| of_floater(run, (core, holder), (from, to), grant))
        }
        Hold::Core(_) | Hold::Nowhere => None,
    });
    overlapping.chain(floating).collect()
}

/// The cores of one lock, by their begin.
struct Cores<'a> {
    sorted: Vec<(Span, &'a Grant)>,
    /// For each position, the core up to there that reaches furthest.
    furthest: Vec<(Span, &'a Grant)>,
}

impl<'a> Cores<'a> {
    fn of(grants: &'a [Grant]) -> Self {
        let mut sorted: Vec<(Span, &Grant)> =
            grants.iter().filter_map(|grant| grant.core().map(|core| (core, grant))).collect();
        sorted.sort_by_key(|(core, grant)| (*core, grant.acquire));
        let mut furthest: Vec<(Span, &Grant)> = Vec::with_capacity(sorted.len());
        for (core, grant) in &sorted {
            let reaching = furthest.last().filter(|(before, _)| before.until >= core.until);
            furthest.push(reaching.copied().unwrap_or((*core, grant)));
        }
        Self { sorted, furthest }
    }

    /// Each core that begins before an earlier one has ended, with that one.
    fn overlapping(&self) -> impl Iterator<Item = ((Span, &'a Grant), (Span, &'a Grant))> {
        let pairs = self.furthest.iter().zip(self.sorted.iter().skip(1));
        pairs.filter(|((earlier, _), (later, _))| later.from < earlier.until).map(|(earlier, later)| (*earlier, *later))
    }

    /// The core that a window lies inside.
    fn around(&self, from: RunTime, to: RunTime) -> Option<(Span, &'a Grant)> {
        let begun_before = self.sorted.partition_point(|(core, _)| core.from < from);
        let (core, holder) = self.furthest.get(begun_before.checked_sub(1)?)?;
        lies_inside(from, to, *core).then_some((*core, *holder))
    }
}

fn of_cores(run: &Run<'_>, (earlier, first): (Span, &Grant), (later, second): (Span, &Grant)) -> Anomaly {
    let both = earlier.overlap(later);
    let at = later.from;
    let explanation = format!(
        "process {} still held {} for another {} when process {} was given it, {}",
        first.process,
        lock(&first.key),
        human(earlier.until.since(at)),
        second.process,
        when(&run.context, at),
    );
    finding(run, first, second, at, both.as_nanos(), explanation)
}

fn of_floater(
    run: &Run<'_>,
    (core, holder): (Span, &Grant),
    (from, to): (RunTime, RunTime),
    floater: &Grant,
) -> Anomaly {
    let margin = from.since(core.from).min(core.until.since(to));
    let lapsed = floater.ended.since(to);
    let why = if lapsed.is_zero() {
        "although its lease may have run out by then".to_owned()
    } else {
        format!("{} after its lease was gone", human(lapsed))
    };
    let explanation = format!(
        "process {} was told that it had been given {}, {}, {why}: it can only have been given it while process {} held it, from {} to {}",
        floater.process,
        lock(&floater.key),
        when(&run.context, floater.ended),
        holder.process,
        core.from,
        core.until,
    );
    finding(run, holder, floater, to, margin.as_nanos(), explanation)
}

fn finding(run: &Run<'_>, first: &Grant, second: &Grant, at: RunTime, margin_ns: u128, explanation: String) -> Anomaly {
    run.anomaly(Finding {
        kind: AnomalyKind::DoubleAcquisition,
        grade: Grade::Proven,
        key: &first.key,
        ops: vec![first.acquire, second.acquire],
        at,
        margin_ns: u64::try_from(margin_ns).unwrap_or(u64::MAX),
        explanation,
    })
}
