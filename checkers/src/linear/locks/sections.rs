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
//! general search, and so are refusals that name the holder, and reads.
//!
//! [`super::order`] decides what remains. Where it finds that cores do not overlap, all orders have the sections in the
//! same sequence: a fenced mutex needs no more than that the tokens grow along it.

use super::action::{Deed, LockCall, LockModel};
use super::order::{Contradiction, NEVER, Phantom, Refusal, Section, overlap, unexplained_refusal};
use crate::history::RunTime;

/// `None` where the procedure does not apply; else what contradicts itself, if anything does.
pub(super) fn first_unexplained(model: &LockModel, owners: usize, calls: &[LockCall]) -> Option<Option<Contradiction>> {
    let times = match model {
        LockModel::Reentrant(times) => *times,
        LockModel::OwnerMutex | LockModel::Fenced => 1,
        LockModel::Mutex | LockModel::Semaphore(_) | LockModel::Lease(_) => return None,
    };
    let mut reading = Reading::new(times, *model == LockModel::Fenced, owners);
    for (position, call) in (0..).zip(calls) {
        reading.read(position, call)?;
    }
    Some(match reading.contradiction.take() {
        Some((_, answers)) => Some(answers),
        None => reading.order(calls),
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
    sections: Vec<Section>,
    phantoms: Vec<Phantom>,
    refusals: Vec<Refusal>,
    contradiction: Option<(RunTime, Contradiction)>,
}

impl Reading {
    fn new(times: u32, is_fenced: bool, owners: usize) -> Self {
        Self {
            times,
            is_fenced,
            owners: vec![Track::default(); owners],
            sections: Vec::new(),
            phantoms: Vec::new(),
            refusals: Vec::new(),
            contradiction: None,
        }
    }

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
            None => self.unanswered(phase, call)?,
        };
        Some(())
    }

    fn answered(&mut self, phase: Phase, position: u32, call: &LockCall, returned: RunTime) -> Option<Phase> {
        match (phase, call.action.deed) {
            (_, Deed::Seen { .. } | Deed::Refused { holder: Some(_) })
            | (Phase::Phantom(_) | Phase::AskedAgain { .. } | Phase::Gone, _) => None,
            (Phase::Without, Deed::Acquired { .. }) => {
                let section = u32::try_from(self.sections.len()).ok()?;
                self.sections.push(Section {
                    asked: call.called,
                    gained: returned,
                    earliest: NEVER,
                    latest: NEVER,
                    acquired_by: position,
                    kept_by: position,
                    ended_by: None,
                });
                Some(Phase::Holding { section, times: 1 })
            }
            (Phase::Without, Deed::Refused { holder: None }) => {
                self.refusals.push(Refusal { called: call.called, returned, position });
                Some(phase)
            }
            (Phase::Without, Deed::NotHeld) | (Phase::Holding { .. }, Deed::Renewed { .. }) => Some(phase),
            (Phase::Holding { section, times }, Deed::Acquired { .. }) if times < self.times => {
                Some(Phase::Holding { section, times: times + 1 })
            }
            (Phase::Holding { times, .. }, Deed::Refused { holder: None }) if times == self.times => Some(phase),
            (Phase::Holding { section, times }, Deed::Released) if times > 1 => {
                Some(Phase::Holding { section, times: times - 1 })
            }
            (Phase::Holding { section, .. }, Deed::Released) => {
                let section = &mut self.sections[section as usize];
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

    fn unanswered(&mut self, phase: Phase, call: &LockCall) -> Option<Phase> {
        match (phase, call.action.deed) {
            (_, Deed::Refused { .. } | Deed::NotHeld | Deed::Renewed { .. } | Deed::Seen { .. }) => Some(phase),
            // A token without an answer is not what a service tells.
            (_, Deed::Acquired { token: Some(_), .. }) if self.is_fenced => None,
            (Phase::Without, Deed::Acquired { .. }) => {
                let phantom = u32::try_from(self.phantoms.len()).ok()?;
                self.phantoms.push(Phantom { from: call.called, until: NEVER });
                Some(Phase::Phantom(phantom))
            }
            (Phase::Phantom(phantom), Deed::Released) => {
                self.phantoms[phantom as usize].until = call.called;
                Some(Phase::Gone)
            }
            (Phase::Holding { section, times: 1 }, Deed::Released) => {
                self.sections[section as usize].earliest = call.called;
                Some(Phase::Gone)
            }
            (Phase::Without | Phase::Holding { .. }, Deed::Released) => Some(Phase::Gone),
            (Phase::Holding { section, .. }, Deed::Acquired { .. }) if self.times == 1 => {
                Some(Phase::AskedAgain { section })
            }
            (Phase::Holding { .. }, Deed::Acquired { .. }) => Some(Phase::Gone),
            (Phase::AskedAgain { section }, Deed::Released) => {
                self.sections[section as usize].earliest = call.called;
                self.phantoms.push(Phantom { from: call.called, until: NEVER });
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

    fn order(mut self, calls: &[LockCall]) -> Option<Contradiction> {
        self.sections.sort_by_key(|section| section.gained);
        overlap(&self.sections)
            .or_else(|| older_token(&self.sections, calls).filter(|_| self.is_fenced))
            .or_else(|| unexplained_refusal(&self.sections, &self.refusals, &self.phantoms))
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
