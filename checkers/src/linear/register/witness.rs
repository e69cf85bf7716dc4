//! Why a register's history is broken: how far it could be explained, and a few operations that contradict each other.
//!
//! **What it means to drop an operation.** A read of `1` alone, of a history in which `1` was written, explains nothing,
//! although "nobody wrote 1" is a contradiction. So an operation that is dropped is not taken to be absent: it is
//! forgotten when it was. If it wrote a value, or may have, that value may have been written at any time and any number
//! of times. The operations of a witness contradict each other even so, whatever the others did; and none of them can
//! be dropped in this sense without the rest becoming explainable. Forgetting more never makes a contradiction, so a
//! set from which no single operation can be dropped has no smaller contradiction within.
//!
//! All this is judged at the instant at which the stuck operation returned: operations called later are no part of it,
//! and those that returned later were not answered yet.
//!
//! The work is bounded by a count, not by the clock, so the same history has the same witness each time. If the bound
//! or the caller's budget is met, the operations are those that are left by then.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::frontier::{Reach, Search, Unanswered, search};
use super::problem::{Effect, Kind, Op, Problem, Starts, Step};
use super::unique::{self, Unique};
use super::{RegisterAction, RegisterHistory, ValueId};
use crate::linear::{Budget, Call, Witness};

/// How often the search for the longest explainable prefix may look at the clock. Between two looks are about a
/// thousand configurations.
const MOST_LOOKS: usize = 20_000;
/// How often all searches for contradictions together may.
const MOST_LOOKS_AT_PARTS: usize = 3_000;
/// How often one of them may, and once more for each thousand steps. Where it is not done then, what it looks at is
/// taken for explainable.
const MOST_LOOKS_AT_ONE: usize = 40;

/// The witness of a history that is broken by the steps up to and including this one.
pub(super) fn of(history: &RegisterHistory, problem: &Problem, broken_by: usize, budget: &Budget<'_>) -> Witness {
    let stuck = first_inexplicable(history, problem, broken_by, budget);
    let Step::Return(stuck_op) = problem.steps[stuck.step] else { unreachable!("a search is stuck at a return") };
    let contradiction = Contradiction { problem, stuck: stuck.step, stuck_op, budget, looks: Cell::new(0) };
    let mut calls: Vec<_> =
        contradiction.smallest().into_iter().map(|op| &history.calls[problem.op(op).call as usize]).collect();
    calls.sort_by_key(|call| call.op);

    let stuck_call = &history.calls[problem.op(stuck_op).call as usize];
    let states_before: Vec<String> =
        stuck.values_before.iter().map(|&value| history.values.name(ValueId(value)).to_owned()).collect();
    let others: Vec<String> =
        calls.iter().filter(|call| call.op != stuck_call.op).map(|call| described(history, call)).collect();
    Witness {
        ops: calls.iter().map(|call| call.op).collect(),
        stuck_at: stuck_call.op,
        explanation: sentence(&described(history, stuck_call), &others, "the register", &states_before),
        states_before,
    }
}

/// Where the longest explainable prefix ends.
struct Stuck {
    step: usize,
    /// The values that the register may have had then; none if they are not known.
    values_before: Vec<u32>,
}

fn first_inexplicable(history: &RegisterHistory, problem: &Problem, broken_by: usize, budget: &Budget<'_>) -> Stuck {
    let looks = Cell::new(0);
    let out_of_time = || {
        looks.set(looks.get() + 1);
        looks.get() > MOST_LOOKS || (budget.out_of_time)()
    };
    let budget = &Budget { out_of_time: &out_of_time, memory_bytes: budget.memory_bytes };
    for unanswered in [Unanswered::Sparingly, Unanswered::OnceByTotal, Unanswered::OnceEach] {
        let Search { reach, values, .. } = search(problem, unanswered, broken_by + 1, budget);
        match reach {
            // What was explained up to the step that is known to be inexplicable, or by an exact search, was so.
            Reach::Stuck { step }
                if step == broken_by || unanswered == Unanswered::OnceEach || problem.unanswered == 0 =>
            {
                return Stuck { step, values_before: values };
            }
            _ => {}
        }
    }
    let step = if unique::decide(problem) == Unique::Broken { bisected(history, problem) } else { broken_by };
    Stuck { step, values_before: Vec::new() }
}

