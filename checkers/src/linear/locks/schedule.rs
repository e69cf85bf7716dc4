//! From a settled shape to an order: gives each hold its begin and its end, and each request its place.
//!
//! The instants are those of the proofs in [`super::order`] and [`crate::holds`]: without floaters each gap between two sections
//! is as long as it may be where the sections certainly leave one, and else of no length; a phantom that serves a gap fills it
//! from the first instant that it can up to the section after it. With floaters, each section is shrunk to its core or to an instant.
//!
//! All other requests find their place by the holds: within the first hold of whom they need, or outside of their own.

use std::collections::BTreeMap;
use std::collections::btree_map::OccupiedEntry;

use super::action::{Deed, LockCall, LockModel};
use super::order::{Gap, NEVER, Phantom, Section, Shape, needy_gaps};
use crate::history::RunTime;

/// What comes next in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// The call at this position takes effect.
    Call(u32),
    /// The lease of the holder runs out.
    Expiry,
}

/// One hold with its times.
#[derive(Clone, Copy, Debug)]
struct Hold {
    begin: RunTime,
    end: RunTime,
    owner: u32,
    acquired_by: u32,
    ended: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    By(u32),
    Expired,
    Never,
}

/// An order of the calls of a shape in which nothing contradicts itself.
pub(super) fn order(model: &LockModel, shape: &Shape, calls: &[LockCall]) -> Vec<Placed> {
    let has_floaters = !shape.sections.iter().all(Section::has_core);
    let holds = if has_floaters { shrunk(shape, calls) } else { stretched(shape, calls) };
    places(model, &holds, calls)
}

/// Each section as long as its core, or an instant of its window outside of all cores.
fn shrunk(shape: &Shape, calls: &[LockCall]) -> Vec<Hold> {
    let cores: Vec<&Section> = shape.sections.iter().filter(|section| section.has_core()).collect();
    let times = |section: &Section| {
        if section.has_core() {
            return (section.gained, section.earliest);
        }
        let from = section.window_from();
        let before = cores[..cores.partition_point(|core| core.gained < from)].last();
        let instant = before.map_or(from, |core| core.earliest.max(from));
        (instant, instant)
    };
    let mut holds: Vec<Hold> = shape.sections.iter().map(|section| hold(section, times(section), calls)).collect();
    holds.sort_by_key(|hold| (hold.begin, hold.end));
    holds
}

/// The sections in their order, with gaps between them where they leave some, and phantoms in the gaps that need them.
fn stretched(shape: &Shape, calls: &[LockCall]) -> Vec<Hold> {
    let Shape { sections, .. } = shape;
    let gaps = needy_gaps(sections, &shape.refusals);
    let mut serving = phantoms_of(&gaps, &shape.phantoms, calls).into_iter().peekable();
    let mut holds: Vec<Hold> = Vec::with_capacity(sections.len() + gaps.len());
    let mut begin = RunTime(0);
    for next in 0..=sections.len() {
        let before = next.checked_sub(1).map(|before| &sections[before]);
        let after = sections.get(next);
        let asked = after.map_or(NEVER, |section| section.asked);
        let is_open = before.is_none_or(|section| section.latest < asked) || after.is_none();
        let end =
            before.map_or(RunTime(0), |section| if is_open { section.latest } else { section.earliest.max(asked) });
        holds.extend(before.map(|section| hold(section, (begin, end), calls)));
        begin = if is_open { asked } else { end };
        if let Some((_, phantom, until)) = serving.next_if(|(gap, ..)| *gap == next) {
            begin = if after.is_some() { until.max(asked) } else { NEVER };
            let ended = ended(begin, phantom.ended_by, calls);
            let Phantom { from, owner, acquired_by, .. } = *phantom;
            holds.push(Hold { begin: from.max(end), end: begin, owner, acquired_by, ended });
        }
    }
    holds
}

