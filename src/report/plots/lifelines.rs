//! How long leases lived against what was promised for them.

use std::collections::BTreeMap;

use super::mark::{Mark, cross};
use super::palette::{self, BROKEN, LANE, QUIET, SMALL, TEXT};
use super::panel::{Panel, Scale, Unit};
use super::picture::{Area, Ink, Picture};
use super::sheet::Sheet;
use crate::report::story::{End, Hold, Story};
use crate::report::words::counted;

const HEIGHT: i32 = 320;
/// How wide the distribution is, and what is left free beside it.
const DISTRIBUTION: i32 = 200;
const GAP: i32 = 14;
/// The height of one of its bars.
const STEP: i32 = 8;
const LATE: Ink = palette::node(0);

/// Draws a mark for each lease that was seen to be gone: when, and by how much before or after its promised end; and beside them
/// how many there were of each margin.
pub(super) fn of(story: &Story<'_>) -> Picture {
    let mut sheet = Sheet::new(story, "When leases were seen to end, against what was promised", (0, story.end.0));
    let bound = story.history.header.contract.latest_expiry.map(|latest| latest.grace_ms as f64 / 1e3);
    let is_broken = story.proven().next().is_some();
    let early = if is_broken { BROKEN } else { QUIET };
    let mut legend = vec![
        (Mark::Line(TEXT), "the earliest legal end"),
        (Mark::Dot(LATE), "first seen to be gone after it"),
        (Mark::Cross(early), "gone before it"),
    ];
    if bound.is_some() {
        legend.push((Mark::Line(palette::node(1)), "the contract's latest end"));
    }
    legend.push((Mark::Bar(LATE.faint(0.5)), "at the right: how many, by their margin"));
    sheet.legend(&legend);
    sheet.make_room(DISTRIBUTION + GAP);
    sheet.surroundings();
    let ends: Vec<(u64, f64)> = story.holds.iter().filter_map(end).collect();
    let scale = Scale::around_zero(ends.iter().map(|(_, margin)| *margin).chain(bound));
    let panel = Panel::open(&mut sheet, "margin", HEIGHT, scale, &Unit::Named("s"));
    distribution(&mut sheet, &panel, &ends, early);
    level(&mut sheet, &panel, 0.0, TEXT);
    if let Some(bound) = bound {
        level(&mut sheet, &panel, bound, palette::node(1));
    }
    // Of those that fall on one spot only one is drawn; the early ones come last, over the others.
    let mut marks: Vec<(bool, i32, i32)> =
        ends.into_iter().map(|(at, margin)| (margin < 0.0, sheet.time.x(at), panel.y(margin))).collect();
    marks.sort_unstable();
    marks.dedup_by_key(|(is_early, x, y)| (*is_early, *x / 3, *y / 3));
    for (is_early, x, y) in marks {
        if is_early {
            cross(&mut sheet.picture, (x, y), 4, early);
        } else {
            sheet.picture.dot((x, y), 3, LATE);
        }
    }
    sheet.finish()
}

/// Draws how many leases ended with which margin: bars beside the field, at the heights of their margins.
fn distribution(sheet: &mut Sheet<'_>, panel: &Panel, ends: &[(u64, f64)], early: Ink) {
    let left = sheet.right() + GAP;
    sheet.picture.ground(Area { left, right: left + DISTRIBUTION, ..panel.area(sheet) }, LANE);
    // Counted from the earliest legal end both ways, so that no bar has both the early and the late.
    let ground = panel.y(0.0);
    let mut counts: BTreeMap<(bool, i32), usize> = BTreeMap::new();
    for (_, margin) in ends {
        *counts.entry((*margin < 0.0, (panel.y(*margin) - ground).abs() / STEP)).or_default() += 1;
    }
    let most = counts.values().copied().max().unwrap_or(1);
    for ((is_early, step), count) in counts {
        let near = ground + if is_early { step * STEP } else { -step * STEP };
        let (top, bottom) = if is_early { (near + 1, near + STEP) } else { (near - STEP, near - 1) };
        let length = (count as f64 / most as f64 * f64::from(DISTRIBUTION - 4)).round().max(2.0) as i32;
        let ink = if is_early { early } else { LATE };
        sheet.picture.block(Area { left, right: left + length, top, bottom }, ink.faint(0.5));
    }
    let caption = format!("longest bar: {}", counted(most, "lease", "leases"));
    sheet.picture.fitted(&caption, (left, panel.area(sheet).bottom + 16), DISTRIBUTION, SMALL, QUIET);
}

fn level(sheet: &mut Sheet<'_>, panel: &Panel, value: f64, ink: Ink) {
    let y = panel.y(value);
    let (left, right) = (sheet.left(), sheet.right() + GAP + DISTRIBUTION);
    sheet.picture.line((left, y), (right, y), ink, 2);
}

/// When a lease was first seen to be gone, and how many seconds after its promised end.
fn end(hold: &Hold) -> Option<(u64, f64)> {
    match hold.end {
        End::Gone(at, _) => Some((at.0, (at.0 as f64 - hold.promised.0 as f64) / 1e9)),
        End::Released(_) | End::Unseen => None,
    }
}

/// Whether any lease was seen to end.
pub(super) fn are_any(story: &Story<'_>) -> bool {
    story.holds.iter().any(|hold| end(hold).is_some())
}
