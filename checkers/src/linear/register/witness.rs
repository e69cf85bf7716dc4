//! Why a register's history is broken: how far it could be explained, and a few operations that contradict each other.
//!
//! **What it means to drop an operation.** A read of `1` alone, of a history in which `1` was written, explains nothing,
//! although "nobody wrote 1" is a contradiction. So an operation that is dropped is not taken to be absent: it is
//! forgotten when it was. If it wrote a value, or may have, that value may have been written at any time and any number
//! of times. The operations of a witness contradict each other even so, whatever the others did; and none of them can
//! be dropped in this sense without the rest becoming explainable. Forgetting more never makes a contradiction, so a
//! set from which no single operation can be dropped has no smaller contradiction within.
//!
//! **The window.** What returned before the first operation of the witness was called is over by then: it can only have
//! left some value, and any is allowed. Where that is not enough, because the initial value is part of the
//! contradiction, the window is the whole history up to the stuck operation, from its initial value on.
//!
//! All this is judged at the instant at which the stuck operation returned: operations called later are no part of it,
//! and those that returned later were not answered yet.
//!
//! The work is bounded by a count, not by the clock, so the same history has the same witness each time. If the bound
//! or the caller's budget is met, the operations are those that are left by then.

use std::cell::Cell;
use std::collections::HashMap;

use super::frontier::{Reach, Search, Unanswered, search};
use super::portfolio::Proof;
use super::problem::{Effect, Op, Problem, Starts, Step};
use super::{RegisterAction, RegisterHistory, ValueId, unique};
use crate::linear::{Budget, Call, Witness};

/// How often the search for the longest explainable prefix may look at the clock. Between two looks is less than a
/// millisecond.
const MOST_LOOKS: usize = 10_000;
/// How often all searches for contradictions together may.
const MOST_LOOKS_AT_PARTS: usize = 1_000;
/// How often one of them may, and once more for each thousand steps. Where it is not done then, what it looks at is
/// taken for explainable.
const MOST_LOOKS_AT_ONE: usize = 20;

/// How many operations are gathered in the time between two looks.
const OPS_PER_LOOK: usize = 1 << 10;
/// More than all operations of a history.
const ENDLESS: u32 = 1 << 24;
/// In a window of how many operations each is tried alone.
const MOST_PAIRS: usize = 64;

/// The witness of a history that is broken.
pub(super) fn of(history: &RegisterHistory, problem: &Problem, proof: Proof, budget: &Budget<'_>) -> Witness {
    let stuck = first_inexplicable(problem, proof, budget);
    let contradiction = Contradiction::at(problem, stuck.step, budget);
    let stuck_op = contradiction.stuck_op;
    let mut calls: Vec<_> =
        contradiction.smallest().into_iter().map(|op| &history.calls[problem.op(op).call as usize]).collect();
    calls.sort_by_key(|call| call.op);

    let stuck_call = &history.calls[problem.op(stuck_op).call as usize];
    let name = |&value: &u32| history.values.name(ValueId(problem.original(value))).to_owned();
    let mut states_before: Vec<String> = stuck.values_before.iter().take(MOST_STATES).map(name).collect();
    if stuck.values_before.len() > MOST_STATES {
        states_before.push(format!("one of {} others", stuck.values_before.len() - MOST_STATES));
    }
    let others: Vec<String> =
        calls.iter().filter(|call| call.op != stuck_call.op).map(|call| described(history, call)).collect();
    Witness {
        ops: calls.iter().map(|call| call.op).collect(),
        stuck_at: stuck_call.op,
        explanation: sentence(&described(history, stuck_call), &others, "the register", &states_before),
        states_before,
    }
}

/// A contradiction among the last calls of a history whose begin is not known any more: the register may have any value,
/// and effects of operations that are left out may have happened at any time.
pub(in crate::linear) fn of_last(history: &RegisterHistory, free: &[Effect], budget: &Budget<'_>) -> Option<Witness> {
    let mut problem = Problem::of(history);
    problem.free = free.to_vec();
    let Search { reach, values } = search(&problem, Unanswered::AnyNumberOfTimes, problem.steps.len(), budget);
    match reach {
        Reach::Stuck { step } => Some(of(history, &problem, Proof::Stuck { step, values_before: values }, budget)),
        Reach::End | Reach::Spent { .. } => None,
    }
}

