//! How long histories in files take: to be read, to be decided, to be explained.
//!
//! `cargo bench -p leasehold-checkers --bench files -- MODEL FILE…` prints a table of CPU times of one process, the best of ten
//! rounds over all files, which are in memory before. Each file is read in its own format and, written so before, in ours.

mod clock;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clock::{CPU, best};
use leasehold_checkers::formats::{Options, Record};
use leasehold_checkers::history::{Event, to_line};
use leasehold_checkers::linear::register::{NullReads, Words, calls_by_key, is_linearizable};
use leasehold_checkers::linear::{Budget, Fails, Model, Reading, judge};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let Some((Ok(model), files)) = arguments.split_first().map(|(model, files)| (model.parse::<Model>(), files)) else {
        eprintln!("usage: cargo bench -p leasehold-checkers --bench files -- MODEL FILE…");
        return ExitCode::SUCCESS;
    };
    let texts: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).expect("it can be read")).collect();
    let read = |text: &[u8]| Record::from_reader(text, &Options::default()).expect("it is a history").events;
    let histories: Vec<Vec<Event>> = texts.iter().map(|text| read(text)).collect();
    let ours: Vec<Vec<u8>> = histories.iter().map(|events| lines(events).into_bytes()).collect();
    println!("{} files, {} events\n", files.len(), histories.iter().map(Vec::len).sum::<usize>());
    println!("| step | CPU ms |\n|---|---|");
    row("read in their own format", || texts.iter().map(|text| read(text).len()).sum());
    row("read as our own JSONL", || ours.iter().map(|text| read(text).len()).sum());
    if model == Model::CasRegister {
        let verdict = |events: &Vec<Event>| -> usize {
            let registers = calls_by_key(events, &words()).expect("they are operations");
            registers.values().filter(|register| is_linearizable(register, &minute()) == Some(true)).count()
        };
        row("verdict", || histories.iter().map(verdict).sum());
        row("our JSONL to verdict", || ours.iter().map(|text| verdict(&read(text))).sum());
    }
    row("verdict with its witness", || histories.iter().map(|events| ops(events, &model)).sum());
    ExitCode::SUCCESS
}

fn ops(events: &[Event], model: &Model) -> usize {
    judge(events, model, &Reading::default(), &minute()).expect("they are operations").ops
}

fn words() -> Words {
    Words { initial: None, fails: Fails::default(), null_reads: NullReads::default() }
}

fn lines(events: &[Event]) -> String {
    events.iter().map(|event| to_line(event) + "\n").collect()
}

fn minute() -> Budget<'static> {
    thread_local!(static BEGIN: Instant = Instant::now());
    Budget { out_of_time: &|| BEGIN.with(Instant::elapsed) > Duration::from_secs(60), memory_bytes: 1 << 30 }
}

fn row(step: &str, work: impl Fn() -> usize) {
    println!("| {step} | {:.2} |", best(CPU, || black_box(work())).0.as_secs_f64() * 1e3);
}
