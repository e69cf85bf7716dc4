//! The run as a picture in characters: what is broken from close by, or the whole run where nothing is.

use std::collections::BTreeMap;

use leasehold_checkers::history::{Op, Outcome};
use leasehold_checkers::verdict::Anomaly;

use super::canvas::{self, BROKEN, FAULT, LOUD, PLAIN, QUIET, Row, Scale};
use crate::report::plots::margin_text;
use crate::report::plots::round_step;
use crate::report::story::{End, Fault, Hold, Story, broken_span, holds_near, window_around, witness_of};
use crate::report::words::{self, counted};

const HOLDS_MAX: usize = 5;
const FAULTS_MAX: usize = 4;
const PACKAGES_MAX: usize = 6;
const LOCKS_MAX: usize = 6;
const OPS_MAX: usize = 8;
/// A column is read as four parts, for what lasts less than it is wide.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
const STEPS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A picture, and what its characters mean.
pub(super) struct Sketch {
    pub(super) rows: Vec<Row>,
    pub(super) legend: &'static str,
}

/// The picture that shows the verdict, in so many columns; none where there is nothing to show.
pub(super) fn of(story: &Story<'_>, columns: usize) -> Option<Sketch> {
    if story.ops.is_empty() {
        return None;
    }
    let Some(anomaly) = story.telling_anomaly() else { return Some(whole_run(story, None, columns)) };
    if story.cannot_be_ordered(anomaly) {
        return Some(witness(story, anomaly, columns));
    }
    let (from_ns, to_ns) = window_around(story, anomaly);
    let holds = holds_near(story, anomaly, (from_ns, to_ns), HOLDS_MAX);
    if !holds.iter().any(|hold| hold.is_named_by(anomaly)) {
        return Some(whole_run(story, Some(anomaly), columns));
    }
    let scale = Scale { from_ns, to_ns, columns };
    let mut rows = faults(story, scale);
    rows.push(broken(story, anomaly, scale));
    rows.extend(holds.into_iter().map(|hold| hold_row(hold, scale)));
    rows.push(axis(scale));
    Some(Sketch {
        rows,
        legend: "█ held   ░ promised, but gone   ✕ first seen to be gone   ◆ promised until   │ given back",
    })
}

/// The operations that cannot be ordered.
fn witness(story: &Story<'_>, anomaly: &Anomaly, columns: usize) -> Sketch {
    let mut ops = witness_of(story, anomaly);
    ops.drain(..ops.len().saturating_sub(OPS_MAX));
    let from = ops.iter().map(|op| op.invoked.0).min().unwrap_or(anomaly.at_ns);
    let to = ops.iter().map(|op| op.ended.unwrap_or(op.invoked).0).max().unwrap_or(from);
    let edge = (to.saturating_sub(from) / 10).max(500_000);
    let scale = Scale { from_ns: from.saturating_sub(edge), to_ns: to.saturating_add(edge), columns };
    let stuck = anomaly.stuck.as_ref().and_then(|stuck| story.ops.get(stuck.op));
    let mut rows = faults(story, scale);
    rows.extend(ops.into_iter().map(|op| {
        let is_stuck = stuck.is_some_and(|stuck| stuck.index == op.index);
        op_row(story, op, if is_stuck { LOUD } else { canvas::client(op.process) }, scale)
    }));
    rows.push(axis(scale));
    if let Some(stuck) = stuck {
        let states = story.states_around(anomaly, stuck);
        for (name, text, style) in [("before", states.before, PLAIN), ("by its end", states.told, BROKEN)] {
            let mut row = Row::new(name, QUIET, scale);
            row.write(0, &words::one_line(&text, columns), style);
            rows.push(row);
        }
    }
    Sketch {
        rows,
        legend: "├─┤ from its request to its answer; the answer in red is the first that cannot be explained",
    }
}

