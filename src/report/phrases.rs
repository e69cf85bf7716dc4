//! What the summary and the terminal say alike, in plain words without any markup.

use std::borrow::Cow;
use std::collections::BTreeMap;

use leasehold_checkers::history::vocabulary::{code, f};
use leasehold_checkers::history::{Op, Outcome, RunTime};
use leasehold_checkers::verdict::{Anomaly, AnomalyKind, Verdict};

use serde_json::Value;

use super::proof;
use super::story::{Effect, End, Fault, Impact, Story, in_words, who_locked_up};
use super::words::{self, counted, instant, span, thousands};
use crate::results::Ending;

/// The package that changes what servers tell each other.
const CORRUPT: &str = "corrupt";

/// The verdict in the fewest words: what became of what the run is about.
pub(super) fn outcome(story: &Story<'_>) -> Cow<'static, str> {
    let worst = story.worst_anomaly().map(|worst| worst.kind);
    // No promise is broken by that, and yet it is what the reader has to know.
    let ended = story.ended_of_a_packet();
    match story.judgement.verdict {
        Verdict::Unknown if !ended.is_empty() => {
            return Cow::Owned(format!("a packet ended {}, and no promise can be judged", words::list(&ended)));
        }
        Verdict::Valid if !ended.is_empty() => {
            return Cow::Owned(format!("the lock held, but a packet ended {}", words::list(&ended)));
        }
        _ => {}
    }
    Cow::Borrowed(match story.judgement.verdict {
        Verdict::Invalid if worst == Some(AnomalyKind::DoubleRun) => "the job ran twice",
        Verdict::Invalid if worst == Some(AnomalyKind::Lockup) => {
            let explanation = story.worst_anomaly().map_or("", |worst| worst.explanation.as_str());
            return Cow::Owned(format!("{} locked up", who_locked_up(explanation)));
        }
        Verdict::Invalid if worst == Some(AnomalyKind::Divergence) => "the replicas differ",
        // What the scenario asks for, and no service promises.
        Verdict::Invalid if worst == Some(AnomalyKind::SplitBelief) => "two believed that they held one lock",
        Verdict::Invalid if story.is_about_registers() => "no order explains the answers",
        Verdict::Invalid => "the lock did not hold",
        Verdict::Unknown => "this run proves nothing",
        Verdict::Valid if story.is_about_registers() => "some order explains every answer",
        Verdict::Valid => "the lock held",
    })
}

/// Why what is told is not the whole of what was to be: the run did not come to its end, or its record did not.
pub(super) fn cut_short(story: &Story<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(run) = &story.run {
        let of = run.seconds.map_or_else(String::new, |seconds| format!(" of {seconds} s"));
        let reached = format!("after {}{of}", span(story.end.0));
        lines.extend(match &run.ending {
            Some(Ending::Completed) => None,
            Some(Ending::Interrupted) => {
                Some(format!("the run was interrupted {reached}; what was recorded until then was judged"))
            }
            Some(Ending::Failed(why)) => Some(format!("the run broke off {reached}: {}", words::one_line(why, 300))),
            None => Some(format!("the run never ended: it was killed, or goes on still; its record ends {reached}")),
        });
    }
    if story.history.truncated {
        lines.push("the record was cut short in the middle of a line: what came after is not known".to_owned());
    }
    lines
}

/// What the service is called.
pub(super) fn service(story: &Story<'_>) -> String {
    if story.is_foreign() { "the service".to_owned() } else { words::one_line(&story.history.header.service, 40) }
}

/// How often the promise was broken, and how badly.
pub(super) fn broken_in_short(story: &Story<'_>, impact: &Impact<'_>) -> String {
    let Some(worst) = story.worst_anomaly() else {
        return "a checker found the run invalid".to_owned();
    };
    let times = match impact.proven() {
        1 => "once".to_owned(),
        many => format!("{} times", thousands(many)),
    };
    let service = service(story);
    let keys = keys(story, impact.keys.len());
    let is_all = impact.kinds.iter().all(|count| count.proven == 0 || count.kind == worst.kind);
    match worst.kind {
        AnomalyKind::DoubleRun => {
            let kept = if is_all { format!("; {service} kept its word") } else { String::new() };
            format!("a job ran twice at once, {times} on {keys}, at worst {}{kept}", margin(worst))
        }
        // What the scenario asks for, and no service promises.
        AnomalyKind::SplitBelief if is_all => {
            let (what, margin) = (in_words(worst), margin(worst));
            format!("{what}, {times} on {keys}, at worst {margin}; {service} kept its word")
        }
        // Nobody has promised to serve, and where nobody is served it is not about one lock or another.
        AnomalyKind::Lockup if !is_of_corruption(story) => {
            let what = match who_locked_up(&worst.explanation).as_ref() {
                "the cluster" => service,
                "a request" => format!("a request to {service}"),
                _ => format!("a server of {service}"),
            };
            format!("{what} locked up {times}; at worst {} {}", in_words(worst), margin(worst))
        }
        // Nobody has promised by when a replica catches up.
        AnomalyKind::Divergence => {
            let since = if is_of_corruption(story) { " since packets between them were changed" } else { "" };
            format!("{service}'s replicas differ{since}; at worst {} {}", in_words(worst), margin(worst))
        }
        _ => {
            let what = if is_of_corruption(story) { "did not survive changed packets:" } else { "broke its promise" };
            format!("{service} {what} {times} on {keys}; at worst {} {}", in_words(worst), margin(worst))
        }
    }
}

/// Whether what servers told each other was changed before the worst that happened, and TCP did not notice. No service promises to
/// survive that: what clients were told is as false as ever, but no promise was broken.
fn is_of_corruption(story: &Story<'_>) -> bool {
    let Some(worst) = story.worst_anomaly() else { return false };
    story.faults.iter().any(|fault| {
        let undetected = |proof: &Value| proof["detected"] == Value::Bool(false);
        let bit =
            matches!(&fault.effect, Effect::Bit(proof) if undetected(proof)) || undetected(&fault.measured_at_end);
        fault.package == CORRUPT && bit && fault.from <= RunTime(worst.at_ns)
    })
}

/// So many locks, or registers.
pub(super) fn keys(story: &Story<'_>, count: usize) -> String {
    if story.is_about_registers() { counted(count, "register", "registers") } else { counted(count, "lock", "locks") }
}

/// The faults around the worst anomaly, a few of them. What came several times is said once.
pub(super) fn faults_at_worst(story: &Story<'_>) -> Vec<String> {
    const FAULTS_MAX: usize = 3;
    let Some(worst) = story.worst_anomaly() else { return Vec::new() };
    // What a malformed packet did may show much later.
    let is_near = |fault: &&Fault| {
        let is_earlier_packet = fault.package == f::PACKET && fault.from.0 <= worst.at_ns;
        is_earlier_packet || fault.touches(RunTime(worst.at_ns))
    };
    let near = story.faults.iter().filter(is_near).map(Fault::what_and_where);
    let mut faults: Vec<(String, usize)> = Vec::new();
    for fault in near {
        match faults.iter_mut().find(|(known, _)| *known == fault) {
            Some((_, times)) => *times += 1,
            None => faults.push((fault, 1)),
        }
    }
    let in_words = |(fault, times)| if times == 1 { fault } else { format!("{times} × {fault}") };
    faults.into_iter().take(FAULTS_MAX).map(in_words).collect()
}

/// What the margin of an anomaly measures.
pub(super) fn margin(anomaly: &Anomaly) -> String {
    if let Some(gone_for_ns) = anomaly.lease_gone_for_ns {
        return format!("{} after its own lease was gone", span(gone_for_ns));
    }
    let margin = span(anomaly.margin_ns);
    match anomaly.kind {
        AnomalyKind::DoubleAcquisition
        | AnomalyKind::DoubleRun
        | AnomalyKind::SplitBelief
        | AnomalyKind::Divergence
        | AnomalyKind::Lockup => format!("for {margin}"),
        AnomalyKind::Nonlinearizable => {
            format!("shown by {}", counted(anomaly.ops.len(), "operation", "operations"))
        }
        AnomalyKind::PrematureExpiry
        | AnomalyKind::PhantomGrant
        | AnomalyKind::LockDelayBroken
        | AnomalyKind::OverdueExpiry => format!("by {margin}"),
        AnomalyKind::LostGrant | AnomalyKind::Fencing | AnomalyKind::StaleRead => format!("{margin} later"),
    }
}

/// What the verdict rests on, in numbers.
pub(super) fn tally(story: &Story<'_>) -> String {
    if story.is_about_registers() {
        let parts = [
            counted(story.count(f::READ, Outcome::Ok), "read", "reads"),
            counted(story.count(f::WRITE, Outcome::Ok), "write", "writes"),
            counted(story.count(f::CAS, Outcome::Ok), "swap", "swaps"),
        ];
        return words::list(&parts);
    }
    let expiries = story.holds.iter().filter(|hold| matches!(hold.end, End::Gone(..))).count();
    let mut parts = vec![
        counted(story.count(f::ACQUIRE, Outcome::Ok), "acquisition", "acquisitions"),
        counted(story.count(f::RENEW, Outcome::Ok), "renewal", "renewals"),
        counted(story.count(f::RELEASE, Outcome::Ok), "release", "releases"),
        counted(expiries, "expiry", "expiries"),
    ];
    let lost = |op: &&Op| op.f == f::WORK && (op.failed_with(code::FENCED) || op.failed_with(code::NOT_HELD));
    let (worked, refused) = (story.count(f::WORK, Outcome::Ok), story.ops.iter().filter(lost).count());
    if worked + refused > 0 {
        parts.push(format!(
            "{} ({} more refused, for the lock was lost)",
            counted(worked, "piece of work", "pieces of work"),
            thousands(refused)
        ));
    }
    words::list(&parts)
}

/// How many faults were injected, and how many of them came to nothing.
pub(super) fn faults_in_short(story: &Story<'_>) -> String {
    let missed = story.injected().filter(|fault| fault.missed()).count();
    match (story.injected().count(), missed) {
        (0, _) => "no fault was injected".to_owned(),
        (all, 0) => format!("{} injected", counted(all, "fault was", "faults were")),
        (all, missed) => {
            format!(
                "{} injected, {} of which had no effect",
                counted(all, "fault was", "faults were"),
                thousands(missed)
            )
        }
    }
}

/// A fault with its times and the proof of its effect.
pub(super) fn fault(fault: &Fault) -> String {
    let (what, from) = (fault.what_and_where(), instant(fault.from));
    let until = if fault.healed { format!("to {}", instant(fault.until)) } else { "on, never healed".to_owned() };
    let at_end = proof::at_end_in_words(fault).map_or_else(String::new, |measured| format!("; at its end {measured}"));
    format!("{what}, from {from} {until}: {}{at_end}", proof::in_words(fault))
}

/// What kept the checkers from judging: their own words, then the errors that were met most often.
pub(super) fn why_unknown(story: &Story<'_>) -> Vec<String> {
    let results = story.judgement.checkers.values();
    let mut reasons: Vec<String> = Vec::new();
    for result in results.filter(|result| result.verdict == Verdict::Unknown) {
        let reason = words::one_line(&result.reason, 300);
        // Where the record has a flaw, every checker names it again.
        if !reasons.iter().any(|known| reason.contains(known.as_str()) || known.contains(&reason)) {
            reasons.push(reason);
        }
    }
    reasons.extend(errors(story));
    reasons
}

/// The errors that were met most often.
fn errors(story: &Story<'_>) -> Vec<String> {
    const ERRORS_MAX: usize = 3;
    let mut counts: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for error in story.ops.iter().filter_map(|op| op.error.as_ref()) {
        counts.entry(&error.code).or_insert((0, &error.text)).0 += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    counts
        .into_iter()
        .take(ERRORS_MAX)
        .map(|(name, (count, text))| {
            format!(
                "{} × {}, first with the words: {}",
                thousands(count),
                words::one_line(name, 40),
                words::one_line(text, 160)
            )
        })
        .collect()
}
