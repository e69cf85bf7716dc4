//! A register, searched while its history happens.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::Value;

use super::line::{Line, Next};
use crate::history::RunTime;
use crate::linear::pairs::{CallsError, Paired};
use crate::linear::register::witness::{self, sentence};
use crate::linear::register::{
    self, Frontier, Initial, Kind, RegisterAction, RegisterHistory, Unanswered, ValueId, Values, Words,
};
use crate::linear::{Budget, Call, Decision, Witness};

pub(super) struct LiveRegister {
    pub(super) line: Line,
    values: Values,
    initial: Initial,
    search: Searched,
    /// The last calls that were placed, in their order.
    log: VecDeque<Call<RegisterAction>>,
    /// What was called before the log begins; `None` while it reaches back to the begin.
    before_log: Option<Before>,
    /// How long the log was when it was last judged as a whole.
    judged: usize,
    /// How many values there may be before those that are not used any more are looked for.
    most_values: usize,
}

/// Calls that are not in the log any more, but may have an effect after its begin.
#[derive(Default)]
struct Before {
    /// Those that return after its begin.
    under_way: Vec<(Kind, RunTime)>,
    /// Those without an answer.
    unanswered: HashSet<Kind>,
}

impl Before {
    fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.under_way.iter().map(|&(kind, _)| kind).chain(self.unanswered.iter().copied())
    }
}

/// How the answers are explained.
enum Searched {
    Frontier(Box<Placed>),
    /// By the log alone.
    ByLog,
    GivenUp(String),
}

/// A frontier with the slots of the operations under way.
#[derive(Clone)]
struct Placed {
    frontier: Frontier<u128>,
    slots: HashMap<usize, usize>,
    /// The number of values that the frontier knows.
    values: u32,
}

/// What came of a step.
enum Step {
    Explained,
    /// This operation's answer cannot be, in the frontier's sense.
    Stuck(usize),
    Spent(&'static str),
}

/// The bytes of an operation in the log, with the room of a list that grows.
const BYTES_PER_CALL: usize = 2 * size_of::<Call<RegisterAction>>();

/// How many values may go unused.
const FEW_VALUES: usize = 256;

const TOO_MANY_VALUES: &str = "the values in use do not fit into the memory";

impl std::fmt::Debug for LiveRegister {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveRegister").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

impl LiveRegister {
    pub(super) fn new(initial: Option<&Value>) -> Self {
        let mut values = Values::default();
        let (initial, start) = match initial {
            Some(value) => {
                let value = values.intern(value);
                (Initial::Known(value), value.0)
            }
            // A number for the value that nothing mentions.
            None => (Initial::Unknown, values.push_name("a value that nobody observed".to_owned()).0),
        };
        let frontier = Frontier::new(1, start..start + 1, Unanswered::Sparingly, usize::MAX);
        Self {
            line: Line::default(),
            values,
            initial,
            search: Searched::Frontier(Box::new(Placed { frontier, slots: HashMap::new(), values: 1 })),
            log: VecDeque::new(),
            before_log: None,
            judged: 0,
            most_values: FEW_VALUES,
        }
    }

    /// What an operation did, or may do while it is under way.
    pub(super) fn understood(
        &mut self,
        paired: &Paired<'_>,
        words: &Words,
    ) -> Result<Option<Call<RegisterAction>>, CallsError> {
        let call = register::call(paired, words, &mut self.values)?;
        if let Searched::Frontier(placed) = &mut self.search {
            placed.admit(&self.values, self.initial);
        }
        Ok(call)
    }

    #[cfg(test)]
    pub(super) fn judges_by_log(&self) -> bool {
        matches!(self.search, Searched::ByLog)
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.log.len() + self.line.waiting().count(), self.values.len())
    }

    pub(super) fn given_up(&self) -> Option<&str> {
        match &self.search {
            Searched::GivenUp(reason) => Some(reason),
            Searched::Frontier(_) | Searched::ByLog => None,
        }
    }

