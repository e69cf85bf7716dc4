//! One directed link: its rule, what it holds back, and what it has done.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use leasehold_workloads::script::Dice;

use super::counters::LinkCounters;
use super::frame;
use super::rule::{LinkRule, Spread};

/// A link that holds back more than this drops what comes on top, as a real queue would. TCP's own windows
/// stay far below it.
const MOST_HELD_BYTES: usize = 16 << 20;

/// What a small packet costs to hold: without it, the bound would not bind a flood of empty ones.
const OVERHEAD_BYTES: usize = 128;

/// The queue before a rate holds what gets through in this time, but never less than a few of the largest packets.
const RATE_QUEUE: Duration = Duration::from_secs(1);
const LEAST_RATE_QUEUE_BYTES: u64 = 256 << 10;

/// No packet is held for longer: it stands for the end of time.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Gives the receiver a packet, and says whether its kernel took it.
pub(super) type Deliver<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

#[derive(Debug)]
struct Held {
    arrived: Instant,
    lot: Lot,
    frame: Box<[u8]>,
}

/// What befalls a packet, whatever the delay may be when it is to go.
#[derive(Clone, Copy, Debug)]
struct Lot {
    /// When its last byte got through at the link's rate.
    sent: Instant,
    /// Where its delay lies between the shortest, -1, and the longest, 1.
    luck: f64,
    /// It has stepped out of the line.
    is_late: bool,
}

/// When a held packet is to go, and its place among all that have arrived.
type Place = (Instant, u64);

#[derive(Debug)]
pub(super) struct Link {
    /// Where the IP packet begins in a frame.
    ip_offset: usize,
    rule: LinkRule,
    /// The rule does nothing. Most links are so most of the time.
    is_clear: bool,
    counters: LinkCounters,
    held: BTreeMap<Place, Held>,
    held_bytes: usize,
    dice: Dice,
    /// When the link's rate is free again.
    free_at: Option<Instant>,
    /// When the last packet in the line is to go: none that follows goes earlier.
    line_ends: Option<Instant>,
    /// The latest packet that has been delivered, by its place among those that have arrived.
    newest_delivered: u64,
}

impl Link {
    pub(super) fn new(ip_offset: usize, rule: LinkRule, dice: Dice) -> Self {
        let is_clear = rule == LinkRule::default();
        Self {
            ip_offset,
            rule,
            is_clear,
            counters: LinkCounters::default(),
            held: BTreeMap::new(),
            held_bytes: 0,
            dice,
            free_at: None,
            line_ends: None,
            newest_delivered: 0,
        }
    }

    pub(super) fn reroll(&mut self, dice: Dice) {
        self.dice = dice;
    }

    pub(super) fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// The rule is in force for held packets as well: a cut link drops them, and a shorter delay or a higher rate lets them
    /// go earlier. Otherwise a healed link would go on to delay what follows, since packets keep their
    /// order.
    pub(super) fn set(&mut self, rule: LinkRule, now: Instant) {
        if rule == self.rule {
            return;
        }
        self.is_clear = rule == LinkRule::default();
        self.rule = rule;
        let held = std::mem::take(&mut self.held);
        (self.free_at, self.line_ends) = (None, None);
        let mut in_order: Vec<_> = held.into_iter().map(|((_, number), held)| (number, held)).collect();
        in_order.sort_unstable_by_key(|&(number, _)| number);
        for (number, mut held) in in_order {
            if self.drops(&held.frame) {
                self.counters.dropped += 1;
                self.held_bytes -= held.frame.len() + OVERHEAD_BYTES;
                continue;
            }
            if held.lot.sent > now {
                held.lot.sent = self.sent(held.frame.len() - self.ip_offset, now);
            }
            self.put(number, held);
        }
    }

    fn drops(&self, frame: &[u8]) -> bool {
        let closed = &self.rule.closed_ports;
        let is_closed = || frame::tcp_port(&frame[self.ip_offset..]).is_some_and(|port| closed.contains(&port));
        self.rule.drop || !closed.is_empty() && is_closed()
    }

    /// Deals with a packet that has come in.
    pub(super) fn admit(&mut self, frame: &mut [u8], now: Instant, deliver: Deliver<'_>) {
        self.counters.arrived += 1;
        let number = self.counters.arrived;
        if self.is_clear && self.held.is_empty() {
            self.deliver(number, frame, deliver);
            return;
        }
        // Nothing overtakes what ought to be gone by now.
        self.release(now, deliver);
        if self.drops(frame) {
            self.counters.dropped += 1;
            return;
        }
        if self.dice.chance(self.rule.loss) {
            self.counters.lost += 1;
            return;
        }
        let length = self.spoil(frame);
        let frame = &frame[..length];
        self.pass(number, frame, now, deliver);
        if self.dice.chance(self.rule.duplicate) {
            self.counters.duplicated += 1;
            self.pass(number, frame, now, deliver);
        }
    }

