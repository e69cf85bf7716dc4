//! From the events of a history to the requests to each of its locks.
//!
//! Two vocabularies are understood. In Leasehold's own, see [`crate::history::vocabulary`], the value names the owner. In Jepsen's
//! tests of locks there is often no value: then the process is the owner. `lock`, `unlock`, `refresh` and `keepalive` mean
//! the same as `acquire`, `release` and `renew`.
//!
//! | request | `ok` | `fail` that saw something | any other `fail` | no answer |
//! |---|---|---|---|---|
//! | acquire | acquired, with its token and TTL | `held`: refused | left out | may be acquired |
//! | renew | prolonged | `not-held`, `expired`, `not-found`: not held | left out | left out |
//! | release | released | the same | left out | may be released |
//! | read, if linearizable | who held it | – | left out | left out |
//!
//! A `fail` without a code saw something only if the caller says so: see [`Fails`]. Codes such as Jepsen's `already-held` are what
//! a client knows by itself and tell nothing about the lock.
//!
//! # What is not taken for granted
//!
//! * A renewal shows that its owner holds the lock only if it was asked for after the acquisition was answered and answered
//!   before a release was asked for. A lease may exist before the lock is given, and outlive it.
//! * Of several TTLs that one owner was told, or asked for without an answer, the shortest counts, as in [`crate::holds`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::action::{Deed, LeaseTerms, LockAction, LockCall, LockModel, Owner};
use crate::history::vocabulary::{code, f};
use crate::history::{Event, EventType, Process, RunTime};
use crate::linear::Fails;

/// All requests to one lock, in the order of their calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockHistory {
    /// The lock; empty where it has no name.
    pub key: String,
    /// The requests.
    pub calls: Vec<LockCall>,
    /// The names of the owners, by number.
    pub owners: Vec<String>,
}

/// A history of which not even the requests can be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHistory {
    /// A completion without an invocation.
    #[error("event {event}: process {process} completes `{f}`, but has nothing of that kind under way")]
    NothingUnderWay {
        /// The event's number, counted from 0.
        event: usize,
        /// The client.
        process: u64,
        /// What it says it completed.
        f: String,
    },
    /// An answer before its question.
    #[error("event {event}: process {process} is answered before it asked")]
    TimeRunsBackwards {
        /// The event's number, counted from 0.
        event: usize,
        /// The client.
        process: u64,
    },
}

/// The requests to each lock, by its name, as far as the model hears them.
///
/// # Errors
///
/// Where an answer has no question or comes before it: leaving it out could make a correct service look wrong.
pub fn histories(events: &[Event], model: &LockModel, fails: Fails) -> Result<Vec<LockHistory>, BadHistory> {
    let terms = match model {
        LockModel::Lease(terms) => *terms,
        _ => LeaseTerms::default(),
    };
    let mut locks: BTreeMap<&str, Lock<'_>> = BTreeMap::new();
    for request in requests(events)? {
        locks.entry(request.key()).or_default().requests.push(request);
    }
    Ok(locks.into_iter().map(|(key, lock)| lock.history(key, model, &terms, fails)).collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Acquire,
    Renew,
    Release,
    Read,
}

impl Asked {
    fn by(name: &str) -> Option<Self> {
        match name {
            f::ACQUIRE | "lock" => Some(Self::Acquire),
            f::RENEW | "refresh" | "keepalive" => Some(Self::Renew),
            f::RELEASE | "unlock" => Some(Self::Release),
            f::READ => Some(Self::Read),
            _ => None,
        }
    }
}

/// A question and its answer.
struct Request<'a> {
    op: usize,
    asked: Asked,
    process: u64,
    question: &'a Event,
    answer: Option<&'a Event>,
}