/// The first step that is inexplicable by unique values.
fn bisected(history: &RegisterHistory, problem: &Problem) -> usize {
    let returns: Vec<usize> =
        (0..problem.steps.len()).filter(|&step| matches!(problem.steps[step], Step::Return(_))).collect();
    let is_explained = |&step: &usize| {
        let mut calls = Vec::new();
        for op in problem.ops.iter().filter(|op| (op.called as usize) <= step) {
            let mut call = history.calls[op.call as usize].clone();
            call.returned = call.returned.filter(|_| op.deadline as usize <= step);
            calls.push(call);
        }
        unique::decide(&Problem::from_calls(calls.iter(), problem.starts, problem.values)) == Unique::Linearizable
    };
    let explained = returns.partition_point(is_explained);
    returns[explained.min(returns.len() - 1)]
}

/// The search for a small set of operations that contradict each other.
struct Contradiction<'a> {
    problem: &'a Problem,
    /// The step that is not explained, and its operation, which is never dropped.
    stuck: usize,
    stuck_op: u32,
    budget: &'a Budget<'a>,
    /// How often all searches looked at the clock.
    looks: Cell<usize>,
}

impl Contradiction<'_> {
    fn smallest(&self) -> Vec<u32> {
        let mut all: Vec<u32> = (0..self.problem.ops.len() as u32)
            .filter(|&op| (self.problem.op(op).called as usize) < self.stuck)
            .collect();
        all.sort_by_key(|&op| (op == self.stuck_op, self.problem.op(op).called));
        let producers = self.producers(&all);
        self.shrunk(self.window(&all, &producers), &producers)
    }

    /// How many operations give the register each value.
    fn producers(&self, ops: &[u32]) -> Producers {
        let mut producers = Producers { by_value: vec![0; self.problem.values as usize], all: 0 };
        for effect in ops.iter().filter_map(|&op| self.problem.op(op).kind.effect()) {
            producers.by_value[effect.to as usize] += 1;
            producers.all += 1;
        }
        producers
    }

    /// The last operations, as many as are needed, by powers of two.
    fn window(&self, all: &[u32], producers: &Producers) -> Vec<u32> {
        let mut length = 1;
        while length < all.len() {
            let last = &all[all.len() - length..];
            if self.is_contradiction(last, producers) {
                return last.to_vec();
            }
            length *= 2;
        }
        all.to_vec()
    }

    /// Drops what can be dropped: first many at once, the oldest first, then one by one.
    fn shrunk(&self, mut ops: Vec<u32>, producers: &Producers) -> Vec<u32> {
        let mut chunk = ops.len().next_power_of_two() / 2;
        while chunk > 0 {
            let before = ops.len();
            let mut from = 0;
            while from + 1 < ops.len() {
                let to = (from + chunk).min(ops.len() - 1);
                let rest: Vec<u32> = ops[..from].iter().chain(&ops[to..]).copied().collect();
                if self.is_contradiction(&rest, producers) {
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

    /// Whether these contradict each other, if the others may have happened at any time.
    fn is_contradiction(&self, ops: &[u32], producers: &Producers) -> bool {
        let part = self.part(ops, producers);
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

    /// The problem of these operations, with values numbered anew and those of the others free.
    fn part(&self, ops: &[u32], producers: &Producers) -> Problem {
        let mut values = Renumbered::default();
        let starts = match self.problem.starts {
            Starts::At(value) => Starts::At(values.number(value)),
            Starts::Anywhere => Starts::Anywhere,
        };
        let mut part = Problem {
            ops: Vec::with_capacity(ops.len()),
            steps: Vec::new(),
            values: 0,
            starts,
            free: Vec::new(),
            unanswered: 0,
            concurrency: self.problem.concurrency,
        };
        let mut steps = Vec::with_capacity(2 * ops.len());
        for (number, &op) in (0u32..).zip(ops) {
            let op = *self.problem.op(op);
            let is_answered = Problem::is_answered(&op);
            steps.push((op.called, if is_answered { Step::Call(number) } else { Step::Maybe(number) }));
            if is_answered && op.deadline as usize <= self.stuck {
                steps.push((op.deadline, Step::Return(number)));
            }
            part.unanswered += usize::from(!is_answered);
            part.ops.push(Op { kind: values.renumber(op.kind), ..op });
        }
        steps.sort_unstable_by_key(|&(at, _)| at);
        part.steps = steps.into_iter().map(|(_, step)| step).collect();
        part.values = values.count() + 1;
        part.free = values.written_by_others(ops.iter().map(|&op| self.problem.op(op).kind), producers);
        part
    }
}

/// The values that some operations name, numbered in the order of their first mention.
#[derive(Default)]
struct Renumbered {
    numbers: BTreeMap<u32, u32>,
}

impl Renumbered {
    fn number(&mut self, value: u32) -> u32 {
        let fresh = self.count();
        *self.numbers.entry(value).or_insert(fresh)
    }

    fn count(&self) -> u32 {
        self.numbers.len() as u32
    }

    fn renumber(&mut self, kind: Kind) -> Kind {
        match kind {
            Kind::Observe(value) => Kind::Observe(self.number(value)),
            Kind::Refused(value) => Kind::Refused(self.number(value)),
            Kind::Write(value) => Kind::Write(self.number(value)),
            Kind::Swap(from, to) => Kind::Swap(self.number(from), self.number(to)),
        }
    }

    /// Writes of each value that operations other than these give the register. All values that these do not name are
    /// alike to them, so one stands for all.
    fn written_by_others(&self, these: impl Iterator<Item = Kind>, producers: &Producers) -> Vec<Effect> {
        let mut by_these: BTreeMap<u32, u32> = BTreeMap::new();
        for effect in these.filter_map(Kind::effect) {
            *by_these.entry(effect.to).or_insert(0) += 1;
        }
        let mut of_named_values = 0;
        let mut written = Vec::new();
        for (value, &number) in &self.numbers {
            let producers = producers.by_value[*value as usize];
            of_named_values += producers;
            if producers > by_these.get(value).copied().unwrap_or(0) {
                written.push(Effect { from: None, to: number });
            }
        }
        if producers.all > of_named_values {
            written.push(Effect { from: None, to: self.count() });
        }
        written
    }
}

/// How many operations give the register each value.
struct Producers {
    by_value: Vec<u32>,
    all: u32,
}

/// What the stuck operation says, what contradicts it, and what the object, named so, may have been.
pub(in crate::linear) fn sentence(stuck: &str, others: &[String], object: &str, states_before: &[String]) -> String {
    let mut sentence = match others.len() {
        0 => format!("{stuck}, but nothing called before it returned explains that"),
        1..=FEW => format!("{stuck}, which contradicts that {}", others.join(", and that ")),
        many => format!("{stuck}, which contradicts {many} other operations"),
    };
    match states_before {
        [] => {}
        [only] => sentence += &format!("; before it returned {object} can only have been {only}"),
        [some @ .., last] => {
            sentence += &format!("; before it returned {object} was {} or {last}", some.join(", "));
        }
    }
    sentence
}

/// How many operations a sentence names.
const FEW: usize = 4;

fn described(history: &RegisterHistory, call: &Call<RegisterAction>) -> String {
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
    format!("process {} {what} (op {})", call.process, call.op)
}
