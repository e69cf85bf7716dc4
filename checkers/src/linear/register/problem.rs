//! A register's history as the procedures see it: steps in the order of time, without what cannot matter.

use super::{Initial, RegisterAction, RegisterHistory};
use crate::linear::Call;

/// What an answered operation demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::linear) enum Kind {
    /// That the register has this value at some instant: a read, or a swap of a value for itself.
    Observe(u32),
    /// That the register has any other value at some instant: a failed swap.
    Refused(u32),
    /// That it is given this value.
    Write(u32),
    /// That it is given the second value at an instant at which it has the first, another one.
    Swap(u32, u32),
}

/// What an unanswered operation may do: a write, or a swap from a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::linear) struct Effect {
    pub(in crate::linear) from: Option<u32>,
    pub(in crate::linear) to: u32,
}

impl Kind {
    /// `None` for an operation that changes nothing.
    pub(in crate::linear) fn effect(self) -> Option<Effect> {
        match self {
            Self::Write(to) => Some(Effect { from: None, to }),
            Self::Swap(from, to) => Some(Effect { from: Some(from), to }),
            Self::Observe(_) | Self::Refused(_) => None,
        }
    }
}

impl Kind {
    /// The same with other numbers for the values.
    pub(in crate::linear) fn renumbered(self, mut number: impl FnMut(u32) -> u32) -> Self {
        match self {
            Self::Observe(value) => Self::Observe(number(value)),
            Self::Refused(value) => Self::Refused(number(value)),
            Self::Write(value) => Self::Write(number(value)),
            Self::Swap(from, to) => Self::Swap(number(from), number(to)),
        }
    }

    /// The value that it tells from others.
    pub(in crate::linear) fn observes(self) -> Option<u32> {
        match self {
            Self::Observe(value) | Self::Refused(value) | Self::Swap(value, _) => Some(value),
            Self::Write(_) => None,
        }
    }
}

impl From<RegisterAction> for Kind {
    fn from(action: RegisterAction) -> Self {
        match action {
            RegisterAction::Read(value) => Self::Observe(value.0),
            RegisterAction::Write(value) => Self::Write(value.0),
            RegisterAction::Cas { expected, new } if expected == new => Self::Observe(new.0),
            RegisterAction::Cas { expected, new } => Self::Swap(expected.0, new.0),
            RegisterAction::CasFailed { expected } => Self::Refused(expected.0),
        }
    }
}

/// One event, of an operation by its place among [`Problem::ops`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An operation that will be answered begins.
    Call(u32),
    /// It ends.
    Return(u32),
    /// An operation that is never answered begins. It may take effect from now on.
    Maybe(u32),
}

/// An operation that can matter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    pub(super) kind: Kind,
    /// Its place among the calls.
    pub(super) call: u32,
    /// The place of its call among the steps; `u32::MAX` where that is after the last return.
    pub(super) called: u32,
    /// The place of its return among the steps; `u32::MAX` where it has none.
    pub(super) deadline: u32,
}

/// A history in the order of time.
///
/// Unanswered operations that change nothing are left out: each order of the others is an order with them.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) ops: Vec<Op>,
    pub(super) steps: Vec<Step>,
    /// The values are `0..values`. The last one stands for all that no operation names, and with
    /// [`Self::merge_unobserved`] for all that none observes.
    pub(super) values: u32,
    /// Where values were numbered anew: the numbers that they had.
    originals: Vec<u32>,
    pub(super) starts: Starts,
    /// Effects that may happen at any time and any number of times.
    pub(super) free: Vec<Effect>,
    /// How many operations are never answered.
    pub(super) unanswered: usize,
    /// The most answered operations that are under way at once.
    pub(super) concurrency: usize,
}

/// The values with which the register may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Starts {
    At(u32),
    Anywhere,
}

impl Problem {
    pub(super) fn of(history: &RegisterHistory) -> Self {
        let named = u32::try_from(history.values.len()).unwrap_or(u32::MAX - 1);
        let starts = match history.initial {
            Initial::Known(value) => Starts::At(value.0),
            Initial::Unknown => Starts::Anywhere,
        };
        Self::from_calls(history.calls.iter(), starts, named + 1)
    }

