//! Mutexes and semaphores that do not care who asks: decided in O(n log n), whatever the share of unknown outcomes.
//!
//! # The procedure
//!
//! Walk through the calls and returns in the order of their times and count the permits that are taken. Nothing takes effect
//! before it has to. When a request returns that has not taken effect, it does so now; if it cannot, because all permits
//! are taken (or none is), first let the release (or the acquisition) under way that returns earliest take effect. Where
//! there is none, the history is broken. Requests of unknown outcome return never, and so are used last.
//!
//! # Why it is exact
//!
//! It is sound, since each step is legal and is taken while its request is under way. It is complete by an exchange:
//!
//! *Earliest deadline first.* Two acquisitions under way differ in nothing but the times of their returns. Where an explanation
//! uses the one that returns later and the other afterwards, the two can change places.
//!
//! *The fewest requests.* Say that configuration X is at least as good as Y if, after such exchanges, all that took effect in X
//! did so in Y. Then X can follow Y: what took effect only in Y is under way in X too, and can be taken in some legal order
//! right now, for the count of Y lies between 0 and N as well, and a sequence of acquisitions and releases that ends between the
//! two bounds can always be ordered so that it never leaves them (take whatever is possible; if only acquisitions are left and
//! all permits are taken, the end would lie above N). By induction over the returns the procedure is at least as good as any
//! explanation: when an acquisition has to take effect, any explanation has used it; if all permits are taken here, then the
//! explanation, which used at least all that was used here and this acquisition, must have used one more release.
//!
//! *Looks at a mutex* (N = 1): a refusal needs an instant at which the lock is taken, a read one at which it is as it was told.
//! If the procedure came through such a state since the look was called, it is satisfied. Else the lock was in the other
//! state all the while, and one more request has to take effect at its return. So it has in any explanation that satisfies
//! the look: one that had used the same requests would have been in the same state all the while. (An explanation that had used
//! more at some time in between and the same at its end does not exist, since what took effect stays so.) And if X has used
//! fewer requests than Y when it follows Y it comes through both states, satisfying whatever look is under way.
//!
//! With two permits or more a refusal needs *all* taken, and requests that had to take effect one by one earlier may
//! be missed: the general search decides that.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::action::{Deed, LockCall};
use super::order::Contradiction;
use crate::history::RunTime;

/// Whether the procedure decides these calls.
pub(super) fn applies(permits: u32, calls: &[LockCall]) -> bool {
    permits == 1 || calls.iter().all(|call| matches!(call.action.deed, Deed::Acquired { .. } | Deed::Released))
}

/// The call whose return cannot be explained, with those whose permits are in its way; `None` if there is an order.
///
/// All earlier answers take part in the contradiction, for each of them counts: were any acquisition of unknown outcome,
/// there would be one permit more. So those are named that are nearest.
pub(super) fn first_unexplained<P: Placed>(permits: u32, calls: &[LockCall], placed: &mut P) -> Option<Contradiction> {
    let mut walk = Walk {
        calls,
        placed,
        permits,
        taken: 0,
        acquisitions: Waiting::default(),
        releases: Waiting::default(),
        looks: BinaryHeap::new(),
        holding: VecDeque::new(),
        last_release: None,
        now: 0,
        last_full: 0,
        last_free: 0,
    };
    for (position, call) in calls.iter().enumerate() {
        if let Some(unexplained) = walk.returns(|next| next.at < call.called) {
            return Some(walk.in_the_way_of(unexplained));
        }
        walk.now += 1;
        walk.call(number(position));
    }
    let unexplained = walk.returns(|_| true)?;
    Some(walk.in_the_way_of(unexplained))
}

/// The return of a request, which is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Return {
    at: RunTime,
    position: u32,
    /// The number of its call: states since then are there for it to be seen.
    seen_from: u32,
}

/// That of no request.
const NEVER: Return = Return { at: RunTime(u64::MAX), position: u32::MAX, seen_from: 0 };

fn first(returns: &BinaryHeap<Reverse<Return>>) -> Return {
    returns.peek().map_or(NEVER, |first| first.0)
}

/// The requests of one kind under way that have not taken effect.
///
/// What takes effect is taken out, and its return is none any more: so no more is kept than is under way.
#[derive(Default)]
struct Waiting {
    answered: BinaryHeap<Reverse<Return>>,
    /// Those that never return: they grow in number, and in the heap they would be in the way of all others.
    unanswered: VecDeque<u32>,
}

impl Waiting {
    fn add(&mut self, position: u32, returns: Option<Reverse<Return>>) {
        match returns {
            Some(returns) => self.answered.push(returns),
            None => self.unanswered.push_back(position),
        }
    }

    /// Takes the one that returns first; those that never do come last.
    fn take(&mut self) -> Option<u32> {
        let answered = self.answered.pop().map(|returns| returns.0.position);
        answered.or_else(|| self.unanswered.pop_front())
    }
}

/// Hears in which order things happen.
pub(super) trait Placed {
    /// A request took effect.
    fn effect(&mut self, _position: usize) {}

    /// A look was called.
    fn look(&mut self, _position: usize, _deed: Deed) {}

