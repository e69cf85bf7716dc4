//! What stands around an anomaly: the stretch of time to look at, and the holds in it.

use leasehold_checkers::verdict::Anomaly;

use super::{Hold, Story, broken_span};

/// From a little before the first hold that the anomaly names to a little after the margin's end.
pub(in crate::report) fn window_around(story: &Story<'_>, anomaly: &Anomaly) -> (u64, u64) {
    let (broken_from, until) = broken_span(anomaly);
    let held_from = story.holds.iter().filter(|hold| hold.is_named_by(anomaly)).map(|hold| hold.from.0).min();
    let fault_from = story.faults.iter().map(|fault| fault.from.0).filter(|from| *from <= broken_from).max();
    // A hold that was kept up for minutes, or a fault long ago, would squeeze what matters into a corner.
    let reach = anomaly.margin_ns.max(2_000_000_000);
    let earliest = broken_from.saturating_sub(reach);
    let wanted = [held_from, fault_from].into_iter().flatten().filter(|from| *from >= earliest);
    let nearest = if held_from.is_some() { earliest } else { broken_from };
    let from = wanted.min().unwrap_or(nearest).min(broken_from);
    let edge = (until.saturating_sub(from) / 12).max(50_000_000);
    (from.saturating_sub(edge), until.saturating_add(edge))
}

/// The holds of that lock in the window: those that the anomaly names, then those nearest to its beginning.
pub(in crate::report) fn holds_near<'a>(
    story: &'a Story<'_>,
    anomaly: &Anomaly,
    (from, to): (u64, u64),
    at_most: usize,
) -> Vec<&'a Hold> {
    let of_lock = story.holds.iter().filter(|hold| hold.key == *anomaly.key);
    let in_window = |hold: &&Hold| hold.from.0 <= to && hold.until().0 >= from;
    let mut holds: Vec<&Hold> = of_lock.filter(|hold| in_window(hold) || hold.is_named_by(anomaly)).collect();
    holds.sort_by_key(|hold| (!hold.is_named_by(anomaly), hold.from.0.abs_diff(anomaly.at_ns)));
    holds.truncate(at_most);
    holds.sort_by_key(|hold| hold.from);
    holds
}

impl Hold {
    /// Whether an anomaly is about it.
    pub(in crate::report) fn is_named_by(&self, anomaly: &Anomaly) -> bool {
        self.key == *anomaly.key && self.ops.iter().any(|op| anomaly.ops.contains(op))
    }
}