fn op_row(story: &Story<'_>, op: &Op, style: canvas::Style, scale: Scale) -> Row {
    let ended = if op.is_unanswered() { scale.to_ns } else { op.ended.unwrap_or(op.invoked).0 };
    let mut row = Row::new(client(op.process), style, scale);
    row.fill((op.invoked.0, ended), '─', style);
    row.mark(op.invoked.0, '├', style);
    row.mark(ended, if op.is_unanswered() { '…' } else { '┤' }, style);
    row.label((op.invoked.0, ended), &words::one_line(&story.deed(op), 40), style);
    row
}

/// What a client is called, in no more than the eleven characters that there are.
fn client(process: u64) -> String {
    if process < 1_000 { format!("process {process}") } else { format!("p{process}") }
}

/// The faults that are in sight, a row each.
fn faults(story: &Story<'_>, scale: Scale) -> Vec<Row> {
    let in_sight = story.injected().filter(|fault| scale.sees(fault.from.0, fault.until.0));
    in_sight.take(FAULTS_MAX).map(|fault| fault_row(&[fault], scale, &fault.what_and_where())).collect()
}

fn fault_row(faults: &[&Fault], scale: Scale, what: &str) -> Row {
    let mut row = Row::new("fault", FAULT, scale);
    for fault in faults {
        row.fill((fault.from.0, fault.until.0), '▒', FAULT);
    }
    if let [first, ..] = faults {
        row.label((first.from.0.max(scale.from_ns), first.until.0.min(scale.to_ns)), &words::one_line(what, 50), FAULT);
    }
    row
}

fn broken(story: &Story<'_>, anomaly: &Anomaly, scale: Scale) -> Row {
    let span = broken_span(anomaly);
    let name = if story.offence() == "double run" { "ran twice" } else { "broken" };
    let mut row = Row::new(name, LOUD, scale);
    row.fill(span, '▀', LOUD);
    let text = margin_text(anomaly, &words::span(anomaly.margin_ns));
    row.label((span.0, span.1.min(scale.to_ns)), &text, LOUD);
    row
}

fn hold_row(hold: &Hold, scale: Scale) -> Row {
    let style = canvas::client(hold.process);
    let mut row = Row::new(client(hold.process), style, scale);
    let until = hold.until().0;
    if hold.broken_at().is_some() {
        row.fill((until, hold.promised.0), '░', BROKEN);
    }
    row.fill((hold.from.0, until), '█', style);
    if !matches!(hold.end, End::Released(_)) {
        row.mark(hold.promised.0, '◆', PLAIN);
    }
    match hold.end {
        End::Released(at) => row.mark(at.0, '│', PLAIN),
        End::Gone(at, _) if hold.broken_at().is_some() => row.mark(at.0, '✕', LOUD),
        End::Gone(..) | End::Unseen => {}
    }
    row
}

/// The whole run: faults, operations, and who held what.
fn whole_run(story: &Story<'_>, anomaly: Option<&Anomaly>, columns: usize) -> Sketch {
    let scale = Scale { from_ns: 0, to_ns: story.end.0, columns };
    let mut by_package: BTreeMap<&str, Vec<&Fault>> = BTreeMap::new();
    for fault in story.injected() {
        by_package.entry(&fault.package).or_default().push(fault);
    }
    let told = |faults: &[&Fault]| match faults {
        [only] => only.what_and_where(),
        many => format!("{} × {}", many.len(), words::one_line(&many[0].package, 24)),
    };
    let mut rows: Vec<Row> =
        by_package.values().take(PACKAGES_MAX).map(|faults| fault_row(faults, scale, &told(faults))).collect();
    rows.extend(anomaly.map(|anomaly| broken(story, anomaly, scale)));
    let answered: Vec<&Op> = story.ops.iter().filter(|op| op.outcome == Outcome::Ok).collect();
    rows.push(rate("ok", canvas::client(0), &answered, scale));
    let unknown: Vec<&Op> = story.ops.iter().filter(|op| op.is_unanswered()).collect();
    if !unknown.is_empty() {
        rows.push(rate("unknown", "35", &unknown, scale));
    }
    let mut locks: BTreeMap<&str, Vec<&Hold>> = BTreeMap::new();
    for hold in &story.holds {
        locks.entry(&hold.key).or_default().push(hold);
    }
    let left_out = locks.len().saturating_sub(LOCKS_MAX);
    rows.extend(locks.into_iter().take(LOCKS_MAX).map(|(key, holds)| lock_row(key, &holds, scale)));
    if left_out > 0 {
        let mut row = Row::new("", QUIET, scale);
        row.write(0, &format!("and {}", counted(left_out, "more lock", "more locks")), QUIET);
        rows.push(row);
    }
    rows.push(axis(scale));
    let legend = "▁ to █ how many operations ended so, or for how much of that time a lock was held   ▒ a fault";
    Sketch { rows, legend }
}

