//! Which server answered when, to whom who writes and to whom who reads, and what it said of its own health.

use std::collections::BTreeMap;

use leasehold_checkers::history::vocabulary::{HealthValue, code, f};
use leasehold_checkers::history::{EventType, Op, Outcome, Process};

use super::mark::Mark;
use super::palette::{self, GRID, QUIET, SMALL, TAG, TEXT};
use super::picture::{Area, Ink, Picture};
use super::scale::round_step;
use super::sheet::Sheet;
use crate::report::story::Story;
use crate::report::words::one_line;

const ROW: i32 = 22;
const BINS: f64 = 160.0;
/// A history with more servers than this is no cluster's.
const NODES_MAX: usize = 9;

const SERVED: Ink = palette::outcome(Outcome::Ok);
const MIXED: Ink = palette::outcome(Outcome::Fail);
const UNSERVED: Ink = palette::outcome(Outcome::Info);

/// What became, in one piece of time, of the requests that one server was asked.
#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    served: u32,
    unserved: u32,
}

impl Answers {
    fn ink(self) -> Option<Ink> {
        match (self.served, self.unserved) {
            (0, 0) => None,
            (_, 0) => Some(SERVED),
            (0, _) => Some(UNSERVED),
            _ => Some(MIXED),
        }
    }
}

type Lane = Vec<Answers>;

/// A server: its writes, its reads, and its claims of health.
#[derive(Debug, Default)]
struct Node {
    writes: Lane,
    reads: Lane,
    health: Lane,
}

/// Draws three lanes for each server.
pub(super) fn of(story: &Story<'_>) -> Picture {
    let mut sheet = Sheet::new(story, "Which server answered", (0, story.end.0));
    sheet.legend(&[
        (Mark::Bar(SERVED), "every request was answered; says that it is healthy"),
        (Mark::Bar(MIXED), "some were"),
        (Mark::Bar(UNSERVED), "none was; says that it is not healthy, or does not answer"),
    ]);
    sheet.surroundings();
    let bins = Bins::over(story.end.0);
    let nodes = nodes(story, &bins);
    for (name, node) in nodes.iter().take(NODES_MAX) {
        for (index, (what, lane)) in
            [("writes", &node.writes), ("reads", &node.reads), ("health", &node.health)].into_iter().enumerate()
        {
            if lane.iter().any(|answers| answers.ink().is_some()) {
                draw_lane(&mut sheet, &format!("{name} {what}"), lane, &bins, index == 2);
            }
        }
        sheet.y += 8;
    }
    if nodes.is_empty() {
        sheet.note("No server was asked anything in this run.");
    }
    sheet.finish()
}

fn draw_lane(sheet: &mut Sheet<'_>, name: &str, lane: &Lane, bins: &Bins, is_health: bool) {
    let (half, kind, ink) = if is_health { (4, SMALL, QUIET) } else { (8, TAG, TEXT) };
    let y = sheet.y + ROW / 2;
    sheet.gutter(name, y, kind, ink);
    let (left, right) = (sheet.left(), sheet.right());
    sheet.picture.ground(Area { left, top: y - half, right, bottom: y + half }, GRID.faint(0.5));
    // Pieces of one colour that follow each other are one bar.
    let mut bin = 0;
    while bin < lane.len() {
        let ink = lane[bin].ink();
        let alike = lane[bin..].iter().take_while(|answers| answers.ink() == ink).count();
        if let Some(ink) = ink {
            let (left, right) = (sheet.time.x(bins.start(bin)), sheet.time.x(bins.start(bin + alike)));
            sheet.picture.block(Area { left, top: y - half, right: right.max(left + 1), bottom: y + half }, ink);
        }
        bin += alike;
    }
    sheet.y += if is_health { ROW - 6 } else { ROW };
}

fn nodes(story: &Story<'_>, bins: &Bins) -> BTreeMap<String, Node> {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    for op in &story.ops {
        let Some(node) = &op.node else { continue };
        let node = nodes.entry(one_line(node, 12)).or_default();
        let lane = if op.f == f::READ { &mut node.reads } else { &mut node.writes };
        bins.count(lane, op.ended.unwrap_or(story.end).0, is_answered(op));
    }
    let probes = story.history.events.iter().filter(|event| event.process == Process::Probe && event.f == f::HEALTH);
    for event in probes {
        let Some(node) = &event.node else { continue };
        let healthy = event.kind == EventType::Ok && event.value.read::<HealthValue>().is_ok_and(|value| value.healthy);
        bins.count(&mut nodes.entry(one_line(node, 12)).or_default().health, event.time.0, healthy);
    }
    nodes.values_mut().for_each(|node| bins.carry_on(&mut node.health));
    nodes
}

/// Whether the server answered: yes, or a no that says what it saw.
fn is_answered(op: &Op) -> bool {
    let observed = [code::HELD, code::NOT_HELD, code::EXPIRED, code::MISMATCH];
    match op.outcome {
        Outcome::Ok => true,
        Outcome::Fail => op.error.as_ref().is_some_and(|error| observed.iter().any(|code| error.code == *code)),
        Outcome::Info | Outcome::Open => false,
    }
}

/// The run cut into even pieces.
struct Bins {
    width_ns: u64,
    count: usize,
}

impl Bins {
    fn over(end_ns: u64) -> Self {
        let seconds = round_step(end_ns as f64 / 1e9 / BINS).max(0.1);
        let width_ns = (seconds * 1e9) as u64;
        Self { width_ns, count: (end_ns / width_ns + 1) as usize }
    }

    fn start(&self, bin: usize) -> u64 {
        (bin as u64).saturating_mul(self.width_ns)
    }

    /// What a server said of itself holds until it is asked again, if that is soon.
    fn carry_on(&self, lane: &mut Lane) {
        const SOON_NS: u64 = 2_000_000_000;
        let soon = (SOON_NS / self.width_ns) as usize;
        let mut said: Option<(usize, Answers)> = None;
        for (bin, answers) in lane.iter_mut().enumerate() {
            match said {
                _ if answers.ink().is_some() => said = Some((bin, *answers)),
                Some((at, last)) if bin - at <= soon => *answers = last,
                _ => {}
            }
        }
    }

    fn count(&self, lane: &mut Lane, at_ns: u64, served: bool) {
        lane.resize(self.count, Answers::default());
        let answers = &mut lane[((at_ns / self.width_ns) as usize).min(self.count - 1)];
        let number = if served { &mut answers.served } else { &mut answers.unserved };
        *number = number.saturating_add(1);
    }
}