/// How many values before the stuck operation are named.
const MOST_STATES: usize = 8;

/// Where the longest explainable prefix ends.
struct Stuck {
    step: usize,
    /// The values that the register may have had then; none if they are not known.
    values_before: Vec<u32>,
}

fn first_inexplicable(problem: &Problem, proof: Proof, budget: &Budget<'_>) -> Stuck {
    match proof {
        Proof::Stuck { step, values_before } => Stuck { step, values_before },
        Proof::Until { step } => {
            searched(problem, step, budget).unwrap_or_else(|| Stuck { step, values_before: Vec::new() })
        }
        Proof::UniqueValues => {
            let step = unique::first_inexplicable(problem);
            // It does not look at failed swaps, of which one may be inexplicable before.
            let before = if problem.has_failed_swaps() { searched(problem, step, budget) } else { None };
            before.unwrap_or_else(|| Stuck { step, values_before: unique::values_before(problem, step) })
        }
    }
}

/// The first inexplicable return, if that can be searched for, of a history that is broken by this step.
fn searched(problem: &Problem, broken_by: usize, budget: &Budget<'_>) -> Option<Stuck> {
    let looks = Cell::new(0);
    let out_of_time = || {
        looks.set(looks.get() + 1);
        looks.get() > MOST_LOOKS || (budget.out_of_time)()
    };
    let budget = &Budget { out_of_time: &out_of_time, memory_bytes: budget.memory_bytes };
    for unanswered in [Unanswered::Sparingly, Unanswered::OnceByTotal, Unanswered::OnceEach] {
        let Search { reach, values } = search(problem, unanswered, broken_by + 1, budget);
        match reach {
            // What was explained up to the step that is known to be inexplicable, or by an exact search, was so.
            Reach::Stuck { step }
                if step == broken_by || unanswered == Unanswered::OnceEach || problem.unanswered == 0 =>
            {
                return Some(Stuck { step, values_before: values });
            }
            _ => {}
        }
    }
    None
}

/// The search for a small set of operations that contradict each other.
struct Contradiction<'a> {
    problem: &'a Problem,
    /// The step that is not explained, and its operation, which is never dropped.
    stuck: u32,
    stuck_op: u32,
    budget: &'a Budget<'a>,
    /// How often all searches looked at the clock.
    looks: Cell<usize>,
}

/// A part of the history that ends with the stuck return.
struct Window {
    /// The call at which it begins; `None` for the begin of the history, with its initial value.
    from: Option<u32>,
    /// How many operations that did not return before give the register each value, and how many give it any.
    producers: HashMap<u32, u32>,
    all_producers: u32,
}

impl<'a> Contradiction<'a> {
    fn at(problem: &'a Problem, stuck: usize, budget: &'a Budget<'a>) -> Self {
        let Step::Return(stuck_op) = problem.steps[stuck] else { unreachable!("a search is stuck at a return") };
        Self { problem, stuck: stuck as u32, stuck_op, budget, looks: Cell::new(0) }
    }

    fn smallest(&self) -> Vec<u32> {
        let (mut ops, mut window) = self.first_contradiction();
        loop {
            ops = self.shrunk(ops, &window);
            // What returned before all that is left is no part of it: with less to forget, more may be dropped.
            let from = ops.iter().map(|&op| self.problem.op(op).called).min();
            if window.from == from {
                return ops;
            }
            let narrow = self.window(from);
            if !self.is_contradiction(&ops, &narrow) {
                return ops;
            }
            window = narrow;
        }
    }

