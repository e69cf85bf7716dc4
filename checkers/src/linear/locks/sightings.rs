//! Answers that named the holder: bounds of that owner's sections.
//!
//! A *sighting* needs an instant of its own times at which a certain owner held the lock. Which of that owner's sections it
//! saw is often certain:
//!
//! * A section whose core meets the times of the sighting was there to be seen, whatever the order: the sighting is explained.
//! * A section cannot have been seen if it was asked for after the sighting returned, or had ended before that was called: it was
//!   released, or its owner had gained its next section.
//! * If one section is left and no phantom of the owner, each order has an instant of the sighting within that section. So it
//!   began by the time the sighting returned, and ended at the sighting's call or later: both are bounds of its begin
//!   and its end. The other way round, a section within these bounds was held when the sighting was called, or
//!   when the section began, and one of the two is an instant of the sighting's times.
//! * If no section is left but a phantom, that phantom happened: it is a section, gained by the time the sighting returned.
//! * If nothing is left, the sighting contradicts what ended the section before it.
//!
//! Where more than one is left the general search decides. An owner whose name was used for one acquisition never
//! comes to that.

use super::order::{Contradiction, NEVER, Section, Shape, Sighting};

/// Turns the sightings of a shape into bounds of its sections; `None` where it is open which section was seen.
pub(super) fn settle(shape: &mut Shape, owners: usize) -> Option<Result<(), Contradiction>> {
    if shape.sightings.is_empty() {
        return Some(Ok(()));
    }
    let mut of_owner = Owners::of(shape, owners);
    for sighting in std::mem::take(&mut shape.sightings) {
        match of_owner.seen(shape, &sighting) {
            Seen::Certainly => {}
            Seen::One(section) => {
                let section = &mut shape.sections[section as usize];
                if sighting.returned < section.gained {
                    (section.gained, section.gained_by) = (sighting.returned, sighting.position);
                }
                if sighting.called > section.earliest {
                    (section.earliest, section.kept_by) = (sighting.called, sighting.position);
                }
            }
            Seen::Phantom(phantom) => {
                let phantom = shape.phantoms[phantom as usize];
                of_owner.happened[sighting.holder as usize] = Some(u32::try_from(shape.sections.len()).ok()?);
                shape.sections.push(Section {
                    asked: phantom.from,
                    gained: sighting.returned,
                    earliest: phantom.until.max(sighting.called),
                    latest: NEVER,
                    owner: phantom.owner,
                    acquired_by: phantom.acquired_by,
                    gained_by: sighting.position,
                    kept_by: sighting.position,
                    ended_by: phantom.ended_by,
                });
            }
            Seen::Nothing { ended_by } => {
                return Some(Err(ended_by.into_iter().chain([sighting.position]).collect()));
            }
            Seen::Unclear => return None,
        }
    }
    shape.phantoms.retain(|phantom| of_owner.happened[phantom.owner as usize].is_none());
    Some(Ok(()))
}

enum Seen {
    Certainly,
    One(u32),
    Phantom(u32),
    Nothing { ended_by: Option<u32> },
    Unclear,
}

/// The sections of each owner in their order, and its phantom.
struct Owners {
    sections: Vec<u32>,
    first: Vec<u32>,
    phantom: Vec<Option<u32>>,
    /// The section that its phantom turned out to be.
    happened: Vec<Option<u32>>,
}

impl Owners {
    fn of(shape: &Shape, owners: usize) -> Self {
        let mut first = vec![0_u32; owners + 1];
        shape.sections.iter().for_each(|section| first[section.owner as usize + 1] += 1);
        for owner in 0..owners {
            first[owner + 1] += first[owner];
        }
        let mut next = first.clone();
        let mut sections = vec![0_u32; shape.sections.len()];
        for (number, section) in (0..).zip(&shape.sections) {
            let next = &mut next[section.owner as usize];
            sections[*next as usize] = number;
            *next += 1;
        }
        let mut phantom = vec![None; owners];
        for (number, one) in (0..).zip(&shape.phantoms) {
            phantom[one.owner as usize] = Some(number);
        }
        Self { sections, first, phantom, happened: vec![None; owners] }
    }

    fn seen(&self, shape: &Shape, sighting: &Sighting) -> Seen {
        let owner = sighting.holder as usize;
        let Some([first, after]) = self.first.get(owner..owner + 2) else { return Seen::Unclear };
        let own = &self.sections[*first as usize..*after as usize];
        let section = |number: &u32| &shape.sections[*number as usize];
        let asked_in_time = own.partition_point(|number| section(number).asked <= sighting.returned);
        let mut candidates: Vec<u32> = Vec::new();
        let mut ended_by = None;
        let mut gone_by = NEVER;
        for number in own[..asked_in_time].iter().rev() {
            let one = section(number);
            if one.latest.min(gone_by) < sighting.called {
                ended_by = one.ended_by;
                break;
            }
            candidates.push(*number);
            gone_by = one.gained;
        }
        candidates.extend(self.happened[owner].filter(|number| section(number).asked <= sighting.returned));
        let is_certain = |number: &u32| {
            let one = section(number);
            one.has_core() && one.gained <= sighting.returned && sighting.called <= one.earliest
        };
        if candidates.iter().any(is_certain) {
            return Seen::Certainly;
        }
        let phantom = self.phantom[owner].filter(|number| {
            self.happened[owner].is_none() && shape.phantoms[*number as usize].from <= sighting.returned
        });
        match (candidates.as_slice(), phantom) {
            ([], None) => Seen::Nothing { ended_by },
            ([one], None) => Seen::One(*one),
            ([], Some(phantom)) => Seen::Phantom(phantom),
            _ => Seen::Unclear,
        }
    }
}
