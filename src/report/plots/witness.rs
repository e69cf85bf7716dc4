//! The operations that no order explains, from close by: a row for each, with what it asked and was answered.

use leasehold_checkers::explain::lock;
use leasehold_checkers::history::Op;
use leasehold_checkers::verdict::Anomaly;

use super::mark::Mark;
use super::palette::{self, SMALL, STRONG, TEXT};
use super::picture::{Area, Picture};
use super::sheet::Sheet;
use crate::report::story::Story;
use crate::report::words;

const OPS_MAX: usize = 12;
const ROW: i32 = 46;

/// Draws the anomaly.
pub(super) fn of(story: &Story<'_>, anomaly: &Anomaly) -> Picture {
    let mut ops: Vec<&Op> = anomaly.ops.iter().filter_map(|op| story.ops.get(*op)).collect();
    ops.sort_by_key(|op| op.invoked);
    let left_out = ops.len().saturating_sub(OPS_MAX);
    ops.drain(..left_out);
    let key = words::one_line(&lock(&anomaly.key), 40).replace('`', "");
    let mut sheet = Sheet::new(story, &format!("{}: {key}", anomaly.kind), window(&ops, anomaly));
    sheet.sentence(&anomaly.explanation.replace('`', ""));
    sheet.legend(&[(
        Mark::Bar(palette::process(0)),
        "an operation, from its request to its answer, coloured by process",
    )]);
    sheet.surroundings();
    if left_out > 0 {
        sheet.note(&format!("Left out: {} before these.", words::counted(left_out, "operation", "operations")));
    }
    for op in ops {
        draw_row(&mut sheet, op);
    }
    sheet.finish()
}

/// All of them, with a little room. One without an answer lasts as long as the others.
fn window(ops: &[&Op], anomaly: &Anomaly) -> (u64, u64) {
    let from = ops.iter().map(|op| op.invoked.0).min().unwrap_or(anomaly.at_ns);
    let until = ops.iter().map(|op| op.ended.unwrap_or(op.invoked).0).max().unwrap_or(anomaly.at_ns);
    let edge = (until.saturating_sub(from) / 12).max(1_000_000);
    (from.saturating_sub(edge), until.saturating_add(edge))
}

fn draw_row(sheet: &mut Sheet<'_>, op: &Op) {
    let y = sheet.y + 10;
    let node = op.node.as_ref().map(|node| format!(" via {}", words::one_line(node, 12))).unwrap_or_default();
    sheet.gutter(&format!("process {}{node}", op.process), y, STRONG, TEXT);
    let until = if op.is_unanswered() { sheet.time.to_ns } else { op.ended.unwrap_or(op.invoked).0 };
    let (left, right) = sheet.bar(op.invoked.0, until);
    sheet.picture.block(Area { left, top: y - 9, right, bottom: y + 9 }, palette::process(op.process));
    let text = format!("{}, from {}", words::one_line(&sheet.story.exchange(op), 80), words::instant(op.invoked));
    let width = super::font::width(&text, SMALL);
    let at = left.min(sheet.right() - width).max(sheet.left());
    sheet.picture.fitted(&text, (at, y + 21), sheet.right() - at, SMALL, TEXT);
    sheet.y += ROW;
}
