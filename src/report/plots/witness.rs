//! The operations that no order explains, from close by: a row for each, with what it asked and was answered; what the register
//! may have been before the answer that cannot be explained, and what it was by it; and what else was asked of it around then.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_checkers::explain::lock;
use leasehold_checkers::history::{Op, Outcome};
use leasehold_checkers::verdict::Anomaly;

use super::font;
use super::mark::Mark;
use super::palette::{self, BROKEN, GRID, ON_LIGHT, QUIET, SMALL, STRONG, TAG, TEXT};
use super::picture::{Anchor, Area, Picture, Shape};
use super::sheet::Sheet;
use crate::report::story::{Story, witness_of};
use crate::report::words;

const OPS_MAX: usize = 12;
const ROW: i32 = 46;
/// Of what else went on: so many processes, and so many operations.
const PROCESSES_MAX: usize = 8;
const CONTEXT_MAX: usize = 400;
const CONTEXT_ROW: i32 = 24;

/// Draws the anomaly.
pub(super) fn of(story: &Story<'_>, anomaly: &Anomaly) -> Picture {
    let mut ops = witness_of(story, anomaly);
    let left_out = ops.len().saturating_sub(OPS_MAX);
    ops.drain(..left_out);
    let window = window(&ops, anomaly);
    let context = context(story, anomaly, window);
    let key = words::one_line(&lock(&anomaly.key), 40).replace('`', "");
    let mut sheet = Sheet::new(story, &format!("{}: {key}", anomaly.kind), window);
    sheet.sentence(&anomaly.explanation.replace('`', ""));
    let mut legend = vec![
        (Mark::Bar(palette::process(0)), "cannot be ordered; from request to answer, coloured by process"),
        (Mark::Hollow(BROKEN), "its answer is the first that cannot be explained"),
    ];
    if !context.is_empty() {
        legend.push((Mark::Bar(GRID), "what else was asked of it then"));
    }
    sheet.legend(&legend);
    sheet.surroundings();
    if left_out > 0 {
        sheet.note(&format!("Left out: {} before these.", words::counted(left_out, "operation", "operations")));
    }
    let stuck = anomaly.stuck.as_ref().and_then(|stuck| story.ops.get(stuck.op));
    let top = sheet.y;
    for op in ops {
        draw_row(&mut sheet, op, stuck.is_some_and(|stuck| stuck.index == op.index));
    }
    if let Some(stuck) = stuck {
        draw_states(&mut sheet, anomaly, stuck);
        let x = sheet.time.x(stuck.ended.unwrap_or(stuck.invoked).0);
        let bottom = sheet.y;
        sheet.picture.behind(Shape::Path(vec![(x, top), (x, bottom)], BROKEN, 2));
    }
    draw_context(&mut sheet, &context);
    sheet.finish()
}

/// All of them, with a little room. One without an answer lasts as long as the others.
fn window(ops: &[&Op], anomaly: &Anomaly) -> (u64, u64) {
    let from = ops.iter().map(|op| op.invoked.0).min().unwrap_or(anomaly.at_ns);
    let until = ops.iter().map(|op| op.ended.unwrap_or(op.invoked).0).max().unwrap_or(anomaly.at_ns);
    let edge = (until.saturating_sub(from) / 12).max(1_000_000);
    (from.saturating_sub(edge), until.saturating_add(edge))
}

/// The other operations on that register in the window, by process: those nearest to the end.
fn context<'a>(story: &'a Story<'_>, anomaly: &Anomaly, (from, to): (u64, u64)) -> BTreeMap<u64, Vec<&'a Op>> {
    let named: BTreeSet<usize> = anomaly.ops.iter().copied().collect();
    let is_near = |op: &&Op| {
        let ended = if op.is_unanswered() { u64::MAX } else { op.ended.unwrap_or(op.invoked).0 };
        op.key == *anomaly.key && op.invoked.0 <= to && ended >= from && !named.contains(&op.index)
    };
    let mut by_process: BTreeMap<u64, Vec<&Op>> = BTreeMap::new();
    for op in story.ops.iter().rev().filter(is_near).take(CONTEXT_MAX) {
        let count = by_process.len();
        match by_process.get_mut(&op.process) {
            Some(ops) => ops.push(op),
            None if count < PROCESSES_MAX => _ = by_process.insert(op.process, vec![op]),
            None => {}
        }
    }
    by_process.values_mut().for_each(|ops| ops.reverse());
    by_process
}

