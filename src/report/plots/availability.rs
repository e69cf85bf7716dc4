//! Which server answered when, to whom who writes and to whom who reads, and what it said of its own health.

use std::collections::BTreeMap;

use leasehold_checkers::checks::lockup::classes::Class;
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
    fn is_empty(self) -> bool {
        (self.served, self.unserved) == (0, 0)
    }

    fn ink(self, inks: Inks) -> Option<Ink> {
        match (self.served, self.unserved) {
            (0, 0) => None,
            (_, 0) => Some(inks.served),
            (0, _) => Some(inks.unserved),
            _ => Some(inks.mixed),
        }
    }
}

type Lane = Vec<Answers>;

/// A server: its lanes by what was asked of it, and its claims of health.
#[derive(Debug, Default)]
struct Node {
    asked: BTreeMap<usize, Lane>,
    health: Lane,
}

/// What the lanes are called.
#[derive(Clone, Copy)]
enum Lanes {
    /// Those who write, those who read.
    Two,
    /// Each class of requests by itself: where a malformed packet was sent, what stops is told apart.
    Classes,
}

impl Lanes {
    fn of(story: &Story<'_>) -> Self {
        if story.faults.iter().any(|fault| fault.package == f::PACKET) { Self::Classes } else { Self::Two }
    }

    fn name(self, number: usize) -> &'static str {
        match self {
            Self::Two => ["writes", "reads"][number],
            Self::Classes => Class::ALL[number].plural(),
        }
    }

    /// To which lanes an op belongs, and whether it was answered there.
    fn take(self, op: &Op) -> Vec<(usize, bool)> {
        let place = |class| Class::ALL.iter().position(|known| *known == class);
        match self {
            Self::Two => vec![(usize::from(op.f == f::READ), is_answered(op))],
            Self::Classes => {
                Class::of(op).into_iter().filter_map(|(class, served)| Some((place(class)?, served))).collect()
            }
        }
    }

    fn inks(self) -> Inks {
        match self {
            Self::Two => Inks { served: SERVED, mixed: MIXED, unserved: UNSERVED },
            Self::Classes => Inks { served: palette::FINE, mixed: palette::UNSURE, unserved: palette::BROKEN },
        }
    }
}

/// The colours of what was answered, answered in part, and not answered.
#[derive(Clone, Copy)]
struct Inks {
    served: Ink,
    mixed: Ink,
    unserved: Ink,
}

/// Draws the lanes of each server.
pub(super) fn of(story: &Story<'_>) -> Picture {
    let mut sheet = Sheet::new(story, "Which server answered", (0, story.end.0));
    let lanes = Lanes::of(story);
    let inks = lanes.inks();
    sheet.legend(&[
        (Mark::Bar(inks.served), "every request was answered; says that it is healthy"),
        (Mark::Bar(inks.mixed), "some were"),
        (Mark::Bar(inks.unserved), "none was; says that it is not healthy, or does not answer"),
    ]);
    sheet.surroundings();
    let bins = Bins::over(story.end.0);
    let nodes = nodes(story, lanes, &bins);
    for (name, node) in nodes.iter().take(NODES_MAX) {
        let name = one_line(name, 12);
        let asked = node.asked.iter().map(|(number, lane)| (lanes.name(*number), lane, false));
        for (what, lane, is_health) in asked.chain([("health", &node.health, true)]) {
            if lane.iter().any(|answers| !answers.is_empty()) {
                draw_lane(&mut sheet, &format!("{name} {what}"), lane, &bins, inks, is_health);
            }
        }
        sheet.y += 8;
    }
    if nodes.is_empty() {
        sheet.note("No server was asked anything in this run.");
    }
    sheet.finish()
}

fn draw_lane(sheet: &mut Sheet<'_>, name: &str, lane: &Lane, bins: &Bins, inks: Inks, is_health: bool) {
    let (half, kind, ink) = if is_health { (4, SMALL, QUIET) } else { (8, TAG, TEXT) };
    let y = sheet.y + ROW / 2;
    sheet.gutter(name, y, kind, ink);
    let (left, right) = (sheet.left(), sheet.right());
    sheet.picture.ground(Area { left, top: y - half, right, bottom: y + half }, GRID.faint(0.5));
    // Pieces of one colour that follow each other are one bar.
    let mut bin = 0;
    while bin < lane.len() {
        let ink = lane[bin].ink(inks);
        let alike = lane[bin..].iter().take_while(|answers| answers.ink(inks) == ink).count();
        if let Some(ink) = ink {
            let (left, right) = (sheet.time.x(bins.start(bin)), sheet.time.x(bins.start(bin + alike)));
            sheet.picture.block(Area { left, top: y - half, right: right.max(left + 1), bottom: y + half }, ink);
        }
        bin += alike;
    }
    sheet.y += if is_health { ROW - 6 } else { ROW };
}

fn nodes<'s>(story: &'s Story<'_>, lanes: Lanes, bins: &Bins) -> BTreeMap<&'s str, Node> {
    let mut nodes: BTreeMap<&str, Node> = BTreeMap::new();
    for op in &story.ops {
        let Some(node) = &op.node else { continue };
        let node = nodes.entry(node).or_default();
        for (lane, answered) in lanes.take(op) {
            let (lane, ended) = (node.asked.entry(lane).or_default(), op.ended.unwrap_or(story.end).0);
            // A request that is answered is one when it is; one that is not is silence for as long as it was waited for.
            bins.count(lane, if answered { ended } else { op.invoked.0 }, ended, answered);
        }
    }
    let probes = story.history.events.iter().filter(|event| event.process == Process::Probe && event.f == f::HEALTH);
    for event in probes {
        let Some(node) = &event.node else { continue };
        let healthy = event.kind == EventType::Ok && event.value.read::<HealthValue>().is_ok_and(|value| value.healthy);
        bins.count(&mut nodes.entry(node).or_default().health, event.time.0, event.time.0, healthy);
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
                _ if !answers.is_empty() => said = Some((bin, *answers)),
                Some((at, last)) if bin - at <= soon => *answers = last,
                _ => {}
            }
        }
    }

    fn count(&self, lane: &mut Lane, from_ns: u64, until_ns: u64, served: bool) {
        lane.resize(self.count, Answers::default());
        let [first, last] = [from_ns, until_ns].map(|at_ns| ((at_ns / self.width_ns) as usize).min(self.count - 1));
        for answers in lane.iter_mut().take(last + 1).skip(first) {
            let number = if served { &mut answers.served } else { &mut answers.unserved };
            *number = number.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_an_answer_is_silence_for_as_long_as_it_was_waited_for() {
        let (bins, mut lane) = (Bins { width_ns: 10, count: 8 }, Lane::new());
        bins.count(&mut lane, 15, 42, false);
        bins.count(&mut lane, 60, 60, true);
        bins.count(&mut lane, 75, 900, false);
        let told: Vec<_> = lane.iter().map(|answers| (answers.served, answers.unserved)).collect();
        assert_eq!(told, [(0, 0), (0, 1), (0, 1), (0, 1), (0, 1), (0, 0), (1, 0), (0, 1)]);
    }
}
