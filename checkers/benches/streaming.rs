//! How long it takes to read and to judge long histories of locks and of registers, and what memory they take.
//!
//! `cargo bench -p leasehold-checkers --bench streaming [-- OPS]` prints a table. Each row is measured in a process of its own,
//! so that its peak is its own.

#[path = "../tests/support/mod.rs"]
mod support;

mod clock;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use clock::{cpu_of_all, peak_mb};
use leasehold_checkers::formats::{Events, Options, Record};
use leasehold_checkers::history::vocabulary::f;
use leasehold_checkers::history::{CAS_REGISTER, Event, EventType, Header, Process, header_to_line, to_line};
use leasehold_checkers::linear::Call;
use leasehold_checkers::linear::generate::{Domain, Load, RegisterWorkload};
use leasehold_checkers::linear::register::RegisterAction;
use leasehold_checkers::live::Judge;
use serde_json::{Value, json};
use support::long_run::LongRun;
use support::script::header;

const STEPS: [&str; 4] =
    ["one event after the other", "all events into memory", "judge while reading", "judge while reading, keep all"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let [step, path] = arguments.as_slice() {
        return measure(step, Path::new(path));
    }
    let wanted = arguments.first().and_then(|ops| ops.parse().ok());
    let sizes = wanted.map_or_else(|| vec![10_000, 100_000, 1_000_000], |ops| vec![ops]);
    println!("| what | ops | MB | step | wall ms | CPU ms | peak MB | |");
    println!("|---|---|---|---|---|---|---|---|");
    for (what, ops) in sizes.into_iter().flat_map(|ops| [("locks", ops), ("a register", ops)]) {
        let path = match what {
            "locks" => written(ops, &header(), LongRun::of(ops, 1, 1)),
            _ => written(ops, &of_a_register(header()), register(ops)),
        };
        let megabytes = std::fs::metadata(&path).map_or(0, |file| file.len()) / 1_000_000;
        for step in STEPS {
            let this = std::env::current_exe().expect("a running program has a path");
            let told = Command::new(this).args([step.as_ref(), path.as_os_str()]).output().expect("it can run again");
            println!("| {what} | {ops} | {megabytes} | {step} | {} |", String::from_utf8_lossy(&told.stdout).trim());
        }
        std::fs::remove_file(path).expect("the file was made here");
    }
}

fn of_a_register(header: Header) -> Header {
    Header { workload: "register".to_owned(), model: CAS_REGISTER.to_owned(), ..header }
}

/// Reads, writes and swaps of values that are written once each, by five clients that are never idle.
fn register(ops: usize) -> impl Iterator<Item = Event> {
    // A quarter are swaps that find another value, and are left out.
    let load = Load { seed: 1, ops: ops * 3 / 2, clients: 5, unanswered_per_mille: 0, broken: false };
    let workload = RegisterWorkload { load, domain: Domain::Unique, records_failed_swaps: false };
    let mut events: Vec<Event> = workload.history().calls.iter().take(ops).flat_map(both_ends).collect();
    events.sort_by_key(|event| event.time);
    events.into_iter()
}

fn both_ends(call: &Call<RegisterAction>) -> impl Iterator<Item = Event> + use<> {
    let (f, asked, told) = match call.action {
        RegisterAction::Read(value) => (f::READ, Value::Null, json!(value.0)),
        RegisterAction::Write(value) => (f::WRITE, json!(value.0), json!(value.0)),
        RegisterAction::Cas { expected, new } => (f::CAS, json!([expected.0, new.0]), json!([expected.0, new.0])),
        RegisterAction::CasFailed { .. } => unreachable!("swaps that failed are left out of this workload"),
    };
    let event = |time, kind, value: Value| Event {
        time,
        process: Process::Client(call.process),
        kind,
        f: f.into(),
        key: Some("r".into()),
        value: value.into(),
        node: Some("n1".into()),
        error: None,
    };
    let answer = call.returned.map(|returned| event(returned, EventType::Ok, told));
    [Some(event(call.called, EventType::Invoke, asked)), answer].into_iter().flatten()
}

fn written(ops: usize, header: &Header, events: impl Iterator<Item = Event>) -> PathBuf {
    let path = std::env::temp_dir().join(format!("leasehold-bench-{}-{ops}.jsonl", std::process::id()));
    let mut file = BufWriter::new(File::create(&path).expect("the file can be made"));
    writeln!(file, "{}", header_to_line(header)).expect("it can be written");
    for event in events {
        writeln!(file, "{}", to_line(&event)).expect("it can be written");
    }
    file.flush().expect("it can be written");
    path
}

fn measure(step: &str, path: &Path) {
    let (wall, cpu) = (Instant::now(), cpu_of_all());
    let told = match step {
        "one event after the other" => {
            let file = std::io::BufReader::with_capacity(1 << 17, File::open(path).expect("it was written"));
            let events = Events::open(file, &Options::default()).expect("it is a history");
            let count = events.inspect(|event| assert!(event.is_ok(), "it is an event")).count();
            format!("{count} events")
        }
        "all events into memory" => {
            let record = Record::read(path, &Options::default()).expect("it is a history");
            let told = format!("{} events", record.events.len());
            std::mem::forget(record);
            told
        }
        _ => {
            let file = std::io::BufReader::with_capacity(1 << 17, File::open(path).expect("it was written"));
            let mut events = Events::open(file, &Options::default()).expect("it is a history");
            let header = events.header().cloned().expect("it has one");
            let mut judge =
                if step.ends_with("all") { Judge::that_forgets_nothing(header) } else { Judge::new(header) };
            events.by_ref().for_each(|event| judge.observe(&event.expect("it is an event")));
            let (kept, at_end) = (judge.kept(), Instant::now());
            let judgement = judge.finish(false).expect("nothing speaks of the past");
            format!("{}, {kept} kept, {} ms after the end", judgement.verdict, at_end.elapsed().as_millis())
        }
    };
    let (wall, cpu) = (wall.elapsed(), cpu_of_all().saturating_sub(cpu));
    println!("{} | {} | {} | {told}", wall.as_millis(), cpu.as_millis(), peak_mb());
}
