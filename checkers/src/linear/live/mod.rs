//! The check of registers and keys while a history happens, event by event.
//!
//! ```
//! use leasehold_checkers::formats::{Events, Options};
//! use leasehold_checkers::linear::live::{Live, Objects, SoFar};
//! use leasehold_checkers::linear::{Budget, Reading};
//!
//! let log = "INFO  jepsen.util - 3\t:invoke\t:write\t1\nINFO  jepsen.util - 3\t:ok\t:write\t1\n\
//!            INFO  jepsen.util - 4\t:invoke\t:read\tnil\nINFO  jepsen.util - 4\t:ok\t:read\t2\n";
//! let budget = Budget { out_of_time: &|| false, memory_bytes: 1 << 20 };
//! let mut live = Live::new(Objects::Registers(Reading::default()), budget);
//! for event in Events::open(log.as_bytes(), &Options::default())? {
//!     live.feed(&event?)?;
//! }
//! assert!(matches!(live.now(), SoFar::Broken { .. }), "nobody wrote 2");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How soon it tells, and what it costs
//!
//! [`Live::feed`] takes an answer into account once everything that was called before it has ended. So it knows each
//! operation's outcome when it places it, and does what the [search](super::register) does for a history that is there as
//! a whole. Its lag is that of the slowest operation under way. [`Live::now`] tells without a lag, as the verdict on the
//! events so far would be, at the price of searching once more what waits for an operation under way: call it after each
//! answer where that is little, or now and then. [`Live::finish`] is the same, for the last time. None of them costs more
//! the longer the history is.
//!
//! # Memory
//!
//! A register's state is the frontier, the operations that wait, and the last operations that were placed: the log, for
//! which half of the budget is there. Values that nothing mentions any more are forgotten.
//!
//! The frontier places unanswered operations sparingly. Where that does not explain an answer, the log decides. While it
//! reaches back to the begin, that is the verdict on the history as a whole, and unless that is broken the log is all
//! there is from then on: it is judged whenever it has doubled, and by [`Live::now`] and [`Live::finish`]. A log that lost its begin can still prove a contradiction among the last operations; where it
//! does not, the verdict is `unknown`. The same goes for more than 128 operations under way at once.
//!
//! Appends tell their order only by what is got later. So keys of a store are not searched as they happen: their
//! operations are kept, as far as half of the budget goes, and decided whenever they have doubled, and at the end.

mod key;
mod line;
mod register;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use super::pairs::{CallsError, Paired};
use super::register::Words;
use super::{Budget, Reading, Witness};
use crate::history::{Event, EventType, Process};
use crate::part::Part;
use key::Key;
use register::LiveRegister;

/// What the operations are about.
#[derive(Clone, Debug, PartialEq)]
pub enum Objects {
    /// Registers.
    Registers(Reading),
    /// The keys of a key-value store.
    Keys,
}

/// What is known of the events so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoFar {
    /// Some order explains all answers.
    Explained,
    /// No order does. That does not change any more.
    Broken {
        /// The register or key.
        key: String,
        /// Why.
        witness: Witness,
    },
    /// The budget does not suffice for a verdict.
    Undecided {
        /// The register or key.
        key: String,
        /// Why.
        reason: String,
    },
}

/// The verdict on a history that goes on.
#[derive(Debug)]
pub struct Live<'a> {
    objects: Objects,
    /// Which keys are searched.
    part: Part,
    words: Words,
    budget: Budget<'a>,
    keys: BTreeMap<String, Key>,
    /// For each process what it asked last, with the operation's number.
    under_way: HashMap<u64, (usize, Event)>,
    ops: usize,
    events: usize,
    /// Those whose answers nothing explains. They are not searched any more.
    broken: BTreeMap<String, Witness>,
}

impl<'a> Live<'a> {
    /// Before the first event.
    #[must_use]
    pub fn new(objects: Objects, budget: Budget<'a>) -> Self {
        let reading = match &objects {
            Objects::Registers(reading) => reading.clone(),
            Objects::Keys => Reading::default(),
        };
        let words = Words { initial: reading.initial, fails: reading.fails, null_reads: reading.nulls };
        Self {
            objects,
            part: Part::WHOLE,
            words,
            budget,
            keys: BTreeMap::new(),
            under_way: HashMap::new(),
            ops: 0,
            events: 0,
            broken: BTreeMap::new(),
        }
    }

    /// The same of a part of the keys alone.
    #[must_use]
    pub fn of_part(self, part: Part) -> Self {
        Self { part, ..self }
    }

    fn is_passed_over(&self, call: &Paired<'_>) -> bool {
        let key = call.key();
        self.broken.contains_key(key) || !self.part.has(key)
    }

