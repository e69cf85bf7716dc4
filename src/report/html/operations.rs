//! How long operations took, in numbers.

use std::collections::BTreeMap;

use leasehold_checkers::history::{Op, Outcome};

use crate::report::story::Story;
use crate::report::words::{one_line, span, thousands};

/// More kinds of operation than these are some other tool's; they are left out.
const KINDS_MAX: usize = 12;

/// One kind of operation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OpRow {
    pub(super) name: String,
    pub(super) ok: String,
    pub(super) fail: String,
    pub(super) unknown: String,
    /// How long the answered ones took: the median, what 99 of 100 stayed below, and the longest.
    pub(super) median: String,
    pub(super) most: String,
    pub(super) longest: String,
}

pub(super) fn of(story: &Story<'_>) -> Vec<OpRow> {
    let mut kinds: BTreeMap<&str, Vec<&Op>> = BTreeMap::new();
    for op in &story.ops {
        kinds.entry(&op.f).or_default().push(op);
    }
    kinds.into_iter().take(KINDS_MAX).map(|(name, ops)| row(name, &ops)).collect()
}

fn row(name: &str, ops: &[&Op]) -> OpRow {
    let count = |wanted: &[Outcome]| thousands(ops.iter().filter(|op| wanted.contains(&op.outcome)).count());
    let answered = ops.iter().filter(|op| matches!(op.outcome, Outcome::Ok | Outcome::Fail));
    let mut took_ns: Vec<u64> = answered.filter_map(|op| Some(op.ended?.0.saturating_sub(op.invoked.0))).collect();
    took_ns.sort_unstable();
    OpRow {
        name: one_line(name, 40),
        ok: count(&[Outcome::Ok]),
        fail: count(&[Outcome::Fail]),
        unknown: count(&[Outcome::Info, Outcome::Open]),
        median: quantile(&took_ns, 0.5),
        most: quantile(&took_ns, 0.99),
        longest: quantile(&took_ns, 1.0),
    }
}

/// The least value that at least this share of all does not exceed.
fn quantile(sorted: &[u64], share: f64) -> String {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).map_or_else(|| "–".to_owned(), |ns| span(*ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=100).map(|ms| ms * 1_000_000).collect();
        assert_eq!(quantile(&values, 0.5), "50 ms");
        assert_eq!(quantile(&values, 0.99), "99 ms");
        assert_eq!(quantile(&values, 1.0), "100 ms");
        assert_eq!(quantile(&values[..1], 0.5), "1 ms");
        assert_eq!(quantile(&[], 0.5), "–");
    }
}
