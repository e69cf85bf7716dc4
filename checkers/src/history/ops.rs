//! Pairs what the clients asked with what they were told.

use std::collections::BTreeMap;
use std::ops::Index;

use serde::de::DeserializeOwned;

use super::names::Names;
use super::vocabulary::{AcquireValue, Guard, HeldValue, OwnerValue, Piece, ReadValue, WorkValue, code, f};
use super::{CAS_REGISTER, ErrorInfo, Event, EventType, Flaw, FlawKind, Header, History, Process, RunTime, Word};

/// The operations of all clients, in the order of their invocations.
///
/// Only client operations are counted, so the index of an op here is the number by which anomalies name it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ops {
    /// The operations.
    pub all: Vec<Op>,
    /// Where the record of the clients breaks an assumption. Ops that follow a flaw may be paired wrongly.
    pub flaws: Vec<Flaw>,
}

/// One operation of a client, from its invocation to its completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// Its index in [`Ops::all`].
    pub index: usize,
    /// The client's number.
    pub process: u64,
    /// The operation's name: see [`super::vocabulary::f`].
    pub f: Word,
    /// The lock; empty where the run has only one and does not name it.
    pub key: Word,
    /// The server that was asked.
    pub node: Option<Word>,
    /// When it was asked.
    pub invoked: RunTime,
    /// When it was answered or given up; `None` where the history ends before that.
    pub ended: Option<RunTime>,
    /// How it ended.
    pub outcome: Outcome,
    /// What was asked and answered.
    pub action: Action,
    /// Why it did not end in `ok`.
    pub error: Option<ErrorInfo>,
    /// The line of its invocation.
    pub line: usize,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It happened.
    Ok,
    /// It certainly did not happen.
    Fail,
    /// The client gave up; it may have happened, or may yet.
    Info,
    /// The history ends before it was answered; it may have happened, or may yet.
    Open,
}

/// What an operation asked, and what it was told if it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take the lock.
    Acquire {
        /// The name of this acquisition.
        owner: String,
        /// Whether it waits until the lock is free.
        blocking: bool,
        /// What was granted, where it was (`ok`).
        granted: Option<Granted>,
        /// Who has the lock instead, where the service told.
        holder: Option<String>,
    },
    /// Prolong it.
    Renew {
        /// The name of the acquisition.
        owner: String,
        /// The TTL asked for, where the history says.
        asked_ttl_ms: Option<u64>,
        /// The TTL granted, where it was (`ok`).
        granted_ttl_ms: Option<u64>,
    },
    /// Give it back.
    Release {
        /// The name of the acquisition.
        owner: String,
    },
    /// Ask who holds it.
    Read {
        /// Whether the service promises that the answer is current.
        linearizable: bool,
        /// Who was seen to hold it, where it was answered: the inner `None` is nobody.
        seen: Option<Option<String>>,
    },
    /// Use a register. What it says is judged by [`crate::linear`].
    Register {
        /// Whether it may change the register.
        writes: bool,
        /// Whether the service promises that the answer is current.
        linearizable: bool,
    },
    /// Do a piece of what the lock guards.
    Work(Work),
    /// Anything that no checker here judges.
    Other,
}

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// The name of the acquisition under which it is done.
    pub owner: String,
    /// What is done.
    pub piece: Piece,
    /// Who guards it.
    pub guard: Guard,
    /// The fencing token that it comes with.
    pub token: Option<u64>,
    /// The version that the writer had read.
    pub base: Option<u64>,
    /// The version that was read or written, where it was (`ok`).
    pub version: Option<u64>,
}

/// What the service granted to an acquisition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The TTL that it promised.
    pub ttl_ms: u64,
    /// The fencing token.
    pub token: Option<u64>,
}

impl Ops {
    /// Pairs the invocations and completions of a history.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let mut pairing = Pairing::of(&history.header);
        let mut flaws = Vec::new();
        for (line, event) in history.lines() {
            if let Process::Client(process) = event.process
                && let Err(kind) = pairing.take(line, process, event)
            {
                flaws.push(Flaw { line, kind });
            }
        }
        Self { flaws, ..pairing.ops }
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Op> {
        self.all.iter()
    }

