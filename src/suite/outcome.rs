//! What came of a run, and whether that is what was expected.

use leasehold_checkers::history::{Action, Op, Ops, Outcome as HowItEnded};
use leasehold_checkers::verdict::{AnomalyKind, Grade, Judgement, Verdict};
use serde::{Deserialize, Serialize};

use super::cell::names;
use super::{Expectation, Kind};

/// What came of a run. A line of `cells.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellResult {
    /// The cell.
    pub cell: String,
    /// The verdict; `None` where the run came to none.
    pub verdict: Option<Verdict>,
    /// The exit code of the run; `None` where a signal ended it.
    pub exit: Option<i32>,
    /// What was proven, most serious first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
    /// Why it is not valid, in a sentence; empty where it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// How quickly the service answered, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// How long requests took that succeeded. Those that wait in a queue for a lock are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Half of them took no longer, in microseconds.
    pub p50_us: u64,
    /// 99 of 100 took no longer, in microseconds.
    pub p99_us: u64,
}

impl Latency {
    /// That of these ops; `None` where none succeeded.
    #[must_use]
    pub fn of(ops: &Ops) -> Option<Self> {
        let waits = |op: &Op| matches!(op.action, Action::Acquire { blocking: true, .. });
        let counts = |op: &&Op| op.outcome == HowItEnded::Ok && op.asks_the_service() && !waits(op);
        let took = |op: &Op| op.ended.map(|ended| ended.since(op.invoked).as_micros());
        let mut took: Vec<u128> = ops.iter().filter(counts).filter_map(took).collect();
        took.sort_unstable();
        let rank = |percent: usize| {
            let place = (took.len() * percent).div_ceil(100).checked_sub(1)?;
            took.get(place).map(|&us| u64::try_from(us).unwrap_or(u64::MAX))
        };
        Some(Self { p50_us: rank(50)?, p99_us: rank(99)? })
    }
}

/// What was proven of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The kind.
    pub kind: Kind,
    /// How often.
    pub count: usize,
    /// By how much at most, in nanoseconds.
    pub margin_ns: u64,
}

impl CellResult {
    /// What a run came to that was judged.
    #[must_use]
    pub fn judged(cell: &str, judgement: &Judgement, exit: Option<i32>, took_ms: u64) -> Self {
        let proven: Vec<_> = judgement.anomalies.iter().filter(|found| found.grade == Grade::Proven).collect();
        let mut found: Vec<Found> = Vec::new();
        for anomaly in &proven {
            match found.iter_mut().find(|known| known.kind == anomaly.kind) {
                Some(known) => {
                    known.count += 1;
                    known.margin_ns = known.margin_ns.max(anomaly.margin_ns);
                }
                None => found.push(Found { kind: anomaly.kind, count: 1, margin_ns: anomaly.margin_ns }),
            }
        }
        let why = match judgement.verdict {
            Verdict::Valid => String::new(),
            Verdict::Invalid => proven.first().map(|anomaly| anomaly.explanation.clone()).unwrap_or_default(),
            Verdict::Unknown => {
                let in_doubt = judgement.checkers.iter().filter(|(_, result)| result.verdict == Verdict::Unknown);
                in_doubt.map(|(name, result)| format!("{name}: {}", result.reason)).collect::<Vec<_>>().join("; ")
            }
        };
        Self { cell: cell.to_owned(), verdict: Some(judgement.verdict), exit, found, why, latency: None, took_ms }
    }

    fn kinds(&self) -> Vec<AnomalyKind> {
        self.found.iter().map(|found| found.kind).collect()
    }
}

/// A result beside what was expected, best first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// As expected.
    Expected,
    /// What is known was seen again.
    Known,
    /// The record allows no judgement.
    Undecided,
    /// It did not run: why.
    Failed,
    /// Something else than was expected: what.
    Unexpected(String),
}

