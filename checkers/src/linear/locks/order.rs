//! Where holds determine the order: exact in O(n log n).
//!
//! # The shape
//!
//! Each *section* is one hold of the lock. It begins at some instant `alpha` of `[asked, gained]` and ends at some
//! `omega >= alpha` of `[earliest, latest]`; both ends of the times may be infinite where nobody released it. Its **core** is
//! `[gained, earliest]`. Those without a core, `gained >= earliest`, are *floaters*, with the *window* `[max(asked, earliest),
//! gained]`; no section has to end before it is gained (`gained <= latest`). *Phantoms* are acquisitions of unknown outcome: they
//! hold the lock over some `[alpha, omega]` with `alpha >= from` and `omega >= until`, or never. *Refusals* need an instant
//! within their times at which anybody holds the lock; those that name the holder, and reads that do, are *sightings*, which
//! [`super::sightings`] turns into bounds of sections beforehand.
//!
//! # Sections
//!
//! **Without refusals there is an order if and only if no two cores overlap.** Only if: a section holds the lock throughout its
//! core. If: let each begin at `gained` and end at `earliest`, and let no phantom happen. Sort the sections by `gained`: then only
//! neighbours need a look. Any order has the sections in this sequence, for if `i` is before `j` in it then `j` ends, at
//! `earliest(j) >= gained(j) > earliest(i) >= gained(i)` or later, after `i` began. (This is the zone test of Gibbons and
//! Korach, *Testing Shared Memories*, SIAM J. Comput. 26(4), 1997, for pairs of acquisition and release.)
//!
//! With floaters: **there is an order if and only if no two cores overlap and no window lies inside another section's core.** The
//! proof is in [`crate::holds`].
//!
//! # Refusals
//!
//! With floaters *and* refusals the history is broken where it would be without the refusals, and else left to the general
//! search. Without floaters:
//!
//! Between neighbours `i` and `j` the lock is certainly free of sections in the *window* between `latest(i)` and `asked(j)`, if
//! the first is before the second. One schedule leaves it free nowhere else, for all gaps at once: where the window is not empty let
//! `i` end at `latest(i)` and `j` begin at `asked(j)`; where it is empty let both happen at one instant between
//! `max(earliest(i), asked(j))` and `min(latest(i), gained(j))`, which exists since `earliest(i) < gained(j)`. So a refusal can
//! be explained by sections unless it lies inside a window: then it is *needy*.
//!
//! # Phantoms
//!
//! A needy gap needs one phantom, and one is enough: a phantom that begins just before the first needy refusal of the gap
//! returns (at `m`), and ends just before the next section begins, which may be put off until `gained` of it (`e`), is there
//! when each needy refusal of the gap returns, and whatever else is refused in between meets it too. This is possible if
//! and only if `from < m` and `until < e`. A phantom serves one gap, since there are sections between gaps and it acquires once.
//! Both `m` and `e` grow from gap to gap, so who can serve a gap can serve every later one, and Hall's condition comes down to
//! counting: **there is an order if and only if for each `k` at least `k` phantoms can serve the `k`-th needy gap.**
//!
//! # Ties
//!
//! Calls come before returns at the same instant: `asked`, `earliest`, `from` and `until` are times of calls, `gained` and `latest`
//! of returns.

use crate::history::RunTime;

/// Later than all that is on record.
pub(super) const NEVER: RunTime = RunTime(u64::MAX);

/// What the requests to a lock come down to, where each owner asks one thing after another.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Once settled, in the order of `gained`.
    pub(super) sections: Vec<Section>,
    pub(super) phantoms: Vec<Phantom>,
    /// In the order of their calls.
    pub(super) refusals: Vec<Refusal>,
    pub(super) sightings: Vec<Sighting>,
}

/// One hold of the lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub(super) asked: RunTime,
    pub(super) gained: RunTime,
    pub(super) earliest: RunTime,
    pub(super) latest: RunTime,
    pub(super) owner: u32,
    /// The position of the acquisition.
    pub(super) acquired_by: u32,
    /// The position of the call that settles by when it was gained: the acquisition, or a sighting.
    pub(super) gained_by: u32,
    /// The position of the call that settles the earliest end, as far as it has returned.
    pub(super) kept_by: u32,
    /// The position of the call that ended it, or showed that it had ended, or may have ended it.
    pub(super) ended_by: Option<u32>,
}

impl Section {
    pub(super) fn has_core(&self) -> bool {
        self.gained < self.earliest
    }

    /// Where a floater's window begins.
    pub(super) fn window_from(&self) -> RunTime {
        self.asked.max(self.earliest)
    }
}

/// An acquisition of unknown outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phantom {
    pub(super) from: RunTime,
    pub(super) until: RunTime,
    pub(super) owner: u32,
    /// The position of the acquisition.
    pub(super) acquired_by: u32,
    /// The position of the release that may have ended it.
    pub(super) ended_by: Option<u32>,
}

/// An acquisition that found the lock taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) called: RunTime,
    pub(super) returned: RunTime,
    pub(super) position: u32,
}

/// An answer that named the holder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub(super) called: RunTime,
    pub(super) returned: RunTime,
    pub(super) holder: u32,
    pub(super) position: u32,
}

/// Answers that contradict each other, by position: whatever else happened, no order explains them.
pub(super) type Contradiction = Vec<u32>;

