//! Writes the seeds of each target below `fuzz/corpus`, from what the project has of its own: histories and scenarios.
//!
//! Seeds are short, for a fuzzer gets through those best.

use std::path::{Path, PathBuf};
use std::{fs, io};

use leasehold_checkers::formats::{Keys, to_edn};
use leasehold_checkers::history::{Event, History, Process, header_to_line, to_line};
use serde_json::{Value, json};

const MOST_EVENTS: usize = 24;

fn main() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = here.join("corpus");
    for history in files(&here.join("../fixtures/histories"), "jsonl")? {
        let name = name(&history);
        let bytes = fs::read(&history)?;
        if bytes.len() < 4_096 {
            write(&corpus, "jsonl", &format!("whole-{name}"), &bytes)?;
        }
        if let Ok(history) = History::from_reader(bytes.as_slice()) {
            write_all(&corpus, &name, &history)?;
        }
    }
    for scenario in files(&here.join("../workloads/scenarios"), "toml")? {
        write(&corpus, "scenario", &name(&scenario), &fs::read(&scenario)?)?;
    }
    Ok(())
}

fn files(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.map(|file| file.map(|file| file.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(files.into_iter().filter(|file| file.extension().is_some_and(|end| end == extension)).collect())
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn write(corpus: &Path, target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = corpus.join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

/// The first events of a history in every format.
fn write_all(corpus: &Path, name: &str, history: &History) -> io::Result<()> {
    let events: Vec<&Event> = history.events.iter().take(MOST_EVENTS).collect();
    let joined = |line: &dyn Fn(&Event) -> String, between: &str| {
        events.iter().map(|event| line(event)).collect::<Vec<_>>().join(between)
    };
    let ours = header_to_line(&history.header) + "\n" + &joined(&to_line, "\n") + "\n";
    write(corpus, "jsonl", name, ours.as_bytes())?;
    let edn = joined(&|event| to_edn(event, 0, Keys::Field), "\n");
    write(corpus, "edn", name, edn.as_bytes())?;
    write(corpus, "edn", &format!("{name}-vector"), format!("[{edn}]").as_bytes())?;
    let pairs = joined(&|event| to_edn(event, 0, Keys::Pair), "\n");
    write(corpus, "edn", &format!("{name}-pairs"), pairs.as_bytes())?;
    write(corpus, "jepsen_log", name, (joined(&log_line, "\n") + "\n").as_bytes())?;
    write(corpus, "porcupine", name, joined(&porcupine, "\n").as_bytes())?;
    write(corpus, "atlasdb", name, format!("[{}]", joined(&atlasdb, ",\n")).as_bytes())
}

fn word(event: &Event) -> String {
    json!(event.kind).as_str().unwrap_or_default().to_owned()
}

fn number(event: &Event) -> u64 {
    if let Process::Client(number) = event.process { number } else { 99 }
}

fn log_line(event: &Event) -> String {
    let error = event.error.as_ref().map_or("nil".to_owned(), |error| format!(":{}", error.code));
    format!("INFO  jepsen.util - {}\t:{}\t:{}\t{error}", number(event), word(event), event.f)
}

fn porcupine(event: &Event) -> String {
    let value = event.value.get("owner").and_then(Value::as_str).map_or("nil".to_owned(), |owner| format!("{owner:?}"));
    let f = if event.f == "read" { "get" } else { "append" };
    let word = word(event);
    format!("{{:process {}, :type :{word}, :f :{f}, :key \"1\", :value {value}}}", number(event))
}

fn atlasdb(event: &Event) -> String {
    let word = word(event);
    let f = match event.f.as_str() {
        "acquire" => "lock",
        "renew" => "refresh",
        _ => "unlock",
    };
    let token = "LockRefreshToken [tokenId=1]";
    let value = match (word.as_str(), f) {
        ("invoke", _) => json!("bob"),
        (_, "lock") => json!(token),
        _ => json!([token]),
    };
    json!({
        "f": f,
        "process": number(event),
        "time": event.time.as_nanos(),
        "type": word,
        "value": value,
        "query-params": format!("n1,{}", event.key.as_deref().unwrap_or("bob")),
    })
    .to_string()
}