    /// Takes out an op that has ended and is not needed.
    pub(crate) fn forget(&mut self, index: usize) {
        if let Some(place) = self.place(index) {
            self.all.remove(place);
        }
    }

    /// The op with this index, which need not be its place: a judge of a long run leaves out what is settled.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Op> {
        self.place(index).map(|place| &self.all[place])
    }

    fn place(&self, index: usize) -> Option<usize> {
        match self.all.get(index) {
            Some(op) if op.index == index => Some(index),
            _ => self.all.binary_search_by_key(&index, |op| op.index).ok(),
        }
    }
}

impl Index<usize> for Ops {
    type Output = Op;

    /// The op with this index. Whoever names an op has seen it here.
    fn index(&self, index: usize) -> &Op {
        self.get(index).expect("an op that is named is kept")
    }
}

impl<'a> IntoIterator for &'a Ops {
    type Item = &'a Op;
    type IntoIter = std::slice::Iter<'a, Op>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Op {
    /// Whether it may still take effect after its end.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        matches!(self.outcome, Outcome::Info | Outcome::Open)
    }

    /// The word for programs that came with a `fail` or an `info`.
    #[must_use]
    pub fn error_code(&self) -> Option<&str> {
        self.error.as_ref().map(|error| error.code.as_str())
    }

    /// Whether the service was asked. The ledger of a job is the harness's own.
    #[must_use]
    pub fn asks_the_service(&self) -> bool {
        !matches!(&self.action, Action::Work(work) if work.guard != Guard::Service)
    }

    /// Whether it ran at the server and certainly did not happen, for the reason that this code names.
    #[must_use]
    pub fn failed_with(&self, code: &str) -> bool {
        self.outcome == Outcome::Fail && self.error_code() == Some(code)
    }
}

/// What a process is doing.
#[derive(Debug)]
enum Doing {
    Nothing,
    Op(usize),
    RetiredBy(usize),
}

/// Pairs events as they come, for whoever does not have them all at once.
#[derive(Debug, Default)]
pub struct Pairing {
    /// The ops so far. Whoever needs one no more may take it out once it has ended.
    pub ops: Ops,
    pub(crate) names: Names,
    /// How many ops there were.
    pub(crate) count: usize,
    processes: BTreeMap<u64, Doing>,
    /// Whether they are about registers.
    registers: bool,
}

