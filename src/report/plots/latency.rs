//! How long each operation took, and how it ended.

use std::collections::HashSet;

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

/// What there is to draw: of the operations that fall on one pixel the first of each outcome.
pub(super) struct Latencies<'a> {
    story: &'a Story<'a>,
    scale: Scale,
    fields: Vec<(&'a str, Vec<&'a Op>)>,
}

impl<'a> Latencies<'a> {
    pub(super) fn of(story: &'a Story<'_>) -> Self {
        let scale = Scale::decades(story.ops.iter().map(|op| milliseconds(story, op)));
        // Where a field is does not matter: on any, the same fall on one pixel.
        let mut sheet = Sheet::new(story, "", (0, story.end.0));
        let panel = Panel::open(&mut sheet, "", HEIGHT, scale, &Unit::Latency);
        let fields = by_name(story).into_iter().map(|(name, ops)| (name, thinned(&sheet, &panel, ops, 1))).collect();
        Self { story, scale, fields }
    }

    /// Draws a field for each kind of operation, with spots of this size.
    pub(super) fn draw(&self, spot: i32) -> Picture {
        let mut sheet = Sheet::new(self.story, "How long operations took", (0, self.story.end.0));
        sheet.legend(&[
            (Mark::Dot(palette::outcome(Outcome::Ok)), "ok: it happened"),
            (Mark::Diamond(palette::outcome(Outcome::Fail)), "fail: it certainly did not"),
            (Mark::Cross(palette::outcome(Outcome::Info)), "info: nobody knows, or no answer by the end of the run"),
        ]);
        sheet.surroundings();
        for (name, ops) in &self.fields {
            let panel = Panel::open(&mut sheet, name, HEIGHT, self.scale, &Unit::Latency);
            let ops = thinned(&sheet, &panel, ops.clone(), spot);
            draw_points(&mut sheet, &panel, &ops);
        }
        sheet.finish()
    }
}

/// How long an operation took; one that was never answered lasts until the end of the run.
fn milliseconds(story: &Story<'_>, op: &Op) -> f64 {
    let ended = op.ended.unwrap_or(story.end);
    (ended.since(op.invoked).as_nanos() as f64 / 1e6).max(0.001)
}

fn place(sheet: &Sheet<'_>, panel: &Panel, op: &Op) -> (i32, i32) {
    (sheet.time.x(op.invoked.0), panel.y(milliseconds(sheet.story, op)))
}

/// The operations, the rare outcomes after the common ones. Of those that fall on one spot only the first is kept.
fn thinned<'o>(sheet: &Sheet<'_>, panel: &Panel, mut ops: Vec<&'o Op>, spot: i32) -> Vec<&'o Op> {
    let mut taken = HashSet::new();
    ops.sort_by_key(|op| op.outcome);
    ops.retain(|op| {
        let (x, y) = place(sheet, panel, op);
        taken.insert((op.outcome, x / spot, y / spot))
    });
    ops
}

fn draw_points(sheet: &mut Sheet<'_>, panel: &Panel, ops: &[&Op]) {
    for op in ops {
        let at = place(sheet, panel, op);
        let ink = palette::outcome(op.outcome);
        match op.outcome {
            Outcome::Ok => sheet.picture.dot(at, 3, ink),
            Outcome::Fail => diamond(&mut sheet.picture, at, 4, ink),
            Outcome::Info | Outcome::Open => cross(&mut sheet.picture, at, 4, ink),
        }
    }
}
