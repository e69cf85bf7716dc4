//! The whole run for the timeline's script: a head in JSON, then columns of numbers, compressed.
//!
//! The layout, which `read.js` undoes:
//!
//! ```text
//! base64( gzip( length of the head, 4 bytes, little-endian | head, JSON | columns, one after the other ) )
//! ```
//!
//! base64 has no letter that could end a script's tag, so nothing that stands in a history can become markup.

use std::io::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::{Compression, GzBuilder};
use leasehold_checkers::history::{Action, ErrorInfo, Op, Outcome, RunTime};
use leasehold_checkers::verdict::{Anomaly, Grade};
use serde::Serialize;

use super::columns::{Column, NameColumns, Names, Table};
use crate::report::phrases;
use crate::report::plots::{fault_colour, margin_text};
use crate::report::story::{End, Exchange, Fault, Hold, SeenBy, States, Story, broken_span};
use crate::report::words::{self, one_line};

/// More distinct keys, servers, clients, errors or names than these are told without their text.
const WORDS_MAX: usize = 100_000;
const NAME_MAX: usize = 80;
const ERRORS_MAX: usize = 5_000;
/// More anomalies than these, which come most serious first, have their place in the timeline but no words.
const TOLD_MAX: usize = 3_000;
/// More readings of a clock than these would only be drawn over each other.
const READINGS_MAX: usize = 4_000;

/// What stands before the columns.
#[derive(Serialize)]
struct Head<'a> {
    end_us: u64,
    /// Whether the keys are registers and not locks.
    registers: bool,
    ops: usize,
    holds: usize,
    keys: Vec<String>,
    nodes: Vec<String>,
    processes: &'a [u64],
    names: Vec<String>,
    /// Code and text.
    errors: &'a [(String, String)],
    /// What names of acquisitions, values and leases begin with.
    stems: Vec<String>,
    faults: Vec<FaultBand>,
    leaders: Vec<Leader>,
    clocks: Vec<Clock>,
    anomalies: Vec<Break>,
}

#[derive(Serialize)]
struct FaultBand {
    package: String,
    colour: String,
    what: String,
    told: String,
    from_us: u64,
    until_us: u64,
}

#[derive(Serialize)]
struct Leader {
    since_us: u64,
    name: String,
    term: u64,
}

#[derive(Serialize)]
struct Clock {
    name: String,
    at_us: Vec<u64>,
    offset_us: Vec<i64>,
}

/// An anomaly.
#[derive(Serialize)]
struct Break {
    kind: &'static str,
    proven: bool,
    /// The key, by its place; none where no operation names it.
    key: Option<u64>,
    from_us: u64,
    until_us: u64,
    margin: String,
    ops: Vec<usize>,
    told: String,
    /// Of operations that cannot be ordered: what the register was before the answer that cannot be explained, and by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    states: Option<[String; 2]>,
}

/// The run, packed.
pub(super) fn packed(story: &Story<'_>) -> io::Result<String> {
    let mut words = Words::new();
    let ops = op_columns(story, &mut words);
    let holds = hold_columns(story);
    let head = serde_json::to_vec(&head(story, &mut words))?;
    let length = u32::try_from(head.len()).map_err(io::Error::other)?;
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    gzip.write_all(&length.to_le_bytes())?;
    gzip.write_all(&head)?;
    for column in ops.iter().chain(&holds) {
        gzip.write_all(column.bytes())?;
    }
    Ok(BASE64.encode(gzip.finish()?))
}

/// What the columns speak of by place.
struct Words {
    keys: Table<String>,
    nodes: Table<String>,
    processes: Table<u64>,
    names: Table<String>,
    errors: Table<(String, String)>,
    /// Owners, values and leases.
    names_told: Names,
}

impl Words {
    fn new() -> Self {
        Self {
            keys: Table::of_at_most(WORDS_MAX),
            nodes: Table::of_at_most(WORDS_MAX),
            processes: Table::of_at_most(usize::MAX),
            names: Table::of_at_most(WORDS_MAX),
            errors: Table::of_at_most(ERRORS_MAX),
            names_told: Names::of_at_most(WORDS_MAX),
        }
    }

    fn error(&mut self, error: &ErrorInfo) -> Option<u64> {
        let told = (one_line(&error.code, 40), one_line(&error.text, 200));
        self.errors.place(&told).or_else(|| self.errors.place(&(told.0, String::new())))
    }
}