    /// Places what can be placed; the witness where that shows a contradiction.
    pub(super) fn settle(&mut self, budget: &Budget<'_>) -> Option<Witness> {
        let mut stuck = None;
        while let Some(next) = self.line.next(false) {
            if let Next::Called(call, _) = &next {
                self.keep(call.clone(), budget);
            }
            let Searched::Frontier(placed) = &mut self.search else { continue };
            match placed.step(&next, budget) {
                Step::Explained => {}
                Step::Stuck(op) => {
                    stuck = Some(op);
                    break;
                }
                Step::Spent(reason) => self.give_up_frontier(reason),
            }
        }
        self.forget_values(budget);
        if let Some(op) = stuck {
            return self.judge_stuck(op, budget);
        }
        self.judge_log_when_doubled(budget)
    }

    /// The verdict so far.
    pub(super) fn now(&mut self, budget: &Budget<'_>) -> Decision {
        if let Searched::GivenUp(reason) = &self.search {
            return Decision::Undecided { explained: 0, reason: reason.clone() };
        }
        let mut stuck = None;
        if let Searched::Frontier(placed) = &self.search {
            let (mut placed, mut line) = (placed.clone(), self.line.clone());
            loop {
                let Some(next) = line.next(true) else { return Decision::Linearizable };
                match placed.step(&next, budget) {
                    Step::Explained => {}
                    Step::Spent(_) => break,
                    Step::Stuck(op) => {
                        stuck = Some((op, placed));
                        break;
                    }
                }
            }
        }
        self.judge(self.calls(), stuck.as_ref().map(|(op, placed)| (*op, &**placed)), budget)
    }

    /// The log and what waits, which may explain an answer in the log: it was called before that.
    fn calls(&self) -> Vec<Call<RegisterAction>> {
        let mut calls: Vec<_> = self.log.iter().chain(self.line.waiting()).cloned().collect();
        calls.sort_by_key(|call| call.op);
        calls
    }

    /// Adds to the log; drops its oldest where it gets too long.
    fn keep(&mut self, call: Call<RegisterAction>, budget: &Budget<'_>) {
        let room = (budget.memory_bytes / 2 / BYTES_PER_CALL).max(1);
        self.log.push_back(call);
        while self.log.len() > room
            && let Some(dropped) = self.log.pop_front()
        {
            if matches!(self.search, Searched::ByLog) {
                self.search = Searched::GivenUp(
                    "unanswered operations must be counted, and there are too many others".to_owned(),
                );
            }
            let before = self.before_log.get_or_insert_default();
            let kind = Kind::from(dropped.action);
            match dropped.returned {
                _ if kind.effect().is_none() => {}
                Some(returned) => before.under_way.push((kind, returned)),
                None => {
                    before.unanswered.insert(kind);
                }
            }
            // What returned before the log begins is over.
            if let Some(first) = self.log.front() {
                before.under_way.retain(|&(_, returned)| returned >= first.called);
            }
        }
    }

    fn give_up_frontier(&mut self, reason: &str) {
        self.search = if self.before_log.is_none() { Searched::ByLog } else { Searched::GivenUp(reason.to_owned()) };
        self.judged = 0;
    }

    /// The frontier cannot explain an answer: whether that is final.
    fn judge_stuck(&mut self, op: usize, budget: &Budget<'_>) -> Option<Witness> {
        let Searched::Frontier(placed) = std::mem::replace(&mut self.search, Searched::ByLog) else { return None };
        match self.judge(self.calls(), Some((op, &placed)), budget) {
            Decision::Broken(witness) => return Some(witness),
            Decision::Linearizable => self.judged = self.log.len(),
            Decision::Undecided { reason, .. } => self.search = Searched::GivenUp(reason),
        }
        None
    }

    fn judge_log_when_doubled(&mut self, budget: &Budget<'_>) -> Option<Witness> {
        if !matches!(self.search, Searched::ByLog) || self.log.len() < FEW_VALUES.max(2 * self.judged) {
            return None;
        }
        self.judged = self.log.len();
        match self.judge(self.calls(), None, budget) {
            Decision::Broken(witness) => Some(witness),
            Decision::Linearizable | Decision::Undecided { .. } => None,
        }
    }

