//! What others do to the cluster, as they tell us: a human at the keyboard, or another tool that breaks things.
//!
//! A line marks the beginning or the end of something that is done, at the moment at which it is read:
//!
//! ```text
//! cut-n2 start
//! {"fault": "cut-n2", "mark": "end", "nodes": ["n2"], "after_ms": 12000}
//! ```
//!
//! The longer form may name the nodes that it is done to, and how long after the beginning of the run the mark is to be made:
//! for plans that are known before. Empty lines and those that begin with `#` say nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use leasehold_checkers::history::vocabulary::{FaultPhase, FaultValue};
use leasehold_checkers::history::{EventType, Process};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::NodeId;
use crate::run::{Entry, Recorder, value_of};

/// The package under which the history has them.
const PACKAGE: &str = "external";

/// How often a file is looked at for more.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The longest line that is taken for a mark.
const LONGEST: u64 = 64 * 1024;

/// Where marks come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkSource {
    /// Standard input.
    Stdin,
    /// A file that grows, or a pipe with a name.
    File(PathBuf),
}

impl From<&Path> for MarkSource {
    fn from(path: &Path) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path.to_owned()) }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    fault: String,
    mark: End,
    #[serde(default)]
    nodes: Vec<String>,
    #[serde(default)]
    after_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum End {
    Start,
    End,
}

impl FromStr for Mark {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mark: Self = if line.starts_with('{') {
            serde_json::from_str(line).map_err(|error| error.to_string())?
        } else {
            match line.rsplit_once(char::is_whitespace).map(|(name, end)| (name.trim_end(), end)) {
                Some((name, "start")) => Self::named(name, End::Start),
                Some((name, "end")) => Self::named(name, End::End),
                _ => return Err("expected `NAME start` or `NAME end`, or a JSON object".to_owned()),
            }
        };
        if mark.fault.is_empty() {
            return Err("it names no fault".to_owned());
        }
        match mark.nodes.iter().find(|node| node.parse::<NodeId>().is_err()) {
            Some(node) => Err(format!("`{node}` is no node: they are called n1, n2, … in the order of --endpoints")),
            None => Ok(mark),
        }
    }
}

impl Mark {
    fn named(name: &str, mark: End) -> Self {
        Self { fault: name.to_owned(), mark, nodes: Vec::new(), after_ms: 0 }
    }
}

/// Begins to read a source.
///
/// # Errors
/// If it is a file that cannot be read.
pub fn follow(source: &MarkSource) -> io::Result<Marks> {
    let (tell, lines) = mpsc::unbounded_channel();
    match source {
        MarkSource::Stdin => spawn(tell, io::stdin(), false)?,
        MarkSource::File(path) => {
            // A pipe with a name is opened for writing too: else this would wait for somebody who writes.
            let is_pipe = std::os::unix::fs::FileTypeExt::is_fifo(&path.metadata()?.file_type());
            let file = File::options().read(true).write(is_pipe).open(path)?;
            spawn(tell, file, true)?;
        }
    }
    Ok(Marks { lines })
}

/// Reads in a thread of its own, which nobody waits for: nothing else can be done about a read that never returns.
fn spawn(tell: mpsc::UnboundedSender<String>, source: impl Read + Send + 'static, grows: bool) -> io::Result<()> {
    let read = move || {
        let mut reader = BufReader::new(source);
        let mut line = Vec::new();
        while !tell.is_closed() {
            match reader.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
                Ok(0) if grows => std::thread::sleep(LOOK_EVERY),
                Ok(count) if count > 0 && line.last() != Some(&b'\n') && grows && (line.len() as u64) < LONGEST => {}
                Ok(count) if count > 0 => {
                    let whole = String::from_utf8_lossy(&std::mem::take(&mut line)).trim().to_owned();
                    if tell.send(whole).is_err() {
                        return;
                    }
                }
                _ => return,
            }
        }
    };
    std::thread::Builder::new().name("marks".to_owned()).spawn(read).map(drop)
}

/// Marks that come in.
#[derive(Debug)]
pub struct Marks {
    lines: mpsc::UnboundedReceiver<String>,
}

