//! `summary.md`: the run as the timeline of an incident report, short enough for a chat.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use leasehold_checkers::history::vocabulary::f;
use leasehold_checkers::history::{Outcome, RunTime};
use leasehold_checkers::verdict::{Anomaly, AnomalyKind, Grade, Verdict};

use super::markdown::{code, link, lock, prose};
use super::story::{End, Fault, Hold, Impact, Story, in_words};
use super::words::{self, counted, instant, span, thousands};
use super::{command, plots, proof};

/// Anomalies that are spelled out; the rest is counted.
const ANOMALIES_MAX: usize = 5;
const FAULTS_MAX: usize = 6;
const LEADERS_MAX: usize = 6;
const SENTENCE_MAX: usize = 400;

/// Writes the summary.
pub(super) fn of(story: &Story<'_>) -> String {
    let impact = story.impact();
    let mut page = Page::default();
    page.title(story);
    page.paragraph(&opening(story, &impact));
    if story.telling_anomaly().is_some() {
        let closeup = plots::CLOSEUP;
        page.paragraph(&format!("![The holds around the broken promise](plots/{closeup}.png)"));
    }
    page.section("What happened", &timeline(story));
    if story.judgement.verdict == Verdict::Unknown {
        page.section("Why there is no verdict", &why_unknown(story));
    }
    page.section("Impact", &impact_lines(story, &impact));
    page.section("Contributing faults", &fault_lines(story));
    page.section("Leader changes", &leader_lines(story));
    page.section("What held, and what did not", &held_lines(story));
    page.section("Assumptions and limits", &limits(story));
    page.section("Reproduce", &[]);
    page.paragraph(&format!("```sh\n{}\n```", command::reproduce(&story.history.header)));
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn title(&mut self, story: &Story<'_>) {
        let header = &story.history.header;
        let verdict = story.judgement.verdict;
        let meaning = match verdict {
            Verdict::Invalid => "the lock did not hold",
            Verdict::Unknown => "this run proves nothing",
            Verdict::Valid => "the lock held",
        };
        let word = verdict.to_string().to_uppercase();
        let servers = prose(&header.servers, 60);
        let _ = writeln!(self.text, "# {word}: {meaning} ({servers}, {})\n", code(&header.scenario));
    }

    fn paragraph(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push_str("\n\n");
    }

    /// A heading and its list. A section with nothing to say is left out, but for the one that a command follows.
    fn section(&mut self, heading: &str, lines: &[String]) {
        if lines.is_empty() && heading != "Reproduce" {
            return;
        }
        let _ = writeln!(self.text, "## {heading}\n");
        for line in lines {
            let _ = writeln!(self.text, "- {line}");
        }
        if !lines.is_empty() {
            self.text.push('\n');
        }
    }
}

fn opening(story: &Story<'_>, impact: &Impact<'_>) -> String {
    let header = &story.history.header;
    let run = format!(
        "The run: {} of {} against {} ({}), {}, seed {}, started {}.",
        span(story.end.0),
        code(&header.workload),
        prose(&header.servers, 60),
        prose(&header.service, 40),
        counted(usize::from(header.nodes), "server", "servers"),
        header.seed,
        prose(&header.start, 40),
    );
    let said = match story.judgement.verdict {
        Verdict::Invalid => broken_in_short(story, impact),
        Verdict::Valid => tried_in_short(story),
        Verdict::Unknown => "**This is not a pass:** the run does not allow a judgement.".to_owned(),
    };
    format!("{said}\n\n{run}")
}

fn broken_in_short(story: &Story<'_>, impact: &Impact<'_>) -> String {
    let Some(worst) = story.worst_anomaly() else {
        return "A checker found the run invalid; see below what each checker says.".to_owned();
    };
    let times = match impact.proven() {
        1 => "once".to_owned(),
        many => format!("{} times", thousands(many)),
    };
    let mut said = format!(
        "**{} broke its promise {times} on {}.** At worst {} {}",
        prose(&story.history.header.service, 40),
        counted(impact.keys.len(), "lock", "locks"),
        in_words(worst.kind),
        margin(worst),
    );
    let faults: Vec<String> =
        story.faults.iter().filter(|fault| fault.touches(RunTime(worst.at_ns))).take(3).map(short).collect();
    if !faults.is_empty() {
        let _ = write!(said, ", under these faults: {}", words::list(&faults));
    }
    said.push('.');
    said
}

fn short(fault: &Fault) -> String {
    prose(&fault.what_and_where(), 80)
}

/// What the margin of an anomaly measures.
fn margin(anomaly: &Anomaly) -> String {
    let margin = span(anomaly.margin_ns);
    match anomaly.kind {
        AnomalyKind::DoubleAcquisition | AnomalyKind::SplitBelief => format!("for {margin}"),
        AnomalyKind::PrematureExpiry | AnomalyKind::OverdueExpiry => format!("by {margin}"),
    }
}

fn tried_in_short(story: &Story<'_>) -> String {
    let faults = match story.faults.len() {
        0 => "No fault was injected.".to_owned(),
        some => format!("{} injected.", counted(some, "fault was", "faults were")),
    };
    format!("**No promise was broken** in {}. {faults}", tally(story))
}