    /// The verdict of calls from the log on.
    fn judge(
        &self,
        calls: Vec<Call<RegisterAction>>,
        stuck: Option<(usize, &Placed)>,
        budget: &Budget<'_>,
    ) -> Decision {
        let budget = &Budget { out_of_time: budget.out_of_time, memory_bytes: budget.memory_bytes / 2 };
        let history = RegisterHistory { calls, initial: self.initial, values: self.values.clone() };
        let Some(before) = &self.before_log else {
            return register::decide(&history, budget);
        };
        let history = RegisterHistory { initial: Initial::Unknown, ..history };
        let free: Vec<_> = before.kinds().filter_map(Kind::effect).collect();
        if let Some(witness) = witness::of_last(&history, &free, budget) {
            return Decision::Broken(witness);
        }
        match stuck {
            Some((op, placed)) if placed.frontier.is_exact() => Decision::Broken(self.alone(&history, op, placed)),
            _ => Decision::Undecided {
                explained: 0,
                reason: "unanswered operations must be counted, and their history is too long to be kept".to_owned(),
            },
        }
    }

    /// A contradiction with what is not kept any more.
    fn alone(&self, history: &RegisterHistory, op: usize, placed: &Placed) -> Witness {
        let names =
            placed.frontier.possible_values().into_iter().map(|value| self.values.name(ValueId(value)).to_owned());
        let states_before: Vec<String> = names.collect();
        let stuck = history.calls.iter().find(|call| call.op == op);
        let words = stuck.map(|call| witness::described(history, call)).unwrap_or_default();
        let explanation = sentence(&words, &[], "the register", &states_before);
        Witness { ops: vec![op], stuck_at: op, states_before, explanation }
    }

    /// Gives the numbers of values that nothing mentions any more to others.
    fn forget_values(&mut self, budget: &Budget<'_>) {
        if self.values.in_use() < self.most_values || matches!(self.initial, Initial::Unknown) && self.may_be_initial()
        {
            return;
        }
        let mut is_used = vec![false; self.values.len()];
        let mut mark = |value: u32| is_used[value as usize] = true;
        mark(0);
        if let Searched::Frontier(placed) = &self.search {
            placed.frontier.mark(&mut mark);
        }
        let mut mark_kind = |kind: Kind| {
            let _ = kind.renumbered(|value| {
                mark(value);
                value
            });
        };
        self.before_log.iter().flat_map(Before::kinds).for_each(&mut mark_kind);
        self.log.iter().chain(self.line.waiting()).for_each(|call| mark_kind(call.action.into()));
        let used = is_used.iter().filter(|used| **used).count();
        self.values.forget_but(&is_used);
        self.most_values = FEW_VALUES.max(2 * used);
        if used * BYTES_PER_VALUE > budget.memory_bytes {
            self.search = Searched::GivenUp(TOO_MANY_VALUES.to_owned());
        }
    }

    /// Whether the register may still have the unknown value with which it began.
    fn may_be_initial(&self) -> bool {
        matches!(&self.search, Searched::Frontier(placed) if placed.frontier.values().contains(&0))
    }
}

/// The bytes of a value in the tables of a frontier.
const BYTES_PER_VALUE: usize = 256;

impl Placed {
    /// Tells the frontier of new values.
    fn admit(&mut self, values: &Values, initial: Initial) {
        let known = self.values;
        self.values = known.max(values.len() as u32);
        self.frontier.make_room(self.values);
        if initial == Initial::Unknown {
            (known..self.values).for_each(|value| self.frontier.admit(0, value));
        }
    }

    fn step(&mut self, next: &Next, budget: &Budget<'_>) -> Step {
        match next {
            Next::Called(call, answer) => {
                let kind = Kind::from(call.action);
                if call.returned.is_none() {
                    if let Some(effect) = kind.effect() {
                        self.frontier.may_happen(effect, 1);
                    }
                    return Step::Explained;
                }
                match self.frontier.call(kind, *answer) {
                    Ok(slot) => {
                        self.slots.insert(call.op, slot);
                        Step::Explained
                    }
                    Err(reason) => Step::Spent(reason),
                }
            }
            Next::Returned(op) => {
                let Some(slot) = self.slots.remove(op) else { return Step::Explained };
                self.frontier.limit(budget.memory_bytes / 2);
                match self.frontier.ret(slot, budget.out_of_time) {
                    Ok(true) => Step::Explained,
                    Ok(false) => Step::Stuck(*op),
                    Err(reason) => Step::Spent(reason),
                }
            }
        }
    }
}
