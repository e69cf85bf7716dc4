//! For a terminal.

use console::style;

use super::{found, verdict};
use crate::suite::{Outcome, Report, Row};

/// A line for each scenario with its servers; those that came to different ends have several.
#[must_use]
pub fn table(report: &Report, colour: bool) -> String {
    let mut lines: Vec<Line> = Vec::new();
    for row in &report.rows {
        let line = Line::of(row);
        match lines.iter_mut().find(|known| known.is_like(&line)) {
            Some(known) => known.add(line),
            None => lines.push(line),
        }
    }
    let width = lines.iter().map(|line| line.group.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for line in &lines {
        text.push_str(&line.in_words(width, colour));
    }
    for group in report.wavering() {
        text.push_str(&format!("now this, now that: {group}\n"));
    }
    text.push_str(&format!("{}\n", report.tally()));
    text
}

/// Runs of one group that came to the same.
struct Line {
    group: String,
    verdict: String,
    outcome: Outcome,
    seeds: Vec<u64>,
    /// What the first of them found.
    found: String,
}

impl Line {
    fn of(row: &Row) -> Self {
        Self {
            group: row.cell.group().to_owned(),
            verdict: verdict(row),
            outcome: row.outcome.clone(),
            seeds: vec![row.cell.seed],
            found: found(&row.result.found),
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.group == other.group && self.verdict == other.verdict && self.outcome == other.outcome
    }

    fn add(&mut self, other: Self) {
        self.seeds.extend(other.seeds);
        if self.found.is_empty() {
            self.found = other.found;
        }
    }

    fn in_words(&self, width: usize, colour: bool) -> String {
        let word = style(format!("{:11}", self.outcome.word())).force_styling(colour);
        let word = match self.outcome {
            Outcome::Expected => word.green(),
            Outcome::Known => word.cyan(),
            Outcome::Undecided | Outcome::Failed => word.yellow(),
            Outcome::Unexpected(_) => word.red().bold(),
        };
        let runs = match self.seeds.len() {
            1 => format!("seed {}", self.seeds[0]),
            many => format!("{many} seeds"),
        };
        let why = match &self.outcome {
            Outcome::Unexpected(why) => format!("  {why}"),
            _ if self.found.is_empty() => String::new(),
            _ => format!("  {}", self.found),
        };
        format!("{word}  {:width$}  {:7}  {runs:>8}{why}\n", self.group, self.verdict)
    }
}
