//! Who held which lock, over the whole run.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use leasehold_checkers::verdict::Anomaly;

use super::mark::Mark;
use super::palette::{self, BODY, BROKEN, LANE, QUIET, TAG, TEXT};
use super::picture::{Area, Picture};
use super::scale::stack;
use super::sheet::{Sheet, WIDTH};
use super::{bar, broken};
use crate::report::story::{Hold, Story};
use crate::report::words;

/// More lanes than this on one picture and none can be read.
const LANES_MAX: usize = 12;
/// The rows of holds that fit a picture of a bearable height.
const ROWS_BUDGET: usize = 60;
const ROW: i32 = 24;
const HEAD: i32 = 24;

pub(super) const PROMISED: &str = "earliest legal expiry";
pub(super) const LOST: &str = "promised, but already gone";

/// Draws the whole run.
pub(super) fn whole_run(story: &Story<'_>) -> Picture {
    let mut sheet = Sheet::new(story, "Who held the lock", (0, story.end.0));
    if !story.holds.is_empty() {
        sheet.legend(&legend(story));
    }
    sheet.surroundings();
    let (shown, left_out) = choose_lanes(story);
    let rows_max = (ROWS_BUDGET / shown.len().max(1)).clamp(5, 12);
    for lane in &shown {
        draw_lane(&mut sheet, lane, rows_max);
    }
    if shown.is_empty() {
        sheet.note("No lock was acquired in this run.");
        sheet.y += 60;
    }
    if let Some(text) = left_out_note(&left_out) {
        sheet.note(&text);
    }
    sheet.finish()
}

fn legend(story: &Story<'_>) -> Vec<(Mark, &'static str)> {
    let mut entries = vec![
        (Mark::Bar(palette::process(0)), "a hold, coloured and numbered by process; ticks are renewals"),
        (Mark::Diamond(TEXT), PROMISED),
    ];
    let is_broken = story.proven().next().is_some();
    if story.holds.iter().any(|hold| hold.broken_at().is_some()) {
        entries.push((Mark::Hollow(if is_broken { BROKEN } else { QUIET }), LOST));
    }
    if is_broken {
        entries.push((Mark::Bar(BROKEN), story.offence()));
    }
    entries
}

/// A lock with everything that is drawn of it.
struct Lane<'a> {
    key: &'a str,
    holds: Vec<&'a Hold>,
    anomalies: Vec<&'a Anomaly>,
}

/// The lanes to draw, those with broken promises first and then the busiest, and those that are left out.
fn choose_lanes<'a>(story: &'a Story<'a>) -> (Vec<Lane<'a>>, Vec<Lane<'a>>) {
    let mut lanes: BTreeMap<&str, Lane<'_>> = BTreeMap::new();
    for hold in &story.holds {
        lane_of(&mut lanes, &hold.key).holds.push(hold);
    }
    for anomaly in story.proven() {
        lane_of(&mut lanes, &anomaly.key).anomalies.push(anomaly);
    }
    let mut shown: Vec<Lane<'_>> = lanes.into_values().collect();
    shown.sort_by_key(|lane| (Reverse(lane.anomalies.len()), Reverse(lane.holds.len())));
    let left_out = shown.split_off(shown.len().min(LANES_MAX));
    shown.sort_by_key(|lane| (lane.anomalies.is_empty(), natural(lane.key)));
    (shown, left_out)
}

fn lane_of<'l, 'a>(lanes: &'l mut BTreeMap<&'a str, Lane<'a>>, key: &'a str) -> &'l mut Lane<'a> {
    lanes.entry(key).or_insert(Lane { key, holds: Vec::new(), anomalies: Vec::new() })
}

/// `jobs/2` before `jobs/10`.
fn natural(key: &str) -> (&str, u64, &str) {
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    (name, key[name.len()..].parse().unwrap_or(0), key)
}

fn left_out_note(left_out: &[Lane<'_>]) -> Option<String> {
    if left_out.is_empty() {
        return None;
    }
    let broken = left_out.iter().filter(|lane| !lane.anomalies.is_empty()).count();
    let locks = words::counted(left_out.len(), "more lock", "more locks");
    Some(match broken {
        0 => format!("Left out: {locks}, none with a broken promise."),
        _ => format!("Left out: {locks}, {} of them with broken promises.", words::thousands(broken)),
    })
}

fn draw_lane(sheet: &mut Sheet<'_>, lane: &Lane<'_>, rows_max: usize) {
    let (rows, crowded) = rows_of(&lane.holds, rows_max);
    let used = rows.iter().max().map_or(1, |row| row + 1) as i32;
    let head = if lane.anomalies.is_empty() { 0 } else { HEAD };
    let top = sheet.y;
    let bottom = top + head + used * ROW + 6;
    let ground = Area { left: 12, top, right: WIDTH - 12, bottom };
    sheet.picture.ground(ground, LANE);
    let name = words::one_line(lane.key, 60);
    let (kind, ink) = if head > 0 { (TAG, BROKEN) } else { (BODY, TEXT) };
    sheet.gutter(if name.is_empty() { "the lock" } else { &name }, top + 14, kind, ink);
    let lost = match (crowded, lane.anomalies.is_empty()) {
        (true, _) => None,
        (false, true) => Some(QUIET),
        (false, false) => Some(BROKEN),
    };
    // Thousands of short holds fall on the same few pixels.
    let mut drawn = BTreeSet::new();
    for (hold, row) in lane.holds.iter().zip(&rows) {
        if !drawn.insert((row, sheet.bar(hold.from.0, hold.until().0))) {
            continue;
        }
        let y = top + head + *row as i32 * ROW + ROW / 2 + 3;
        bar::draw(sheet, hold, y, 9, lost);
    }
    broken::draw(sheet, &lane.anomalies, top + HEAD / 2 + 1);
    sheet.y = bottom + 8;
}

/// The row of each hold. What was promised beyond a hold's end gets room of its own as long as there is any; where
/// there is none the lane is crowded, and that part is not drawn.
fn rows_of(holds: &[&Hold], rows_max: usize) -> (Vec<usize>, bool) {
    let promised = |hold: &Hold| {
        if hold.broken_at().is_some() { hold.promised } else { hold.until() }
    };
    let with_promise: Vec<_> = holds.iter().map(|hold| (hold.from, promised(hold))).collect();
    let rows = stack(&with_promise, usize::MAX);
    if rows.iter().all(|row| *row < rows_max) {
        return (rows, false);
    }
    let bars: Vec<_> = holds.iter().map(|hold| (hold.from, hold.until())).collect();
    (stack(&bars, rows_max), true)
}
