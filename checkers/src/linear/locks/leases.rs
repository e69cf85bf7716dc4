//! Lease-locks whose owners act one after another: O(n log n).
//!
//! # From requests to holds
//!
//! Each grant is a hold over some `[alpha, omega]`, with `alpha` in `[asked, gained]`. The service may end it itself from the
//! end of the lease on: `E`, the greatest `inv + T/(1+rho) - slack` of its acquisition and its renewals that were
//! answered `ok`. An owner that asks one thing after another tells when `omega` can be:
//!
//! * released `ok` at `[r, r']`, and that certifies the hold: in `[r, r']`;
//! * released `ok`, which only says that it no longer holds: in `[min(r, E), r']`;
//! * released with an unknown outcome, called at `r`: at `min(r, E)` or later;
//! * told at `[r, r']` that it does not hold the lock: in `[E, r']`, and if `E > r'` the lease ended before its time;
//! * else: at `E` or later.
//!
//! No latest time is ever assumed for an expiry. Where all of these leave `omega >= alpha` the grant began at `r'` at the latest.
//!
//! # The order
//!
//! Holds with `gained < earliest` have a core, the others are *floaters* with the window `[max(asked, earliest), gained]`.
//! **Without refusals there is an order if and only if no two cores overlap and no window lies inside another hold's
//! core.** The proof is in [`crate::holds`]. The rest is as in [`super::order`], whose sections ask for no more than a range for
//! the begin and one for the end. An acquisition of unknown outcome is a phantom that may end at the end of its lease.
//! Answers that name the holder are [`super::sightings`]. With both floaters and refusals that name nobody the history is broken
//! where it would be without these, and else left to the general search; so are a lock-delay, reads that show nobody, owners
//! that go on after an unknown outcome and those that ask for two things at once.

use super::action::{Deed, LeaseTerms, LockCall};
use super::order::{Contradiction, NEVER, Phantom, Refusal, Section, Shape, Sighting};
use super::sightings;
use crate::history::RunTime;

/// What the requests come down to, or what contradicts itself; `None` where the procedure does not apply.
pub(super) fn shape(terms: &LeaseTerms, owners: usize, calls: &[LockCall]) -> Option<Result<Shape, Contradiction>> {
    if !terms.lock_delay.is_zero() {
        return None;
    }
    let mut reading = Reading {
        release_certifies: terms.release_certifies,
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
    Some(Ok(shape))
}

#[derive(Clone, Copy, Debug, Default)]
struct Track {
    /// The last grant, if the owner was not told that it is over.
    hold: Option<u32>,
    /// Its acquisition of unknown outcome, if that was its last request and it held nothing before.
    phantom: Option<u32>,
    is_gone: bool,
    is_contradicted: bool,
    free_from: Option<RunTime>,
}

struct Reading {
    release_certifies: bool,
    owners: Vec<Track>,
    /// While a hold is open, its earliest end is the end of its lease.
    shape: Shape,
    contradiction: Option<(RunTime, Contradiction)>,
}

impl Reading {
    /// Takes in an owner's next request; `None` where the shape does not allow it.
    fn read(&mut self, position: u32, call: &LockCall) -> Option<()> {
        let owner = call.action.owner.0 as usize;
        let track = self.owners[owner];
        if let (Some(phantom), Deed::Released, None) = (track.phantom, call.action.deed, call.returned) {
            self.owners[owner].phantom = None;
            let phantom = &mut self.shape.phantoms[phantom as usize];
            (phantom.until, phantom.ended_by) = (phantom.until.min(call.called), Some(position));
            return Some(());
        }
        // A request that was under way beside a contradiction may explain it.
        if track.is_gone || track.free_from.is_some_and(|free_from| call.called <= free_from) {
            return None;
        }
        if track.is_contradicted {
            return Some(());
        }
        let Some(returned) = call.returned else {
            self.unanswered(owner, position, call);
            return Some(());
        };
        self.owners[owner].free_from = Some(returned);
        match call.action.deed {
            Deed::Seen { holder: None } => return None,
            Deed::Seen { holder: Some(holder) } | Deed::Refused { holder: Some(holder) } => {
                self.shape.sightings.push(Sighting { called: call.called, returned, holder: holder.0, position });
            }
            Deed::Refused { holder: None } => {
                self.shape.refusals.push(Refusal { called: call.called, returned, position });
            }
            Deed::Acquired { expires, .. } => {
                self.owners[owner].hold = Some(u32::try_from(self.shape.sections.len()).ok()?);
                let asked = call.called;
                self.shape.sections.push(Section {
                    asked,
                    gained: returned,
                    earliest: expires,
                    latest: NEVER,
                    owner: call.action.owner.0,
                    acquired_by: position,
                    gained_by: position,
                    kept_by: position,
                    ended_by: None,
                });
            }
            Deed::Renewed { expires } => match track.hold {
                Some(hold) => {
                    let hold = &mut self.shape.sections[hold as usize];
                    // It was held when it was renewed, however short the lease.
                    hold.earliest = hold.earliest.max(expires).max(call.called);
                    hold.kept_by = position;
                }
                None => self.contradict(owner, returned, vec![position]),
            },
            Deed::Released => match track.hold {
                Some(hold) => {
                    let hold = &mut self.shape.sections[hold as usize];
                    let earliest = if self.release_certifies {
                        hold.kept_by = position;
                        call.called
                    } else {
                        hold.earliest.min(call.called)
                    };
                    self.close(owner, earliest, returned, position);
                }
                None if self.release_certifies => self.contradict(owner, returned, vec![position]),
                None => {}
            },
            Deed::NotHeld => {
                if let Some(hold) = track.hold {
                    let Section { earliest, kept_by, .. } = self.shape.sections[hold as usize];
                    if earliest > returned {
                        self.contradict(owner, returned, vec![kept_by, position]);
                    } else {
                        self.close(owner, earliest, returned, position);
                    }
                }
            }
        }
        Some(())
    }

    fn unanswered(&mut self, owner: usize, position: u32, call: &LockCall) {
        let hold = self.owners[owner].hold;
        if matches!(call.action.deed, Deed::Acquired { .. }) && hold.is_none() {
            self.owners[owner].phantom = u32::try_from(self.shape.phantoms.len()).ok();
        }
        match (call.action.deed, hold) {
            (Deed::Acquired { expires, .. }, _) => self.shape.phantoms.push(Phantom {
                from: call.called,
                until: expires,
                owner: call.action.owner.0,
                acquired_by: position,
                ended_by: None,
            }),
            (Deed::Released, Some(hold)) => {
                let hold = &mut self.shape.sections[hold as usize];
                (hold.earliest, hold.ended_by) = (hold.earliest.min(call.called), Some(position));
            }
            _ => {}
        }
        self.owners[owner].is_gone = !call.action.deed.only_looks();
    }

    fn close(&mut self, owner: usize, earliest: RunTime, latest: RunTime, position: u32) {
        if let Some(hold) = self.owners[owner].hold.take() {
            let hold = &mut self.shape.sections[hold as usize];
            (hold.earliest, hold.latest, hold.ended_by) = (earliest, latest, Some(position));
        }
    }

    /// Keeps the first contradiction.
    fn contradict(&mut self, owner: usize, returned: RunTime, answers: Contradiction) {
        if self.contradiction.as_ref().is_none_or(|(earlier, _)| returned < *earlier) {
            self.contradiction = Some((returned, answers));
        }
        self.owners[owner].is_contradicted = true;
    }
}
