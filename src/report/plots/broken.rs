//! Broken promises, in red.

use leasehold_checkers::verdict::{Anomaly, AnomalyKind};

use super::font;
use super::palette::{BROKEN, TAG, WHITE};
use super::picture::{Anchor, Area, Picture, Shape};
use super::sheet::Sheet;
use crate::report::story::broken_span;
use crate::report::words;

/// Draws the broken promises of a lock as red bars with their margins. Those that overlap become one bar.
pub(super) fn draw(sheet: &mut Sheet<'_>, anomalies: &[&Anomaly], y: i32) {
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
        let of_kind = || self.anomalies.iter().filter(|anomaly| anomaly.kind == kind);
        let Some(worst) = of_kind().max_by_key(|anomaly| anomaly.margin_ns) else { return String::new() };
        let margin = words::span(worst.margin_ns);
        match of_kind().count() {
            1 => margin_text(worst, &margin),
            times => format!("{} × {}", words::thousands(times), margin_text(worst, &format!("up to {margin}"))),
        }
    }
}

/// The margin of an anomaly in the fewest words.
pub(in crate::report) fn margin_text(anomaly: &Anomaly, margin: &str) -> String {
    match anomaly.kind {
        AnomalyKind::DoubleAcquisition if anomaly.lease_gone_for_ns.is_some() => "given on a dead lease".to_owned(),
        AnomalyKind::DoubleAcquisition => format!("promised to two for {margin}"),
        AnomalyKind::PrematureExpiry => format!("expired {margin} early"),
        AnomalyKind::DoubleRun => format!("ran twice at once for {margin}"),
        AnomalyKind::Nonlinearizable => "cannot be ordered".to_owned(),
        AnomalyKind::PhantomGrant => format!("never given, by {margin}"),
        AnomalyKind::LostGrant => format!("grant lost, seen {margin} later"),
        AnomalyKind::Fencing => format!("old token {margin} later"),
        AnomalyKind::LockDelayBroken => format!("given {margin} too soon"),
        AnomalyKind::StaleRead => format!("stale by {margin}"),
        AnomalyKind::Divergence => format!("replicas differ for {margin}"),
        AnomalyKind::Lockup => format!("locked up for {margin}"),
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
pub(super) fn ground(picture: &mut Picture, area: Area) {
    picture.behind(Shape::Block(area, BROKEN.faint(0.10)));
    picture.behind(Shape::Path(vec![(area.left, area.top), (area.left, area.bottom)], BROKEN, 1));
    picture.behind(Shape::Path(vec![(area.right, area.top), (area.right, area.bottom)], BROKEN, 1));
}