/// The requests to locks in the order of the invocations. An op's number counts all invocations of clients.
fn requests(events: &[Event]) -> Result<Vec<Request<'_>>, BadHistory> {
    let mut requests: Vec<Request<'_>> = Vec::new();
    let mut under_way: BTreeMap<u64, Option<usize>> = BTreeMap::new();
    let mut op = 0;
    for (number, event) in events.iter().enumerate() {
        let Process::Client(process) = event.process else { continue };
        let asked = Asked::by(&event.f);
        if event.kind == EventType::Invoke {
            under_way.insert(process, asked.map(|_| requests.len()));
            requests.extend(asked.map(|asked| Request { op, asked, process, question: event, answer: None }));
            op += 1;
            continue;
        }
        let request = under_way.remove(&process).flatten().map(|request| &mut requests[request]);
        match (request, asked) {
            (Some(request), Some(asked)) if request.asked == asked => {
                if event.time < request.question.time {
                    return Err(BadHistory::TimeRunsBackwards { event: number, process });
                }
                request.answer = Some(event);
            }
            (None, None) => {}
            _ => return Err(BadHistory::NothingUnderWay { event: number, process, f: event.f.to_string() }),
        }
    }
    Ok(requests)
}

impl<'a> Request<'a> {
    fn key(&self) -> &'a str {
        self.question.key.as_deref().unwrap_or_default()
    }

    fn field(&self, name: &str) -> Option<&'a Value> {
        let in_event = |event: &'a Event| event.value.get(name).filter(|value| !value.is_null());
        self.answer.and_then(in_event).or_else(|| in_event(self.question))
    }

    fn owner(&self) -> String {
        self.question.value.get("owner").and_then(name_in).unwrap_or_else(|| Process::Client(self.process).to_string())
    }

    fn ttl(&self) -> Option<Duration> {
        self.field("ttl_ms").and_then(Value::as_u64).map(Duration::from_millis)
    }

    fn token(&self) -> Option<u64> {
        let answer = self.answer?;
        ["token", "fence"].iter().find_map(|name| answer.value.get(name)?.as_u64()).or_else(|| answer.value.as_u64())
    }

    fn outcome(&self) -> EventType {
        self.answer.map_or(EventType::Info, |answer| answer.kind)
    }

    /// Whether it was answered that the asker does not hold the lock, or that somebody does.
    fn saw_the_opposite(&self, fails: Fails) -> bool {
        let Some(answer) = self.answer else { return false };
        match (answer.kind, &answer.error) {
            // An `ok` that says `false`, as of AtlasDB's unlock.
            (EventType::Ok, _) => answer.value == Value::Bool(false) || answer.value == "false",
            (EventType::Fail, None) => fails == Fails::Observe,
            (EventType::Fail, Some(error)) if self.asked == Asked::Acquire => error.code == code::HELD,
            (EventType::Fail, Some(error)) => {
                let gone = [code::NOT_HELD, code::EXPIRED, "not-found", "lease-not-found"];
                gone.contains(&error.code.as_str()) || error.text.contains("lease not found")
            }
            (EventType::Invoke | EventType::Info, _) => false,
        }
    }
}

