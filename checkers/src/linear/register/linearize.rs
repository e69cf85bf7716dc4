//! An order of a register's operations that explains all answers.
//!
//! Where values are written once, the proof of that procedure says how to build one. Otherwise the search is done once
//! more, and notes for each configuration at each return from which one it came, and by which effects. One that is left
//! at the end tells the effects that were seen, first to last. What was not seen is put beside them as the rules of the
//! [search](super::frontier) have it: an operation that changes nothing at the first instant that suits it, a write that
//! is not seen where it changes nothing or right before another one.

use std::collections::{HashMap, VecDeque};

use super::frontier::mask::{Mask, Wide};
use super::frontier::{Frontier, Path, Unanswered, Use};
use super::problem::{Effect, Kind, Problem, Step};
use super::unique::{self, Unique};
use super::witness::deed;
use super::{RegisterHistory, ValueId};
use crate::linear::{Budget, Linearization};

/// An order that explains all answers; `None` where there is none, or the budget ends first.
#[must_use]
pub fn linearize(history: &RegisterHistory, budget: &Budget<'_>) -> Option<Linearization> {
    let problem = Problem::of(history);
    let (initial, order) = order(&problem, budget)?;
    let mut linearization = Linearization::default();
    let mut value = initial;
    for op in order {
        let op = problem.op(op);
        let call = &history.calls[op.call as usize];
        value = op.kind.effect().map_or(value, |effect| effect.to);
        let state = history.values.name(ValueId(value)).to_owned();
        linearization.take_effect(call, deed(history, call), state);
    }
    Some(linearization)
}

/// The value before, and the operations that happened.
fn order(problem: &Problem, budget: &Budget<'_>) -> Option<(u32, Vec<u32>)> {
    if unique::decide(problem) == Unique::Linearizable {
        return unique::order(problem);
    }
    let searches = [Unanswered::Sparingly, Unanswered::OnceByTotal, Unanswered::OnceEach];
    searches.into_iter().find_map(|unanswered| match problem.concurrency {
        0..=64 => Traced::<u64>::search(problem, unanswered, budget),
        65..=128 => Traced::<u128>::search(problem, unanswered, budget),
        _ => Traced::<Wide>::search(problem, unanswered, budget),
    })
}

/// A return at which effects were placed.
struct Placing {
    step: usize,
    paths: Vec<Path>,
    /// The operation of each slot in use.
    slots: Vec<u32>,
}

/// A search that remembers how it came where it is.
struct Traced<M> {
    frontier: Frontier<M>,
    slots: Vec<u32>,
    placings: Vec<Placing>,
}

impl<M: Mask> Traced<M> {
    fn search(problem: &Problem, unanswered: Unanswered, budget: &Budget<'_>) -> Option<(u32, Vec<u32>)> {
        let frontier = Frontier::<M>::new(problem.values, problem.start_values(), unanswered, budget.memory_bytes);
        let mut traced = Self { frontier, slots: vec![0; M::SLOTS], placings: Vec::new() };
        let starts: Vec<u32> = traced.frontier.value_of_each();
        let mut slot_of = vec![0u16; problem.ops.len()];
        let mut bytes = size_of_val(&*slot_of);
        for (step, &event) in problem.steps.iter().enumerate() {
            match event {
                Step::Call(op) => {
                    let called = problem.op(op);
                    let slot = traced.frontier.call(called.kind, called.deadline).ok()?;
                    slot_of[op as usize] = slot as u16;
                    traced.slots[slot] = op;
                }
                Step::Maybe(op) => {
                    if let Some(effect) = problem.op(op).kind.effect() {
                        traced.frontier.may_happen(effect, 1);
                    }
                }
                Step::Return(op) => {
                    let slot = usize::from(slot_of[op as usize]);
                    if !traced.frontier.ret(slot, budget.out_of_time).ok()? {
                        return None;
                    }
                    bytes += traced.note(step);
                    if bytes > budget.memory_bytes / 2 {
                        return None;
                    }
                }
            }
        }
        let (start, seen) = traced.seen();
        let initial = starts[start];
        Some((initial, beside(problem, initial, seen)))
    }

