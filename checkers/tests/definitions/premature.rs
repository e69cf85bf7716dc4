//! Leases that end before their time.

use leasehold_checkers::verdict::Grade;

use super::facts::{Expected, Facts};

/// Something showed that the lease is gone before its earliest legal expiry, and no release had been asked for by then, but for
/// one that shows it itself.
pub(crate) fn premature_expiries(facts: &Facts<'_>) -> Vec<Expected> {
    let mut expected = Vec::new();
    for grant in facts.grants() {
        let expires = facts.earliest_expiry(&grant);
        let releases = facts.releases(&grant);
        let unasked = |gone_at: u64, shown_by: Option<usize>| {
            releases.iter().filter(|release| Some(release.index) != shown_by).all(|release| release.invoked.0 > gone_at)
        };
        let gone = facts.gone(&grant).into_iter().filter(|gone| gone.at < expires && unasked(gone.at, gone.own_op));
        if let Some(at) = gone.map(|gone| gone.at).min() {
            let (margins, ops) = ([expires - at].into(), vec![grant.op.index]);
            expected.push(Expected { at, grade: Grade::Proven, margins, ops });
        }
    }
    expected
}
