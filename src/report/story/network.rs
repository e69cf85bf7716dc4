//! What became of the packets of each link.

use std::collections::BTreeMap;

use leasehold_checkers::history::vocabulary::{LinkValue, NetworkValue, f};
use leasehold_checkers::history::{Event, EventType, Process, RunTime};

use crate::report::words::one_line;

/// More links than these are those of no cluster that a run starts.
const LINKS_MAX: usize = 240;
const NAME_MAX: usize = 16;

/// A directed link.
#[derive(Clone, Debug, Default)]
pub(in crate::report) struct Link {
    /// Who sends to whom: `n1 → n2`.
    pub name: String,
    /// Whether it is one of the harness's own, for its probes and watches.
    pub is_harness: bool,
    /// What was counted on it in all.
    pub total: LinkValue,
    /// What was counted from one reading to the next, where anything was.
    pub stretches: Vec<Stretch>,
}

/// From one reading to the next.
#[derive(Clone, Debug)]
pub(in crate::report) struct Stretch {
    pub from: RunTime,
    pub to: RunTime,
    pub fate: Fate,
}

/// What became of the packets, at worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::report) enum Fate {
    /// All were delivered at once.
    Delivered,
    /// Some came late, twice, or out of their order.
    Late,
    /// Some were dropped, lost or changed.
    Damaged,
    /// None was delivered.
    Nothing,
}

impl Link {
    /// Packets that were not delivered as they were sent.
    pub(in crate::report) fn damaged(&self) -> u64 {
        damaged(&self.total)
    }

    /// Whether anything but ordinary delivery happened to its packets.
    pub(in crate::report) fn is_troubled(&self) -> bool {
        self.stretches.iter().any(|stretch| stretch.fate > Fate::Delivered)
    }
}

/// Between whom a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ends {
    Servers,
    Clients,
    Harness,
}

impl Ends {
    fn of(link: &LinkValue) -> Self {
        match [&*link.from, &*link.to] {
            ["harness", _] | [_, "harness"] => Self::Harness,
            ["clients", _] | [_, "clients"] => Self::Clients,
            _ => Self::Servers,
        }
    }
}

/// The links, those between servers first.
pub(super) fn of(events: &[Event]) -> Vec<Link> {
    let mut links: BTreeMap<(Ends, String, String), Link> = BTreeMap::new();
    let mut since = RunTime::default();
    let readings = events
        .iter()
        .filter(|event| event.process == Process::Probe && event.kind == EventType::Ok && event.f == f::NETWORK);
    for event in readings {
        let Ok(value) = event.value.read::<NetworkValue>() else { continue };
        for link in value.links {
            take(&mut links, link, (since, event.time));
        }
        since = event.time;
    }
    links.into_values().collect()
}

fn take(links: &mut BTreeMap<(Ends, String, String), Link>, now: LinkValue, (from, to): (RunTime, RunTime)) {
    let ends = Ends::of(&now);
    let is_harness = ends == Ends::Harness;
    let key = (ends, one_line(&now.from, NAME_MAX), one_line(&now.to, NAME_MAX));
    if links.len() >= LINKS_MAX && !links.contains_key(&key) {
        return;
    }
    let name = format!("{} → {}", key.1, key.2);
    let link = links.entry(key).or_insert_with(|| Link { name, is_harness, ..Link::default() });
    link.stretches.push(Stretch { from, to, fate: fate(&link.total, &now) });
    link.total = now;
}

fn damaged(link: &LinkValue) -> u64 {
    [link.dropped, link.lost, link.refused, link.corrupted].into_iter().fold(0, u64::saturating_add)
}

fn fate(before: &LinkValue, now: &LinkValue) -> Fate {
    let more = |number: fn(&LinkValue) -> u64| number(now).saturating_sub(number(before));
    let (delivered, damaged) = (more(|link| link.delivered), more(damaged));
    let late = [more(|link| link.delayed), more(|link| link.duplicated), more(|link| link.reordered)];
    match (delivered, damaged) {
        (0, 1..) => Fate::Nothing,
        (_, 1..) => Fate::Damaged,
        _ if late.iter().any(|count| *count > 0) => Fate::Late,
        _ => Fate::Delivered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(sent: u64, delivered: u64) -> LinkValue {
        LinkValue { sent, delivered, ..LinkValue::default() }
    }

    #[test]
    fn a_stretch_is_judged_by_what_is_new_in_it() {
        let before = LinkValue { dropped: 7, delayed: 2, ..link(100, 93) };
        assert_eq!(fate(&before, &LinkValue { delivered: 99, sent: 106, ..before.clone() }), Fate::Delivered);
        assert_eq!(fate(&before, &LinkValue { dropped: 8, sent: 101, ..before.clone() }), Fate::Nothing);
        assert_eq!(fate(&before, &LinkValue { lost: 1, sent: 102, delivered: 94, ..before.clone() }), Fate::Damaged);
        assert_eq!(fate(&before, &LinkValue { delayed: 3, delivered: 94, ..before.clone() }), Fate::Late);
    }
}
