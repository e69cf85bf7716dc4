//! Keys whose gets tell the order of the appends.
//!
//! Let what is put and appended to a key be *unambiguous*: no two strings are the same, none is the beginning of
//! another, and none is empty. Then a string can be read in at most one way as a sequence of them. A get that cannot be
//! read so, or has something put in its middle, is inexplicable. Otherwise it tells for each append what was there just
//! before, and as each operation takes effect at most once, two gets that differ in that contradict each other, as does
//! one that has an append twice.
//!
//! So, numbering the states that gets show by the last operation of each, the key is a register:
//!
//! * a put of `p` is a write of `p`;
//! * an append of `a` that some get shows after `x` is a swap from `x` to `a`. It is indeed no other: had it come after
//!   anything else, that get would show something else before it. And if the register has the value `x`, the key has
//!   the string that gets show for `x`: by induction, as each of its operations has one predecessor;
//! * an append of `a` that no get shows is a write of `a`: no get may fall between it and the next put. Where the
//!   register has an order with the write, the key has it with the append, and the other way round, as nobody sees
//!   which string `a` was appended to. An append that some get shows does not follow it directly, as that get would
//!   show `a` too;
//! * a get is a read of its last operation's number, or of the initial value.
//!
//! Each value is written at most once, so this is decided in O(n log n): see
//! [`unique`](crate::linear::register). Operations without an answer are translated alike.

use std::collections::BTreeMap;

use super::{KvAction, described, quoted};
use crate::linear::register::{Initial, RegisterAction, RegisterHistory, ValueId, Values};
use crate::linear::{Call, Witness};

/// What the gets tell.
pub(super) enum Told {
    /// All that there is to know of the order: decide this instead.
    Register(RegisterHistory),
    /// That no order explains them.
    Contradiction(Witness),
    /// Nothing for sure: strings are ambiguous.
    Nothing,
}

/// The value of the register before any put or append.
const EMPTY: ValueId = ValueId(0);

pub(super) fn told(calls: &[Call<KvAction>]) -> Told {
    let Some(strings) = Strings::of(calls) else { return Told::Nothing };
    let mut before: Vec<Option<(ValueId, usize)>> = vec![None; strings.values.len()];
    let mut seen = vec![EMPTY; calls.len()];
    for (place, call) in calls.iter().enumerate() {
        let KvAction::Get(value) = &call.action else { continue };
        if call.returned.is_none() {
            continue;
        }
        match strings.read(value, place, &mut before) {
            Ok(last) => seen[place] = last,
            Err(Unreadable::Itself) => return Told::Contradiction(alone(call)),
            Err(Unreadable::Beside(other)) => return Told::Contradiction(two(&calls[other], call)),
        }
    }
    Told::Register(strings.register(calls, &before, &seen))
}

enum Unreadable {
    /// A get that nothing can explain.
    Itself,
    /// One that contradicts the get of this place.
    Beside(usize),
}

/// What is put and appended: unambiguous strings in their order, each with the operation's place.
struct Strings<'a> {
    sorted: Vec<(&'a str, bool, ValueId)>,
    values: Values,
    of_call: BTreeMap<usize, ValueId>,
}

impl<'a> Strings<'a> {
    /// `None` where they are ambiguous.
    fn of(calls: &'a [Call<KvAction>]) -> Option<Self> {
        let mut values = Values::default();
        values.intern_name(&quoted(""));
        let mut sorted = Vec::new();
        let mut of_call = BTreeMap::new();
        for (place, call) in calls.iter().enumerate() {
            let (KvAction::Put(string) | KvAction::Append(string)) = &call.action else { continue };
            let name = match call.action {
                KvAction::Put(_) => quoted(string),
                _ => format!("\"...{string}\""),
            };
            // Two long strings may have the same short name.
            let value = values.push_name(name);
            sorted.push((string.as_str(), matches!(call.action, KvAction::Put(_)), value));
            of_call.insert(place, value);
        }
        sorted.sort_unstable_by_key(|&(string, ..)| string);
        // If one is the beginning of another, it is that of its neighbour as well.
        let are_unambiguous = sorted.windows(2).all(|pair| !pair[1].0.starts_with(pair[0].0));
        let has_empty = sorted.first().is_some_and(|(string, ..)| string.is_empty());
        (are_unambiguous && !has_empty).then_some(Self { sorted, values, of_call })
    }

    /// The last operation of a got string; notes what came before each append, and by which get that is known.
    fn read(
        &self,
        mut rest: &str,
        place: usize,
        before: &mut [Option<(ValueId, usize)>],
    ) -> Result<ValueId, Unreadable> {
        let mut last = EMPTY;
        while !rest.is_empty() {
            let after = self.sorted.partition_point(|&(string, ..)| string <= rest);
            let next = after.checked_sub(1).map(|next| self.sorted[next]);
            let Some((string, is_put, value)) = next.filter(|&(string, ..)| rest.starts_with(string)) else {
                return Err(Unreadable::Itself);
            };
            if is_put && last != EMPTY {
                return Err(Unreadable::Itself);
            }
            if !is_put {
                match before[value.0 as usize] {
                    Some((known, _)) if known == last => {}
                    Some((_, get)) if get == place => return Err(Unreadable::Itself),
                    Some((_, get)) => return Err(Unreadable::Beside(get)),
                    None => before[value.0 as usize] = Some((last, place)),
                }
            }
            last = value;
            rest = &rest[string.len()..];
        }
        Ok(last)
    }

    fn register(
        self,
        calls: &[Call<KvAction>],
        before: &[Option<(ValueId, usize)>],
        seen: &[ValueId],
    ) -> RegisterHistory {
        let translated = calls.iter().enumerate().map(|(place, call)| {
            let action = match self.of_call.get(&place) {
                None => RegisterAction::Read(seen[place]),
                Some(&new) => match before[new.0 as usize] {
                    None => RegisterAction::Write(new),
                    Some((expected, _)) => RegisterAction::Cas { expected, new },
                },
            };
            Call { op: call.op, process: call.process, called: call.called, returned: call.returned, action }
        });
        let calls = translated.collect();
        RegisterHistory { calls, initial: Initial::Known(EMPTY), values: self.values }
    }
}

fn alone(get: &Call<KvAction>) -> Witness {
    Witness {
        ops: vec![get.op],
        stuck_at: get.op,
        states_before: Vec::new(),
        explanation: format!("{}, which nothing that was put and appended adds up to", described(get)),
    }
}

fn two(first: &Call<KvAction>, second: &Call<KvAction>) -> Witness {
    let mut ops = vec![first.op, second.op];
    ops.sort_unstable();
    let stuck = if (first.returned, first.op) > (second.returned, second.op) { first } else { second };
    Witness {
        ops,
        stuck_at: stuck.op,
        states_before: Vec::new(),
        explanation: format!(
            "{} and {}, which show the same append after different beginnings",
            described(first),
            described(second)
        ),
    }
}
