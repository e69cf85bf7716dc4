//! How long each operation took, and how it ended.

use std::collections::BTreeSet;

use leasehold_checkers::history::{Op, Outcome};

use super::mark::{Mark, cross, diamond};
use super::palette;
use super::panel::{Panel, Scale, Unit};
use super::picture::Picture;
use super::rate::by_name;
use super::sheet::Sheet;
use crate::report::story::Story;

const HEIGHT: i32 = 150;

/// The room, in pixels, in which marks of one outcome are drawn once.
pub(super) const FINE: i32 = 3;

/// Draws a field for each kind of operation, with spots of this size.
pub(super) fn of(story: &Story<'_>, spot: i32) -> Picture {
    let mut sheet = Sheet::new(story, "How long operations took", (0, story.end.0));
    sheet.legend(&[
        (Mark::Dot(palette::outcome(Outcome::Ok)), "ok: it happened"),
        (Mark::Diamond(palette::outcome(Outcome::Fail)), "fail: it certainly did not"),
        (Mark::Cross(palette::outcome(Outcome::Info)), "info: nobody knows, or no answer by the end of the run"),
    ]);
    sheet.surroundings();
    let scale = Scale::decades(story.ops.iter().map(|op| milliseconds(story, op)));
    for (name, ops) in by_name(story) {
        let panel = Panel::open(&mut sheet, name, HEIGHT, scale, &Unit::Latency);
        draw_points(&mut sheet, &panel, &ops, spot);
    }
    sheet.finish()
}

/// How long an operation took; one that was never answered lasts until the end of the run.
fn milliseconds(story: &Story<'_>, op: &Op) -> f64 {
    let ended = op.ended.unwrap_or(story.end);
    (ended.since(op.invoked).as_nanos() as f64 / 1e6).max(0.001)
}

/// Draws the operations, the rare outcomes over the common ones. Of those that fall on one spot only one is drawn.
fn draw_points(sheet: &mut Sheet<'_>, panel: &Panel, ops: &[&Op], spot: i32) {
    let mut drawn = BTreeSet::new();
    let mut by_outcome: Vec<&Op> = ops.to_vec();
    by_outcome.sort_by_key(|op| op.outcome);
    for op in by_outcome {
        let (x, y) = (sheet.time.x(op.invoked.0), panel.y(milliseconds(sheet.story, op)));
        if !drawn.insert((op.outcome, x / spot, y / spot)) {
            continue;
        }
        let ink = palette::outcome(op.outcome);
        match op.outcome {
            Outcome::Ok => sheet.picture.dot((x, y), 3, ink),
            Outcome::Fail => diamond(&mut sheet.picture, (x, y), 4, ink),
            Outcome::Info | Outcome::Open => cross(&mut sheet.picture, (x, y), 4, ink),
        }
    }
}
