//! What stands in the page. Plain data, made of the story alone; `report.html` says where each of it goes.

use std::collections::BTreeSet;

use leasehold_checkers::verdict::{AnomalyKind, Grade, Verdict};

use super::network::{self, Network};
use super::operations::{self, OpRow};
use super::prose::{Prose, capitalised, prose, sentence};
use super::witness::{self, Witness};
use super::{lifelines, meaning};
use crate::report::plots::Inline;
use crate::report::story::{Fault, Impact, Poison, Story, in_words};
use crate::report::words::{counted, instant, list, one_line, span, thousands};
use crate::report::{command, phrases, proof};

/// More faults than these are counted; the timeline shows them all.
const FAULTS_MAX: usize = 40;
const LEADERS_MAX: usize = 20;

/// Everything that the page says, above its charts and its timeline.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) verdict: Verdict,
    pub(super) title: String,
    /// What a reader who stops here must know.
    pub(super) lead: Prose,
    /// The faults around the worst that happened.
    pub(super) blame: Option<Prose>,
    /// Which run it was.
    pub(super) facts: Vec<(&'static str, String)>,
    /// Why there is no verdict.
    pub(super) reasons: Vec<Prose>,
    pub(super) kinds: Vec<Kind>,
    pub(super) doubles: Option<Prose>,
    /// What the picture from close by shows.
    pub(super) closeup: &'static str,
    /// The operations that cannot be ordered, where that is what is shown from close by.
    pub(super) witness: Option<Witness>,
    /// Whether the run was about registers, which nobody holds.
    pub(super) registers: bool,
    pub(super) faults: Vec<FaultRow>,
    pub(super) faults_left_out: usize,
    pub(super) leaders: Vec<Prose>,
    pub(super) poison: Option<Poison>,
    /// What the packet did to the locks.
    pub(super) locks: Vec<Prose>,
    pub(super) checkers: Vec<CheckerRow>,
    pub(super) operations: Vec<OpRow>,
    pub(super) network: Option<Network>,
    pub(super) lifelines: Vec<Prose>,
    pub(super) limits: Vec<Prose>,
    /// Where the service's promises are written down, where that certainly is an address.
    pub(super) source: Option<String>,
    pub(super) command: String,
    /// That the run or its record did not come to an end.
    pub(super) cut_short: Vec<Prose>,
}

/// All anomalies of a kind.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) is_proven: bool,
    pub(super) times: String,
    pub(super) broken: Prose,
    pub(super) worst: Prose,
    pub(super) meaning: &'static str,
    /// The place of the worst among all anomalies, for the timeline to go to.
    pub(super) place: usize,
}

/// What the nemesis did once.
#[derive(Debug)]
pub(super) struct FaultRow {
    pub(super) what: String,
    pub(super) aimed_at: String,
    pub(super) from: String,
    pub(super) until: String,
    pub(super) proof: String,
    pub(super) missed: bool,
    /// Whether it was at work, or had just ended, when the worst happened.
    pub(super) is_near: bool,
}

/// A checker's word.
#[derive(Debug)]
pub(super) struct CheckerRow {
    pub(super) name: String,
    pub(super) verdict: Verdict,
    pub(super) reason: String,
}

impl Page {
    pub(super) fn of(story: &Story<'_>) -> Self {
        let verdict = story.judgement.verdict;
        let impact = story.impact();
        let poison = story.poison();
        Self {
            verdict,
            title: title(story),
            lead: lead(story, &impact),
            blame: blame(story),
            facts: facts(story),
            reasons: reasons(story),
            kinds: impact.kinds.iter().map(|count| kind(story, count.kind, &impact)).collect(),
            doubles: doubles(&impact),
            closeup: closeup(story),
            witness: witness::of(story),
            registers: story.is_about_registers(),
            faults: faults(story),
            faults_left_out: story.faults.len().saturating_sub(FAULTS_MAX),
            leaders: leaders(story),
            locks: poison.iter().flat_map(|poison| &poison.locks).map(|line| sentence(line)).collect(),
            poison,
            checkers: checkers(story),
            operations: operations::of(story),
            network: network::of(story),
            lifelines: lifelines::of(story),
            limits: limits(story),
            source: source(&story.history.header.contract.source),
            command: command::reproduce(&story.history.header),
            cut_short: phrases::cut_short(story).iter().map(|line| sentence(line)).collect(),
        }
    }

