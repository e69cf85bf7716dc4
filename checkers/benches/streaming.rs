//! How long it takes to read and to judge long histories of locks, and what memory they take.
//!
//! `cargo bench -p leasehold-checkers --bench streaming [-- OPS]` prints a table. Each row is measured in a process of its own,
//! so that its peak is its own.

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use leasehold_checkers::formats::{Events, Options};
use leasehold_checkers::history::{History, header_to_line, to_line};
use leasehold_checkers::live::Judge;
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
    println!("| ops | MB | step | wall ms | CPU ms | peak MB | |");
    println!("|---|---|---|---|---|---|---|");
    for ops in sizes {
        let path = written(ops);
        let megabytes = std::fs::metadata(&path).map_or(0, |file| file.len()) / 1_000_000;
        for step in STEPS {
            let this = std::env::current_exe().expect("a running program has a path");
            let told = Command::new(this).args([step.as_ref(), path.as_os_str()]).output().expect("it can run again");
            println!("| {ops} | {megabytes} | {step} | {} |", String::from_utf8_lossy(&told.stdout).trim());
        }
        std::fs::remove_file(path).expect("the file was made here");
    }
}

fn written(ops: usize) -> PathBuf {
    let path = std::env::temp_dir().join(format!("leasehold-bench-{}-{ops}.jsonl", std::process::id()));
    let mut file = BufWriter::new(File::create(&path).expect("the file can be made"));
    writeln!(file, "{}", header_to_line(&header())).expect("it can be written");
    for event in LongRun::of(ops, 1, 1) {
        writeln!(file, "{}", to_line(&event)).expect("it can be written");
    }
    file.flush().expect("it can be written");
    path
}

fn measure(step: &str, path: &Path) {
    let (wall, cpu) = (Instant::now(), cpu_time());
    let told = match step {
        "one event after the other" => {
            let file = std::io::BufReader::with_capacity(1 << 17, File::open(path).expect("it was written"));
            let events = Events::open(file, &Options::default()).expect("it is a history");
            let count = events.inspect(|event| assert!(event.is_ok(), "it is an event")).count();
            format!("{count} events")
        }
        "all events into memory" => {
            let history = History::read(path).expect("it is a history");
            let told = format!("{} events", history.events.len());
            std::mem::forget(history);
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
    let (wall, cpu) = (wall.elapsed(), cpu_time().saturating_sub(cpu));
    println!("{} | {} | {} | {told}", wall.as_millis(), cpu.as_millis(), peak_mb());
}

/// The CPU time of this process, in the kernel's ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
