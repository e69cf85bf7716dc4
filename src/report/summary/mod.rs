//! `summary.md`: the run as the timeline of an incident report, short enough for a chat.

mod sections;
mod timeline;

use std::fmt::Write as _;

use leasehold_checkers::verdict::Verdict;

use super::markdown::{code, prose};
use super::story::{Impact, Story};
use super::words::{self, counted, span};
use super::{command, phrases, plots};

const SENTENCE_MAX: usize = 400;

/// Writes the summary.
pub(super) fn of(story: &Story<'_>) -> String {
    let impact = story.impact();
    let mut page = Page::default();
    page.title(story);
    for line in phrases::cut_short(story) {
        page.paragraph(&format!("**Cut short:** {}.", prose(&line, SENTENCE_MAX)));
    }
    page.paragraph(&in_short(story, &impact));
    page.paragraph(&the_run(story));
    if story.telling_anomaly().is_some() {
        page.paragraph(&format!("![What happened around the {}](plots/{}.png)", story.offence(), plots::CLOSEUP));
    }
    page.section("What happened", &timeline::of(story));
    if story.judgement.verdict == Verdict::Unknown {
        page.section("Why there is no verdict", &sections::why_unknown(story));
    }
    page.section("Impact", &sections::impact(story, &impact));
    page.section("Contributing faults", &sections::faults(story));
    page.section("Leader changes", &sections::leaders(story));
    page.section("What held, and what did not", &sections::checkers(story));
    page.section("Assumptions and limits", &sections::limits(story));
    page.command("Reproduce", &command::reproduce(&story.history.header));
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
        let meaning = phrases::outcome(story);
        let word = verdict.to_string().to_uppercase();
        let servers = if story.is_foreign() { String::new() } else { format!("{}, ", prose(&header.servers, 60)) };
        let _ = writeln!(self.text, "# {word}: {meaning} ({servers}{})\n", code(&header.scenario));
    }

    fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.text, "{text}\n");
    }

    /// A heading and its list. A section with nothing to say is left out.
    fn section(&mut self, heading: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        let _ = writeln!(self.text, "## {heading}\n");
        for line in lines {
            let _ = writeln!(self.text, "- {line}");
        }
        self.text.push('\n');
    }

    fn command(&mut self, heading: &str, command: &str) {
        let _ = writeln!(self.text, "## {heading}\n\n```sh\n{command}\n```");
    }
}

/// What a reader who stops here must know.
fn in_short(story: &Story<'_>, impact: &Impact<'_>) -> String {
    match story.judgement.verdict {
        Verdict::Invalid => {
            let broken = prose(&phrases::broken_in_short(story, impact), SENTENCE_MAX);
            let faults = phrases::faults_at_worst(story);
            if faults.is_empty() {
                return format!("**{broken}.**");
            }
            format!("**{broken}**, under these faults: {}.", prose(&words::list(&faults), SENTENCE_MAX))
        }
        Verdict::Valid => {
            format!("**No promise was broken** in {}; {}.", phrases::tally(story), phrases::faults_in_short(story))
        }
        Verdict::Unknown => {
            format!("**This is not a pass:** nothing can be concluded from {}.", phrases::tally(story))
        }
    }
}

fn the_run(story: &Story<'_>) -> String {
    let header = &story.history.header;
    if story.is_foreign() {
        return format!(
            "The record: {}, {}, {}.",
            code(&header.scenario),
            prose(&header.workload, 40),
            span(story.end.0)
        );
    }
    format!(
        "The run: {} of {} against {} ({}), {}, seed {}, started {}.",
        span(story.end.0),
        code(&header.workload),
        prose(&header.servers, 60),
        prose(&header.service, 40),
        counted(usize::from(header.nodes), "server", "servers"),
        header.seed,
        prose(&header.start, 40),
    )
}
