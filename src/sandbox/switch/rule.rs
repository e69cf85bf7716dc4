//! What a directed link does with its packets.

use std::time::Duration;

use super::spoil::Spoil;

/// What a directed link does with its packets. The default forwards at once.
///
/// Shares are from 0 to 1. What TCP hands to its network card in one piece, up to 64 KiB, is one packet here.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LinkRule {
    /// Nothing gets through, what is being held back included.
    pub drop: bool,
    /// Nothing gets through that is addressed to one of these TCP ports.
    pub closed_ports: Vec<u16>,
    /// How long each packet is held back. Packets keep their order.
    pub delay: Duration,
    /// How far the delay of each packet differs from `delay`. Packets keep their order all the same: one that is quicker
    /// waits for the one before it.
    pub jitter: Jitter,
    /// The share of packets that are lost.
    pub loss: f64,
    /// The share of packets that arrive twice.
    pub duplicate: f64,
    /// The share of packets that step out of the line, and are held back for `reorder_by` longer than the others.
    pub reorder: f64,
    /// For how long.
    pub reorder_by: Duration,
    /// So many bytes get through in a second, those of the IP header included. What comes faster waits in a queue that
    /// holds a second's worth, and is dropped where that is full.
    pub bytes_per_s: Option<u64>,
    /// In which ways packets with data are spoilt.
    pub spoils: Vec<Spoil>,
}

/// By how much delays differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jitter {
    /// The farthest that a delay is from the mean, to either side. No delay is less than nothing.
    pub most: Duration,
    /// How the delays are spread.
    pub spread: Spread,
}

/// How delays are spread around their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spread {
    /// Every delay within the bounds is as likely as any other.
    #[default]
    Uniform,
    /// Delays near the mean are likelier, as of a normal distribution whose standard deviation is a third of the bound.
    Bell,
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

    /// Nothing gets through that is addressed to this TCP port.
    #[must_use]
    pub fn closed(ports: &[u16]) -> Self {
        Self { closed_ports: ports.to_vec(), ..Self::default() }
    }

    /// What a link does for which both rules are in force: it suffers from each as if it were alone, one after the other.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            drop: self.drop || other.drop,
            closed_ports: self.closed_ports.iter().chain(&other.closed_ports).copied().collect(),
            delay: self.delay.saturating_add(other.delay),
            jitter: self.jitter.and(other.jitter),
            loss: either(self.loss, other.loss),
            duplicate: either(self.duplicate, other.duplicate),
            reorder: either(self.reorder, other.reorder),
            reorder_by: self.reorder_by.max(other.reorder_by),
            bytes_per_s: match (self.bytes_per_s, other.bytes_per_s) {
                (Some(one), Some(two)) => Some(one.min(two)),
                (one, two) => one.or(two),
            },
            spoils: self.spoils.iter().chain(&other.spoils).cloned().collect(),
        }
    }
}

impl Jitter {
    /// Of two delays that both differ, the sum is likelier near its mean.
    fn and(self, other: Self) -> Self {
        let spread = match (self.most.is_zero(), other.most.is_zero()) {
            (false, false) => Spread::Bell,
            (true, _) => other.spread,
            (_, true) => self.spread,
        };
        Self { most: self.most.saturating_add(other.most), spread }
    }
}

/// The share of what meets one of two independent fates, or both.
fn either(one: f64, two: f64) -> f64 {
    1.0 - (1.0 - one) * (1.0 - two)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn rules_add_up() {
        let slow = LinkRule { delay: 20 * MS, loss: 0.5, bytes_per_s: Some(100), ..LinkRule::closed(&[1]) };
        let slower = LinkRule { delay: 30 * MS, loss: 0.5, bytes_per_s: Some(50), ..LinkRule::closed(&[2]) };
        let both = slow.and(&slower);
        assert_eq!((both.delay, both.loss, both.bytes_per_s), (50 * MS, 0.75, Some(50)));
        assert_eq!(both.closed_ports, [1, 2]);
        assert!(!both.drop && both.and(&LinkRule::cut()).drop);
        assert_eq!(slow.and(&LinkRule::default()), slow);
    }

    #[test]
    fn two_jitters_are_wider_and_rounder_than_one() {
        let jitter = |ms| LinkRule { jitter: Jitter { most: ms * MS, ..Jitter::default() }, ..LinkRule::default() };
        assert_eq!(jitter(2).and(&LinkRule::default()).jitter, jitter(2).jitter);
        assert_eq!(jitter(2).and(&jitter(3)).jitter, Jitter { most: 5 * MS, spread: Spread::Bell });
    }
}