impl Pairing {
    /// For the events of a run with this header.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        Self { registers: header.model == CAS_REGISTER, ..Self::default() }
    }

    /// Takes the event of a client, which stands on this line, and gives the index of the op that it begins or ends.
    ///
    /// # Errors
    ///
    /// Where the event breaks the form of a record.
    pub fn take(&mut self, line: usize, process: u64, event: &Event) -> Result<usize, FlawKind> {
        match event.kind {
            EventType::Invoke => self.invoke(line, process, event),
            EventType::Ok => self.complete(process, event, Outcome::Ok),
            EventType::Fail => self.complete(process, event, Outcome::Fail),
            EventType::Info => self.complete(process, event, Outcome::Info),
        }
    }

    fn invoke(&mut self, line: usize, process: u64, event: &Event) -> Result<usize, FlawKind> {
        let (who, name) = (event.process, || event.f.to_string());
        match *self.processes.entry(process).or_insert(Doing::Nothing) {
            Doing::Nothing => {}
            Doing::Op(open) => return Err(FlawKind::StillUnderWay { process: who, f: name(), open }),
            Doing::RetiredBy(op) => return Err(FlawKind::Retired { process: who, f: name(), retired_by: op }),
        }
        let op = Op {
            index: self.count,
            process,
            f: event.f.clone(),
            key: event.key.clone().unwrap_or_default(),
            node: event.node.clone(),
            invoked: event.time,
            ended: None,
            outcome: Outcome::Open,
            action: if self.registers { of_register(event)? } else { asked(event)? },
            error: None,
            line,
        };
        self.note_acquisition(&op)?;
        self.processes.insert(process, Doing::Op(op.index));
        self.count += 1;
        self.ops.all.push(op);
        Ok(self.count - 1)
    }

    fn note_acquisition(&mut self, op: &Op) -> Result<(), FlawKind> {
        let Action::Acquire { owner, .. } = &op.action else { return Ok(()) };
        self.names.note(&op.key, owner, op.index).map_err(|first| FlawKind::OwnerReused {
            owner: owner.clone(),
            key: op.key.to_string(),
            first,
        })
    }

    fn complete(&mut self, process: u64, event: &Event, outcome: Outcome) -> Result<usize, FlawKind> {
        let doing = self.processes.entry(process).or_insert(Doing::Nothing);
        let Doing::Op(index) = *doing else {
            return Err(FlawKind::NothingUnderWay { process: event.process, f: event.f.to_string() });
        };
        *doing = if outcome == Outcome::Info { Doing::RetiredBy(index) } else { Doing::Nothing };

        let place = self.ops.place(index).expect("an op that is under way is kept");
        let op = &mut self.ops.all[place];
        let key = event.key.as_deref().unwrap_or_default();
        if op.f != event.f || op.key != *key {
            let (invoked, completed) = (what(&op.f, &op.key), what(&event.f, key));
            return Err(FlawKind::Mismatched { process: event.process, op: index, invoked, completed });
        }
        op.ended = Some(event.time);
        op.outcome = outcome;
        op.error.clone_from(&event.error);
        take_answer(op, event)?;
        Ok(index)
    }
}

fn what(f: &str, key: &str) -> String {
    format!("{f} {key}").trim_end().to_owned()
}

/// What an invocation asks.
fn asked(event: &Event) -> Result<Action, FlawKind> {
    Ok(match event.f.as_str() {
        f::ACQUIRE => {
            let AcquireValue { owner, blocking, .. } = value_of(event)?;
            Action::Acquire { owner, blocking, granted: None, holder: None }
        }
        f::RENEW => {
            let OwnerValue { owner, ttl_ms } = value_of(event)?;
            Action::Renew { owner, asked_ttl_ms: ttl_ms, granted_ttl_ms: None }
        }
        f::RELEASE => {
            let OwnerValue { owner, .. } = value_of(event)?;
            Action::Release { owner }
        }
        f::READ => {
            let ReadValue { linearizable, .. } = value_of(event)?;
            Action::Read { linearizable, seen: None }
        }
        f::WORK => {
            let WorkValue { owner, piece, guard, token, base, .. } = value_of(event)?;
            Action::Work(Work { owner, piece, guard, token, base, version: None })
        }
        _ => Action::Other,
    })
}

/// What an invocation asks of a register.
fn of_register(event: &Event) -> Result<Action, FlawKind> {
    Ok(match event.f.as_str() {
        f::READ => Action::Register { writes: false, linearizable: true },
        f::LOCAL_READ => Action::Register { writes: false, linearizable: false },
        f::CAS if event.value.as_array().is_none_or(|pair| pair.len() != 2) => {
            return Err(malformed(event, "a pair of the old and the new value is needed"));
        }
        f::WRITE | f::CAS => Action::Register { writes: true, linearizable: true },
        _ => Action::Other,
    })
}

