//! How many operations ended in each second, and how.

use leasehold_checkers::history::vocabulary::f;
use leasehold_checkers::history::{Op, Outcome};

use super::mark::Mark;
use super::palette;
use super::panel::{Panel, Scale, Unit};
use super::picture::Picture;
use super::scale::round_step;
use super::sheet::Sheet;
use crate::report::story::Story;

const HEIGHT: i32 = 130;
/// More kinds of operation than this are some other tool's history; the rest is not drawn.
const NAMES_MAX: usize = 8;
/// More steps than this along the time axis are noise.
const BINS: f64 = 80.0;

/// Draws a field for each kind of operation.
pub(super) fn of(story: &Story<'_>) -> Picture {
    let mut sheet = Sheet::new(story, "Operations per second", (0, story.end.0));
    sheet.legend(&[
        (Mark::Line(palette::outcome(Outcome::Ok)), "ok: happened"),
        (Mark::Line(palette::outcome(Outcome::Fail)), "fail: certainly did not"),
        (Mark::Line(palette::outcome(Outcome::Info)), "info: nobody knows, or never answered"),
    ]);
    sheet.surroundings();
    let bins = Bins::over(story.end.0);
    for (name, ops) in by_name(story) {
        let lines = [Outcome::Ok, Outcome::Fail, Outcome::Info].map(|outcome| (outcome, bins.rates(&ops, outcome)));
        let scale = Scale::around_zero(lines.iter().flat_map(|(_, rates)| rates.iter().copied()));
        let panel = Panel::open(&mut sheet, name, HEIGHT, scale, &Unit::Named("/s"));
        for (outcome, rates) in &lines {
            draw_steps(&mut sheet, &panel, &bins, *outcome, rates);
        }
    }
    sheet.finish()
}

/// The operations by name: those of locks and registers in the order in which they are used, then whatever else there is.
pub(super) fn by_name<'s>(story: &'s Story<'_>) -> Vec<(&'s str, Vec<&'s Op>)> {
    let mut names: Vec<(&str, Vec<&Op>)> = [f::ACQUIRE, f::RENEW, f::RELEASE, f::WORK, f::READ, f::WRITE, f::CAS]
        .into_iter()
        .map(|name| (name, Vec::new()))
        .collect();
    for op in &story.ops {
        match names.iter().position(|(name, _)| op.f == *name) {
            Some(known) => names[known].1.push(op),
            None if names.len() < NAMES_MAX => names.push((&op.f, vec![op])),
            None => {}
        }
    }
    names.retain(|(_, ops)| !ops.is_empty());
    names
}

/// The run cut into even pieces.
struct Bins {
    width_ns: u64,
    end_ns: u64,
    count: usize,
}

impl Bins {
    fn over(end_ns: u64) -> Self {
        let seconds = round_step(end_ns as f64 / 1e9 / BINS).max(0.1);
        let width_ns = (seconds * 1e9) as u64;
        Self { width_ns, end_ns, count: (end_ns / width_ns).max(1) as usize }
    }

    /// When a bin begins. The last one also takes what is left at the end of the run.
    fn start(&self, bin: usize) -> u64 {
        if bin == self.count { self.end_ns } else { (bin as u64).saturating_mul(self.width_ns) }
    }

    /// How many operations ended so per second, in each bin.
    fn rates(&self, ops: &[&Op], outcome: Outcome) -> Vec<f64> {
        let mut counts = vec![0usize; self.count];
        let as_drawn = |op: &Op| if op.outcome == Outcome::Open { Outcome::Info } else { op.outcome };
        for op in ops.iter().filter(|op| as_drawn(op) == outcome) {
            let at = op.ended.unwrap_or(op.invoked).0;
            counts[((at / self.width_ns) as usize).min(self.count - 1)] += 1;
        }
        let seconds = |bin: usize| self.start(bin + 1).saturating_sub(self.start(bin)).max(self.width_ns) as f64 / 1e9;
        counts.into_iter().enumerate().map(|(bin, count)| count as f64 / seconds(bin)).collect()
    }
}

/// Draws the steps of a rate. Where nothing ended so there is no line, lest the lines of others be hidden under it.
fn draw_steps(sheet: &mut Sheet<'_>, panel: &Panel, bins: &Bins, outcome: Outcome, rates: &[f64]) {
    let ground = panel.y(0.0);
    let mut points: Vec<(i32, i32)> = Vec::new();
    for (bin, rate) in rates.iter().copied().chain([0.0]).enumerate() {
        let x = sheet.time.x(bins.start(bin));
        if rate > 0.0 {
            points.push((x, points.last().map_or(ground, |last| last.1)));
            points.push((x, panel.y(rate)));
        } else if let Some(last) = points.last() {
            let level = last.1;
            points.extend([(x, level), (x, ground)]);
            sheet.picture.path(std::mem::take(&mut points), palette::outcome(outcome), 2);
        }
    }
}