/// What the verdict rests on, in numbers.
fn tally(story: &Story<'_>) -> String {
    let expiries = story.holds.iter().filter(|hold| matches!(hold.end, End::Gone(..))).count();
    let parts = [
        counted(story.count(f::ACQUIRE, Outcome::Ok), "acquisition", "acquisitions"),
        counted(story.count(f::RENEW, Outcome::Ok), "renewal", "renewals"),
        counted(story.count(f::RELEASE, Outcome::Ok), "release", "releases"),
        counted(expiries, "expiry", "expiries"),
    ];
    words::list(&parts)
}

/// The essential moments in their order.
fn timeline(story: &Story<'_>) -> Vec<String> {
    let mut moments: Vec<(RunTime, String)> = Vec::new();
    moments.extend(story.holds.first().map(|hold| (hold.from, first_grant(hold))));
    for fault in story.faults.iter().take(FAULTS_MAX) {
        let biting = prose_with_emphasis(&proof::in_words(fault));
        moments.push((fault.from, format!("fault: {} ({biting})", short(fault))));
        if fault.healed {
            moments.push((fault.until, format!("healed: {}", short(fault))));
        }
    }
    moments.extend(anomaly_moments(story));
    moments.push((story.end, "end of the run".to_owned()));
    moments.sort_by_key(|(at, _)| *at);
    moments.into_iter().map(|(at, text)| format!("{}: {text}", instant(at))).collect()
}

/// Our own emphasis around a remark stays; what was measured is foreign text.
fn prose_with_emphasis(remark: &str) -> String {
    match remark.strip_prefix("**").and_then(|rest| rest.strip_suffix("**")) {
        Some(inner) => format!("**{}**", prose(inner, 200)),
        None => prose(remark, 200),
    }
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
                (true, _) => "**first broken promise**: ",
                (false, true) => "**worst**: ",
                (false, false) => "",
            };
            (RunTime(anomaly.at_ns), format!("{mark}{}", prose(&anomaly.explanation, SENTENCE_MAX)))
        })
        .collect();
    if uncounted > 0 {
        moments.push((RunTime(last_spelled), format!("… and {} like these", counted(uncounted, "more", "more"))));
    }
    moments
}

fn impact_lines(story: &Story<'_>, impact: &Impact<'_>) -> Vec<String> {
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
                in_words(count.kind),
                margin(count.worst)
            )
        })
        .collect();
    if impact.double_runs > 0 {
        lines.push(format!(
            "double runs: {}, up to {} each; in total locks had two holders for {}",
            thousands(impact.double_runs),
            span(impact.double_worst_ns),
            span(impact.double_total_ns),
        ));
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
        return counted(keys.len(), "lock", "locks");
    }
    words::list(&keys.into_iter().map(lock).collect::<Vec<_>>())
}

fn fault_lines(story: &Story<'_>) -> Vec<String> {
    let first = story.first_anomaly().map(|anomaly| RunTime(anomaly.at_ns));
    let mut lines: Vec<String> = story
        .faults
        .iter()
        .take(FAULTS_MAX)
        .map(|fault| {
            let until = if fault.healed { format!("to {}", instant(fault.until)) } else { "never healed".to_owned() };
            let near =
                if first.is_some_and(|at| fault.touches(at)) { "; **near the first broken promise**" } else { "" };
            format!(
                "{}, {} {until}: {}{near}",
                short(fault),
                instant(fault.from),
                prose_with_emphasis(&proof::in_words(fault))
            )
        })
        .collect();
    if story.faults.is_empty() {
        lines.push("none was injected".to_owned());
    }
    push_rest(&mut lines, story.faults.len(), FAULTS_MAX);
    lines
}

fn leader_lines(story: &Story<'_>) -> Vec<String> {
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

fn held_lines(story: &Story<'_>) -> Vec<String> {
    story
        .judgement
        .checkers
        .iter()
        .map(|(name, result)| {
            let verdict = match result.verdict {
                Verdict::Valid => "held",
                Verdict::Unknown => "**unknown**",
                Verdict::Invalid => "**broken**",
            };
            format!("{}: {verdict}: {}", code(name), prose(&result.reason, 200))
        })
        .collect()
}

fn why_unknown(story: &Story<'_>) -> Vec<String> {
    let mut lines: Vec<String> = story
        .judgement
        .checkers
        .values()
        .filter(|result| result.verdict == Verdict::Unknown)
        .map(|result| prose(&result.reason, SENTENCE_MAX))
        .collect();
    if story.count(f::ACQUIRE, Outcome::Ok) == 0 {
        let tried = story.ops.iter().filter(|op| op.f == f::ACQUIRE).count();
        lines.push(format!("{} tried, none succeeded", counted(tried, "acquisition was", "acquisitions were")));
    }
    lines.extend(errors(story));
    lines.push(
        "what to do: see the servers' own words in `logs/`, then run again for longer or with fewer faults".to_owned(),
    );
    lines
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
            format!("{} × {}, first with the words: {}", thousands(count), code(name), prose(text, 160))
        })
        .collect()
}

fn limits(story: &Story<'_>) -> Vec<String> {
    let header = &story.history.header;
    let contract = &header.contract;
    let mut lines =
        vec![format!("the promises are those of {} ({})", prose(&contract.service, 40), link(&contract.source))];
    lines.push(format!(
        "all times are the harness's {}, which no fault touches; a lease may end {} its TTL after the request that granted it",
        code(&header.clock),
        match contract.early_slack_ms {
            0 => "no earlier than".to_owned(),
            slack => format!("{} before", span(slack.saturating_mul(1_000_000))),
        }
    ));
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
