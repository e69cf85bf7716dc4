//! The essential moments of a run in their order.

use std::collections::BTreeMap;

use leasehold_checkers::history::RunTime;
use leasehold_checkers::verdict::Anomaly;

use crate::report::markdown::{lock, prose};
use crate::report::proof;
use crate::report::story::{Hold, Story};
use crate::report::words::{counted, instant, span};

const FAULTS_MAX: usize = 4;
/// Anomalies that are spelled out; the rest is counted.
const ANOMALIES_MAX: usize = 5;
const SENTENCE_MAX: usize = 400;

/// The essential moments in their order.
pub(super) fn of(story: &Story<'_>) -> Vec<String> {
    let mut moments: Vec<(RunTime, String)> = Vec::new();
    moments.extend(story.holds.first().map(|hold| (hold.from, first_grant(hold))));
    for fault in story.faults_to_tell(FAULTS_MAX) {
        let what = prose(&fault.what_and_where(), SENTENCE_MAX);
        let proof = prose(&proof::in_words(fault), SENTENCE_MAX);
        moments.push((fault.from, format!("fault: {what} ({proof})")));
        if fault.healed {
            let at_end = proof::at_end_in_words(fault).map(|measured| prose(&measured, SENTENCE_MAX));
            let at_end = at_end.map_or_else(String::new, |measured| format!(" ({measured})"));
            moments.push((fault.until, format!("healed: {what}{at_end}")));
        }
    }
    moments.extend(anomaly_moments(story));
    moments.push((story.end, "end of the run".to_owned()));
    moments.sort_by_key(|(at, _)| *at);
    moments.into_iter().map(|(at, text)| format!("{}: {text}", instant(at))).collect()
}

fn first_grant(hold: &Hold) -> String {
    format!(
        "first acquisition: process {} got {} for {}",
        hold.process,
        lock(&hold.key),
        span(hold.ttl_ms.saturating_mul(1_000_000))
    )
}

/// The first broken promise, the worst, and some between them; the rest is counted.
fn anomaly_moments(story: &Story<'_>) -> Vec<(RunTime, String)> {
    let (Some(first), Some(worst)) = (story.first_anomaly(), story.worst_anomaly()) else {
        return Vec::new();
    };
    // One event often breaks two promises: a lease that ends early hands its lock to another. Once is enough to tell.
    let mut told: BTreeMap<(&str, u64), &Anomaly> = BTreeMap::new();
    for anomaly in story.proven() {
        let teller = told.entry((&anomaly.key, anomaly.at_ns)).or_insert(anomaly);
        if anomaly.kind < teller.kind {
            *teller = anomaly;
        }
    }
    let is = |a: &Anomaly, b: &Anomaly| a.key == b.key && a.at_ns == b.at_ns;
    let mut shown: Vec<&Anomaly> =
        told.values().copied().filter(|anomaly| is(anomaly, first) || is(anomaly, worst)).collect();
    let mut others: Vec<&Anomaly> = told.into_values().filter(|a| !is(a, first) && !is(a, worst)).collect();
    others.sort_by_key(|anomaly| (anomaly.at_ns, anomaly.kind));
    let spelled = others.len().min(ANOMALIES_MAX.saturating_sub(shown.len()));
    let last_spelled = others.get(spelled.saturating_sub(1)).map_or(first.at_ns, |anomaly| anomaly.at_ns);
    let uncounted = others.len() - spelled;
    shown.extend(others.into_iter().take(spelled));

    let mut moments: Vec<(RunTime, String)> = shown
        .into_iter()
        .map(|anomaly| {
            let mark = match (is(anomaly, first), is(anomaly, worst)) {
                (true, _) => format!("**first {}**: ", story.offence()),
                (false, true) => "**worst**: ".to_owned(),
                (false, false) => String::new(),
            };
            (RunTime(anomaly.at_ns), format!("{mark}{}", prose(&anomaly.explanation, SENTENCE_MAX)))
        })
        .collect();
    if uncounted > 0 {
        moments.push((RunTime(last_spelled), format!("… and {} like these", counted(uncounted, "more", "more"))));
    }
    moments
}
