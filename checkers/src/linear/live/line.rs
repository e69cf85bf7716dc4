//! The operations of one register in the order in which they can be placed.

use std::collections::{HashMap, VecDeque};

use crate::history::RunTime;
use crate::linear::Call;
use crate::linear::register::RegisterAction;

/// What stands in the line.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Called(usize),
    Returned(usize, RunTime),
}

/// What is known of an operation in the line.
#[derive(Clone, Debug)]
enum Known {
    /// It may have happened, if it can change anything.
    UnderWay(Option<Call<RegisterAction>>),
    /// It is over: with or without an answer, or as if it had not happened.
    Over(Option<(Call<RegisterAction>, u32)>),
}

/// What comes next.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// An operation was called; if it will be answered, as the so-manieth.
    Called(Call<RegisterAction>, u32),
    /// That operation was answered.
    Returned(usize),
}

/// Operations wait until all that were called before are over.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    entries: VecDeque<Entry>,
    known: HashMap<usize, Known>,
    latest: RunTime,
    answers: u32,
}

impl Line {
    /// `false` where time goes back.
    pub(super) fn called(&mut self, op: usize, may_do: Option<Call<RegisterAction>>, at: RunTime) -> bool {
        self.known.insert(op, Known::UnderWay(may_do));
        // Intervals are closed: what is called at the instant of an answer is called before it.
        let after = self.entries.iter().rposition(|entry| !matches!(entry, Entry::Returned(_, time) if *time >= at));
        self.entries.insert(after.map_or(0, |place| place + 1), Entry::Called(op));
        self.goes_on(at)
    }

    pub(super) fn ended(&mut self, op: usize, call: Option<Call<RegisterAction>>, at: RunTime) -> bool {
        let is_answered = call.as_ref().is_some_and(|call| call.returned.is_some());
        self.answers += u32::from(is_answered);
        if is_answered {
            self.entries.push_back(Entry::Returned(op, at));
        }
        self.known.insert(op, Known::Over(call.map(|call| (call, self.answers))));
        self.goes_on(at)
    }

    fn goes_on(&mut self, at: RunTime) -> bool {
        let goes_on = at >= self.latest;
        self.latest = self.latest.max(at);
        goes_on
    }

    /// What can be placed next. At the end no more is called, and what is under way stays without an answer.
    pub(super) fn next(&mut self, is_end: bool) -> Option<Next> {
        loop {
            match *self.entries.front()? {
                Entry::Called(op) => {
                    if matches!(self.known.get(&op), Some(Known::UnderWay(_))) && !is_end {
                        return None;
                    }
                    self.entries.pop_front();
                    match self.known.remove(&op) {
                        Some(Known::Over(Some((call, answer)))) => return Some(Next::Called(call, answer)),
                        Some(Known::UnderWay(Some(call))) => return Some(Next::Called(call, 0)),
                        _ => {}
                    }
                }
                Entry::Returned(_, time) if time >= self.latest && !is_end => return None,
                Entry::Returned(op, _) => {
                    self.entries.pop_front();
                    return Some(Next::Returned(op));
                }
            }
        }
    }

    /// The operations that wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Call<RegisterAction>> {
        self.known.values().filter_map(|known| match known {
            Known::Over(call) => call.as_ref().map(|(call, _)| call),
            Known::UnderWay(call) => call.as_ref(),
        })
    }
}
