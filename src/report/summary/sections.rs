//! The sections of the summary below the timeline. Each is a list of lines.

use leasehold_checkers::history::RunTime;
use leasehold_checkers::verdict::{AnomalyKind, CheckerResult, Grade, Verdict};

use crate::report::markdown::{code, link, lock, prose};
use crate::report::phrases;
use crate::report::story::{Impact, Story, in_words};
use crate::report::words::{self, counted, instant, span, thousands};

const FAULTS_MAX: usize = 6;
const LEADERS_MAX: usize = 6;
const SENTENCE_MAX: usize = 400;

/// How many promises were broken, of which kind, and how badly.
pub(super) fn impact(story: &Story<'_>, impact: &Impact<'_>) -> Vec<String> {
    let mut lines: Vec<String> = impact
        .kinds
        .iter()
        .filter(|count| count.proven > 0)
        .map(|count| {
            let keys = keys_of(story, count.kind);
            format!(
                "{} × **{}** on {keys}: {}, at worst {}",
                thousands(count.proven),
                count.kind,
                in_words(count.worst),
                phrases::margin(count.worst)
            )
        })
        .collect();
    if impact.double_runs > 0 {
        lines.push(format!(
            "promised to two at once: {} times, for up to {} each; added up over the locks, for {}",
            thousands(impact.double_runs),
            span(impact.double_worst_ns),
            span(impact.double_total_ns),
        ));
    }
    if impact.kinds.iter().any(|count| count.kind == AnomalyKind::DoubleRun) {
        lines.push(
            "no lock keeps a holder that stands still from going on when it wakes: only a store that refuses old fencing tokens does \
             (`guard = \"token\"`)"
                .to_owned(),
        );
    }
    for count in impact.kinds.iter().filter(|count| count.possible > 0) {
        let worst = match count.worst.grade {
            Grade::Possible => format!(", for example: {}", prose(&count.worst.explanation, SENTENCE_MAX)),
            Grade::Proven => String::new(),
        };
        lines.push(format!("worth a look, not proven: {} × {}{worst}", thousands(count.possible), count.kind));
    }
    lines
}

fn keys_of(story: &Story<'_>, kind: AnomalyKind) -> String {
    const NAMES_MAX: usize = 3;
    let mut keys: Vec<&str> = story.proven().filter(|anomaly| anomaly.kind == kind).map(|a| a.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.len() > NAMES_MAX {
        return phrases::keys(story, keys.len());
    }
    words::list(&keys.into_iter().map(lock).collect::<Vec<_>>())
}

/// What the nemesis did, and what shows that it took effect.
pub(super) fn faults(story: &Story<'_>) -> Vec<String> {
    let first = story.first_anomaly().map(|anomaly| RunTime(anomaly.at_ns));
    let mut lines: Vec<String> = story
        .faults_to_tell(FAULTS_MAX)
        .into_iter()
        .map(|fault| {
            let told = prose(&phrases::fault(fault), SENTENCE_MAX);
            let is_near = first.is_some_and(|at| fault.touches(at));
            let remark = if is_near { format!("; **near the first {}**", story.offence()) } else { String::new() };
            if fault.missed() { format!("**{told}**{remark}") } else { format!("{told}{remark}") }
        })
        .collect();
    if lines.is_empty() {
        lines.push("none was injected".to_owned());
    }
    push_rest(&mut lines, story.faults.len(), FAULTS_MAX);
    lines
}

/// Who led first, and who led next.
pub(super) fn leaders(story: &Story<'_>) -> Vec<String> {
    let Some(first) = story.reigns.first() else {
        return vec!["no probe told who led".to_owned()];
    };
    let begun = format!("{} led when first asked (term {})", prose(&first.name(), 20), first.term);
    let changes = &story.reigns[1..];
    if changes.is_empty() {
        return vec![format!("none: {begun}")];
    }
    let mut lines = vec![begun];
    lines.extend(
        changes
            .iter()
            .take(LEADERS_MAX)
            .map(|reign| format!("{}: {} leads (term {})", instant(reign.since), prose(&reign.name(), 20), reign.term)),
    );
    push_rest(&mut lines, changes.len(), LEADERS_MAX);
    lines
}

fn push_rest(lines: &mut Vec<String>, all: usize, shown: usize) {
    if all > shown {
        lines.push(format!("… and {} more", thousands(all - shown)));
    }
}

/// Each checker's word.
pub(super) fn checkers(story: &Story<'_>) -> Vec<String> {
    let checkers = &story.judgement.checkers;
    let of = |wanted: Verdict| checkers.iter().filter(move |(_, result)| result.verdict == wanted);
    let told = |word: &'static str| {
        move |(name, result): (&String, &CheckerResult)| {
            format!("{word}: {}: {}", code(name), prose(&result.reason, 200))
        }
    };
    let mut lines: Vec<String> = of(Verdict::Invalid).map(told("**broken**")).collect();
    lines.extend(of(Verdict::Unknown).map(told("**unknown**")));
    let held: Vec<String> = of(Verdict::Valid).map(|(name, _)| code(name)).collect();
    if !held.is_empty() {
        lines.push(format!("held: {}; `verdict.json` has what each of them says", words::list(&held)));
    }
    lines
}

/// What kept the checkers from judging, and what to do about it.
pub(super) fn why_unknown(story: &Story<'_>) -> Vec<String> {
    let mut lines: Vec<String> = phrases::why_unknown(story).iter().map(|reason| prose(reason, SENTENCE_MAX)).collect();
    lines.push(
        "what to do: see the servers' own words in `logs/`, then run again for longer or with fewer faults".to_owned(),
    );
    lines
}

/// What the verdict rests on, and how far it reaches.
pub(super) fn limits(story: &Story<'_>) -> Vec<String> {
    let header = &story.history.header;
    let contract = &header.contract;
    let mut lines = Vec::new();
    if !story.is_foreign() {
        lines.push(format!("the promises are those of {} ({})", prose(&contract.service, 40), link(&contract.source)));
    }
    let clock = match story.is_foreign() {
        true => "all times are those of the record".to_owned(),
        false => format!("all times are the harness's {}, which no fault touches", code(&header.clock)),
    };
    lines.push(match contract.early_slack_ms {
        _ if story.is_about_registers() => clock,
        0 => format!("{clock}; a lease may end no earlier than its TTL after the request that granted it"),
        slack => {
            let slack = span(slack.saturating_mul(1_000_000));
            format!("{clock}; a lease may end {slack} before its TTL after the request that granted it")
        }
    });
    if contract.second_hand.is_some() {
        lines.push(
            "a renewal counts only where nothing disturbed the cluster around it, for its servers answer before the one that \
             keeps the leases has heard of it"
                .to_owned(),
        );
    }
    if header.clock_rate_error_ppm > 0 {
        lines.push(format!("clocks were allowed to run wrong by {} ppm", header.clock_rate_error_ppm));
    }
    let unknown = story.ops.iter().filter(|op| op.is_unanswered()).count();
    let judged = counted(story.judgement.ops, "operation was", "operations were");
    lines.push(match unknown {
        0 => format!("{judged} judged, and the outcome of each is known"),
        some => format!("{judged} judged; the outcome of {} is unknown, which accuses nobody", thousands(some)),
    });
    if story.judgement.verdict == Verdict::Valid {
        lines.push("a valid run shows that these faults at these moments broke nothing, not that none can".to_owned());
    }
    lines
}