    /// Spoils a packet where the dice say so, and returns the length of the frame that is left.
    fn spoil(&mut self, frame: &mut [u8]) -> usize {
        let Self { ip_offset, rule, dice, counters, .. } = self;
        if rule.spoils.is_empty() || frame::payload(&frame[*ip_offset..]).is_none() {
            return frame.len();
        }
        counters.spoilable += 1;
        // A checksum is put right for what is not to be detected. So what is to be comes last, and once.
        for spoil in rule.spoils.iter().filter(|spoil| !spoil.detected) {
            let Some(payload) = frame::payload(&frame[*ip_offset..]) else { break };
            if let Some(change) = spoil.choose(payload.ports, payload.data, dice) {
                counters.corrupted_undetected += 1;
                frame::spoil_unnoticed(frame, *ip_offset, |data| change.apply(data));
            }
        }
        for spoil in rule.spoils.iter().filter(|spoil| spoil.detected) {
            let Some(payload) = frame::first_segment(frame, *ip_offset) else { break };
            if let Some(change) = spoil.choose(payload.ports, payload.data, dice) {
                counters.corrupted += 1;
                return frame::spoil(frame, *ip_offset, |data| change.apply(data));
            }
        }
        frame.len()
    }

    /// Delivers a packet now, or holds it until its time comes.
    fn pass(&mut self, number: u64, frame: &[u8], now: Instant, deliver: Deliver<'_>) {
        let cost = frame.len() + OVERHEAD_BYTES;
        if self.held_bytes + cost > MOST_HELD_BYTES || self.rate_queue_is_full(now) {
            self.counters.dropped += 1;
            return;
        }
        let sent = self.sent(frame.len() - self.ip_offset, now);
        let lot = Lot { sent, luck: self.luck(), is_late: self.dice.chance(self.rule.reorder) };
        if self.due(lot) <= now {
            self.deliver(number, frame, deliver);
            return;
        }
        self.counters.delayed += 1;
        self.counters.queued_by_rate += u64::from(sent > now);
        self.held_bytes += cost;
        self.put(number, Held { arrived: now, lot, frame: frame.into() });
    }

    fn put(&mut self, number: u64, held: Held) {
        let due = self.due(held.lot);
        if !held.lot.is_late {
            self.line_ends = Some(due);
        }
        // A copy has the number of its original and follows it.
        let mut place = (due, number);
        while self.held.contains_key(&place) {
            place.0 += Duration::from_nanos(1);
        }
        self.held.insert(place, held);
    }

    /// When a packet is to go. One in the line does not go before the one before it.
    fn due(&self, Lot { sent, luck, is_late }: Lot) -> Instant {
        let LinkRule { delay, jitter, reorder_by, .. } = self.rule;
        let difference = jitter.most.min(LONGEST).mul_f64(luck.abs());
        let delay = delay.min(LONGEST);
        let delay = if luck < 0.0 { delay.saturating_sub(difference) } else { delay + difference };
        if is_late {
            return sent + delay + reorder_by.min(LONGEST);
        }
        let due = sent + delay;
        self.line_ends.map_or(due, |line_ends| due.max(line_ends))
    }

    /// When the last byte of a packet gets through, if the first may start now.
    fn sent(&mut self, bytes: usize, now: Instant) -> Instant {
        let Some(bytes_per_s) = self.rule.bytes_per_s else { return now };
        let starts = self.free_at.map_or(now, |free_at| free_at.max(now));
        let sent = starts + Duration::from_secs(1).mul_f64(bytes as f64 / bytes_per_s.max(1) as f64).min(LONGEST);
        self.free_at = Some(sent);
        sent
    }

    fn rate_queue_is_full(&self, now: Instant) -> bool {
        let (Some(bytes_per_s), Some(free_at)) = (self.rule.bytes_per_s, self.free_at) else { return false };
        let least = Duration::from_secs(1).mul_f64(LEAST_RATE_QUEUE_BYTES as f64 / bytes_per_s.max(1) as f64);
        free_at.saturating_duration_since(now) > RATE_QUEUE.max(least)
    }

    fn luck(&mut self) -> f64 {
        if self.rule.jitter.most.is_zero() {
            return 0.0;
        }
        let mut throw = || 2.0 * self.dice.share() - 1.0;
        match self.rule.jitter.spread {
            Spread::Uniform => throw(),
            // The mean of three throws: its standard deviation is a third.
            Spread::Bell => (throw() + throw() + throw()) / 3.0,
        }
    }

    /// When the next held packet is to go.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held.first_key_value().map(|(&(due, _), _)| due)
    }

    /// Delivers the held packets that are to go by now.
    pub(super) fn release(&mut self, now: Instant, deliver: Deliver<'_>) {
        while let Some(entry) = self.held.first_entry()
            && entry.key().0 <= now
        {
            let ((_, number), held) = entry.remove_entry();
            self.held_bytes -= held.frame.len() + OVERHEAD_BYTES;
            self.counters.let_go += 1;
            self.counters.held_for += now.saturating_duration_since(held.arrived);
            self.deliver(number, &held.frame, deliver);
        }
    }

    fn deliver(&mut self, number: u64, frame: &[u8], deliver: Deliver<'_>) {
        if deliver(frame) {
            self.counters.forwarded += 1;
            self.counters.forwarded_bytes += (frame.len() - self.ip_offset) as u64;
            self.counters.reordered += u64::from(number < self.newest_delivered);
            self.newest_delivered = self.newest_delivered.max(number);
        } else {
            self.counters.refused += 1;
        }
    }
}

#[cfg(test)]
mod tests;