/// The columns of the operations, in the order in which the script reads them.
fn op_columns(story: &Story<'_>, words: &mut Words) -> Vec<Column> {
    let mut number: [Column; 9] = Default::default();
    let mut names: [NameColumns; 4] = Default::default();
    let mut last_token = 0;
    for op in &story.ops {
        let [invoked, took, process, kind, key, node, error, ttl, token] = &mut number;
        let invoked_us = us(op.invoked);
        invoked.push_next(invoked_us);
        took.push(op.ended.map_or(0, |ended| us(ended).saturating_sub(invoked_us) + 1));
        process.push(some(words.processes.place(&op.process)));
        let name = words.names.place(op.f.as_str());
        kind.push(some(name) * 8 + u64::from(is_flagged(op)) * 4 + outcome(op.outcome));
        key.push(some(words.keys.place(op.key.as_str())));
        node.push(op.node.as_ref().map_or(0, |node| some(words.nodes.place(node.as_str()))));
        error.push(op.error.as_ref().map_or(0, |error| some(words.error(error))));
        push_names(op, words, &mut names);
        push_exchange(&story.exchange(op), words, &mut names);
        let (ttl_ms, fence) = granted(op);
        ttl.push(ttl_ms.map_or(0, |ms| ms.saturating_add(1)));
        match fence {
            None => token.push(0),
            Some(fence) => {
                token.push(1);
                token.push_difference(last_token, fence);
                last_token = fence;
            }
        }
    }
    let [invoked, took, process, kind, key, node, error, ttl, token] = number;
    let numbers = [invoked, took, process, kind, key, node, error];
    let names = names.into_iter().flat_map(|name| [name.stem, name.number]);
    numbers.into_iter().chain(names).chain([ttl, token]).collect()
}

/// A place as the columns tell it: 0 for none.
fn some(place: Option<u64>) -> u64 {
    place.map_or(0, |place| place + 1)
}

fn us(time: RunTime) -> u64 {
    time.0 / 1_000
}

fn outcome(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Fail => 1,
        Outcome::Info => 2,
        Outcome::Open => 3,
    }
}

/// Whether an acquisition waits, or a read is promised to be current.
fn is_flagged(op: &Op) -> bool {
    matches!(op.action, Action::Acquire { blocking: true, .. } | Action::Read { linearizable: true, .. })
}

/// Who acts, and who was seen to hold the lock.
fn push_names(op: &Op, words: &mut Words, [owner, other, ..]: &mut [NameColumns; 4]) {
    let (own, seen) = match &op.action {
        Action::Acquire { owner, holder, .. } => (Some(owner), holder.as_ref().map(Some)),
        Action::Renew { owner, .. } | Action::Release { owner } => (Some(owner), None),
        Action::Read { seen, .. } => (None, seen.as_ref().map(Option::as_ref)),
        _ => (None, None),
    };
    match own {
        Some(name) => words.names_told.push(owner, &one_line(name, NAME_MAX)),
        None => Names::push_none(owner),
    }
    match seen {
        None => Names::push_none(other),
        Some(None) => Names::push_nobody(other),
        Some(Some(name)) => words.names_told.push(other, &one_line(name, NAME_MAX)),
    }
}

/// What it came upon, and what it made.
fn push_exchange(exchange: &Exchange, words: &mut Words, [.., found, made]: &mut [NameColumns; 4]) {
    for (text, columns) in [(&exchange.found, found), (&exchange.made, made)] {
        match text {
            Some(text) => words.names_told.push(columns, &one_line(text, NAME_MAX)),
            None => Names::push_none(columns),
        }
    }
}

/// The TTL and the fencing token that were granted.
fn granted(op: &Op) -> (Option<u64>, Option<u64>) {
    match op.action {
        Action::Acquire { granted: Some(granted), .. } => (Some(granted.ttl_ms), granted.token),
        Action::Renew { granted_ttl_ms, .. } => (granted_ttl_ms, None),
        Action::Work(ref work) => (None, work.token),
        _ => (None, None),
    }
}

/// The columns of the holds.
fn hold_columns(story: &Story<'_>) -> Vec<Column> {
    let mut columns: [Column; 6] = Default::default();
    for hold in &story.holds {
        let [acquire, promised, believed, end, end_at, ops] = &mut columns;
        let from_us = us(hold.from);
        acquire.push_next(hold.acquire as u64);
        promised.push_difference(from_us, us(hold.promised));
        believed.push_difference(from_us, hold.believed.map_or(from_us, us));
        let (how, at) = how_it_ended(hold);
        end.push(how);
        end_at.push_difference(from_us, us(at));
        ops.push(hold.ops.len().saturating_sub(1) as u64);
        let mut last = hold.acquire as u64;
        for op in hold.ops.iter().skip(1) {
            ops.push_difference(last, *op as u64);
            last = *op as u64;
        }
    }
    Vec::from(columns)
}