    /// Takes in the next event, in the order of time. What is known then: [`Self::so_far`].
    ///
    /// # Errors
    ///
    /// Where the events make no operations, or time goes back.
    pub fn feed(&mut self, event: &Event) -> Result<(), CallsError> {
        let place = self.events;
        self.events += 1;
        let Process::Client(process) = event.process else { return Ok(()) };
        if event.kind == EventType::Invoke {
            let op = self.ops;
            self.ops += 1;
            if self.under_way.insert(process, (op, event.clone())).is_some() {
                return Err(CallsError::StillUnderWay { event: place, process });
            }
            let paired = Paired { op, process, begun: event, ended: None, place };
            if self.is_passed_over(&paired) {
                return Ok(());
            }
            let words = self.words.clone();
            return self.key(event).begins(&paired, &words);
        }
        let Some((op, begun)) = self.under_way.remove(&process) else {
            return Err(CallsError::NothingUnderWay { event: place, process });
        };
        if begun.f != event.f {
            return Err(CallsError::Mismatched {
                event: place,
                process,
                begun: begun.f.to_string(),
                completed: event.f.to_string(),
            });
        }
        let paired = Paired { op, process, begun: &begun, ended: Some(event), place };
        if self.is_passed_over(&paired) {
            return Ok(());
        }
        let words = self.words.clone();
        let key = self.key(&begun);
        key.ends(&paired, &words)?;
        let room = self.room();
        let budget = Budget { out_of_time: self.budget.out_of_time, memory_bytes: room };
        let key = self.keys.get_mut(paired.key()).unwrap_or_else(|| unreachable!("it was called before"));
        if let Some(witness) = key.settle(&budget) {
            self.broken.insert(paired.key().to_owned(), witness);
        }
        Ok(())
    }

    /// What is known already, with the lag of the slowest operation under way.
    #[must_use]
    pub fn so_far(&self) -> SoFar {
        if let Some((key, witness)) = self.broken.first_key_value() {
            return SoFar::Broken { key: key.clone(), witness: witness.clone() };
        }
        let given_up = self.keys.iter().find_map(|(name, key)| Some((name, key.given_up()?)));
        match given_up {
            Some((key, reason)) => SoFar::Undecided { key: key.clone(), reason: reason.to_owned() },
            None => SoFar::Explained,
        }
    }

    /// The verdict on the events so far: operations under way may or may not have happened.
    pub fn now(&mut self) -> SoFar {
        let budget = Budget { out_of_time: self.budget.out_of_time, memory_bytes: self.room() };
        let mut undecided = None;
        for (name, key) in &mut self.keys {
            if self.broken.contains_key(name) {
                continue;
            }
            match key.now(&budget) {
                super::Decision::Linearizable => {}
                super::Decision::Broken(witness) => {
                    self.broken.insert(name.clone(), witness);
                }
                super::Decision::Undecided { reason, .. } => {
                    undecided.get_or_insert((name.clone(), reason));
                }
            }
        }
        match (self.broken.first_key_value(), undecided) {
            (Some((key, witness)), _) => SoFar::Broken { key: key.clone(), witness: witness.clone() },
            (None, Some((key, reason))) => SoFar::Undecided { key, reason },
            (None, None) => SoFar::Explained,
        }
    }

    /// All registers or keys whose answers nothing explains, as far as that is known.
    #[must_use]
    pub fn broken(&self) -> &BTreeMap<String, Witness> {
        &self.broken
    }

    /// How many registers or keys there are.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The verdict on all events.
    #[must_use]
    pub fn finish(mut self) -> SoFar {
        self.now()
    }

    /// How many operations there were.
    #[must_use]
    pub fn ops(&self) -> usize {
        self.ops
    }

    /// How many operations and values are kept.
    #[cfg(test)]
    fn judges_by_log(&self) -> bool {
        self.keys.values().any(Key::judges_by_log)
    }

    #[cfg(test)]
    fn kept(&self) -> (usize, usize) {
        let of_each = self.keys.values().map(Key::kept);
        of_each.fold((0, 0), |all, each| (all.0 + each.0, all.1 + each.1))
    }

    /// Each key's share of the memory.
    fn room(&self) -> usize {
        self.budget.memory_bytes / self.keys.len().max(1)
    }

    fn key(&mut self, event: &Event) -> &mut Key {
        let name = event.key.as_deref().unwrap_or_default();
        if !self.keys.contains_key(name) {
            let key = match self.objects {
                Objects::Registers(_) => Key::Register(Box::new(LiveRegister::new(self.words.initial.as_ref()))),
                Objects::Keys => Key::store(),
            };
            self.keys.insert(name.to_owned(), key);
        }
        self.keys.get_mut(name).unwrap_or_else(|| unreachable!("it was just added"))
    }
}
