//! The last lines of a run at the terminal.

mod canvas;
mod sketch;

use std::fmt::Write as _;
use std::path::Path;

use leasehold_checkers::checks::lockup::classes::Class;
use leasehold_checkers::verdict::{Grade, Verdict};

use crate::report::story::{KindCount, Poison, Served, Story, in_words};
use crate::report::words::{self, counted, thousands};
use crate::report::{command, phrases, plots};

/// The width of the words at the left.
const GUTTER: usize = 10;
const FAULTS_MAX: usize = 5;

/// Text for a terminal or a pipe.
struct Screen {
    text: String,
    colour: bool,
    width: usize,
}

/// The text: the verdict, what was broken, under which faults, and where to read on.
pub(super) fn of(story: &Story<'_>, folder: &Path, colour: bool, width: usize) -> String {
    let mut screen = Screen { text: String::new(), colour, width: width.clamp(40, 160) };
    screen.verdict(story);
    for count in &story.impact().kinds {
        screen.kind(count);
    }
    if story.judgement.verdict == Verdict::Unknown {
        for reason in phrases::why_unknown(story) {
            screen.entry("reason", &reason);
        }
    }
    if !story.judgement.anomalies.is_empty() {
        screen.blank();
    }
    if let Some(poison) = story.poison() {
        screen.poison(&poison);
    }
    screen.sketch(story);
    for fault in story.faults_to_tell(FAULTS_MAX) {
        screen.entry("fault", &phrases::fault(fault));
    }
    if story.faults.len() > FAULTS_MAX {
        screen.entry("", &format!("and {} more", thousands(story.faults.len() - FAULTS_MAX)));
    }
    if !story.faults.is_empty() {
        screen.blank();
    }
    screen.path("report", &folder.join("report.html"));
    screen.path("picture", &folder.join("plots").join(format!("{}.svg", plots::first(story))));
    screen.verbatim("again", &command::reproduce(&story.history.header));
    screen.text
}

impl Screen {
    fn verdict(&mut self, story: &Story<'_>) {
        let header = &story.history.header;
        let (style, said) = match story.judgement.verdict {
            Verdict::Invalid => ("1;31", phrases::broken_in_short(story, &story.impact())),
            Verdict::Valid => {
                let tried =
                    format!("no promise was broken in {}; {}", phrases::tally(story), phrases::faults_in_short(story));
                ("1;32", tried)
            }
            Verdict::Unknown => ("1;33", "not a pass: the run does not allow a judgement".to_owned()),
        };
        let word = story.judgement.verdict.to_string().to_uppercase();
        let run = match story.is_foreign() {
            true => format!("{}, {}", words::one_line(&header.scenario, 60), words::one_line(&header.workload, 40)),
            false => format!(
                "{} on {} ({}, {}, seed {})",
                words::one_line(&header.scenario, 40),
                words::one_line(&header.servers, 40),
                words::one_line(&header.service, 24),
                counted(usize::from(header.nodes), "server", "servers"),
                header.seed
            ),
        };
        self.styled_entry(&word, style, &run);
        for line in phrases::cut_short(story) {
            self.styled_entry("cut short", "1;33", &line);
        }
        self.entry("", &said);
    }

    /// One kind of anomaly: how many, and the worst of them in full.
    fn kind(&mut self, count: &KindCount<'_>) {
        self.blank();
        let (number, sure) = match count.worst.grade {
            Grade::Proven => (count.proven, ""),
            Grade::Possible => (count.possible, "possible, not proven: "),
        };
        let times = format!("{} ×", thousands(number));
        let summary =
            format!("{sure}{}: {}, at worst {}", count.kind, in_words(count.worst), phrases::margin(count.worst));
        self.styled_entry(&times, if sure.is_empty() { "31" } else { "33" }, &summary);
        if let Some(signature) = count.worst.signature {
            self.entry("", &signature.to_string());
        }
        self.entry("", &format!("worst: {}", words::one_line(&count.worst.explanation, 400)));
    }

    /// What a malformed packet did: to threads, and to each class of requests of each server.
    fn poison(&mut self, poison: &Poison) {
        self.entry("packet", &poison.what);
        for answer in &poison.answers {
            self.entry("", answer);
        }
        for gone in &poison.gone {
            self.entry("gone", &format!("threads of {gone}"));
        }
        for line in &poison.log {
            self.entry("log", line);
        }
        for no_cure in &poison.no_cures {
            self.entry("no cure", no_cure);
        }
        for lock in &poison.locks {
            self.entry("locks", lock);
        }
        for served in &poison.spans {
            self.blank();
            self.entry("served", &format!("{}, from {} to {}", served.when, served.from, served.until));
            for line in table(served) {
                let _ = writeln!(self.text, "{}{}", " ".repeat(GUTTER), line.trim_end());
            }
        }
        self.blank();
    }

    /// The picture in characters.
    fn sketch(&mut self, story: &Story<'_>) {
        const NAMES: usize = 12;
        let Some(sketch) = sketch::of(story, self.width - NAMES) else { return };
        if !self.text.ends_with("\n\n") {
            self.blank();
        }
        for row in &sketch.rows {
            let gap = " ".repeat(NAMES.saturating_sub(row.name.chars().count()).max(1));
            let name = self.styled(&row.name, row.name_style);
            let drawn: String = row.pieces().iter().map(|(piece, style)| self.styled(piece, style)).collect();
            let _ = writeln!(self.text, "{}", format!("{name}{gap}{drawn}").trim_end());
        }
        for line in words::wrap(sketch.legend, self.width - NAMES) {
            let _ = writeln!(self.text, "{}{}", " ".repeat(NAMES), self.styled(&line, "2"));
        }
        self.blank();
    }

    fn entry(&mut self, name: &str, text: &str) {
        self.styled_entry(name, "2", text);
    }

    /// A word at the left, and text beside it that is wrapped to the width.
    fn styled_entry(&mut self, name: &str, style: &str, text: &str) {
        let room = self.width - GUTTER;
        for (index, line) in words::wrap(text, room).into_iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            let gap = " ".repeat(GUTTER.saturating_sub(name.chars().count()).max(1));
            let name = self.styled(name, style);
            let _ = writeln!(self.text, "{}", format!("{name}{gap}{line}").trim_end());
        }
    }

    /// A path, on one line whatever its length, so that it can be clicked or copied.
    fn path(&mut self, name: &str, path: &Path) {
        self.verbatim(name, &path.display().to_string());
    }

    fn verbatim(&mut self, name: &str, text: &str) {
        let shown = self.styled(name, "2");
        let gap = " ".repeat(GUTTER.saturating_sub(name.chars().count()).max(1));
        let _ = writeln!(self.text, "{shown}{gap}{}", words::one_line(text, 2_000));
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn styled(&self, text: &str, style: &str) -> String {
        if self.colour && !text.is_empty() && !style.is_empty() {
            format!("\x1b[{style}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A row for each server: how much of each class it answered, and how often it said that it was well.
fn table(served: &Served) -> Vec<String> {
    const NODE: usize = 5;
    const CELL: usize = 14;
    let heads = Class::ALL.iter().map(|class| class.plural()).chain(["said well"]);
    let head = heads.fold(" ".repeat(NODE), |line, head| line + &format!("{head:<CELL$}"));
    let rows = served.rows.iter().map(|row| {
        let cells = row.classes.iter().chain([&row.well]).map(|count| count.in_words());
        cells.fold(format!("{:<NODE$}", row.node), |line, cell| line + &format!("{cell:<CELL$}"))
    });
    std::iter::once(head).chain(rows).collect()
}