    /// What stands on the tab of a browser.
    pub(super) fn tab(&self) -> String {
        let scenario = self.facts.first().map_or("", |(_, scenario)| scenario.as_str());
        format!("{}: {scenario}", self.verdict.to_string().to_uppercase())
    }
}

fn title(story: &Story<'_>) -> String {
    capitalised(&phrases::outcome(story))
}

fn closeup(story: &Story<'_>) -> &'static str {
    match story.telling_anomaly().map(|anomaly| anomaly.kind) {
        Some(AnomalyKind::Nonlinearizable) => "The same as a picture, with what else was asked of the register then",
        Some(AnomalyKind::Lockup) => "When nothing was served",
        Some(AnomalyKind::Divergence) => "For how long they differed",
        _ if story.telling_anomaly() == story.worst_anomaly() => "The holds around the worst",
        _ => "The holds around the first that was nearly as bad as the worst",
    }
}

fn lead(story: &Story<'_>, impact: &Impact<'_>) -> Prose {
    sentence(&match story.judgement.verdict {
        // It begins with the service's name, which has no capital.
        Verdict::Invalid => return prose(&format!("{}.", phrases::broken_in_short(story, impact))),
        Verdict::Valid => {
            format!("no promise was broken in {}; {}", phrases::tally(story), phrases::faults_in_short(story))
        }
        Verdict::Unknown => format!("this is not a pass: nothing can be concluded from {}", phrases::tally(story)),
    })
}

fn blame(story: &Story<'_>) -> Option<Prose> {
    let faults = phrases::faults_at_worst(story);
    (!faults.is_empty()).then(|| sentence(&format!("what was done to the cluster then: {}", list(&faults))))
}

fn facts(story: &Story<'_>) -> Vec<(&'static str, String)> {
    let header = &story.history.header;
    if story.is_foreign() {
        return vec![
            ("record", one_line(&header.scenario, 60)),
            ("format", one_line(&header.workload, 40)),
            ("length", span(story.end.0)),
            ("operations", thousands(story.ops.len())),
        ];
    }
    vec![
        ("scenario", one_line(&header.scenario, 60)),
        ("workload", one_line(&header.workload, 40)),
        (
            "servers",
            format!("{} × {} ({})", header.nodes, one_line(&header.servers, 60), one_line(&header.service, 40)),
        ),
        ("length", span(story.end.0)),
        ("operations", thousands(story.ops.len())),
        ("seed", header.seed.to_string()),
        ("started", one_line(&header.start, 40)),
    ]
}

fn reasons(story: &Story<'_>) -> Vec<Prose> {
    if story.judgement.verdict != Verdict::Unknown {
        return Vec::new();
    }
    let mut reasons: Vec<Prose> = phrases::why_unknown(story).iter().map(|reason| sentence(reason)).collect();
    reasons.push(sentence(
        "what to do: read the servers' own words in `logs/`, then run again for longer or with fewer faults",
    ));
    reasons
}

fn kind(story: &Story<'_>, kind: AnomalyKind, impact: &Impact<'_>) -> Kind {
    const KEYS_MAX: usize = 3;
    let count = impact.kinds.iter().find(|count| count.kind == kind).expect("asked for what was counted");
    let worst = count.worst;
    let is_proven = worst.grade == Grade::Proven;
    let (number, sure) = if is_proven { (count.proven, "") } else { (count.possible, "possibly ") };
    let anomalies = &story.judgement.anomalies;
    let keys: BTreeSet<&str> = anomalies
        .iter()
        .filter(|anomaly| anomaly.kind == kind && anomaly.grade == worst.grade)
        .map(|anomaly| anomaly.key.as_str())
        .collect();
    let keys = match keys.len() {
        1..=KEYS_MAX => list(&keys.into_iter().map(leasehold_checkers::explain::lock).collect::<Vec<_>>()),
        many => phrases::keys(story, many),
    };
    let signature = worst.signature.map(|signature| format!("; {signature}")).unwrap_or_default();
    let place = if keys == leasehold_checkers::explain::lock("") { String::new() } else { format!("; on {keys}") };
    let broken = format!("{sure}{}, at worst {}{place}{signature}", in_words(worst), phrases::margin(worst));
    Kind {
        name: kind.name(),
        is_proven,
        times: format!("{} ×", thousands(number)),
        broken: sentence(&broken),
        worst: sentence(&format!("the worst: {}", worst.explanation)),
        meaning: meaning::of(kind),
        place: anomalies.iter().position(|anomaly| std::ptr::eq(anomaly, worst)).unwrap_or(0),
    }
}

fn doubles(impact: &Impact<'_>) -> Option<Prose> {
    (impact.double_runs > 0).then(|| {
        sentence(&format!(
            "one lock was promised to two at once {}, for up to {} each; added up over the locks, for {}",
            if impact.double_runs == 1 {
                "once".to_owned()
            } else {
                format!("{} times", thousands(impact.double_runs))
            },
            span(impact.double_worst_ns),
            span(impact.double_total_ns),
        ))
    })
}

fn faults(story: &Story<'_>) -> Vec<FaultRow> {
    let worst = story.worst_anomaly().map(|anomaly| leasehold_checkers::history::RunTime(anomaly.at_ns));
    let row = |fault: &Fault| FaultRow {
        what: fault.what_and_where(),
        aimed_at: one_line(&fault.target, 40),
        from: instant(fault.from),
        until: if fault.healed { instant(fault.until) } else { "never healed".to_owned() },
        proof: proof::in_words(fault).trim_start_matches("proof: ").to_owned(),
        missed: fault.missed(),
        is_near: worst.is_some_and(|at| fault.touches(at)),
    };
    story.faults_to_tell(FAULTS_MAX).into_iter().map(row).collect()
}

fn leaders(story: &Story<'_>) -> Vec<Prose> {
    let told = |(index, reign): (usize, &crate::report::story::Reign)| {
        let name = reign.name();
        let text = match index {
            0 => format!("{name} led when first asked (term {})", reign.term),
            _ => format!("{}: {name} leads (term {})", instant(reign.since), reign.term),
        };
        prose(&format!("{text}."))
    };
    let mut lines: Vec<Prose> = story.reigns.iter().enumerate().take(LEADERS_MAX).map(told).collect();
    match story.reigns.len() {
        0 => lines.push(prose("No probe told who led.")),
        1 => lines.push(prose("There was no other leader.")),
        many if many > LEADERS_MAX => lines.push(sentence(&format!("and {} more", thousands(many - LEADERS_MAX)))),
        _ => {}
    }
    lines
}

fn checkers(story: &Story<'_>) -> Vec<CheckerRow> {
    let results = story.judgement.checkers.iter();
    let mut rows: Vec<CheckerRow> = results
        .map(|(name, result)| CheckerRow {
            name: one_line(name, 40),
            verdict: result.verdict,
            reason: one_line(&result.reason, 300),
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.verdict));
    rows
}

/// What the verdict rests on, and how far it reaches.
fn limits(story: &Story<'_>) -> Vec<Prose> {
    let header = &story.history.header;
    let early = match header.contract.early_slack_ms {
        0 => "no earlier than".to_owned(),
        slack => format!("up to {} before", span(slack.saturating_mul(1_000_000))),
    };
    let unknown = story.ops.iter().filter(|op| op.is_unanswered()).count();
    let clock = match story.is_foreign() {
        true => "all times are those of the record".to_owned(),
        false => format!("all times are the harness's {}, which no fault touches", one_line(&header.clock, 40)),
    };
    let leases = format!("; a lease may end {early} its TTL after the request that granted or renewed it");
    let mut lines = vec![
        sentence(&if story.is_about_registers() { clock } else { clock + &leases }),
        sentence(&match unknown {
            0 => "the outcome of every operation is known".to_owned(),
            some => {
                format!("the outcome of {} is unknown, which accuses nobody", counted(some, "operation", "operations"))
            }
        }),
    ];
    if header.clock_rate_error_ppm > 0 {
        lines.push(sentence(&format!("clocks were allowed to run wrong by {} ppm", header.clock_rate_error_ppm)));
    }
    if story.judgement.verdict == Verdict::Valid {
        lines.push(prose("A valid run shows that these faults at these moments broke nothing, not that none can."));
    }
    lines
}

/// Only what certainly is the address of a page becomes a link.
fn source(address: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&()*+,;=%".contains(c);
    let is_address = address.starts_with("https://") && address.len() < 300 && address.chars().all(is_plain);
    is_address.then(|| address.to_owned())
}

/// A chart with its heading.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) heading: &'static str,
    pub(super) caption: &'static str,
    pub(super) inline: Inline,
}