fn draw_row(sheet: &mut Sheet<'_>, op: &Op, is_stuck: bool) {
    let y = sheet.y + 10;
    let node = op.node.as_ref().map(|node| format!(" via {}", words::one_line(node, 12))).unwrap_or_default();
    sheet.gutter(&format!("process {}{node}", op.process), y, STRONG, TEXT);
    let (left, right) = sheet.bar(op.invoked.0, until(sheet, op));
    let area = Area { left, top: y - 9, right, bottom: y + 9 };
    sheet.picture.block(area, palette::process(op.process));
    if is_stuck {
        for wider in 2..5 {
            let Area { left, top, right, bottom } = area;
            let around = Area { left: left - wider, top: top - wider, right: right + wider, bottom: bottom + wider };
            sheet.picture.outline(around, BROKEN);
        }
    }
    let deed = words::one_line(&sheet.story.deed(op), 80);
    let text = format!("{deed}, from {} (op {})", words::instant(op.invoked), op.index);
    let width = font::width(&text, SMALL);
    let at = left.min(sheet.right() - width).max(sheet.left());
    sheet.picture.fitted(&text, (at, y + 22), sheet.right() - at, SMALL, TEXT);
    sheet.y += ROW;
}

fn until(sheet: &Sheet<'_>, op: &Op) -> u64 {
    if op.is_unanswered() { sheet.time.to_ns } else { op.ended.unwrap_or(op.invoked).0 }
}

/// What the register may have been before the answer that cannot be explained, and what it was by that answer.
fn draw_states(sheet: &mut Sheet<'_>, anomaly: &Anomaly, stuck: &Op) {
    let states = sheet.story.states_around(anomaly, stuck);
    for (name, text, ink) in [("before", states.before, TEXT), ("by that answer", states.told, BROKEN)] {
        let y = sheet.y + 10;
        sheet.gutter(name, y, TAG, ink);
        let (text, room) = (words::one_line(&text, 120), sheet.right() - sheet.left());
        sheet.picture.fitted(&text, (sheet.left() + 6, y), room - 6, SMALL, ink);
        sheet.y += 28;
    }
    sheet.y += 6;
}

/// What else was asked of the register, quietly.
fn draw_context(sheet: &mut Sheet<'_>, context: &BTreeMap<u64, Vec<&Op>>) {
    for (process, ops) in context {
        let y = sheet.y + CONTEXT_ROW / 2;
        sheet.gutter(&format!("process {process}"), y, SMALL, QUIET);
        let mut drawn = BTreeSet::new();
        for op in ops {
            let (left, right) = sheet.bar(op.invoked.0, until(sheet, op));
            if !drawn.insert((left, right)) {
                continue;
            }
            let area = Area { left, top: y - 9, right: (right - 1).max(left + 2), bottom: y + 9 };
            let (left, right) = (left.max(sheet.left()), right.min(sheet.right()));
            sheet.picture.block(Area { left, ..area }, GRID);
            if op.outcome != Outcome::Ok {
                sheet.picture.outline(Area { left, ..area }, QUIET);
            }
            let text = words::one_line(&sheet.story.deed(op), 40);
            if font::width(&text, SMALL) + 8 <= right - left {
                sheet.picture.text(text, (left + 4, y), Anchor::Start, SMALL, ON_LIGHT);
            }
        }
        sheet.y += CONTEXT_ROW;
    }
}