impl Marks {
    /// Records the marks as they come, as faults whose numbers begin with `first`, until the future is dropped. Whoever wrote a line that is
    /// no mark is told by `complain`.
    pub async fn record(mut self, recorder: Recorder, first: u64, complain: impl Fn(String)) {
        let (mut open, mut next) = (BTreeMap::new(), first);
        let mut planned: Vec<Mark> = Vec::new();
        loop {
            let now = recorder.clock().now();
            planned.sort_by_key(|mark| mark.after_ms);
            while planned.first().is_some_and(|mark| mark.after_ms * 1_000_000 <= now.as_nanos()) {
                make(&recorder, &planned.remove(0), &mut open, &mut next, &complain);
            }
            let due = planned.first().map(|mark| mark.after_ms * 1_000_000 - now.as_nanos());
            tokio::select! {
                line = self.lines.recv() => match line {
                    Some(line) if line.is_empty() || line.starts_with('#') => {}
                    Some(line) => match line.parse::<Mark>() {
                        Ok(mark) => planned.push(mark),
                        Err(why) => complain(format!("this line is no mark and was left out: {line:?}: {why}")),
                    },
                    None if planned.is_empty() => return,
                    None => tokio::time::sleep(Duration::from_nanos(due.unwrap_or_default())).await,
                },
                () = tokio::time::sleep(Duration::from_nanos(due.unwrap_or(u64::MAX >> 8))), if due.is_some() => {}
            }
        }
    }
}

/// Records one mark, if it makes sense after those before it.
fn make(
    recorder: &Recorder,
    mark: &Mark,
    open: &mut BTreeMap<String, (u64, Vec<String>)>,
    next: &mut u64,
    complain: &impl Fn(String),
) {
    let (phase, number, nodes) = match mark.mark {
        End::Start if open.contains_key(&mark.fault) => {
            return complain(format!("`{}` was marked to start twice without an end between", mark.fault));
        }
        End::Start => {
            let number = *next;
            *next += 1;
            open.insert(mark.fault.clone(), (number, mark.nodes.clone()));
            (FaultPhase::Inject, number, mark.nodes.clone())
        }
        End::End => match open.remove(&mark.fault) {
            Some((number, nodes)) => (FaultPhase::Heal, number, nodes),
            None => return complain(format!("`{}` was marked to end, and nobody marked its start", mark.fault)),
        },
    };
    for (kind, proof) in [(EventType::Invoke, Value::Null), (EventType::Ok, json!({ "told_by": "mark" }))] {
        let value = FaultValue {
            fault: number,
            phase,
            target: "the cluster".to_owned(),
            nodes: nodes.clone(),
            clients: Vec::new(),
            when: None,
            due_ns: None,
            late_ns: None,
            what: mark.fault.clone(),
            proof,
        };
        recorder.record(Entry {
            process: Process::Nemesis,
            kind,
            f: PACKAGE.to_owned(),
            key: None,
            value: value_of(&value),
            node: None,
            error: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        line.parse::<Mark>().expect_err("it is none")
    }

    #[test]
    fn a_mark_has_two_forms() {
        assert_eq!("rack 7 is off \t start".parse(), Ok(Mark::named("rack 7 is off", End::Start)));
        let long = r#"{"fault":"cut","mark":"end","nodes":["n2"],"after_ms":5}"#;
        let mark = Mark { fault: "cut".to_owned(), mark: End::End, nodes: vec!["n2".to_owned()], after_ms: 5 };
        assert_eq!(long.parse(), Ok(mark));
        assert!(refused("start").contains("expected `NAME start`"));
        assert!(refused("cut stop").contains("expected `NAME start`"));
        assert!(refused(r#"{"fault":"cut"}"#).contains("mark"));
        assert!(refused(r#"{"fault":"cut","mark":"end","node":"n2"}"#).contains("unknown field"));
        assert!(refused(r#"{"fault":"cut","mark":"end","nodes":["10.0.0.2"]}"#).contains("is no node"));
        assert!(refused(r#"{"fault":"","mark":"end"}"#).contains("names no fault"));
    }
}
