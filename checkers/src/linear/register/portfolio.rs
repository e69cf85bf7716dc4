//! Which procedure decides a register's history.
//!
//! Cheap and one-sided procedures come first; each answer that is given is proven:
//!
//! 1. [unique values](super::unique): both ways, in O(n log n), where each value is written at most once;
//! 2. a look for a value that was observed before anything that writes it was called: a contradiction;
//! 3. the [frontier](super::frontier) with unanswered operations used sparingly: an order found is an order;
//! 4. with them used any number of times: more orders than there are, so if there is none, the history is broken.
//!    This comes before the next, as it costs no more than a history in which all is answered;
//! 5. with counts compared by their totals: an order found is an order;
//! 6. with each counted: exact, but perhaps beyond the budget.
//!
//! Without unanswered operations the third step is exact, and no other is taken.

use super::frontier::{Reach, Search, Unanswered, search};
use super::problem::{Kind, Problem, Starts, Step};
use super::unique::{self, Unique};
use super::{RegisterHistory, witness};
use crate::linear::{Budget, Decision};

/// What the searches found out.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Linearizable,
    Broken(Proof),
    Undecided { step: usize, reason: &'static str },
}

/// What shows that there is no order.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// This return cannot be explained, and all before it can. The register may have had these values then.
    Stuck { step: usize, values_before: Vec<u32> },
    /// The steps up to this one contradict each other.
    Until { step: usize },
    /// Values that are written once contradict each other.
    UniqueValues,
}

/// Decides whether some order of a register's operations explains all answers.
#[must_use]
pub fn decide(history: &RegisterHistory, budget: &Budget<'_>) -> Decision {
    let mut problem = Problem::of(history);
    match find(&mut problem, budget) {
        Found::Linearizable => Decision::Linearizable,
        Found::Broken(proof) => Decision::Broken(witness::of(history, &problem, proof, budget)),
        Found::Undecided { step, reason } => {
            Decision::Undecided { explained: problem.returns_before(step), reason: reason.to_owned() }
        }
    }
}

/// The bare verdict, without the work for a witness; `None` where the budget ends first.
#[must_use]
pub fn is_linearizable(history: &RegisterHistory, budget: &Budget<'_>) -> Option<bool> {
    match find(&mut Problem::of(history), budget) {
        Found::Linearizable => Some(true),
        Found::Broken(_) => Some(false),
        Found::Undecided { .. } => None,
    }
}

/// Decides each of many registers, on as many threads. The budget's memory is divided among the threads.
#[must_use]
pub fn decide_each(
    histories: &[RegisterHistory],
    budget: &(dyn Fn() -> bool + Sync),
    memory_bytes: usize,
    threads: usize,
) -> Vec<Decision> {
    let threads = threads.clamp(1, histories.len().max(1));
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let budget = Budget { out_of_time: &budget, memory_bytes: memory_bytes / threads };
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(history) = histories.get(index) else { return done };
            done.push((index, decide(history, &budget)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|&(index, _)| index);
    done.into_iter().map(|(_, decision)| decision).collect()
}

/// The procedures in turn. For the searches values that nobody observes are made one.
pub(super) fn find(problem: &mut Problem, budget: &Budget<'_>) -> Found {
    match unique::decide(problem) {
        Unique::Linearizable => return Found::Linearizable,
        Unique::Broken => return Found::Broken(Proof::UniqueValues),
        Unique::NotApplicable => {}
    }
    problem.merge_unobserved();
    match first_unwritten(problem) {
        Some(step) => Found::Broken(Proof::Until { step }),
        None => find_by_search(problem, budget),
    }
}

/// The first return of an operation that observed a value which nothing called until then could have written.
fn first_unwritten(problem: &Problem) -> Option<usize> {
    let mut may_be_there = vec![problem.starts == Starts::Anywhere; problem.values as usize];
    for value in problem.start_values() {
        may_be_there[value as usize] = true;
    }
    problem.steps.iter().position(|&step| match step {
        Step::Call(op) | Step::Maybe(op) => {
            if let Some(effect) = problem.op(op).kind.effect() {
                may_be_there[effect.to as usize] = true;
            }
            false
        }
        Step::Return(op) => match problem.op(op).kind {
            Kind::Observe(value) | Kind::Swap(value, _) => !may_be_there[value as usize],
            Kind::Write(_) | Kind::Refused(_) => false,
        },
    })
}

/// The searches in turn.
pub(super) fn find_by_search(problem: &Problem, budget: &Budget<'_>) -> Found {
    let end = problem.steps.len();
    let mut furthest = 0;
    let mut last_reason = "";
    // Where the first search for an order ended, with the values before.
    let mut stuck_first = None;
    for unanswered in
        [Unanswered::Sparingly, Unanswered::AnyNumberOfTimes, Unanswered::OnceByTotal, Unanswered::OnceEach]
    {
        let Search { reach, values } = search(problem, unanswered, end, budget);
        let finds_orders = unanswered != Unanswered::AnyNumberOfTimes;
        let is_exact = unanswered == Unanswered::OnceEach || problem.unanswered == 0;
        match reach {
            Reach::End if finds_orders => return Found::Linearizable,
            Reach::End => {}
            Reach::Stuck { step } if is_exact => {
                return Found::Broken(Proof::Stuck { step, values_before: values });
            }
            Reach::Stuck { step } if !finds_orders => {
                // The steps before were explained by an order that was found.
                return Found::Broken(match stuck_first {
                    Some((first, values_before)) if first == step => Proof::Stuck { step, values_before },
                    _ => Proof::Until { step },
                });
            }
            Reach::Stuck { step } => {
                furthest = furthest.max(step);
                stuck_first.get_or_insert((step, values));
            }
            Reach::Spent { step, reason } => {
                if finds_orders {
                    furthest = furthest.max(step);
                }
                last_reason = reason;
                if (budget.out_of_time)() {
                    break;
                }
            }
        }
    }
    Found::Undecided { step: furthest, reason: last_reason }
}
