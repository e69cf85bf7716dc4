//! Which leases have to have run out.

use std::fmt;
use std::time::Duration;

use super::action::{Deed, LockCall, LockModel};
use super::calls::LockHistory;
use super::order::{NEVER, Section, Shape};
use super::schedule::Placed;
use super::state::Moment;
use super::words;
use crate::explain::human;
use crate::history::RunTime;

/// A lease that has to have run out, for without that a later answer could not have been given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Who held it.
    pub owner: String,
    /// The operation that was given it.
    pub grant: usize,
    /// From when on it could end: a correct service keeps it until then at least.
    pub from: RunTime,
    /// For how long the service had to keep it from its grant or last renewal on; zero where no TTL is known.
    pub kept_for: Duration,
    /// The operation whose answer needs its end.
    pub needed_by: usize,
    /// What that operation was told, in words.
    pub told: String,
    /// When that operation was answered: the lease was gone by then.
    pub gone_by: RunTime,
}

impl Expired {
    /// How much longer than it had to be the lease may have been kept at most.
    #[must_use]
    pub fn margin(&self) -> Duration {
        self.gone_by.since(self.from)
    }
}

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, grant, from, kept_for, told, .. } = self;
        let kept = match kept_for.is_zero() {
            true => "no TTL known".to_owned(),
            false => format!("kept for {} at least", human(*kept_for)),
        };
        let margin = human(self.margin());
        write!(
            f,
            "the lease of {owner} (op {grant}, {kept}) may have ended from {from} on, {margin} before the end of op {}, by which {told}",
            self.needed_by
        )
    }
}

/// Keeps holds from running out, the first gained first, as long as there is still an order: a hold that does not run out is held
/// until its release is called, or for ever.
///
/// The shape stays one in which nothing contradicts itself. For a hold to last longer is for its core to grow, or for its
/// window to begin later. A hold that gets a core, or a longer one, must not meet the next core, nor, if it had none itself, the
/// core before it; and no window may come to lie inside it. The window of one that stays a floater must not come to lie inside a
/// core, which could only be the one before it. The holds that are not spared cannot be spared later either, for what
/// stands in their way stays: a core only grows, and a floater whose window a hold would cover is gained within it, whether it
/// gets a core or not.
pub(super) fn spare(shape: &mut Shape, calls: &[LockCall]) {
    let sections = &mut shape.sections;
    let mut core_before: Option<Section> = None;
    for number in 0..sections.len() {
        let section = sections[number];
        let is_held = core_before.is_some_and(|core| core.earliest > section.gained);
        let can_last_until = |longer: RunTime| {
            if longer <= section.gained {
                let window_from = section.asked.max(longer);
                return !is_held || core_before.is_none_or(|core| window_from <= core.gained);
            }
            let is_in_the_way = |later: &Section| later.has_core() || later.window_from() > section.gained;
            let mut inside = sections[number + 1..].iter().take_while(|later| later.gained < longer);
            !is_held && !inside.any(is_in_the_way)
        };
        let longer = without_expiry(&section, calls).filter(|longer| *longer > section.earliest);
        if let Some(longer) = longer.filter(|longer| can_last_until(*longer)) {
            sections[number].earliest = longer;
        }
        if sections[number].has_core() {
            core_before = Some(sections[number]);
        }
    }
}

/// The earliest end of a hold that does not run out; `None` where it was seen to have done so.
fn without_expiry(section: &Section, calls: &[LockCall]) -> Option<RunTime> {
    let Some(ended_by) = section.ended_by else { return Some(NEVER) };
    let call = &calls[ended_by as usize];
    (call.action.deed == Deed::Released).then_some(call.called)
}

/// The order without the expiries that it can do without, and what each of the others is for.
pub(super) fn needed(model: &LockModel, history: &LockHistory, order: &[Placed]) -> (Vec<Placed>, Vec<Expired>) {
    let mut replay = Replay { model, calls: &history.calls, moment: Moment::default(), now: RunTime(0) };
    let mut kept = Vec::with_capacity(order.len());
    let mut expired = Vec::new();
    let mut grant: Option<&LockCall> = None;
    let mut kept_for = Duration::ZERO;
    let mut dropped: Vec<u32> = Vec::new();
    for (place, placed) in order.iter().enumerate() {
        match *placed {
            Placed::Call(position) if dropped.contains(&position) => continue,
            Placed::Call(position) => {
                let call = &history.calls[position as usize];
                match call.action.deed {
                    Deed::Acquired { expires, .. } => {
                        grant = Some(call);
                        kept_for = expires.since(call.called);
                    }
                    Deed::Renewed { expires } if expires > replay.moment.state.until => {
                        kept_for = expires.since(call.called);
                    }
                    _ => {}
                }
            }
            Placed::Expiry => {
                let needed_by = match replay.without_expiry(&order[place + 1..]) {
                    Without::Stuck(call) => call,
                    Without::Goes { dropped: more } => {
                        dropped.extend(more);
                        continue;
                    }
                };
                if let (Some(grant), Some(owner)) = (grant, replay.moment.state.holder) {
                    expired.push(Expired {
                        owner: words::name(history, owner).to_owned(),
                        grant: grant.op,
                        from: replay.moment.state.until,
                        kept_for,
                        needed_by: needed_by.op,
                        told: words::deed(needed_by, history),
                        gone_by: needed_by.returned.unwrap_or(NEVER),
                    });
                }
            }
        }
        kept.push(*placed);
        if replay.take(*placed).is_none() {
            break;
        }
    }
    (kept, expired)
}

#[derive(Clone, Copy)]
struct Replay<'a> {
    model: &'a LockModel,
    calls: &'a [LockCall],
    moment: Moment,
    now: RunTime,
}

impl<'a> Replay<'a> {
    /// Takes one step; `None` where the model does not allow it.
    fn take(&mut self, placed: Placed) -> Option<()> {
        self.moment = match placed {
            Placed::Expiry => {
                self.now = self.now.max(self.moment.state.until);
                self.model.expire(self.moment, self.now)?
            }
            Placed::Call(position) => {
                let call = &self.calls[position as usize];
                let free_from = if self.moment.state.holder.is_none() { self.moment.state.until } else { RunTime(0) };
                let waits = matches!(call.action.deed, Deed::Acquired { .. });
                self.now = self.now.max(call.called).max(if waits { free_from } else { RunTime(0) });
                self.model.step(self.moment, &call.action, call.called, self.now)?
            }
        };
        Some(())
    }

    /// How the rest goes if the lease does not run out here.
    fn without_expiry(mut self, rest: &[Placed]) -> Without<'a> {
        let mut with_expiry = self;
        let mut dropped = Vec::new();
        let mut are_one = with_expiry.take(Placed::Expiry).is_none();
        for placed in rest {
            if are_one {
                break;
            }
            let before = self;
            if self.take(*placed).is_none() {
                self = before;
                match *placed {
                    // What never got an answer need not have happened.
                    Placed::Call(position) if self.calls[position as usize].returned.is_none() => {
                        dropped.push(position);
                    }
                    Placed::Call(position) => return Without::Stuck(&self.calls[position as usize]),
                    Placed::Expiry => {}
                }
            }
            are_one = with_expiry.take(*placed).is_none() || self.moment == with_expiry.moment;
        }
        Without::Goes { dropped }
    }
}

/// What comes of an order if one lease does not run out.
enum Without<'a> {
    /// This call could not have been answered as it was.
    Stuck(&'a LockCall),
    /// It goes on, and these calls without an answer did not happen.
    Goes { dropped: Vec<u32> },
}
