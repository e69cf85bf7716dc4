//! Who held which lock, over the whole run.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use leasehold_checkers::verdict::{Anomaly, AnomalyKind};

use super::font;
use super::palette::{self, BODY, BROKEN, LANE, QUIET, SMALL, TAG, TEXT, WHITE};
use super::picture::{Anchor, Area, Ink, Picture, Shape};
use super::scale::stack;
use super::sheet::{Mark, Sheet, WIDTH, cross, diamond, hollow};
use crate::report::story::{End, Hold, Story, broken_span};
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
        entries.push((Mark::Bar(BROKEN), "broken promise"));
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
        draw_hold(sheet, hold, y, 9, lost);
    }
    draw_broken(sheet, &lane.anomalies, top + HEAD / 2 + 1);
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

/// Draws a hold: its bar, its renewals, where it was lost, and, in the ink given for it, what was promised and is gone.
pub(super) fn draw_hold(sheet: &mut Sheet<'_>, hold: &Hold, y: i32, half: i32, lost: Option<Ink>) {
    let ink = palette::process(hold.process);
    let (left, right) = sheet.bar(hold.from.0, hold.until().0);
    let area = Area { left, top: y - half, right: right - 1, bottom: y + half };
    if let Some(lost) = lost.filter(|_| hold.broken_at().is_some()) {
        let (_, promised) = sheet.bar(hold.from.0, hold.promised.0);
        hollow(&mut sheet.picture, Area { left: right, right: promised, ..area }, lost);
    }
    sheet.picture.block(area, ink);
    draw_renewals(sheet, hold, area);
    let name = format!("p{}", hold.process);
    if font::width(&name, SMALL) + 8 <= area.width() {
        let on_bar = if ink.is_dark() { WHITE } else { TEXT };
        sheet.picture.text(name, (left + 4, y - 1), Anchor::Start, SMALL, on_bar);
    }
    if let Some(lost) = lost {
        draw_end(sheet, hold, (right, y), lost);
    }
}

fn draw_renewals(sheet: &mut Sheet<'_>, hold: &Hold, area: Area) {
    let mut last = area.left;
    for renewal in hold.renewals.iter().filter(|renewal| sheet.time.sees(renewal.0, renewal.0)) {
        let x = sheet.time.x(renewal.0);
        if x >= last + 4 && x < area.right - 1 {
            sheet.picture.block(Area { left: x, right: x + 1, top: area.bottom - 6, bottom: area.bottom }, TEXT);
            last = x;
        }
    }
}

fn draw_end(sheet: &mut Sheet<'_>, hold: &Hold, (right, y): (i32, i32), lost: Ink) {
    if hold.broken_at().is_some() && right < sheet.right() {
        cross(&mut sheet.picture, (right, y), 5, lost);
    }
    let given_back = matches!(hold.end, End::Released(_));
    if !given_back && sheet.time.sees(hold.promised.0, hold.promised.0) {
        let x = sheet.time.x(hold.promised.0);
        diamond(&mut sheet.picture, (x, y), 5, TEXT);
    }
}

/// Draws the broken promises of a lock as red bars with their margins. Those that overlap become one bar.
fn draw_broken(sheet: &mut Sheet<'_>, anomalies: &[&Anomaly], y: i32) {
    let groups = grouped(sheet, anomalies);
    for (index, group) in groups.iter().enumerate() {
        let area = Area { left: group.left, top: y - 9, right: group.right, bottom: y + 9 };
        sheet.picture.block(area, BROKEN);
        let text = group.text();
        let width = font::width(&text, TAG);
        let next = groups.get(index + 1).map_or(sheet.right(), |next| next.left);
        if width + 12 <= area.width() {
            sheet.picture.text(text, (area.left + 6, y), Anchor::Start, TAG, WHITE);
        } else if area.right + 6 + width < next {
            sheet.picture.text(text, (area.right + 6, y), Anchor::Start, TAG, BROKEN);
        }
    }
}

/// Broken promises of one lock whose bars touch.
struct Group<'a> {
    left: i32,
    right: i32,
    anomalies: Vec<&'a Anomaly>,
}

impl Group<'_> {
    /// What was broken: the most serious kind only, for the room is small.
    fn text(&self) -> String {
        let Some(kind) = self.anomalies.iter().map(|anomaly| anomaly.kind).min() else {
            return String::new();
        };
        let margins: Vec<u64> =
            self.anomalies.iter().filter(|anomaly| anomaly.kind == kind).map(|anomaly| anomaly.margin_ns).collect();
        let worst = words::span(margins.iter().copied().max().unwrap_or(0));
        match margins.len() {
            1 => margin_text(kind, &worst),
            times => format!("{} × {}", words::thousands(times), margin_text(kind, &format!("up to {worst}"))),
        }
    }
}

/// The margin of an anomaly in the fewest words.
pub(super) fn margin_text(kind: AnomalyKind, margin: &str) -> String {
    match kind {
        AnomalyKind::DoubleAcquisition => format!("two holders for {margin}"),
        AnomalyKind::PrematureExpiry => format!("expired {margin} early"),
        AnomalyKind::SplitBelief => format!("two believers for {margin}"),
        AnomalyKind::OverdueExpiry => format!("overdue by {margin}"),
    }
}

fn grouped<'a>(sheet: &Sheet<'_>, anomalies: &[&'a Anomaly]) -> Vec<Group<'a>> {
    let mut by_time: Vec<&Anomaly> = anomalies.to_vec();
    by_time.sort_by_key(|anomaly| broken_span(anomaly));
    let mut groups: Vec<Group<'_>> = Vec::new();
    for anomaly in by_time {
        let (from, to) = broken_span(anomaly);
        let (left, right) = sheet.bar(from, to);
        match groups.last_mut() {
            Some(group) if left <= group.right + 2 => {
                group.right = group.right.max(right);
                group.anomalies.push(anomaly);
            }
            _ => groups.push(Group { left, right, anomalies: vec![anomaly] }),
        }
    }
    groups
}

/// A light red ground behind the time over which a promise stood broken.
pub(super) fn broken_ground(picture: &mut Picture, area: Area) {
    let ground: Ink = BROKEN.faint(0.10);
    picture.behind(Shape::Block(area, ground));
    picture.behind(Shape::Path(vec![(area.left, area.top), (area.left, area.bottom)], BROKEN, 1));
    picture.behind(Shape::Path(vec![(area.right, area.top), (area.right, area.bottom)], BROKEN, 1));
}