    /// Notes what was placed at a return, and how much memory that takes.
    fn note(&mut self, step: usize) -> usize {
        let Some(paths) = self.frontier.paths() else { return 0 };
        let slots = self.slots.clone();
        let of_paths: usize = paths.iter().map(|path| size_of::<Path>() + size_of_val(&*path.uses)).sum();
        let bytes = size_of::<Placing>() + size_of_val(&*slots) + of_paths;
        self.placings.push(Placing { step, paths, slots });
        bytes
    }

    /// The first configuration, by its place, and the effects that were seen, each with the return before which.
    fn seen(&self) -> (usize, VecDeque<(usize, Seen)>) {
        let mut config = 0;
        let mut seen = VecDeque::new();
        for placing in self.placings.iter().rev() {
            let path = &placing.paths[config];
            for used in path.uses.iter().rev() {
                let effect = match *used {
                    Use::Slot(slot) => Some(Seen::Op(placing.slots[slot])),
                    Use::Unanswered(number) => self.frontier.unanswered_effect(number).map(Seen::Unanswered),
                };
                seen.extend(effect.map(|effect| (placing.step, effect)));
            }
            config = path.from;
        }
        seen.make_contiguous().reverse();
        (config, seen)
    }
}

/// An effect that was seen.
#[derive(Clone, Copy)]
enum Seen {
    Op(u32),
    Unanswered(Effect),
}

/// Puts beside the effects that were seen what was not.
fn beside(problem: &Problem, initial: u32, mut seen: VecDeque<(usize, Seen)>) -> Vec<u32> {
    let mut is_seen = vec![false; problem.ops.len()];
    for (_, effect) in &seen {
        if let Seen::Op(op) = effect {
            is_seen[*op as usize] = true;
        }
    }
    let mut order = Order { problem, value: initial, under_way: Vec::new(), placed: Vec::new() };
    let mut unanswered: HashMap<Effect, VecDeque<u32>> = HashMap::new();
    for (step, &event) in problem.steps.iter().enumerate() {
        match event {
            Step::Call(op) if !is_seen[op as usize] => {
                order.under_way.push(op);
                order.place_what_suits();
            }
            Step::Call(_) => {}
            Step::Maybe(op) => {
                if let Some(effect) = problem.op(op).kind.effect() {
                    unanswered.entry(effect).or_default().push_back(op);
                }
            }
            Step::Return(_) => {
                while let Some(&(_, effect)) = seen.front().filter(|(at, _)| *at == step) {
                    seen.pop_front();
                    let op = match effect {
                        Seen::Op(op) => Some(op),
                        Seen::Unanswered(effect) => unanswered.get_mut(&effect).and_then(VecDeque::pop_front),
                    };
                    order.take_effect(op.unwrap_or_else(|| unreachable!("it was called before it was seen")));
                }
            }
        }
    }
    order.placed
}

struct Order<'a> {
    problem: &'a Problem,
    value: u32,
    /// The operations under way that are not placed, and whose effect is never seen.
    under_way: Vec<u32>,
    placed: Vec<u32>,
}

impl Order<'_> {
    /// An effect that is seen.
    fn take_effect(&mut self, op: u32) {
        let kind = self.problem.op(op).kind;
        if matches!(kind, Kind::Write(_)) {
            // Nobody sees writes right before it.
            self.place_if(|kind, _| matches!(kind, Kind::Write(_)));
        }
        self.placed.push(op);
        self.value = kind.effect().map_or(self.value, |effect| effect.to);
        self.place_what_suits();
    }

    /// What changes nothing at this value.
    fn place_what_suits(&mut self) {
        self.place_if(|kind, value| match kind {
            Kind::Observe(wanted) | Kind::Write(wanted) => value == wanted,
            Kind::Refused(expected) => value != expected,
            Kind::Swap(..) => false,
        });
    }

    fn place_if(&mut self, suits: impl Fn(Kind, u32) -> bool) {
        let (problem, value, placed) = (self.problem, self.value, &mut self.placed);
        self.under_way.retain(|&op| {
            let is_placed = suits(problem.op(op).kind, value);
            if is_placed {
                placed.push(op);
            }
            !is_placed
        });
    }
}
