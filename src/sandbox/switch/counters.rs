//! What became of the packets of a link.

use std::ops::{Add, Sub};
use std::time::Duration;

/// What became of the packets of a directed link since the network was built.
///
/// Every packet that is not on its way any more was forwarded, dropped, lost or refused, and so was its copy. What TCP hands
/// to its network card in one piece counts as one packet here, up to 64 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkCounters {
    /// Handed to the switch by the sender.
    pub arrived: u64,
    /// Delivered.
    pub forwarded: u64,
    /// Their bytes, those of the IP headers included.
    pub forwarded_bytes: u64,
    /// Dropped by a cut or at a closed port, or because the link held back more than it can.
    pub dropped: u64,
    /// Lost, by the share that a rule asks for.
    pub lost: u64,
    /// Held back for some time.
    pub delayed: u64,
    /// Of these, the ones that have been let go.
    pub let_go: u64,
    /// For how long those had been held back, all together.
    pub held_for: Duration,
    /// Held back because the link's rate was used up.
    pub queued_by_rate: u64,
    /// Put on their way a second time.
    pub duplicated: u64,
    /// Delivered after one that was sent later.
    pub reordered: u64,
    /// With data, while some were to be spoilt.
    pub spoilable: u64,
    /// Changed, against their checksum.
    pub corrupted: u64,
    /// Changed, with the checksum put right.
    pub corrupted_undetected: u64,
    /// Not delivered because the receiver's kernel had no room. This is no fault of the run's but a weakness of the machine.
    pub refused: u64,
}

impl LinkCounters {
    fn with(self, other: Self, number: fn(u64, u64) -> u64, time: fn(Duration, Duration) -> Duration) -> Self {
        Self {
            arrived: number(self.arrived, other.arrived),
            forwarded: number(self.forwarded, other.forwarded),
            forwarded_bytes: number(self.forwarded_bytes, other.forwarded_bytes),
            dropped: number(self.dropped, other.dropped),
            lost: number(self.lost, other.lost),
            delayed: number(self.delayed, other.delayed),
            let_go: number(self.let_go, other.let_go),
            held_for: time(self.held_for, other.held_for),
            queued_by_rate: number(self.queued_by_rate, other.queued_by_rate),
            duplicated: number(self.duplicated, other.duplicated),
            reordered: number(self.reordered, other.reordered),
            spoilable: number(self.spoilable, other.spoilable),
            corrupted: number(self.corrupted, other.corrupted),
            corrupted_undetected: number(self.corrupted_undetected, other.corrupted_undetected),
            refused: number(self.refused, other.refused),
        }
    }
}

impl Add for LinkCounters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, u64::saturating_add, Duration::saturating_add)
    }
}

/// What was counted since `other` was read.
impl Sub for LinkCounters {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub, Duration::saturating_sub)
    }
}
