//! Owner-aware, reentrant and fenced mutexes whose owners act one after another: O(n log n).
//!
//! # From requests to sections
//!
//! Only its own requests bring the lock into an owner's hands and out of them. So where each owner asks one thing after another,
//! and its outcomes are known, its requests say by themselves how often it has the lock after each: an acquisition that was
//! answered `ok` while it has it already, a release while it does not, and the like are contradictions, whatever others do;
//! its refusals and its lost holds are explained, or contradicted, by what it has itself. What is left of an owner are its
//! sections, from the first acquisition to the release that gives the lock away. (Reentrancy changes nothing else.)
//!
//! The last requests of an owner may have an unknown outcome:
//!
//! * a release of its last permit: the section may end from its call on, or never;
//! * an inner acquisition or release: it has the lock for ever, either way;
//! * an acquisition while it has the lock already: none, for it was never let go; or, if a release of unknown outcome follows,
//!   a section that may end from that call on and then a phantom from there on;
//! * an acquisition while it does not have the lock: a phantom; if a release of unknown outcome follows, one that may
//!   end from its call on. (Both may also be under way at once for ever: no order needs that.)
//!
//! An owner that goes on in any other way after an unknown outcome, or asks for two things at once, is left to the
//! general search, and so are reads that show nobody. Answers that name the holder are sightings: see [`super::sightings`].
//!
//! [`super::order`] decides what remains. Where it finds that cores do not overlap, and all sections have one, all orders have the
//! sections in the same sequence: a fenced mutex needs no more than that the tokens grow along it.

use super::action::{Deed, LockCall, LockModel};
use super::order::{Contradiction, NEVER, Phantom, Refusal, Section, Shape, Sighting};
use super::sightings;
use crate::history::RunTime;

/// What the requests come down to, or what contradicts itself; `None` where the procedure does not apply.
pub(super) fn shape(model: &LockModel, owners: usize, calls: &[LockCall]) -> Option<Result<Shape, Contradiction>> {
    let times = match model {
        LockModel::Reentrant(times) => *times,
        LockModel::OwnerMutex | LockModel::Fenced => 1,
        LockModel::Mutex | LockModel::Semaphore(_) | LockModel::Lease(_) => return None,
    };
    let is_fenced = *model == LockModel::Fenced;
    let mut reading = Reading {
        times,
        is_fenced,
        owners: vec![Track::default(); owners],
        shape: Shape::default(),
        contradiction: None,
    };
    for (position, call) in (0..).zip(calls) {
        reading.read(position, call)?;
    }
    if let Some((_, answers)) = reading.contradiction {
        return Some(Err(answers));
    }
    let mut shape = reading.shape;
    if let Err(answers) = sightings::settle(&mut shape, owners)? {
        return Some(Err(answers));
    }
    shape.put_in_order();
    if is_fenced && !shape.sections.iter().all(Section::has_core) {
        return None;
    }
    Some(Ok(shape))
}

/// What contradicts itself in a shape, if anything does; `None` where the procedure cannot tell.
pub(super) fn first_unexplained(model: &LockModel, shape: &Shape, calls: &[LockCall]) -> Option<Option<Contradiction>> {
    let found = shape.first_unexplained()?;
    Some(match model {
        LockModel::Fenced => found.or_else(|| older_token(&shape.sections, calls)),
        _ => found,
    })
}

/// What is known of an owner after its requests so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Without,
    Holding {
        section: u32,
        times: u32,
    },
    /// Its acquisition may have taken effect.
    Phantom(u32),
    /// It may have let go and taken the lock again, if a release should follow.
    AskedAgain {
        section: u32,
        position: u32,
    },
    /// Its last outcome is unknown, and nothing may follow.
    Gone,
    /// It contradicted itself.
    Contradicted,
}

#[derive(Clone, Copy, Debug, Default)]
struct Track {
    phase: Phase,
    free_from: Option<RunTime>,
}

struct Reading {
    times: u32,
    is_fenced: bool,
    owners: Vec<Track>,
    shape: Shape,
    contradiction: Option<(RunTime, Contradiction)>,
}

impl Reading {
    /// Takes in an owner's next request; `None` where the shape does not allow it.
    fn read(&mut self, position: u32, call: &LockCall) -> Option<()> {
        let owner = call.action.owner.0 as usize;
        let track = &mut self.owners[owner];
        let phase = track.phase;
        // A request that was under way beside a contradiction may explain it.
        if track.free_from.is_some_and(|free_from| call.called <= free_from) {
            return None;
        }
        if call.returned.is_some() {
            track.free_from = call.returned;
        }
        self.owners[owner].phase = match call.returned {
            Some(returned) => self.answered(phase, position, call, returned)?,
            None => self.unanswered(phase, position, call)?,
        };
        Some(())
    }