/// Adds to an op what its completion tells.
fn take_answer(op: &mut Op, event: &Event) -> Result<(), FlawKind> {
    let found_held = op.failed_with(code::HELD);
    match (&mut op.action, op.outcome) {
        (Action::Acquire { owner, granted, .. }, Outcome::Ok) => {
            let answer: AcquireValue = value_of(event)?;
            same_owner(op.index, owner, &answer.owner)?;
            *granted = Some(Granted { ttl_ms: answer.ttl_ms, token: answer.token });
        }
        (Action::Acquire { owner, holder, .. }, Outcome::Fail) if found_held && !event.value.is_null() => {
            let answer: HeldValue = value_of(event)?;
            same_owner(op.index, owner, &answer.owner)?;
            *holder = answer.holder;
        }
        (Action::Renew { owner, granted_ttl_ms, .. }, Outcome::Ok) => {
            let answer: OwnerValue = value_of(event)?;
            same_owner(op.index, owner, &answer.owner)?;
            let ttl_ms = answer.ttl_ms.ok_or_else(|| malformed(event, "a renewal must say the TTL granted"))?;
            *granted_ttl_ms = Some(ttl_ms);
        }
        (Action::Release { owner }, Outcome::Ok) => {
            let answer: OwnerValue = value_of(event)?;
            same_owner(op.index, owner, &answer.owner)?;
        }
        (Action::Read { linearizable, seen }, Outcome::Ok) => {
            let answer: ReadValue = value_of(event)?;
            *linearizable &= answer.linearizable;
            *seen = Some(answer.owner);
        }
        (Action::Work(work), Outcome::Ok) => {
            let answer: WorkValue = value_of(event)?;
            same_owner(op.index, &work.owner, &answer.owner)?;
            work.version = answer.version;
        }
        _ => {}
    }
    Ok(())
}

fn same_owner(op: usize, invoked: &str, completed: &str) -> Result<(), FlawKind> {
    if invoked == completed {
        return Ok(());
    }
    Err(FlawKind::OtherOwner { op, invoked: invoked.to_owned(), completed: completed.to_owned() })
}

/// The value of an event in the shape that belongs to its `f`.
pub(super) fn value_of<T: DeserializeOwned>(event: &Event) -> Result<T, FlawKind> {
    if event.value.is_object() {
        event.value.read().map_err(|error| malformed(event, error.to_string()))
    } else {
        Err(malformed(event, "an object is needed"))
    }
}