impl Shape {
    /// Puts the sections in the order of `gained`. Keys are sorted and not sections, which are several times as large.
    pub(super) fn put_in_order(&mut self) {
        let key = |section: &Section| (section.gained, section.earliest);
        if self.sections.is_sorted_by_key(key) {
            return;
        }
        let mut keys: Vec<(RunTime, RunTime, u32)> =
            (0..).zip(&self.sections).map(|(number, section)| (section.gained, section.earliest, number)).collect();
        keys.sort_unstable();
        self.sections = keys.into_iter().map(|(_, _, number)| self.sections[number as usize]).collect();
    }

    /// What contradicts itself, if anything does, in a settled shape; `None` where this cannot be told.
    pub(super) fn first_unexplained(&self) -> Option<Option<Contradiction>> {
        let has_floaters = !self.sections.iter().all(Section::has_core);
        let broken = if has_floaters {
            let (cores, floaters): (Vec<Section>, Vec<Section>) = self.sections.iter().partition(|one| one.has_core());
            overlap(&cores).or_else(|| covered(&floaters, &cores))
        } else {
            overlap(&self.sections)
        };
        match broken {
            Some(answers) => Some(Some(answers)),
            None if self.refusals.is_empty() => Some(None),
            None if has_floaters => None,
            None => Some(unexplained_refusal(&self.sections, &self.refusals, &self.phantoms)),
        }
    }
}

/// Two sections whose cores overlap. The sections are in the order of `gained`.
fn overlap(sections: &[Section]) -> Option<Contradiction> {
    let pair = sections.windows(2).find(|pair| pair[0].earliest > pair[1].gained)?;
    Some(both(&pair[0], &pair[1]))
}

/// A floater whose window lies inside a core.
fn covered(floaters: &[Section], cores: &[Section]) -> Option<Contradiction> {
    floaters.iter().find_map(|floater| {
        let core = cores[..cores.partition_point(|core| core.gained < floater.window_from())].last()?;
        (floater.gained < core.earliest).then(|| both(floater, core))
    })
}

/// The calls that settle the cores, or the windows, of two sections.
fn both(one: &Section, other: &Section) -> Contradiction {
    let mut calls: Contradiction =
        [one, other].iter().flat_map(|one| [one.acquired_by, one.gained_by, one.kept_by]).collect();
    calls.sort_unstable();
    calls.dedup();
    calls
}

/// Refusals that cannot be explained, with what keeps the lock free around them.
///
/// The sections are in their order, the refusals in the order of their calls.
fn unexplained_refusal(sections: &[Section], refusals: &[Refusal], phantoms: &[Phantom]) -> Option<Contradiction> {
    let gaps = needy_gaps(sections, refusals);
    let mut first_served = vec![0_usize; gaps.len() + 1];
    for phantom in phantoms {
        first_served[gaps.partition_point(|gap| !gap.is_served_by(phantom))] += 1;
    }
    let mut serving = 0;
    for (before, served) in first_served[..gaps.len()].iter().enumerate() {
        serving += served;
        if serving <= before {
            let mut calls: Contradiction = gaps[..=before].iter().flat_map(|gap| gap.calls(sections)).collect();
            calls.sort_unstable();
            calls.dedup();
            return Some(calls);
        }
    }
    None
}

/// A gap between sections in which somebody was refused while no section can have held the lock.
pub(super) struct Gap {
    /// The section after it, by number.
    pub(super) next: usize,
    /// The first such refusal to return.
    refused_by: u32,
    /// When it did.
    first_return: RunTime,
    /// When the section after the gap had begun.
    pub(super) next_gained: RunTime,
    ended_by: Option<u32>,
    acquired_by: Option<u32>,
}

impl Gap {
    pub(super) fn is_served_by(&self, phantom: &Phantom) -> bool {
        phantom.from <= self.first_return && phantom.until <= self.next_gained
    }

    /// What keeps the lock free: the end before, the begin after, and whatever keeps those that were asked for early to a
    /// place after that.
    fn calls<'a>(&'a self, sections: &'a [Section]) -> impl Iterator<Item = u32> + 'a {
        let early = sections.iter().skip(self.next + 1).filter(|section| section.asked <= self.first_return);
        let kept = early.filter(|section| section.kept_by != section.acquired_by).map(|section| section.kept_by);
        self.ended_by.into_iter().chain([self.refused_by]).chain(self.acquired_by).chain(kept)
    }
}

pub(super) fn needy_gaps(sections: &[Section], refusals: &[Refusal]) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = Vec::new();
    let (mut next, mut last_needy) = (0, None);
    for refusal in refusals {
        while sections.get(next).is_some_and(|section| section.earliest < refusal.called) {
            next += 1;
        }
        let before = next.checked_sub(1).map(|before| &sections[before]);
        let after = sections.get(next);
        let is_after = before.is_none_or(|section| section.latest < refusal.called);
        let is_before = after.is_none_or(|section| refusal.returned < section.asked);
        if !(is_after && is_before) {
            continue;
        }
        if last_needy != Some(next) {
            last_needy = Some(next);
            gaps.push(Gap {
                next,
                refused_by: refusal.position,
                first_return: refusal.returned,
                next_gained: after.map_or(NEVER, |section| section.gained),
                ended_by: before.and_then(|section| section.ended_by),
                acquired_by: after.map(|section| section.acquired_by),
            });
        } else if let Some(gap) = gaps.last_mut().filter(|gap| refusal.returned < gap.first_return) {
            (gap.refused_by, gap.first_return) = (refusal.position, refusal.returned);
        }
    }
    gaps
}