fn how_it_ended(hold: &Hold) -> (u64, RunTime) {
    match hold.end {
        End::Unseen => (0, hold.promised),
        End::Released(at) => (1, at),
        End::Gone(at, SeenBy::Itself) => (2, at),
        End::Gone(at, SeenBy::Grant { .. }) => (3, at),
        End::Gone(at, SeenBy::Read) => (4, at),
        End::Gone(at, SeenBy::Watch) => (5, at),
    }
}

fn head<'a>(story: &Story<'_>, words: &'a mut Words) -> Head<'a> {
    let told = story.judgement.anomalies.iter().enumerate();
    let anomalies = told.map(|(index, anomaly)| anomaly_break(story, anomaly, index < TOLD_MAX, words)).collect();
    let lines = |texts: &[String], max: usize| texts.iter().map(|text| one_line(text, max)).collect();
    Head {
        end_us: us(story.end),
        registers: story.is_about_registers(),
        ops: story.ops.len(),
        holds: story.holds.len(),
        keys: lines(&words.keys.all, 80),
        nodes: lines(&words.nodes.all, 40),
        processes: &words.processes.all,
        names: lines(&words.names.all, 40),
        errors: &words.errors.all,
        // In one line already, and a blank at the end belongs to them: a number follows.
        stems: words.names_told.stems().to_vec(),
        faults: story.injected().map(|fault| band(story, fault)).collect(),
        leaders: story
            .reigns
            .iter()
            .map(|reign| Leader { since_us: us(reign.since), name: reign.name(), term: reign.term })
            .collect(),
        clocks: clocks(story),
        anomalies,
    }
}

fn anomaly_break(story: &Story<'_>, anomaly: &Anomaly, in_words: bool, words: &mut Words) -> Break {
    let (from, until) = broken_span(anomaly);
    Break {
        kind: anomaly.kind.name(),
        proven: anomaly.grade == Grade::Proven,
        key: words.keys.place(anomaly.key.as_str()),
        from_us: us(RunTime(from)),
        until_us: us(RunTime(until)),
        margin: margin_text(anomaly, &words::span(anomaly.margin_ns)),
        ops: anomaly.ops.clone(),
        told: if in_words { one_line(&anomaly.explanation, 400).replace('`', "") } else { String::new() },
        states: in_words.then(|| states(story, anomaly)).flatten(),
    }
}

fn states(story: &Story<'_>, anomaly: &Anomaly) -> Option<[String; 2]> {
    let stuck = story.ops.get(anomaly.stuck.as_ref()?.op)?;
    let States { before, told } = story.states_around(anomaly, stuck);
    Some([before, told])
}

fn band(story: &Story<'_>, fault: &Fault) -> FaultBand {
    FaultBand {
        package: one_line(&fault.package, 24),
        colour: fault_colour(story, &fault.package),
        what: fault.what_and_where(),
        told: phrases::fault(fault),
        from_us: us(fault.from),
        until_us: us(fault.until),
    }
}

fn clocks(story: &Story<'_>) -> Vec<Clock> {
    let mut clocks: Vec<Clock> = Vec::new();
    for reading in &story.clocks {
        let name = one_line(&reading.clock, 20);
        let known = clocks.iter().position(|clock| clock.name == name);
        let index = known.unwrap_or_else(|| {
            clocks.push(Clock { name, at_us: Vec::new(), offset_us: Vec::new() });
            clocks.len() - 1
        });
        clocks[index].at_us.push(us(reading.at));
        clocks[index].offset_us.push(reading.offset_ns / 1_000);
    }
    clocks.sort_by(|one, other| one.name.cmp(&other.name));
    clocks.iter_mut().for_each(thin_out);
    clocks
}

/// Leaves out readings at even steps, but for the first and last before each leap.
fn thin_out(clock: &mut Clock) {
    const LEAP_US: u64 = 20_000;
    let step = clock.at_us.len().div_ceil(READINGS_MAX).max(1);
    let leaps = |index: usize| {
        let pair = clock.offset_us.get(index..index + 2);
        pair.is_some_and(|pair| pair[0].abs_diff(pair[1]) > LEAP_US)
    };
    let kept: Vec<usize> = (0..clock.at_us.len())
        .filter(|index| index % step == 0 || leaps(*index) || index.checked_sub(1).is_some_and(leaps))
        .collect();
    clock.at_us = kept.iter().map(|index| clock.at_us[*index]).collect();
    clock.offset_us = kept.iter().map(|index| clock.offset_us[*index]).collect();
}