/// A phantom for each needy gap, by the section after it, and when the phantom ends at the earliest.
///
/// As few leases of phantoms run out as can be. A phantom whose release is called by the gap's end needs no expiry, in this gap or
/// in any later one, so one of these serves where there is one: who would use it later can have whom it would use now. Where
/// there is none, that one's lease runs out which would be the last to do without.
fn phantoms_of<'a>(gaps: &[Gap], phantoms: &'a [Phantom], calls: &[LockCall]) -> Vec<(usize, &'a Phantom, RunTime)> {
    let first_served = |phantom: &Phantom| gaps.partition_point(|gap| !gap.is_served_by(phantom));
    let without_expiry = |phantom: &Phantom| phantom.ended_by.map_or(NEVER, |release| calls[release as usize].called);
    let mut waiting: Vec<(usize, &Phantom)> = phantoms.iter().map(|phantom| (first_served(phantom), phantom)).collect();
    waiting.sort_by_key(|(first, _)| *first);
    let mut waiting = waiting.into_iter().enumerate().peekable();
    let mut ready: BTreeMap<(RunTime, usize), &Phantom> = BTreeMap::new();
    let serve = |(number, gap): (usize, &Gap)| {
        while let Some((place, (_, phantom))) = waiting.next_if(|(_, (first, _))| *first <= number) {
            ready.insert((without_expiry(phantom), place), phantom);
        }
        let goes_by_itself = ready.first_entry().filter(|entry| entry.key().0 <= gap.next_gained);
        if let Some(((released, _), phantom)) = goes_by_itself.map(OccupiedEntry::remove_entry) {
            return Some((gap.next, phantom, released));
        }
        let (_, phantom) = ready.pop_last()?;
        Some((gap.next, phantom, phantom.until))
    };
    gaps.iter().enumerate().filter_map(serve).collect()
}

fn hold(section: &Section, (begin, end): (RunTime, RunTime), calls: &[LockCall]) -> Hold {
    let Section { owner, acquired_by, ended_by, .. } = *section;
    Hold { begin, end, owner, acquired_by, ended: ended(end, ended_by, calls) }
}

/// How a hold comes to its end: by its release where that was called by then.
fn ended(end: RunTime, ended_by: Option<u32>, calls: &[LockCall]) -> Ended {
    if end == NEVER {
        return Ended::Never;
    }
    let releases = |position: &u32| {
        let call = &calls[*position as usize];
        call.action.deed == Deed::Released && call.called <= end
    };
    ended_by.filter(releases).map_or(Ended::Expired, Ended::By)
}

/// Puts all requests in their places among the holds, which are in their order and do not overlap.
fn places(model: &LockModel, holds: &[Hold], calls: &[LockCall]) -> Vec<Placed> {
    const BEGIN: RunTime = RunTime(0);
    let mut is_placed = vec![false; calls.len()];
    // Gap `k` comes before hold `k`. Within a hold its begin comes first and its end last.
    let mut places: Vec<(usize, RunTime, bool, Placed)> = Vec::with_capacity(calls.len());
    let gap = |hold: usize| 2 * hold;
    let within = |hold: usize| 2 * hold + 1;
    for (number, hold) in holds.iter().enumerate() {
        is_placed[hold.acquired_by as usize] = true;
        places.push((within(number), BEGIN, false, Placed::Call(hold.acquired_by)));
        match hold.ended {
            Ended::By(position) => {
                is_placed[position as usize] = true;
                places.push((within(number), NEVER, true, Placed::Call(position)));
            }
            Ended::Expired => places.push((within(number), NEVER, true, Placed::Expiry)),
            Ended::Never => {}
        }
    }
    for (position, call) in (0_u32..).zip(calls) {
        if is_placed[position as usize] || call.returned.is_none() {
            continue;
        }
        let first = holds.partition_point(|hold| hold.end < call.called);
        let of = |owner: u32| first + holds[first..].iter().take_while(|hold| hold.owner != owner).count();
        let own = call.action.owner.0;
        let held_by = match call.action.deed {
            Deed::Refused { holder: None } => Some(first),
            Deed::Refused { holder: Some(holder) } | Deed::Seen { holder: Some(holder) } => Some(of(holder.0)),
            Deed::Renewed { .. } | Deed::Acquired { .. } => Some(of(own)),
            Deed::Released if !matches!(model, LockModel::Lease(_)) => Some(of(own)),
            Deed::Released | Deed::NotHeld | Deed::Seen { holder: None } => None,
        };
        let (segment, instant) = match (held_by, holds.get(first)) {
            (Some(hold), _) => (within(hold), call.called.max(holds.get(hold).map_or(BEGIN, |hold| hold.begin))),
            (None, Some(hold)) if hold.begin <= call.called && hold.owner == own => {
                (gap(first + 1), hold.end.max(call.called))
            }
            (None, Some(hold)) if hold.begin <= call.called => (within(first), call.called),
            (None, _) => (gap(first), call.called),
        };
        places.push((segment, instant, false, Placed::Call(position)));
    }
    places.sort_by_key(|(segment, instant, is_end, _)| (*segment, *is_end, *instant));
    places.into_iter().map(|(_, _, _, placed)| placed).collect()
}
