//! One directed link: its rule, what it holds back, and what it has done.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A link that holds back more than this drops what comes on top, as a real queue would. TCP's own windows
/// stay far below it.
const MOST_HELD_BYTES: usize = 16 << 20;

/// What a small packet costs to hold: without it, the bound would not bind a flood of empty ones.
const OVERHEAD_BYTES: usize = 128;

/// What a directed link does with its packets. The default forwards at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkRule {
    /// Nothing gets through, what is being held back included.
    pub drop: bool,
    /// How long each packet is held back. Packets keep their order.
    pub delay: Duration,
}

impl LinkRule {
    /// Nothing gets through.
    #[must_use]
    pub fn cut() -> Self {
        Self { drop: true, ..Self::default() }
    }

    /// Everything gets through, this much later.
    #[must_use]
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }
}

/// What became of the packets of a directed link since the network was built.
///
/// Every packet that is not on its way any more is forwarded, dropped or lost. What TCP hands to its
/// network card in one piece counts as one packet here, up to 64 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkCounters {
    /// Delivered.
    pub forwarded: u64,
    /// Dropped by the rule, or because the link held back more than it can.
    pub dropped: u64,
    /// Held back for some time. When that is over they count as forwarded, dropped or lost, too.
    pub delayed: u64,
    /// Neither: the receiver's kernel had no room. This is no fault of the run's but a weakness of the
    /// machine.
    pub lost: u64,
}

/// What to do with a packet that has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Deliver it now, and tell the link by [`Link::delivered`].
    Forward,
    /// It is dealt with.
    Done,
}

#[derive(Debug)]
struct Held {
    arrived: Instant,
    frame: Box<[u8]>,
}

#[derive(Debug, Default)]
pub(super) struct Link {
    rule: LinkRule,
    counters: LinkCounters,
    held: VecDeque<Held>,
    held_bytes: usize,
}

impl Link {
    pub(super) fn rule(&self) -> LinkRule {
        self.rule
    }

    pub(super) fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// The rule is in force for held packets as well: a cut link drops them, and a shorter delay lets them
    /// go earlier. Otherwise a healed link would go on to delay what follows, since packets keep their
    /// order.
    pub(super) fn set(&mut self, rule: LinkRule) {
        self.rule = rule;
        if rule.drop {
            self.counters.dropped += self.held.len() as u64;
            self.held.clear();
            self.held_bytes = 0;
        }
    }

    /// Decides about a packet that has come in.
    pub(super) fn admit(&mut self, frame: &[u8], now: Instant) -> Fate {
        if self.rule.drop {
            self.counters.dropped += 1;
            Fate::Done
        } else if self.rule.delay.is_zero() && self.held.is_empty() {
            Fate::Forward
        } else {
            self.hold(frame, now);
            Fate::Done
        }
    }

    fn hold(&mut self, frame: &[u8], now: Instant) {
        let cost = frame.len() + OVERHEAD_BYTES;
        if self.held_bytes + cost > MOST_HELD_BYTES {
            self.counters.dropped += 1;
            return;
        }
        self.counters.delayed += 1;
        self.held_bytes += cost;
        self.held.push_back(Held { arrived: now, frame: frame.into() });
    }

    /// When the next held packet is to go. `None` is never: there is none, or the delay reaches beyond the
    /// end of time.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.front()?.arrived.checked_add(self.rule.delay)
    }

    /// The next held packet, if it is to go by now. Tell the link what became of it by [`Link::delivered`].
    pub(super) fn release(&mut self, now: Instant) -> Option<Box<[u8]>> {
        if self.due()? > now {
            return None;
        }
        let Held { frame, .. } = self.held.pop_front()?;
        self.held_bytes -= frame.len() + OVERHEAD_BYTES;
        Some(frame)
    }

    /// Counts a packet by whether the receiver's kernel took it.
    pub(super) fn delivered(&mut self, taken: bool) {
        if taken {
            self.counters.forwarded += 1;
        } else {
            self.counters.lost += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fate, Link, LinkCounters, LinkRule, MOST_HELD_BYTES};
    use std::time::{Duration, Instant};

    const MS: Duration = Duration::from_millis(1);

    fn link(rule: LinkRule) -> Link {
        let mut link = Link::default();
        link.set(rule);
        link
    }

    fn released(link: &mut Link, now: Instant) -> Vec<u8> {
        std::iter::from_fn(|| link.release(now)).map(|frame| frame[0]).collect()
    }

    #[test]
    fn a_new_link_forwards_at_once() {
        assert_eq!(Link::default().admit(b"a", Instant::now()), Fate::Forward);
    }

    #[test]
    fn a_cut_link_drops_and_counts() {
        let mut link = link(LinkRule::cut());
        assert_eq!(link.admit(b"a", Instant::now()), Fate::Done);
        assert_eq!(link.due(), None);
        assert_eq!(link.counters(), LinkCounters { dropped: 1, ..LinkCounters::default() });
    }

    #[test]
    fn packets_are_held_for_the_delay_and_not_less() {
        let (mut link, start) = (link(LinkRule::delayed(50 * MS)), Instant::now());
        assert_eq!(link.admit(&[1], start), Fate::Done);
        assert_eq!(link.admit(&[2], start + MS), Fate::Done);
        assert_eq!(link.due(), Some(start + 50 * MS));
        assert!(released(&mut link, start + 50 * MS - Duration::from_nanos(1)).is_empty());
        assert_eq!(released(&mut link, start + 50 * MS), [1]);
        assert_eq!(released(&mut link, start + 51 * MS), [2]);
        assert_eq!(link.counters().delayed, 2);
    }

    #[test]
    fn a_shorter_delay_keeps_the_order() {
        let (mut link, start) = (link(LinkRule::delayed(10_000 * MS)), Instant::now());
        link.admit(&[1], start);
        link.set(LinkRule::default());
        assert_eq!(link.admit(&[2], start + MS), Fate::Done, "it must not overtake the first");
        assert_eq!(released(&mut link, start + MS), [1, 2]);
        assert_eq!(link.admit(&[3], start + MS), Fate::Forward);
    }

    #[test]
    fn a_cut_drops_what_is_on_its_way() {
        let (mut link, start) = (link(LinkRule::delayed(50 * MS)), Instant::now());
        link.admit(&[1], start);
        link.set(LinkRule::cut());
        link.set(LinkRule::default());
        assert!(released(&mut link, start + 100 * MS).is_empty());
        assert_eq!(link.counters(), LinkCounters { dropped: 1, delayed: 1, ..LinkCounters::default() });
    }

    #[test]
    fn a_boundless_delay_is_a_delay() {
        let (mut link, start) = (link(LinkRule::delayed(Duration::MAX)), Instant::now());
        link.admit(&[1], start);
        assert_eq!(link.due(), None);
        link.set(LinkRule::default());
        assert_eq!(released(&mut link, start), [1]);
    }

    #[test]
    fn a_full_link_drops_the_newest() {
        let (mut link, start) = (link(LinkRule::delayed(50 * MS)), Instant::now());
        let big = vec![7; MOST_HELD_BYTES / 2];
        link.admit(&big, start);
        link.admit(&big, start);
        assert_eq!((link.counters().delayed, link.counters().dropped), (1, 1));
        assert_eq!(released(&mut link, start + 50 * MS), [7]);
        link.admit(&big, start);
        assert_eq!(link.counters().delayed, 2, "there is room again");
    }
}