fn rate(name: &str, style: canvas::Style, ops: &[&Op], scale: Scale) -> Row {
    let mut counts = vec![0usize; scale.columns];
    for op in ops {
        counts[scale.column(op.ended.unwrap_or(op.invoked).0)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let mut row = Row::new(name, style, scale);
    for (column, count) in counts.into_iter().enumerate() {
        row.put(column, STEPS[(count * (STEPS.len() - 1)).div_ceil(most)], style);
    }
    row
}

/// For how much of each column's time a lock was held.
fn lock_row(key: &str, holds: &[&Hold], scale: Scale) -> Row {
    let style = canvas::client(1);
    let width_ns = (scale.to_ns.saturating_sub(scale.from_ns) / scale.columns.max(1) as u64).max(1);
    let mut held_ns = vec![0u64; scale.columns];
    for hold in holds {
        let (from, until) = (hold.from.0, hold.until().0.min(scale.to_ns));
        for (column, held) in held_ns.iter_mut().enumerate().take(scale.column(until) + 1).skip(scale.column(from)) {
            let begin = (column as u64).saturating_mul(width_ns);
            let end = begin.saturating_add(width_ns);
            *held = held.saturating_add(until.min(end).saturating_sub(from.max(begin)));
        }
    }
    let mut row = Row::new(lock_name(key), style, scale);
    for (column, held) in held_ns.into_iter().enumerate() {
        let parts = (held.min(width_ns) as f64 / width_ns as f64 * (SHADES.len() - 1) as f64).ceil() as usize;
        row.put(column, SHADES[parts], style);
    }
    row
}

/// A lock's name in no more than eleven characters. What tells locks apart stands at their names' ends.
fn lock_name(key: &str) -> String {
    const NAME_MAX: usize = 11;
    if key.is_empty() {
        return "the lock".to_owned();
    }
    let letters: Vec<char> = words::one_line(key, 200).chars().collect();
    match letters.len().checked_sub(NAME_MAX) {
        None | Some(0) => letters.into_iter().collect(),
        Some(more) => std::iter::once('…').chain(letters.into_iter().skip(more + 1)).collect(),
    }
}

/// The seconds of the run.
fn axis(scale: Scale) -> Row {
    const TICK: usize = 12;
    let mut row = Row::new("", QUIET, scale);
    let (from, to) = (scale.from_ns as f64 / 1e9, scale.to_ns as f64 / 1e9);
    let step = round_step((to - from) / (scale.columns / TICK).max(1) as f64);
    let decimals = (-step.log10()).ceil().clamp(0.0, 6.0) as usize;
    let first = (from / step).ceil() as u64;
    for tick in (first..).take(scale.columns) {
        let at = tick as f64 * step;
        let column = scale.column((at * 1e9) as u64);
        let text = format!("╵{at:.decimals$} s");
        if at > to || column + text.chars().count() > scale.columns {
            break;
        }
        row.write(column, &text, QUIET);
    }
    row
}