fn name_in(value: &Value) -> Option<String> {
    match value {
        Value::String(name) => Some(name.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What an owner did so far.
#[derive(Clone, Copy, Default)]
struct Doings {
    /// When its last acquisition was answered `ok`; `None` while that is under way or unknown.
    acquired: Option<RunTime>,
    shortest_ttl: Option<Duration>,
}

#[derive(Default)]
struct Lock<'a> {
    requests: Vec<Request<'a>>,
    owners: Vec<String>,
    numbers: BTreeMap<String, Owner>,
}

impl Lock<'_> {
    fn history(mut self, key: &str, model: &LockModel, terms: &LeaseTerms, fails: Fails) -> LockHistory {
        let requests = std::mem::take(&mut self.requests);
        let owners: Vec<Owner> = requests.iter().map(|request| self.number(request.owner())).collect();
        let mut doings = vec![Doings::default(); self.owners.len()];
        for (request, owner) in requests.iter().zip(&owners) {
            let shortest = &mut doings[owner.0 as usize].shortest_ttl;
            *shortest = [*shortest, request.ttl()].into_iter().flatten().min();
        }
        let releases = next_releases(&requests, &owners);
        let mut calls = Vec::with_capacity(requests.len());
        for ((request, owner), next_release) in requests.iter().zip(owners).zip(releases) {
            let doings = &mut doings[owner.0 as usize];
            let deed = self.deed(request, doings, next_release, terms, fails);
            if request.asked == Asked::Acquire && deed.is_some_and(|deed| !deed.only_looks()) {
                let is_ok = request.outcome() == EventType::Ok;
                doings.acquired = request.answer.filter(|_| is_ok).map(|answer| answer.time);
            }
            if request.asked == Asked::Release && deed == Some(Deed::Released) {
                doings.acquired = None;
            }
            let is_unknown = request.outcome() == EventType::Info;
            calls.extend(deed.filter(|deed| model.hears(*deed) && !(is_unknown && deed.only_looks())).map(|deed| {
                LockCall {
                    op: request.op,
                    process: request.process,
                    called: request.question.time,
                    returned: request.answer.filter(|_| !is_unknown).map(|answer| answer.time),
                    action: LockAction { owner, deed },
                }
            }));
        }
        calls.sort_by_key(|call| call.called);
        LockHistory { key: key.to_owned(), calls, owners: self.owners }
    }

    fn number(&mut self, owner: String) -> Owner {
        let next = Owner(u32::try_from(self.owners.len()).expect("a history has fewer than 2^32 owners"));
        *self.numbers.entry(owner).or_insert_with_key(|owner| {
            self.owners.push(owner.clone());
            next
        })
    }

    /// What came of a request; `None` where it tells nothing.
    fn deed(
        &mut self,
        request: &Request<'_>,
        doings: &Doings,
        next_release: Option<RunTime>,
        terms: &LeaseTerms,
        fails: Fails,
    ) -> Option<Deed> {
        let called = request.question.time;
        let outcome = request.outcome();
        let did_not_happen = outcome == EventType::Fail;
        let expires = terms.keeps_until(called, doings.shortest_ttl);
        match request.asked {
            Asked::Acquire if request.saw_the_opposite(fails) => {
                let holder = request.answer.and_then(|answer| answer.value.get("holder")).and_then(name_in);
                Some(Deed::Refused { holder: holder.map(|holder| self.number(holder)) })
            }
            Asked::Renew | Asked::Release if request.saw_the_opposite(fails) => Some(Deed::NotHeld),
            _ if did_not_happen => None,
            Asked::Acquire => {
                let token = request.token().filter(|_| outcome == EventType::Ok);
                Some(Deed::Acquired { token, expires })
            }
            Asked::Release => Some(Deed::Released),
            Asked::Renew => {
                let answered = request.answer.filter(|_| outcome == EventType::Ok)?.time;
                let is_held = doings.acquired.is_some_and(|acquired| acquired < called)
                    && next_release.is_none_or(|release| answered < release);
                is_held.then_some(Deed::Renewed { expires })
            }
            Asked::Read => {
                let answer = request.answer.filter(|_| outcome == EventType::Ok)?;
                if request.field("linearizable") != Some(&Value::Bool(true)) {
                    return None;
                }
                let holder = answer.value.get("owner").and_then(name_in).map(|holder| self.number(holder));
                Some(Deed::Seen { holder })
            }
        }
    }
}

/// For each request, when its owner next asked to release the lock or to acquire it again.
fn next_releases(requests: &[Request<'_>], owners: &[Owner]) -> Vec<Option<RunTime>> {
    let mut next = BTreeMap::new();
    let mut releases: Vec<_> = requests
        .iter()
        .zip(owners)
        .rev()
        .map(|(request, owner)| {
            let after = next.get(owner).copied();
            if matches!(request.asked, Asked::Release | Asked::Acquire) {
                next.insert(*owner, request.question.time);
            }
            after
        })
        .collect();
    releases.reverse();
    releases
}
