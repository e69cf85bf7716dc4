//! One anomaly from close by: a row for each hold that has to do with it, with the times in words.

use leasehold_checkers::explain::lock;
use leasehold_checkers::verdict::Anomaly;

use super::bar;
use super::broken::{self, margin_text};
use super::font;
use super::gantt::{LOST, PROMISED};
use super::mark::{Mark, cross};
use super::palette::{self, BODY, BROKEN, QUIET, SMALL, STRONG, TAG, TEXT, WHITE};
use super::picture::{Anchor, Area, Picture};
use super::sheet::Sheet;
use crate::report::story::{End, Hold, SeenBy, Story, broken_span, holds_near, offence, window_around};
use crate::report::words;

const HOLDS_MAX: usize = 7;
const ROW: i32 = 58;

/// Draws the anomaly.
pub(super) fn of(story: &Story<'_>, anomaly: &Anomaly) -> Picture {
    let window = window_around(story, anomaly);
    let holds = holds_near(story, anomaly, window, HOLDS_MAX);
    let key = words::one_line(&lock(&anomaly.key), 40).replace('`', "");
    let mut sheet = Sheet::new(story, &format!("{}: {key}", anomaly.kind), window);
    sheet.sentence(&anomaly.explanation.replace('`', ""));
    let mut legend = vec![
        (Mark::Bar(palette::process(0)), "a hold; ticks are renewals"),
        (Mark::Hollow(BROKEN), LOST),
        (Mark::Cross(BROKEN), "first seen to be gone"),
        (Mark::Diamond(TEXT), PROMISED),
    ];
    if holds.iter().any(|hold| !hold.work.is_empty()) {
        legend.push((Mark::Dot(TEXT), "a piece of work"));
    }
    if !holds.is_empty() {
        sheet.legend(&legend);
    }
    sheet.surroundings();
    draw_margin(&mut sheet, anomaly);
    let top = sheet.y;
    for hold in &holds {
        draw_row(&mut sheet, hold, hold.is_named_by(anomaly));
    }
    let (left, right) = span(&sheet, anomaly);
    broken::ground(&mut sheet.picture, Area { left, top: top - 14, right, bottom: sheet.y });
    sheet.finish()
}

fn span(sheet: &Sheet<'_>, anomaly: &Anomaly) -> (i32, i32) {
    let (from, to) = broken_span(anomaly);
    sheet.bar(from, to)
}

fn draw_margin(sheet: &mut Sheet<'_>, anomaly: &Anomaly) {
    let (left, right) = span(sheet, anomaly);
    let y = sheet.y + 14;
    let area = Area { left, top: y - 12, right, bottom: y + 12 };
    sheet.picture.block(area, BROKEN);
    let text = margin_text(anomaly, &words::span(anomaly.margin_ns));
    let width = font::width(&text, STRONG);
    if width + 12 <= area.width() {
        let middle = i32::midpoint(left, right);
        sheet.picture.text(text, (middle, y), Anchor::Middle, STRONG, WHITE);
    } else if right + 8 + width <= sheet.right() {
        sheet.picture.text(text, (right + 8, y), Anchor::Start, STRONG, BROKEN);
    } else {
        sheet.picture.text(text, (left - 8, y), Anchor::End, STRONG, BROKEN);
    }
    sheet.gutter(offence(anomaly.kind), y, TAG, BROKEN);
    sheet.y += 44;
}

/// Draws a hold with its times below it. Those that the anomaly is about stand out.
fn draw_row(sheet: &mut Sheet<'_>, hold: &Hold, is_named: bool) {
    let (name_type, ink) = if is_named { (STRONG, TEXT) } else { (BODY, QUIET) };
    let y = sheet.y + 12;
    let node = hold.node.as_ref().map(|node| format!(" via {}", words::one_line(node, 12))).unwrap_or_default();
    sheet.gutter(&format!("process {}{node}", hold.process), y, name_type, ink);
    bar::draw(sheet, hold, y, 12, Some(BROKEN));
    for (at, accepted) in hold.work.iter().filter(|(at, _)| sheet.time.sees(at.0, at.0)) {
        let spot = (sheet.time.x(at.0), y + 9);
        if *accepted {
            sheet.picture.dot(spot, 3, TEXT);
        } else {
            cross(&mut sheet.picture, spot, 4, QUIET);
        }
    }
    let text = remark(hold);
    let left = sheet.time.x(hold.from.0).min(sheet.right() - font::width(&text, SMALL)).max(sheet.left());
    let room = sheet.right() - left;
    sheet.picture.fitted(&text, (left, y + 25), room, SMALL, ink);
    sheet.y += ROW;
}

/// A hold in words: when it was taken, how it ended, until when it was promised.
fn remark(hold: &Hold) -> String {
    let taken = format!("granted by {}", words::instant(hold.from));
    let renewed = match hold.renewals.last() {
        None => String::new(),
        Some(last) => {
            format!(", {} (last {})", words::counted(hold.renewals.len(), "renewal", "renewals"), words::instant(*last))
        }
    };
    format!("{taken}{renewed}, {}", ended(hold))
}

fn ended(hold: &Hold) -> String {
    let promised = format!("promised until {}", words::instant(hold.promised));
    match hold.end {
        End::Released(at) => format!("released at {}", words::instant(at)),
        End::Gone(at, seen_by) if at < hold.promised => {
            format!("{} at {}, {promised}", gone(seen_by), words::instant(at))
        }
        End::Gone(at, seen_by) => format!("{promised}, {} at {}", gone(seen_by), words::instant(at)),
        End::Unseen => promised,
    }
}

fn gone(seen_by: SeenBy) -> String {
    match seen_by {
        SeenBy::Itself => "told that it is gone".to_owned(),
        SeenBy::Grant { process } => format!("lost to process {process}"),
        SeenBy::Read => "a read found it gone".to_owned(),
        SeenBy::Watch => "a watch saw it vanish".to_owned(),
    }
}