impl Outcome {
    /// What to make of a result.
    #[must_use]
    pub fn of(result: &CellResult, expect: &Expectation) -> Self {
        let kinds = result.kinds();
        let beyond = |allowed: &[&[Kind]]| -> Vec<Kind> {
            kinds.iter().copied().filter(|kind| !allowed.iter().any(|kinds| kinds.contains(kind))).collect()
        };
        match (result.verdict, expect) {
            (None, _) => Self::Failed,
            (Some(Verdict::Unknown), _) => Self::Undecided,
            (Some(Verdict::Valid), Expectation::Valid | Expectation::Known { .. }) => Self::Expected,
            (Some(Verdict::Valid), Expectation::Invalid { kinds, .. }) => {
                Self::Unexpected(format!("it is valid, and {} was expected", names(kinds)))
            }
            (Some(Verdict::Invalid), Expectation::Valid) => Self::Unexpected(format!("{} found", names(&kinds))),
            (Some(Verdict::Invalid), Expectation::Known { kinds: known, .. }) => match &beyond(&[known])[..] {
                [] => Self::Known,
                more => Self::Unexpected(format!("{} found, which is not among what is known", names(more))),
            },
            (Some(Verdict::Invalid), Expectation::Invalid { kinds: wanted, also }) => {
                let missing: Vec<Kind> = wanted.iter().copied().filter(|kind| !kinds.contains(kind)).collect();
                match (&missing[..], &beyond(&[wanted, also])[..]) {
                    ([], []) => Self::Expected,
                    ([], more) => Self::Unexpected(format!("{} found beside what was expected", names(more))),
                    (missing, _) => Self::Unexpected(format!("{} was expected and not found", names(missing))),
                }
            }
        }
    }

    /// In a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Expected => "as expected",
            Self::Known => "known",
            Self::Undecided => "undecided",
            Self::Failed => "did not run",
            Self::Unexpected(_) => "UNEXPECTED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(verdict: Option<Verdict>, kinds: &[Kind]) -> CellResult {
        let found = kinds.iter().map(|&kind| Found { kind, count: 1, margin_ns: 1 }).collect();
        CellResult { cell: "c".to_owned(), verdict, exit: None, found, why: String::new(), latency: None, took_ms: 1 }
    }

    #[test]
    fn a_result_is_measured_by_what_was_expected() {
        use AnomalyKind::{DoubleAcquisition as Double, Fencing, PrematureExpiry as Early};
        let invalid = Expectation::Invalid { kinds: vec![Early], also: vec![Double] };
        let known = Expectation::Known { kinds: vec![Early], reason: "r".to_owned(), link: None };
        let of = |verdict, kinds: &[Kind], expect: &Expectation| Outcome::of(&result(Some(verdict), kinds), expect);
        let unexpected = |outcome: Outcome, told: &str| {
            assert!(matches!(&outcome, Outcome::Unexpected(why) if why.contains(told)), "{outcome:?}");
        };
        assert_eq!(of(Verdict::Valid, &[], &Expectation::Valid), Outcome::Expected);
        unexpected(of(Verdict::Invalid, &[Early], &Expectation::Valid), "premature-expiry found");
        assert_eq!(of(Verdict::Invalid, &[Early], &invalid), Outcome::Expected);
        assert_eq!(of(Verdict::Invalid, &[Double, Early], &invalid), Outcome::Expected);
        unexpected(of(Verdict::Invalid, &[Double], &invalid), "premature-expiry was expected and not found");
        unexpected(of(Verdict::Invalid, &[Early, Fencing], &invalid), "fencing found beside");
        unexpected(of(Verdict::Valid, &[], &invalid), "it is valid");
        assert_eq!(of(Verdict::Valid, &[], &known), Outcome::Expected);
        assert_eq!(of(Verdict::Invalid, &[Early], &known), Outcome::Known);
        unexpected(of(Verdict::Invalid, &[Early, Fencing], &known), "fencing found");
        for expect in [&invalid, &known, &Expectation::Valid] {
            assert_eq!(of(Verdict::Unknown, &[], expect), Outcome::Undecided);
            assert_eq!(Outcome::of(&result(None, &[]), expect), Outcome::Failed);
        }
    }
}