    /// The lock is in this state.
    fn state(&mut self, _all_taken: bool, _none_taken: bool) {}
}

/// Deciding needs no order.
impl Placed for () {}

/// An order of all requests, by position.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) positions: Vec<u32>,
    waiting_for_taken: Vec<u32>,
    waiting_for_free: Vec<u32>,
}

impl Placed for Order {
    fn effect(&mut self, position: usize) {
        self.positions.push(number(position));
    }

    fn look(&mut self, position: usize, deed: Deed) {
        let waiting = match deed {
            Deed::Seen { holder: None } => &mut self.waiting_for_free,
            _ => &mut self.waiting_for_taken,
        };
        waiting.push(number(position));
    }

    fn state(&mut self, all_taken: bool, none_taken: bool) {
        if all_taken {
            self.positions.append(&mut self.waiting_for_taken);
        }
        if none_taken {
            self.positions.append(&mut self.waiting_for_free);
        }
    }
}

struct Walk<'a, P> {
    calls: &'a [LockCall],
    placed: &'a mut P,
    permits: u32,
    taken: u32,
    acquisitions: Waiting,
    releases: Waiting,
    looks: BinaryHeap<Reverse<Return>>,
    /// The last acquisitions that took effect, as many as there are permits taken.
    holding: VecDeque<u32>,
    last_release: Option<u32>,
    /// The number of calls so far: a clock that tells whether a state came after a call.
    now: u32,
    last_full: u32,
    last_free: u32,
}

impl<P: Placed> Walk<'_, P> {
    fn call(&mut self, position: u32) {
        let call = &self.calls[position as usize];
        let returns = call.returned.map(|at| Reverse(Return { at, position, seen_from: self.now }));
        match call.action.deed {
            Deed::Acquired { .. } => self.acquisitions.add(position, returns),
            Deed::Released => self.releases.add(position, returns),
            deed => {
                self.placed.look(position as usize, deed);
                self.note_state();
                if !self.was_so(deed, self.now) {
                    self.looks.extend(returns);
                }
            }
        }
    }

    /// Lets requests return, one after the other, as long as they are such; the first whose return cannot be explained.
    fn returns(&mut self, is_such: impl Fn(Return) -> bool) -> Option<u32> {
        loop {
            let (acquisition, release) = (first(&self.acquisitions.answered), first(&self.releases.answered));
            let look = first(&self.looks);
            let next = acquisition.min(release).min(look);
            if next == NEVER || !is_such(next) {
                return None;
            }
            let is_explained = if next == look {
                self.looks.pop();
                self.is_seen(look)
            } else if next == acquisition {
                self.acquire_any()
            } else {
                self.release_any()
            };
            if !is_explained {
                return Some(next.position);
            }
        }
    }

    /// Whether the lock was, or can come to be, as this look says.
    fn is_seen(&mut self, look: Return) -> bool {
        let deed = self.calls[look.position as usize].action.deed;
        let can_become_so = |walk: &mut Self| match deed {
            Deed::Seen { holder: None } => walk.release_any(),
            _ => walk.acquire_any(),
        };
        self.was_so(deed, look.seen_from) || can_become_so(self)
    }

    /// Whether the lock was as a look says, at its call or since then.
    fn was_so(&self, deed: Deed, since: u32) -> bool {
        match deed {
            Deed::Refused { .. } | Deed::Seen { holder: Some(_) } => self.last_full >= since,
            Deed::Seen { holder: None } => self.last_free >= since,
            Deed::Acquired { .. } | Deed::Released | Deed::Renewed { .. } | Deed::NotHeld => true,
        }
    }

    /// Lets the acquisition take effect that returns first.
    fn acquire_any(&mut self) -> bool {
        let Some(position) = self.acquisitions.take() else { return false };
        if self.taken == self.permits && !self.release_any() {
            return false;
        }
        self.placed.effect(position as usize);
        self.taken += 1;
        self.holding.push_back(position);
        self.note_state();
        true
    }

    /// Lets the release take effect that returns first.
    fn release_any(&mut self) -> bool {
        let Some(position) = self.releases.take() else { return false };
        if self.taken == 0 && !self.acquire_any() {
            return false;
        }
        self.placed.effect(position as usize);
        self.taken -= 1;
        self.holding.pop_front();
        self.last_release = Some(position);
        self.note_state();
        true
    }

    fn in_the_way_of(&self, position: u32) -> Contradiction {
        let mut answers: Contradiction = match self.calls[position as usize].action.deed {
            Deed::Acquired { .. } | Deed::Seen { holder: None } => self.holding.iter().copied().collect(),
            _ => self.last_release.into_iter().collect(),
        };
        answers.push(position);
        answers.sort_unstable();
        answers
    }

    fn note_state(&mut self) {
        self.placed.state(self.taken == self.permits, self.taken == 0);
        if self.taken == self.permits {
            self.last_full = self.now;
        }
        if self.taken == 0 {
            self.last_free = self.now;
        }
    }
}

fn number(position: usize) -> u32 {
    u32::try_from(position).expect("a history has fewer than 2^32 requests")
}
