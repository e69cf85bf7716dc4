//! The bar of a hold.

use super::font;
use super::mark::{cross, diamond, hollow};
use super::palette::{self, ON_LIGHT, SMALL, TEXT, WHITE};
use super::picture::{Anchor, Area, Ink};
use super::sheet::Sheet;
use crate::report::story::{End, Hold};

/// Draws a hold: its bar, its renewals, where it was lost, and, in the ink given for it, what was promised and is gone.
pub(super) fn draw(sheet: &mut Sheet<'_>, hold: &Hold, y: i32, half: i32, lost: Option<Ink>) {
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
        let on_bar = if ink.is_dark() { WHITE } else { ON_LIGHT };
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
