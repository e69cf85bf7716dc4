//! `report.html`: the run in one file, for who has a minute and for who has an hour.
//!
//! The file needs nothing else: no network, no fonts, no pictures beside it. What it says is [`Page`], plain data; the
//! template puts it into words and boxes, and escapes every text on the way. The timeline's script reads the whole run
//! from [`record`]. A policy in the page's head forbids any script but ours, and any request: were there ever a text
//! that got past the escaping, it could do nothing.

mod columns;
mod lifelines;
mod meaning;
mod network;
mod operations;
mod page;
mod prose;
mod record;
mod witness;

use std::panic::resume_unwind;
use std::thread;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use leasehold_checkers::checks::lockup::classes::Class;
use leasehold_checkers::verdict::Verdict;
use sha2::{Digest as _, Sha256};

use self::page::{Chart, Page};
use super::ReportError;
use super::plots::Inlines;
use super::story::Story;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = concat!(
    "\"use strict\";\n",
    include_str!("read.js"),
    include_str!("lanes.js"),
    include_str!("draw.js"),
    include_str!("words.js"),
    include_str!("move.js"),
);

/// The page with its charts, its script and the run.
#[derive(Template)]
#[template(path = "report.html")]
struct Whole {
    page: Page,
    inlines: Inlines,
    record: String,
    policy: String,
    style: &'static str,
    script: &'static str,
}

impl Whole {
    /// The charts below the timeline, in their order.
    fn charts(&self) -> Vec<Chart> {
        let charts = [
            (
                "Which server answered",
                "A lane for the writes and one for the reads that each server was asked; the thin one is what it said of its own health.",
                // After a malformed packet it stands further above.
                if self.page.poison.is_some() { &None } else { &self.inlines.availability },
            ),
            (
                "How long operations took",
                "Each mark is an operation, by when it was asked and how long it took.",
                &self.inlines.latency,
            ),
            ("Operations per second", "By how they ended.", &self.inlines.rate),
            ("Clocks", "How far each server's clock was from the harness's.", &self.inlines.clocks),
        ];
        charts
            .into_iter()
            .filter_map(|(heading, caption, inline)| Some(Chart { heading, caption, inline: inline.clone()? }))
            .collect()
    }

    fn timeline_heading(&self) -> &'static str {
        if self.page.registers { "Who asked what, and when" } else { "Who held which lock" }
    }

    /// The columns of what was answered.
    fn classes(&self) -> [&'static str; 6] {
        Class::ALL.map(Class::plural)
    }

    fn verdict(&self) -> &'static str {
        match self.page.verdict {
            Verdict::Valid => "valid",
            Verdict::Unknown => "unknown",
            Verdict::Invalid => "invalid",
        }
    }
}

/// The whole file.
pub(super) fn of(story: &Story<'_>) -> Result<String, ReportError> {
    // To pack the run takes as long as to tell and draw it.
    let (record, page, inlines) = thread::scope(|scope| {
        let record = scope.spawn(|| record::packed(story));
        let (page, inlines) = (Page::of(story), Inlines::of(story));
        (record.join().unwrap_or_else(|panic| resume_unwind(panic)), page, inlines)
    });
    let whole = Whole {
        page,
        inlines: inlines?,
        record: record.map_err(|source| ReportError::Page { reason: source.to_string() })?,
        policy: policy(),
        style: STYLE,
        script: SCRIPT,
    };
    whole.render().map_err(|source| ReportError::Page { reason: source.to_string() })
}

/// What stands for a script or a style in a page's policy.
pub(crate) fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(Sha256::digest(text)))
}

/// What the page may do: show itself, run the one script that is known by its hash, and nothing else.
fn policy() -> String {
    format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; style-src {}; script-src {}",
        hash(STYLE),
        hash(SCRIPT)
    )
}
