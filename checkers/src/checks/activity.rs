//! Whether anything happened that could be judged: a lock that nobody got was never tested.

use super::Run;
use crate::explain::Count;
use crate::verdict::{Anomaly, CheckerResult, Verdict};

/// The name of this checker.
pub const NAME: &str = "activity";

/// Says `unknown` where no acquisition succeeded.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let granted = run.all_grants().count();
    let ops = Count(run.ops.len(), "op");
    let result = if granted == 0 {
        CheckerResult { verdict: Verdict::Unknown, reason: format!("no acquisition succeeded in {ops}") }
    } else {
        let granted = Count(granted, "acquisition");
        CheckerResult { verdict: Verdict::Valid, reason: format!("{granted} succeeded in {ops}") }
    };
    (result, Vec::new())
}