    /// The last operations, as many as are needed, by powers of four. What few of them show is found sooner than what many
    /// do: most often one other contradicts the stuck operation, or what was observed does, whatever was written.
    fn first_contradiction(&self) -> (Vec<u32>, Window) {
        let latest = self.problem.op(self.stuck_op).called as usize;
        let is_call = |step: &usize| !matches!(self.problem.steps[*step], Step::Return(_));
        let observes = |op: &u32| self.problem.op(*op).kind.observes().is_some();
        let mut length = 1;
        while let Some(from) = (0..=latest).rev().filter(is_call).nth(length - 1) {
            let window = self.window(Some(from as u32));
            let ops = self.called_since(from as u32);
            if length <= MOST_PAIRS {
                let others = ops[..ops.len() - 1].iter().rev();
                if let Some(pair) =
                    others.map(|&other| vec![other, self.stuck_op]).find(|pair| self.is_contradiction(pair, &window))
                {
                    return (pair, window);
                }
            }
            let observers: Vec<u32> = ops.iter().copied().filter(observes).chain(self.writes_stuck()).collect();
            for some in [observers, ops] {
                if self.is_contradiction(&some, &window) {
                    return (some, window);
                }
            }
            length *= 4;
        }
        (self.called_since(0), self.window(None))
    }

    /// The stuck operation, where it observes nothing.
    fn writes_stuck(&self) -> Option<u32> {
        self.problem.op(self.stuck_op).kind.observes().is_none().then_some(self.stuck_op)
    }

    fn is_exhausted(&self) -> bool {
        self.looks.get() >= MOST_LOOKS_AT_PARTS
    }

    /// What is called from this step on and before the stuck return, the stuck operation last.
    fn called_since(&self, from: u32) -> Vec<u32> {
        let steps = &self.problem.steps[from as usize..self.stuck as usize];
        let called = steps.iter().filter_map(|step| match *step {
            Step::Call(op) | Step::Maybe(op) => Some(op),
            Step::Return(_) => None,
        });
        called.filter(|&op| op != self.stuck_op).chain([self.stuck_op]).collect()
    }

    fn window(&self, from: Option<u32>) -> Window {
        let mut window = Window { from, producers: HashMap::new(), all_producers: 0 };
        for effect in &self.problem.free {
            // It is never used up.
            window.producers.insert(effect.to, ENDLESS);
            window.all_producers += ENDLESS;
        }
        let is_in = |op: &&Op| op.called < self.stuck && op.deadline >= from.unwrap_or(0);
        for effect in self.problem.ops.iter().filter(is_in).filter_map(|op| op.kind.effect()) {
            *window.producers.entry(effect.to).or_insert(0) += 1;
            window.all_producers += 1;
        }
        window
    }

    /// Drops what can be dropped: first many at once, the oldest first, then one by one.
    fn shrunk(&self, mut ops: Vec<u32>, window: &Window) -> Vec<u32> {
        let mut chunk = ops.len().next_power_of_two() / 2;
        while chunk > 0 {
            let before = ops.len();
            let mut from = 0;
            while from + 1 < ops.len() && !self.is_exhausted() {
                let to = (from + chunk).min(ops.len() - 1);
                let rest: Vec<u32> = ops[..from].iter().chain(&ops[to..]).copied().collect();
                if self.is_contradiction(&rest, window) {
                    ops = rest;
                } else {
                    from = to;
                }
            }
            let must_repeat = chunk == 1 && ops.len() < before;
            chunk = if must_repeat { 1 } else { chunk / 2 };
        }
        ops
    }

    /// Whether these contradict each other, if the others of the window may have happened at any time.
    fn is_contradiction(&self, ops: &[u32], window: &Window) -> bool {
        if self.is_exhausted() {
            return false;
        }
        // To gather many is work as well.
        self.looks.set(self.looks.get() + ops.len() / OPS_PER_LOOK);
        let part = self.part(ops, window);
        let is_stuck = |unanswered| {
            let until = MOST_LOOKS_AT_PARTS.min(self.looks.get() + MOST_LOOKS_AT_ONE + part.steps.len() / 1_000);
            let out_of_time = || {
                self.looks.set(self.looks.get() + 1);
                self.looks.get() > until || (self.budget.out_of_time)()
            };
            let budget = Budget { out_of_time: &out_of_time, memory_bytes: self.budget.memory_bytes };
            matches!(search(&part, unanswered, part.steps.len(), &budget).reach, Reach::Stuck { .. })
        };
        is_stuck(Unanswered::AnyNumberOfTimes) || (part.unanswered > 0 && is_stuck(Unanswered::OnceEach))
    }

