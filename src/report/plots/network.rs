//! What became of the packets of each link, and when.

use super::mark::Mark;
use super::palette::{self, GRID, SMALL, TEXT};
use super::picture::{Area, Ink, Picture};
use super::sheet::Sheet;
use crate::report::story::{Fate, Link, Story};
use crate::report::words::counted;
use leasehold_checkers::history::Outcome;

const ROW: i32 = 20;
const LINKS_MAX: usize = 42;

/// Draws a lane for each link.
pub(super) fn of(story: &Story<'_>) -> Picture {
    let mut sheet = Sheet::new(story, "What became of the packets of each link", (0, story.end.0));
    sheet.legend(&[
        (Mark::Bar(ink(Fate::Delivered)), "all were delivered"),
        (Mark::Bar(ink(Fate::Late)), "some came late, twice, or out of order"),
        (Mark::Bar(ink(Fate::Damaged)), "some were dropped, lost or changed"),
        (Mark::Bar(ink(Fate::Nothing)), "none was delivered"),
        (Mark::Bar(GRID.faint(0.5)), "none was sent"),
    ]);
    sheet.surroundings();
    let (shown, left_out) = shown(story);
    for link in shown {
        draw_lane(&mut sheet, link);
    }
    if left_out > 0 {
        sheet.note(&format!("Left out: {}.", counted(left_out, "more link", "more links")));
    }
    sheet.finish()
}

fn ink(fate: Fate) -> Ink {
    match fate {
        Fate::Delivered => palette::outcome(Outcome::Ok),
        Fate::Late => palette::node(4),
        Fate::Damaged => palette::outcome(Outcome::Fail),
        Fate::Nothing => palette::outcome(Outcome::Info),
    }
}

/// The links in their order; where there are too many, those that nothing happened to are left out first. The harness's own are
/// of interest only where something did.
fn shown<'a>(story: &'a Story<'_>) -> (Vec<&'a Link>, usize) {
    let of_interest = || story.links.iter().filter(|link| !link.is_harness || link.is_troubled());
    let mut links: Vec<(usize, &Link)> = of_interest().enumerate().collect();
    links.sort_by_key(|(place, link)| (!link.is_troubled(), *place));
    let left_out = links.len().saturating_sub(LINKS_MAX);
    links.truncate(LINKS_MAX);
    links.sort_by_key(|(place, _)| *place);
    (links.into_iter().map(|(_, link)| link).collect(), left_out)
}

fn draw_lane(sheet: &mut Sheet<'_>, link: &Link) {
    let y = sheet.y + ROW / 2;
    sheet.gutter(&link.name, y, SMALL, TEXT);
    let (left, right) = (sheet.left(), sheet.right());
    sheet.picture.ground(Area { left, top: y - 6, right, bottom: y + 6 }, GRID.faint(0.5));
    // What follows each other alike, or on the same pixels, is one bar.
    let mut bars: Vec<(i32, i32, Fate)> = Vec::new();
    for stretch in &link.stretches {
        let (from, to) = (sheet.time.x(stretch.from.0), sheet.time.x(stretch.to.0));
        match bars.last_mut() {
            Some((_, end, fate)) if *fate == stretch.fate && from <= *end + 1 => *end = to,
            Some((_, end, fate)) if to <= *end => *fate = (*fate).max(stretch.fate),
            _ => bars.push((from, to, stretch.fate)),
        }
    }
    for (left, right, fate) in bars {
        sheet.picture.block(Area { left, top: y - 6, right: right.max(left + 1), bottom: y + 6 }, ink(fate));
    }
    sheet.y += ROW;
}
