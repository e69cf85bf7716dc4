//! The search through a history that is there as a whole.

use super::mask::{Mask, Wide};
use super::{Frontier, OUT_OF_MEMORY, Unanswered};
use crate::linear::Budget;
use crate::linear::register::problem::{Problem, Step};

/// How far a search came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::linear::register) enum Reach {
    /// All answers can be explained, in the search's sense.
    End,
    /// The answer returned at this step cannot be.
    Stuck { step: usize },
    /// The budget ended at this step.
    Spent { step: usize, reason: &'static str },
}

/// What came of a search.
#[derive(Clone, Debug)]
pub(in crate::linear::register) struct Search {
    pub(in crate::linear::register) reach: Reach,
    /// Where it is stuck, the values that the register may have had before that step.
    pub(in crate::linear::register) values: Vec<u32>,
}

/// Searches up to a step, with sets as wide as the history needs.
pub(in crate::linear::register) fn search(
    problem: &Problem,
    unanswered: Unanswered,
    until: usize,
    budget: &Budget<'_>,
) -> Search {
    match problem.concurrency {
        0..=64 => search_with::<u64>(problem, unanswered, until, budget),
        65..=128 => search_with::<u128>(problem, unanswered, until, budget),
        _ => search_with::<Wide>(problem, unanswered, until, budget),
    }
}

fn search_with<M: Mask>(problem: &Problem, unanswered: Unanswered, until: usize, budget: &Budget<'_>) -> Search {
    let memory_bytes = budget.memory_bytes.saturating_sub(problem.ops.len() * size_of::<u16>());
    if memory_bytes < Frontier::<M>::bytes_for(problem.values as usize) {
        return Search { reach: Reach::Spent { step: 0, reason: OUT_OF_MEMORY }, values: Vec::new() };
    }
    // The slot of each operation under way.
    let mut slots = vec![0u16; problem.ops.len()];
    let mut frontier = Frontier::<M>::new(problem.values, problem.start_values(), unanswered, memory_bytes);
    for &effect in &problem.free {
        frontier.may_happen(effect, u32::MAX);
    }
    let mut reach = Reach::End;
    for (step, &event) in problem.steps[..until].iter().enumerate() {
        let taken = match event {
            Step::Call(op) => {
                let called = problem.op(op);
                frontier.call(called.kind, called.deadline).map(|slot| {
                    slots[op as usize] = slot as u16;
                    true
                })
            }
            Step::Maybe(op) => {
                if let Some(effect) = problem.op(op).kind.effect() {
                    frontier.may_happen(effect, 1);
                }
                Ok(true)
            }
            Step::Return(op) => frontier.ret(usize::from(slots[op as usize]), budget.out_of_time),
        };
        match taken {
            Ok(true) => {}
            Ok(false) => {
                reach = Reach::Stuck { step };
                break;
            }
            Err(reason) => {
                reach = Reach::Spent { step, reason };
                break;
            }
        }
    }
    let values = if matches!(reach, Reach::Stuck { .. }) { frontier.possible_values() } else { Vec::new() };
    Search { reach, values }
}