    /// The problem of these operations, with the values numbered anew that they observe, and those of the others free.
    fn part(&self, ops: &[u32], window: &Window) -> Problem {
        let mut observed: Vec<u32> = ops.iter().filter_map(|&op| self.problem.op(op).kind.observes()).collect();
        observed.sort_unstable();
        observed.dedup();
        let unobserved = observed.len();
        let number = |value: u32| observed.binary_search(&value).unwrap_or(unobserved) as u32;

        let mut kept = Vec::with_capacity(ops.len());
        let mut steps = Vec::with_capacity(2 * ops.len());
        let mut forgotten: Vec<u32> =
            observed.iter().map(|value| window.producers.get(value).copied().unwrap_or(0)).collect();
        forgotten.push(window.all_producers - forgotten.iter().sum::<u32>());
        for (place, &op) in (0u32..).zip(ops) {
            let op = *self.problem.op(op);
            let is_answered = Problem::is_answered(&op);
            steps.push((op.called, if is_answered { Step::Call(place) } else { Step::Maybe(place) }));
            if op.deadline <= self.stuck {
                steps.push((op.deadline, Step::Return(place)));
            }
            let kind = op.kind.renumbered(number);
            if let Some(effect) = kind.effect() {
                forgotten[effect.to as usize] -= 1;
            }
            kept.push(Op { kind, ..op });
        }
        steps.sort_unstable_by_key(|&(at, _)| at);
        let starts = match (window.from, self.problem.starts) {
            (None, Starts::At(value)) => Starts::At(number(value)),
            _ => Starts::Anywhere,
        };
        let steps = steps.into_iter().map(|(_, step)| step).collect();
        let mut part = Problem::from_steps(kept, steps, unobserved as u32 + 1, starts);
        let is_written = |&(_, &times): &(u32, &u32)| times > 0;
        part.free = (0..).zip(&forgotten).filter(is_written).map(|(to, _)| Effect { from: None, to }).collect();
        part
    }
}

/// What the stuck operation says, what contradicts it, and what the object, named so, may have been: some of it, for a search
/// leaves out orders that cannot explain more than others.
pub(in crate::linear) fn sentence(stuck: &str, others: &[String], object: &str, states_before: &[String]) -> String {
    let mut sentence = match others.len() {
        0 => format!("{stuck}, but nothing called before it returned explains that"),
        1..=FEW => format!("{stuck}, which contradicts that {}", others.join(", and that ")),
        many => format!("{stuck}, which contradicts {many} other operations"),
    };
    match states_before {
        [] => {}
        [only] => sentence += &format!("; what was answered before can be ordered so that {object} is {only} then"),
        [some @ .., last] => {
            let some = some.join(", ");
            sentence += &format!("; what was answered before can be ordered so that {object} is {some} or {last} then");
        }
    }
    sentence
}

/// How many operations a sentence names.
const FEW: usize = 4;

/// What an operation did or asked for, in words.
pub(in crate::linear) fn deed(history: &RegisterHistory, call: &Call<RegisterAction>) -> String {
    let name = |value| history.values.name(value);
    let (asked, told) = match call.action {
        RegisterAction::Read(value) => (format!("read {}", name(value)), format!("read {}", name(value))),
        RegisterAction::Write(value) => (format!("asked to write {}", name(value)), format!("wrote {}", name(value))),
        RegisterAction::Cas { expected, new } => {
            let (expected, new) = (name(expected), name(new));
            (format!("asked to replace {expected} by {new}"), format!("replaced {expected} by {new}"))
        }
        RegisterAction::CasFailed { expected } => {
            let told = format!("found another value than {}", name(expected));
            (told.clone(), told)
        }
    };
    let what = if call.returned.is_some() { told } else { asked };
    format!("process {} {what}", call.process)
}

pub(in crate::linear) fn described(history: &RegisterHistory, call: &Call<RegisterAction>) -> String {
    format!("{} (op {})", deed(history, call), call.op)
}
