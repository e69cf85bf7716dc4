//! What the nodes said of themselves when they were asked: who leads, whether they are well, and what time it is.
//!
//! A probe whose value cannot be read counts as one that was not answered, so that it can be used against nobody.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use crate::history::vocabulary::{ClockValue, HealthValue, f};
use crate::history::{Event, EventType, History, Process, RunTime, Word};

/// The answers to the probes, by node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// When each node told who leads, in order.
    pub answers: BTreeMap<Word, Vec<RunTime>>,
    /// What each node said of its health, in order; `None` where it did not answer.
    pub health: BTreeMap<Word, Vec<(RunTime, Option<bool>)>>,
    /// When each node's process was known to run, in order.
    pub running: BTreeMap<Word, Vec<RunTime>>,
    /// What was measured of each node's wall clock, in order.
    pub clocks: BTreeMap<Word, Vec<(RunTime, ClockValue)>>,
}

impl Probes {
    /// Picks the probes out of a history.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let mut probes = Self::default();
        history.events.iter().for_each(|event| probes.take(event));
        probes
    }

    /// Takes an event, if it is a probe's.
    pub(crate) fn take(&mut self, event: &Event) {
        let (Process::Probe, Some(node)) = (event.process, event.node.clone()) else { return };
        match event.f.as_str() {
            f::LEADER if event.kind == EventType::Ok => self.answers.entry(node).or_default().push(event.time),
            f::HEALTH => {
                let healthy = answered::<HealthValue>(event).map(|health| health.healthy);
                self.health.entry(node).or_default().push((event.time, healthy));
            }
            f::PROCESS if event.kind == EventType::Ok => self.running.entry(node).or_default().push(event.time),
            f::CLOCK => {
                if let Some(clock) = answered(event) {
                    self.clocks.entry(node).or_default().push((event.time, clock));
                }
            }
            _ => {}
        }
    }

    /// The nodes that were asked for their health between two instants, and each time said that they were well.
    #[must_use]
    pub fn well_throughout(&self, from: RunTime, until: RunTime) -> Vec<&str> {
        let well = |answers: &Vec<(RunTime, Option<bool>)>| {
            let first = answers.partition_point(|(at, _)| *at < from);
            let mut during = answers[first..].iter().take_while(|(at, _)| *at <= until).peekable();
            during.peek().is_some() && during.all(|(_, healthy)| *healthy == Some(true))
        };
        self.health.iter().filter(|(_, answers)| well(answers)).map(|(node, _)| node.as_str()).collect()
    }
}

fn answered<T: DeserializeOwned>(event: &Event) -> Option<T> {
    if event.kind == EventType::Ok { event.value.read().ok() } else { None }
}
