//! How far each server's clock was from the harness's.

use std::collections::BTreeMap;

use super::mark::Mark;
use super::palette;
use super::panel::{Panel, Scale, Unit};
use super::picture::Picture;
use super::sheet::Sheet;
use crate::report::story::{ClockReading, Story};
use crate::report::words;

const HEIGHT: i32 = 340;
/// No offset below this is worth a look.
const NOISE_NS: f64 = 20e6;

/// Draws a line for each clock.
pub(super) fn of(story: &Story<'_>) -> Picture {
    let mut sheet = Sheet::new(story, "Server clocks, measured against the harness", (0, story.end.0));
    // Monotonic clocks come last, so that every node has the colour that it has elsewhere.
    let mut clocks: BTreeMap<(bool, &str), Vec<&ClockReading>> = BTreeMap::new();
    for reading in &story.clocks {
        clocks.entry((reading.is_monotonic, &reading.clock)).or_default().push(reading);
    }
    let legend: Vec<(Mark, String)> = clocks
        .keys()
        .enumerate()
        .map(|(index, (_, clock))| (Mark::Line(palette::node(index)), words::one_line(clock, 20)))
        .collect();
    sheet.legend(&legend);
    sheet.surroundings();

    let largest = story.clocks.iter().map(|reading| reading.offset_ns.unsigned_abs()).max().unwrap_or(0);
    let (per_unit, unit) = if largest >= 1_000_000_000 { (1e9, "s") } else { (1e6, "ms") };
    let value = |reading: &ClockReading| reading.offset_ns as f64 / per_unit;
    // Drawn as large as the picture, the noise of the measurement would look like a fault.
    let is_noise = largest < NOISE_NS as u64;
    let least = [-NOISE_NS, NOISE_NS].into_iter().filter(|_| is_noise).map(|offset| offset / per_unit);
    let scale = Scale::around_zero(story.clocks.iter().map(value).chain(least));
    let panel = Panel::open(&mut sheet, "offset", HEIGHT, scale, &Unit::Named(unit));
    for (index, readings) in clocks.values().enumerate() {
        let ink = palette::node(index);
        let mut points: Vec<(i32, i32)> =
            readings.iter().map(|reading| (sheet.time.x(reading.at.0), panel.y(value(reading)))).collect();
        points.dedup();
        for point in &points {
            sheet.picture.dot(*point, 3, ink);
        }
        sheet.picture.path(points, ink, 2);
    }
    sheet.finish()
}