pub(super) fn malformed(event: &Event, reason: impl Into<String>) -> FlawKind {
    FlawKind::MalformedValue { f: event.f.to_string(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Script, script};
    use serde_json::{Value, json};

    fn flaws(script: Script) -> Vec<String> {
        Ops::of(&script.history_as_told()).flaws.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ops_are_numbered_by_their_invocations() {
        let ops = Ops::of(&script().acquire(1, "a", 0..100, 3_000).read(2, 50..60, None).history());
        assert_eq!(ops.flaws, []);
        let numbered: Vec<_> = ops.all.iter().map(|op| (op.index, op.process, op.f.as_str(), op.outcome)).collect();
        assert_eq!(numbered, [(0, 1, "acquire", Outcome::Ok), (1, 2, "read", Outcome::Ok)]);
    }

    #[test]
    fn an_op_without_an_answer_is_open() {
        let ops = Ops::of(&script().renew_open(1, "a", 10).renew_info(2, "a", 20..30).history());
        assert_eq!((ops.all[0].outcome, ops.all[0].ended), (Outcome::Open, None));
        assert_eq!((ops.all[1].outcome, ops.all[1].ended), (Outcome::Info, Some(RunTime(30_000_000))));
        assert!(ops.all.iter().all(Op::is_unanswered));
    }

    #[test]
    fn what_a_failed_acquisition_saw() {
        let ops = Ops::of(&script().acquire_held(1, "a", 0..10, "b").history());
        let Action::Acquire { holder, granted, .. } = &ops.all[0].action else { panic!("it is an acquisition") };
        assert_eq!((holder.as_deref(), *granted), (Some("b"), None));
        assert!(ops.all[0].failed_with(code::HELD));
    }

    #[test]
    fn a_read_is_as_good_as_its_answer() {
        let asked = script().client(0, 1, EventType::Invoke, "read", json!({ "linearizable": true }), None);
        let told = asked.client(5, 1, EventType::Ok, "read", json!({ "linearizable": false, "owner": null }), None);
        let ops = Ops::of(&told.history());
        assert_eq!(ops.all[0].action, Action::Read { linearizable: false, seen: Some(None) });
    }

    #[test]
    fn ops_of_other_kinds_pass() {
        let ponder = script().client(0, 1, EventType::Invoke, "ponder", json!(7), None).client(
            5,
            1,
            EventType::Ok,
            "ponder",
            json!(8),
            None,
        );
        assert_eq!(flaws(ponder), Vec::<String>::new());
    }

    #[test]
    fn a_completion_of_nothing() {
        let told = script().client(0, 1, EventType::Ok, "read", json!({ "linearizable": true }), None);
        assert_eq!(flaws(told), ["line 2: process 1 completes `read`, but has nothing under way"]);
    }

    #[test]
    fn a_second_invocation() {
        let told = script().renew_open(1, "a", 0).renew_open(1, "a", 5);
        assert_eq!(flaws(told), ["line 3: process 1 invokes `renew` while op 0 is still under way"]);
    }

    #[test]
    fn a_retired_process() {
        let told = script().renew_info(1, "a", 0..5).read(1, 6..7, None);
        assert_eq!(
            flaws(told),
            [
                "line 4: process 1 invokes `read` although its op 0 ended in info",
                "line 5: process 1 completes `read`, but has nothing under way"
            ]
        );
    }

    #[test]
    fn another_f_or_another_key() {
        let other_f =
            script().renew_open(1, "a", 0).client(5, 1, EventType::Ok, "release", json!({ "owner": "a" }), None);
        assert_eq!(
            flaws(other_f),
            ["line 3: process 1 completes op 0 as `release jobs/7`, but invoked `renew jobs/7`"]
        );
        let other_key = script().renew_open(1, "a", 0).on("k").client(
            5,
            1,
            EventType::Ok,
            "renew",
            json!({ "owner": "a", "ttl_ms": 5 }),
            None,
        );
        assert_eq!(flaws(other_key), ["line 3: process 1 completes op 0 as `renew k`, but invoked `renew jobs/7`"]);
    }

    #[test]
    fn another_owner() {
        let told = script().renew_open(1, "a", 0).client(
            5,
            1,
            EventType::Ok,
            "renew",
            json!({ "owner": "b", "ttl_ms": 5 }),
            None,
        );
        assert_eq!(flaws(told), ["line 3: op 0 was invoked for owner `a` and completed for owner `b`"]);
    }

    #[test]
    fn values_of_the_wrong_shape() {
        let told = |f: &str, asked: Value, answer: Value| {
            flaws(script().client(0, 1, EventType::Invoke, f, asked, None).client(5, 1, EventType::Ok, f, answer, None))
        };
        let owner = || json!({ "owner": "a" });
        assert_eq!(
            told("acquire", owner(), owner())[0],
            "line 2: the value of `acquire` is malformed: missing field `ttl_ms`"
        );
        assert_eq!(
            told("renew", owner(), owner()),
            ["line 3: the value of `renew` is malformed: a renewal must say the TTL granted"]
        );
        assert_eq!(
            told("release", json!(null), owner())[0],
            "line 2: the value of `release` is malformed: an object is needed"
        );
        assert_eq!(
            told("read", json!([true]), owner())[0],
            "line 2: the value of `read` is malformed: an object is needed"
        );
        let negative = json!({ "owner": "a", "ttl_ms": -5 });
        assert!(told("acquire", negative, owner())[0].contains("invalid value: integer `-5`"));
    }

    #[test]
    fn an_owner_acquires_once() {
        let twice = script().acquire(1, "a", 0..5, 9).acquire(2, "a", 6..7, 9);
        assert_eq!(flaws(twice)[0], "line 4: owner `a` acquires `jobs/7` for the second time: first in op 0");
        assert_eq!(flaws(script().acquire(1, "a", 0..5, 9).on("k").acquire(2, "a", 6..7, 9)), Vec::<String>::new());
    }
}