    /// The problem of some of the calls. Places of calls are those in the iteration.
    pub(super) fn from_calls<'a>(
        calls: impl Iterator<Item = &'a Call<RegisterAction>>,
        starts: Starts,
        values: u32,
    ) -> Self {
        let mut ops = Vec::with_capacity(calls.size_hint().0);
        let mut begins = Vec::with_capacity(calls.size_hint().0);
        let mut ends = Vec::with_capacity(calls.size_hint().0);
        for (place, call) in (0u32..).zip(calls) {
            let kind = Kind::from(call.action);
            if call.returned.is_none() && kind.effect().is_none() {
                continue;
            }
            let op = ops.len() as u32;
            ops.push(Op { kind, call: place, called: u32::MAX, deadline: u32::MAX });
            begins.push((call.called, op));
            ends.extend(call.returned.map(|returned| (returned.max(call.called), op)));
        }
        let unanswered = begins.len() - ends.len();
        begins.sort();
        ends.sort();
        let mut answered = vec![false; ops.len()];
        for &(_, op) in &ends {
            answered[op as usize] = true;
        }

        let mut steps = Vec::with_capacity(begins.len() + ends.len());
        let (mut under_way, mut concurrency) = (0usize, 0);
        let mut begins = begins.into_iter().peekable();
        for (returned, op) in ends {
            // Intervals are closed: what is called at the instant of a return is called before it.
            while let Some((_, begun)) = begins.next_if(|&(called, _)| called <= returned) {
                ops[begun as usize].called = steps.len() as u32;
                steps.push(if answered[begun as usize] { Step::Call(begun) } else { Step::Maybe(begun) });
                under_way += usize::from(answered[begun as usize]);
            }
            concurrency = concurrency.max(under_way);
            under_way -= 1;
            ops[op as usize].deadline = steps.len() as u32;
            steps.push(Step::Return(op));
        }
        // What is never answered and called after the last return cannot explain anything.
        Self { ops, steps, values, originals: Vec::new(), starts, free: Vec::new(), unanswered, concurrency }
    }

    /// Numbers values anew, so that all that no operation observes or expects are one: no answer can tell them apart.
    pub(super) fn merge_unobserved(&mut self) {
        const NOT_OBSERVED: u32 = u32::MAX;
        let mut numbers = vec![NOT_OBSERVED; self.values as usize];
        for value in self.ops.iter().filter_map(|op| op.kind.observes()) {
            let number = &mut numbers[value as usize];
            if *number == NOT_OBSERVED {
                *number = self.originals.len() as u32;
                self.originals.push(value);
            }
        }
        let unobserved = self.originals.len() as u32;
        let renumbered = |value: u32| numbers[value as usize].min(unobserved);
        for op in &mut self.ops {
            op.kind = op.kind.renumbered(renumbered);
        }
        if let Starts::At(value) = &mut self.starts {
            *value = renumbered(*value);
        }
        self.originals.push(self.values - 1);
        self.values = unobserved + 1;
    }

    pub(super) fn has_failed_swaps(&self) -> bool {
        self.ops.iter().any(|op| matches!(op.kind, Kind::Refused(_)))
    }

    /// The number that a value had in the history.
    pub(super) fn original(&self, value: u32) -> u32 {
        self.originals.get(value as usize).copied().unwrap_or(value)
    }

    pub(super) fn op(&self, op: u32) -> &Op {
        &self.ops[op as usize]
    }

    /// The values with which the register may begin.
    pub(super) fn start_values(&self) -> std::ops::Range<u32> {
        match self.starts {
            Starts::At(value) => value..value + 1,
            Starts::Anywhere => 0..self.values,
        }
    }

    /// A history of these steps.
    pub(super) fn from_steps(ops: Vec<Op>, steps: Vec<Step>, values: u32, starts: Starts) -> Self {
        let (mut under_way, mut concurrency, mut unanswered) = (0usize, 0, 0);
        for step in &steps {
            match step {
                Step::Call(_) => under_way += 1,
                Step::Return(_) => under_way -= 1,
                Step::Maybe(_) => unanswered += 1,
            }
            concurrency = concurrency.max(under_way);
        }
        Self { ops, steps, values, originals: Vec::new(), starts, free: Vec::new(), unanswered, concurrency }
    }

    /// Whether an operation is answered before the steps end.
    pub(super) fn is_answered(op: &Op) -> bool {
        op.deadline != u32::MAX
    }

    /// How many operations return before this step.
    pub(super) fn returns_before(&self, step: usize) -> usize {
        self.steps[..step].iter().filter(|step| matches!(step, Step::Return(_))).count()
    }
}