    fn answered(&mut self, phase: Phase, position: u32, call: &LockCall, returned: RunTime) -> Option<Phase> {
        let owner = call.action.owner;
        match (phase, call.action.deed) {
            (_, Deed::Seen { holder: None }) | (Phase::Phantom(_) | Phase::AskedAgain { .. } | Phase::Gone, _) => None,
            (_, Deed::Seen { holder: Some(holder) }) | (Phase::Without, Deed::Refused { holder: Some(holder) }) => {
                self.shape.sightings.push(Sighting { called: call.called, returned, holder: holder.0, position });
                Some(phase)
            }
            (Phase::Without, Deed::Acquired { .. }) => {
                let section = u32::try_from(self.shape.sections.len()).ok()?;
                self.shape.sections.push(Section {
                    asked: call.called,
                    gained: returned,
                    earliest: NEVER,
                    latest: NEVER,
                    owner: owner.0,
                    acquired_by: position,
                    gained_by: position,
                    kept_by: position,
                    ended_by: None,
                });
                Some(Phase::Holding { section, times: 1 })
            }
            (Phase::Without, Deed::Refused { holder: None }) => {
                self.shape.refusals.push(Refusal { called: call.called, returned, position });
                Some(phase)
            }
            (Phase::Without, Deed::NotHeld) | (Phase::Holding { .. }, Deed::Renewed { .. }) => Some(phase),
            (Phase::Holding { section, times }, Deed::Acquired { .. }) if times < self.times => {
                Some(Phase::Holding { section, times: times + 1 })
            }
            (Phase::Holding { times, .. }, Deed::Refused { holder })
                if times == self.times && holder.is_none_or(|holder| holder == owner) =>
            {
                Some(phase)
            }
            (Phase::Holding { section, times }, Deed::Released) if times > 1 => {
                Some(Phase::Holding { section, times: times - 1 })
            }
            (Phase::Holding { section, .. }, Deed::Released) => {
                let section = &mut self.shape.sections[section as usize];
                (section.earliest, section.latest, section.ended_by) = (call.called, returned, Some(position));
                Some(Phase::Without)
            }
            (Phase::Without, Deed::Released | Deed::Renewed { .. })
            | (Phase::Holding { .. }, Deed::Acquired { .. } | Deed::Refused { .. } | Deed::NotHeld) => {
                self.contradict(returned, position);
                Some(Phase::Contradicted)
            }
            (Phase::Contradicted, _) => Some(phase),
        }
    }

    fn unanswered(&mut self, phase: Phase, position: u32, call: &LockCall) -> Option<Phase> {
        let owner = call.action.owner.0;
        match (phase, call.action.deed) {
            (_, Deed::Refused { .. } | Deed::NotHeld | Deed::Renewed { .. } | Deed::Seen { .. }) => Some(phase),
            // A token without an answer is not what a service tells.
            (_, Deed::Acquired { token: Some(_), .. }) if self.is_fenced => None,
            (Phase::Without, Deed::Acquired { .. }) => {
                let phantom = u32::try_from(self.shape.phantoms.len()).ok()?;
                let (from, acquired_by) = (call.called, position);
                self.shape.phantoms.push(Phantom { from, until: NEVER, owner, acquired_by, ended_by: None });
                Some(Phase::Phantom(phantom))
            }
            (Phase::Phantom(phantom), Deed::Released) => {
                let phantom = &mut self.shape.phantoms[phantom as usize];
                (phantom.until, phantom.ended_by) = (call.called, Some(position));
                Some(Phase::Gone)
            }
            (Phase::Holding { section, times: 1 }, Deed::Released) => {
                let section = &mut self.shape.sections[section as usize];
                (section.earliest, section.ended_by) = (call.called, Some(position));
                Some(Phase::Gone)
            }
            (Phase::Without | Phase::Holding { .. }, Deed::Released) => Some(Phase::Gone),
            (Phase::Holding { section, .. }, Deed::Acquired { .. }) if self.times == 1 => {
                Some(Phase::AskedAgain { section, position })
            }
            (Phase::Holding { .. }, Deed::Acquired { .. }) => Some(Phase::Gone),
            (Phase::AskedAgain { section, position: acquired_by }, Deed::Released) => {
                let section = &mut self.shape.sections[section as usize];
                (section.earliest, section.ended_by) = (call.called, Some(position));
                let from = call.called;
                self.shape.phantoms.push(Phantom { from, until: NEVER, owner, acquired_by, ended_by: None });
                Some(Phase::Gone)
            }
            (Phase::Phantom(_) | Phase::AskedAgain { .. } | Phase::Gone, _) => None,
            (Phase::Contradicted, _) => Some(phase),
        }
    }

    /// Keeps the first contradiction.
    fn contradict(&mut self, returned: RunTime, position: u32) {
        if self.contradiction.as_ref().is_none_or(|(earlier, _)| returned < *earlier) {
            self.contradiction = Some((returned, vec![position]));
        }
    }
}

/// The first two acquisitions of which the later one has no greater token.
fn older_token(sections: &[Section], calls: &[LockCall]) -> Option<Contradiction> {
    let tokens = sections.iter().filter_map(|section| match calls[section.acquired_by as usize].action.deed {
        Deed::Acquired { token: Some(token), .. } => Some((token, section.acquired_by)),
        _ => None,
    });
    let mut greatest: Option<(u64, u32)> = None;
    for (token, call) in tokens {
        match greatest {
            Some((earlier, before)) if token <= earlier => return Some(vec![before.min(call), before.max(call)]),
            _ => greatest = Some((token, call)),
        }
    }
    None
}
